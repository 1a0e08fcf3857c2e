# Signals: whatever comes, running units end or are given back, no process stays, and the next start
# finishes. Units take long enough that one is under way; the signal goes to the ranks themselves, or to
# mpirun, which passes it on.

load ../helper/common

# One evaluator that takes 100 ms a unit; "stubborn" ones ignore SIGTERM and never end by themselves. Each
# unit has one try: were an interrupted one counted, it would have failed for good.
job_of() { # persistent|one-shot|stubborn
    case $1 in
    persistent) write_job --sleep-ms 100 ;;
    one-shot)
        write_job
        local command="\"$fake\", \"--count-file\", \"$work/count\", \"--sleep-ms\", \"100\""
        sed -i "s|\"mode\": \"persistent\"|\"mode\": \"one-shot\"|; s|\"command\": .*|\"command\": [$command]}|" job.json
        ;;
    stubborn) write_job --hang --ignore-term --fail-unit step2 ;;
    esac
    sed -i 's/"retries": 1/"retries": 0/' job.json
    cp job.json "$BATS_TEST_NUMBER.json" # a name of its own: pgrep finds this test's processes only
}

rank_pids() { pgrep -f "^$evalsweep run $BATS_TEST_NUMBER.json" || true; }
evaluator_pids() { pgrep -f "^$fake .*--count-file $work/count" || true; }

# wait_until COMMAND...: at most 30 s.
wait_until() {
    for _ in $(seq 1500); do
        "$@" && return 0
        sleep 0.02
    done
    echo "never came true: $*"
    return 1
}

n_begun_is_at_least() { [ "$(n_evaluated)" -ge "$1" ]; }
all_gone() { [ -z "$(rank_pids)$(evaluator_pids)" ]; }
step2_hangs() { grep -qs '^step2 ' count; }

teardown() { # of a test that failed
    local pid
    for pid in $(rank_pids) $(evaluator_pids); do kill -KILL "$pid" || true; done
}

start() { # COMMAND...: the run in the background, as $driver (no function: that would be a shell)
    "$@" >out 2>&1 &
    driver=$!
}

end_code() {
    code=0
    wait "$driver" || code=$?
}

# Markers are whole, nothing failed, nothing is left behind; without the fault, the rest is done.
is_whole_and_resumes() {
    wait_until all_gone
    for marker in $(find runs -name done.json); do json main_score <"$marker" >/dev/null; done
    [ -z "$(find runs -name failed.json -o -name '.es-*')" ]
    [ "$("$evalsweep" status --json runs/demo | json failed)" -eq 0 ]
    refute grep -q ',failed,' runs/demo/progress.csv
    kept=$(n_markers)
    [ "$kept" -lt 60 ]
    : >count
    write_job
    run "$evalsweep" run job.json --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
    [ "$(n_markers)" -eq 60 ]
    refute grep -rhoq '"attempt":[^1]' runs/demo/outputs --include=done.json # none was counted
}

alone() { # SIGNAL EVALUATOR
    job_of "$2"
    start "$evalsweep" run "$BATS_TEST_NUMBER.json" --set limits.grace_s=0.3
    if [ "$2" = stubborn ]; then wait_until step2_hangs; else wait_until n_begun_is_at_least 2; fi
    kill -s "$1" "$driver"
    end_code
    [ "$code" -eq 75 ]
    grep -q "submit it again" out
    is_whole_and_resumes
}

on_ranks() { # SIGNAL EVALUATOR: to both ranks, as mpirun does
    job_of "$2"
    start "$repo/tools/mpirun.sh" 2 "$evalsweep" run "$BATS_TEST_NUMBER.json" --set limits.grace_s=0.3
    if [ "$2" = stubborn ]; then wait_until step2_hangs; else wait_until n_begun_is_at_least 4; fi
    kill -s "$1" $(rank_pids)
    end_code
    [ "$code" -eq 75 ]
    is_whole_and_resumes
}

@test "SIGUSR1, alone, persistent" { alone USR1 persistent; }
@test "SIGUSR2, alone, persistent" { alone USR2 persistent; }
@test "SIGTERM, alone, persistent" { alone TERM persistent; }
@test "SIGINT, alone, persistent" { alone INT persistent; }
@test "SIGHUP, alone, persistent" { alone HUP persistent; }
@test "SIGUSR1, alone, one-shot" { alone USR1 one-shot; }
@test "SIGUSR2, alone, one-shot" { alone USR2 one-shot; }
@test "SIGTERM, alone, one-shot" { alone TERM one-shot; }
@test "SIGINT, alone, one-shot" { alone INT one-shot; }
@test "SIGHUP, alone, one-shot" { alone HUP one-shot; }
@test "SIGUSR1, alone, an evaluator that ignores SIGTERM" { alone USR1 stubborn; }
@test "SIGTERM, alone, an evaluator that ignores SIGTERM" { alone TERM stubborn; }

