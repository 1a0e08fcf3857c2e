# Ranks that are killed, stopped or never come: the others go on, every unit is done and counted once,
# nothing is left running. EVALSWEEP_FULL=1: also at many moments.

load ../helper/common

# start_ranks N [ARGUMENT...]: the run in the background, its output in ./output; sets launcher.
start_ranks() {
    "$repo/tools/mpirun.sh" "$1" "$evalsweep" run "$work/job.json" "${@:2}" >output 2>&1 3>&- &
    launcher=$!
}

# until_true SECONDS COMMAND...: waits for it.
until_true() {
    local deadline=$((SECONDS + $1))
    until "${@:2}"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.05
    done
}

has_markers() { [ "$(n_markers 2>/dev/null)" -ge "$1" ]; }
says() { grep -q "$1" output; }
# A driver is about to take the lock, or waits for it: every driver has a file of its own.
has_driver() { [ "$(find runs/demo/.evalsweep/drivers -type f | wc -l)" -gt 0 ]; }
has_ended() { refute kill -0 "$1" 2>/dev/null; }

# rank_pid RANK: its process (not its guard, which has the same command line).
rank_pid() {
    local pid parent
    for pid in $(pgrep -f "^$evalsweep run $work/job.json"); do
        parent=$(ps -o ppid= -p "$pid") || continue
        [[ "$(ps -o comm= -p "${parent// /}")" =~ ^(mpirun|orted|prte) ]] || continue
        if tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then
            echo "$pid"
            return
        fi
    done
    return 1
}

nothing_runs() { refute pgrep -f "^($evalsweep run $work/job.json|$fake .*$work/count)"; }

ends_with() { # CODE
    local code=0
    until_true 60 has_ended "$launcher"
    wait "$launcher" || code=$?
    [ "$code" -eq "$1" ]
    until_true 10 nothing_runs
}

all_is_done_once() {
    [ "$(n_markers)" -eq 60 ]
    [ "$("$evalsweep" status --json runs/demo | json done)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
    [ "$("$evalsweep" export runs/demo | grep -c fake)" -eq 60 ]
}

teardown() {
    local pid
    for pid in $(pgrep -f "^$evalsweep run $work/job.json"); do kill -9 "$pid" || true; done
}

@test "a worker rank is killed: the others do its units, exit code 0" {
    write_job --sleep-ms 150
    start_ranks 3 --set limits.heartbeat_s=5
    until_true 20 has_markers 10
    kill -9 "$(rank_pid 2)"
    ends_with 0
    says 'worker 2 on .* is silent for .*: gets nothing new'
    says 'worker 2 on .* is out: silent for 5 s (device cpu)'
    all_is_done_once
    [ "$(wc -l <runs/demo/progress.csv)" -eq 61 ]
}

@test "rank 0 is killed: every rank and evaluator ends, and the next start resumes" {
    write_job --sleep-ms 300
    start_ranks 3
    until_true 20 has_markers 6
    kill -9 "$(rank_pid 0)"
    until_true 30 has_ended "$launcher"
    ends_with 137
    says 'mpirun.sh: rank 0 ended without a word: .*: start it again'
    kept=$(n_markers)
    [ "$kept" -lt 60 ]
    : >count
    write_job
    run mpi 2 "$evalsweep" run job.json --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
    [ "$(n_markers)" -eq 60 ]
}

@test "a rank is stopped, given up, and goes on: it works again, and nothing counts twice" {
    write_job --sleep-ms 400
    start_ranks 3 --set limits.heartbeat_s=5
    until_true 20 has_markers 4
    stopped=$(rank_pid 2)
    kill -STOP "$stopped"
    until_true 20 says 'worker 2 on .* is out'
    kill -CONT "$stopped"
    ends_with 0
    says 'worker 2 on .* is heard again'
    [ "$(grep -c 'worker 2: ' output)" -eq 2 ]
    all_is_done_once
    says '60 of 60 units done, 0 pending: '
    [ "$(wc -l <runs/demo/progress.csv)" -le 61 ]
}

@test "a rank dies before MPI starts: the others end, saying so" {
    write_job
    cat >start <<'END_OF_SCRIPT'
#!/bin/sh
[ "$OMPI_COMM_WORLD_RANK" != 1 ] || kill -9 $$
exec "$@"
END_OF_SCRIPT
    chmod +x start
    export EVALSWEEP_START_LIMIT_S=2
    run timeout -s KILL 40 "$repo/tools/mpirun.sh" 3 "$work/start" "$evalsweep" run "$work/job.json"
    [ "$status" -eq 70 ]
    [[ "$output" == *"starting MPI: not all ranks came within 2 s"* ]]
    until_true 10 nothing_runs
    [ "$(n_markers 2>/dev/null || true)" -eq 0 ]
}

# What mpirun.sh would end after it is left alone here: mpirun as it comes kills nobody.
@test "MPI_Finalize hangs with a rank that is stopped: rank 0 ends without it" {
    write_job --sleep-ms 50
    export OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self EVALSWEEP_RECOVERY=0
    start_ranks 2 --set limits.heartbeat_s=5
    until_true 20 has_markers 4
    first=$(rank_pid 0)
    kill -STOP "$(rank_pid 1)"
    until_true 40 has_ended "$first"
    says '60 of 60 units done'
    all_is_done_once
}

# hold_from_elsewhere: a run of which step0 is done, whose lock a driver on another host seems to hold; that
# does not move, and is not stale for a minute. A copy is in ./lock.
hold_from_elsewhere() {
    local holder
    "$evalsweep" run "$work/job.json" --quiet --only checkpoint=step0 2>/dev/null
    "$evalsweep" run "$work/job.json" --quiet --set 'evaluator.command=["sleep", "1000"]' \
        --accept-change 2>/dev/null 3>&- &
    holder=$!
    until_true 20 test -s runs/demo/.evalsweep/lock
    sed 's/"boot": *"[^"]*"/"boot":"another"/' runs/demo/.evalsweep/lock >lock
    kill -TERM "$holder"
    wait "$holder" || [ $? -eq 75 ]
    refute cmp -s lock runs/demo/.evalsweep/lock
    cp lock runs/demo/.evalsweep/lock
}

@test "a signal during the wait for another host's lock: exit code 75 at once, and nothing is lost" {
    write_job
    hold_from_elsewhere
    "$evalsweep" run "$work/job.json" --quiet --accept-change 2>output 3>&- &
    launcher=$!
    until_true 20 has_driver
    kill -TERM "$launcher"
    until_true 20 has_ended "$launcher"
    code=0
    wait "$launcher" || code=$?
    [ "$code" -eq 75 ]
    says 'Terminated before the first unit'
    [ "$(n_markers)" -eq 12 ]
    cmp lock runs/demo/.evalsweep/lock # it was not taken
}

# With a rank that is stopped, rank 0 waits in MPI_Finalize meanwhile, and what it freed is overwritten.
@test "what is left preparing when a signal comes goes on, and harms nothing" {
    write_job
    hold_from_elsewhere
    export MALLOC_PERTURB_=165
    start_ranks 2 --accept-change
    until_true 20 has_driver
    first=$(rank_pid 0)
    second=$(rank_pid 1)
    kill -STOP "$second"
    kill -TERM "$first"
    until_true 20 says 'Terminated before the first unit'
    sleep 0.5 # for it to free what it does; no matter how far it comes
    touch runs/demo/before
    rm runs/demo/.evalsweep/lock
    until_true 30 grep -q '"pid": *'"$first" runs/demo/.evalsweep/lock
    is_recording() { [ runs/demo/results.h5 -nt runs/demo/before ]; }
    until_true 30 is_recording
    kill -CONT "$second"
    ends_with 75
    refute says Segmentation
    [ "$(n_markers)" -eq 12 ]
}

# slow_at CALLS PATH: a run in ./CALLS, started in the background, whose rank 0 has to wait for 40 s at the
# first of these calls on this path: longer than others do for a rank 0 that is silent.
slow_at() {
    mkdir "$1"
    (
        cd "$1"
        work=$PWD
        write_job
        on_rank 0 "export FAULT=slow FAULT_CALLS=$1 'FAULT_PATH=$2' FAULT_AT=1 FAULT_LOG=$work/faults LD_PRELOAD=${FAULTS:-$repo/build/tests/helper/libpreload_faults.so}"
        code=0
        mpi 2 ./on_rank "$evalsweep" run job.json >output 2>&1 || code=$?
        echo "$code" >code
    ) 3>&- &
}

@test "a scan or a last write that hangs for 40 s is not taken for death" {
    [ -n "${EVALSWEEP_FULL-}" ] || skip "takes a minute: with EVALSWEEP_FULL=1"
    slow_at read '*/runs/demo/outputs*'
    slow_at rename '*/runs/demo/results.h5'
    wait
    for run in read rename; do
        cat "$run/output"
        [ "$(wc -l <"$run/faults")" -eq 1 ]
        [ "$(cat "$run/code")" -eq 0 ]
        [ "$(n_markers "$run/runs")" -eq 60 ]
        refute grep -q 'rank 1:' "$run/output"
    done
}

@test "a rank that stays stopped: what is left of it is ended, exit code 0" {
    [ -n "${EVALSWEEP_FULL-}" ] || skip "takes half a minute: with EVALSWEEP_FULL=1"
    write_job --sleep-ms 150
    start_ranks 3 --set limits.heartbeat_s=5
    until_true 20 has_markers 10
    kill -STOP "$(rank_pid 2)"
    ends_with 0
    all_is_done_once
}

@test "worker ranks are killed at random moments, at the start too" {
    [ -n "${EVALSWEEP_FULL-}" ] || skip "takes minutes: with EVALSWEEP_FULL=1"
    export EVALSWEEP_START_LIMIT_S=10
    for round in $(seq 20); do
        rm -rf runs count output
        write_job --sleep-ms 100
        start_ranks 4 --set limits.heartbeat_s=5
        until_true 20 rank_pid 3
        after=$((RANDOM % 3000))
        echo "round $round: rank 3 is killed after $after ms"
        sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
        pid=$(rank_pid 3) || continue # it had ended
        kill -9 "$pid"
        code=0
        until_true 60 has_ended "$launcher"
        wait "$launcher" || code=$?
        cat output
        until_true 10 nothing_runs
        [ "$code" -eq 0 ] || { [ "$code" -eq 70 ] && says 'starting MPI'; }
        [ "$code" -ne 0 ] || all_is_done_once
    done
}

@test "the launcher's script and all ranks are killed: nothing of it stays" {
    write_job --sleep-ms 300
    export LAUNCH_OF=$work # to find by what it started
    start_ranks 2
    until_true 20 has_markers 2
    kill -9 "$launcher" "$(rank_pid 1)" "$(rank_pid 0)"
    nothing_stays() { ! grep -lzxF "LAUNCH_OF=$work" /proc/[0-9]*/environ 2>/dev/null | grep -qv "/\($$\|$BASHPID\|self\)/"; }
    unset LAUNCH_OF
    until_true 20 nothing_runs
    until_true 20 nothing_stays
}
