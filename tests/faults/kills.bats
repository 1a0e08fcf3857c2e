# kill -9 of the driver, its evaluators or the whole job, at every moment: what is done stays done, what is
# there is whole, and the next start does the rest.

load faults

# The seed of what is random here: printed, and taken from EVALSWEEP_SEED to see something again.
seed=${EVALSWEEP_SEED:-$RANDOM}

kill_at_each_place() { # kill|torn STRIDE
    local at n=0
    write_small_job
    keep_half
    for at in $(places "$2" "$evalsweep" run job.json); do
        survives "$1" "$at"
        # Each of the half has its line, whatever became of what it was appended to.
        [ "$(whole_lines | wc -l)" -eq 6 ] || complain "$1 at $at: $(cat runs/demo/progress.csv)"
        n=$((n + 1))
    done
    [ "$n" -gt 8 ]
}

@test "a driver killed before any call on a file" { kill_at_each_place kill 3; }
@test "a driver killed in the middle of any write" { FAULT_CALLS='write' kill_at_each_place torn 1; }

# store_state: the content of the store that is there, or of none.
store_state() {
    if [ -e runs/demo/results.h5 ]; then stored; else echo none; fi
}

# Kills the writer of a store at a call: what is there then is the store from before or the new one.
kill_writer() { # kill|torn AT BEFORE AFTER
    local code=0 now
    rm -f faults
    { with_fault "$1" "$2" "$evalsweep" consolidate runs/demo >said 2>&1; } 2>/dev/null || code=$?
    [ "$code" -eq 137 ] || [ ! -e faults ] || complain "$1 at $2: ended with $code"
    now=$(store_state)
    [ "$now" = "$3" ] || [ "$now" = "$4" ] || complain "$1 at $2: the store holds something else"
}

@test "the store survives its writer's death at every moment" {
    local at before n=0 marker=runs/demo/outputs/mteb/Pythia/410m/step0/layer_21/A/done.json
    write_small_job
    run_undisturbed
    mv "$marker" marker
    "$evalsweep" consolidate runs/demo
    before=$(store_state)
    [ "$before" != "$undisturbed" ]
    mv marker "$marker" # which the store does not know yet
    mv runs half
    mv count half.count
    for at in $(EVALSWEEP_FULL=1 places 1 "$evalsweep" consolidate runs/demo); do
        begin_run
        for how in kill torn; do kill_writer "$how" "$at" "$before" "$undisturbed"; done
        n=$((n + 1))
    done
    [ "$n" -gt 15 ]
    "$evalsweep" consolidate runs/demo
    [ "$(store_state)" = "$undisturbed" ]
    [ -z "$(find runs -name '.es-*')" ]
}

has_more_markers_than() { # N
    [ "$(n_markers 2>/dev/null)" -gt "$1" ]
}

done_units() {
    "$checker" --leftovers --torn runs/demo count
}

all_are_killed() {
    local pids
    pids=$(job_pids)
    [ -n "$pids" ] || return 0
    kill -9 $pids 2>/dev/null
    return 1
}

# One start, killed at a random moment: its evaluators first, or its ranks, or everything at once.
killed_start() { # NUMBER
    local n_before n_lines victims launcher ranks=(in_job)
    n_before=$(n_markers 2>/dev/null) || n_before=0
    n_lines=$(n_evaluated)
    [ $((RANDOM % 2)) -eq 0 ] || ranks=(in_job mpi 2)
    "${ranks[@]}" "$evalsweep" run --quiet job.json >said 2>&1 &
    launcher=$!
    wait_until has_more_markers_than "$n_before"
    sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
    if [ $((RANDOM % 3)) -eq 0 ]; then
        kill -9 $(job_pids fake_evaluator) 2>/dev/null || true
        sleep "0.0$((RANDOM % 10))"
    fi
    victims=evalsweep
    [ $((RANDOM % 2)) -eq 0 ] || victims=''
    kill -9 $(job_pids $victims) "$launcher" 2>/dev/null || true
    { wait "$launcher"; } 2>/dev/null || true
    if [ -z "$victims" ]; then # the guards are dead, too, and what was being started was not seen
        wait_until all_are_killed
    else
        wait_until nothing_is_left
    fi
    done_units >done_now || complain "start $1: $(cat done_now)"
    [ -z "$(comm -23 done_before done_now)" ] || complain "start $1: a marker is gone"
    tail -n "+$((n_lines + 1))" count | sort >evaluated_now
    [ -z "$(comm -12 done_before evaluated_now)" ] || complain "start $1: evaluated again"
    # In flight: one unit on each of two ranks; and those whose evaluators were killed before.
    [ $(($(wc -l <evaluated_now) - $(wc -l <done_now) + $(wc -l <done_before))) -le 4 ] ||
        complain "start $1: more was lost than was in flight"
    [ ! -e runs/demo/results.h5 ] || stored >/dev/null
    mv done_now done_before
}

@test "killed again and again at random, it loses no more than what was in flight" {
    local i n_kills=20
    ! is_full || n_kills=200
    echo "EVALSWEEP_SEED=$seed" | tee /dev/fd/3
    RANDOM=$seed
    write_job --sleep-ms 20 --fork-grandchild # which only its guard would end when its rank is killed
    "$evalsweep" run job.json 2>/dev/null
    undisturbed=$(scores runs/demo)
    sed -i 's/"retries": 1/"retries": 9/' job.json
    forget_run
    : >done_before
    for ((i = 1; i <= n_kills; i++)); do
        if [ "$(wc -l <done_before)" -ge 50 ]; then # not many left to kill in
            forget_run
            : >done_before
        fi
        killed_start "$i"
    done
    in_job mpi 2 "$evalsweep" run job.json
    [ "$(n_markers)" -eq 60 ]
    [ "$(stored)" = "$undisturbed" ]
    [ -z "$(find runs -name '.es-*')" ]
    wait_until nothing_is_left
}