@test "SIGUSR1, two ranks, persistent" { on_ranks USR1 persistent; }
@test "SIGUSR2, two ranks, persistent" { on_ranks USR2 persistent; }
@test "SIGTERM, two ranks, persistent" { on_ranks TERM persistent; }
@test "SIGINT, two ranks, persistent" { on_ranks INT persistent; }
@test "SIGHUP, two ranks, persistent" { on_ranks HUP persistent; }
@test "SIGUSR1, two ranks, one-shot" { on_ranks USR1 one-shot; }
@test "SIGTERM, two ranks, one-shot" { on_ranks TERM one-shot; }
@test "SIGINT, two ranks, one-shot" { on_ranks INT one-shot; }
@test "SIGTERM, two ranks, an evaluator that ignores SIGTERM" { on_ranks TERM stubborn; }

@test "a second SIGINT kills" {
    job_of stubborn
    start "$evalsweep" run "$BATS_TEST_NUMBER.json"
    wait_until step2_hangs
    kill -INT "$driver"
    wait_until grep -q 'Interrupt: stopping, running units get 0 s' out
    kill -INT "$driver"
    wait_until grep -q 'Interrupt: evaluators are killed' out
    end_code
    [ "$code" -eq 75 ]
    is_whole_and_resumes
}

@test "a signal to one rank of two stops that one, and the other does the rest" {
    job_of persistent
    start "$repo/tools/mpirun.sh" 2 "$evalsweep" run "$BATS_TEST_NUMBER.json"
    wait_until n_begun_is_at_least 4
    for pid in $(rank_pids); do
        if tr '\0' '\n' <"/proc/$pid/environ" | grep -qx OMPI_COMM_WORLD_RANK=1; then kill -TERM "$pid"; fi
    done
    end_code
    [ "$code" -eq 0 ]
    grep -q "worker 1 on $(hostname) is out: a signal told its rank to stop" out
    [ "$(n_markers)" -eq 60 ]
    [ -z "$(find runs -name failed.json)" ]
    wait_until all_gone
}

@test "SIGUSR1 to mpirun, which passes it on" {
    job_of persistent
    start "$repo/tools/mpirun.sh" 2 "$evalsweep" run "$BATS_TEST_NUMBER.json" --set limits.grace_s=0.3
    wait_until n_begun_is_at_least 4
    kill -USR1 "$driver"
    end_code
    [ "$code" -eq 75 ]
    is_whole_and_resumes
}

to_mpirun() { # SIGNAL EVALUATOR: mpirun returns a code of its own, and may kill before we are through
    job_of "$2"
    start "$repo/tools/mpirun.sh" 2 "$evalsweep" run "$BATS_TEST_NUMBER.json"
    if [ "$2" = stubborn ]; then wait_until step2_hangs; else wait_until n_begun_is_at_least 4; fi
    kill -s "$1" "$driver"
    end_code
    [ "$code" -ne 0 ]
    wait_until all_gone
    find runs -name '.es-*' -delete # of a rank that was killed while it wrote
    is_whole_and_resumes
}

@test "SIGTERM to mpirun" { to_mpirun TERM persistent; }
@test "SIGINT to mpirun" { to_mpirun INT persistent; }
@test "SIGTERM to mpirun, an evaluator that ignores it" { to_mpirun TERM stubborn; }

@test "SIGTERM under srun leaves running units most of KillWait" {
    mkdir bin
    cat >bin/scontrol <<'END'
#!/bin/sh
echo "KeepAliveTime           = SYSTEM_DEFAULT"
echo "KillOnBadExit           = 0"
echo "KillWait                = 12 sec"
echo >scontrol.asked
END
    chmod +x bin/scontrol
    job_of persistent
    start env "PATH=$work/bin:$PATH" SLURM_STEP_ID=0 "$evalsweep" run "$BATS_TEST_NUMBER.json" \
        --set limits.grace_s=60
    wait_until test -e scontrol.asked
    wait_until n_begun_is_at_least $(($(n_evaluated) + 5)) # the answer is in by then
    kill -TERM "$driver"
    end_code
    [ "$code" -eq 75 ]
    grep -q 'Terminated: stopping, running units get 7 s' out
    [ "$(n_markers)" -eq "$(n_evaluated)" ] # what ran then has ended well
    is_whole_and_resumes
}
