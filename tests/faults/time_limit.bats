# The end of the job's time, as the job file or Slurm gives it: nothing is begun that cannot end, what runs
# gets its grace, and the next job goes on.

load ../helper/common

ended_early() {
    [ "$status" -eq 75 ]
    [ "$(n_markers)" -lt 60 ]
    [ -z "$(find runs -name failed.json)" ]
    [ "$("$evalsweep" status --json runs/demo | json failed)" -eq 0 ]
}

the_rest_is_done_later() {
    unset SLURM_JOB_ID SLURM_JOB_END_TIME
    : >count
    kept=$(n_markers)
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
}

fake_squeue() { # LINE_OF_SH...: what it does instead of answering
    mkdir bin
    printf '%s\n' '#!/bin/sh' 'echo "$@" >squeue.arguments' "$@" >bin/squeue
    chmod +x bin/squeue
    export PATH="$work/bin:$PATH" SLURM_JOB_ID=17
}

@test "limits.time_limit_s: exit code 75, and the rest in the next job" {
    write_job --sleep-ms 50
    run mpi 2 "$evalsweep" run job.json --set limits.time_limit_s=1.5 --set limits.grace_s=0.6
    ended_early
    [[ "$output" == *"stopped with work left ("*"the time limit"* ]] # near, or too near for any unit left
    the_rest_is_done_later
}

@test "a unit that is under way at the limit is stopped, and is no failure" {
    write_job --hang --fail-unit step2
    run "$evalsweep" run job.json --set limits.time_limit_s=1.5 --set limits.grace_s=0.5 \
        --set schedule.checkpoint_load_s=0 --set evaluator.retries=0 # a try that counted would be its last
    ended_early
    [ "$(grep -c '^step2 ' count)" -eq 1 ]
    [[ "$output" == *"the time limit is 0 s away: stopping, running units get 0 s"* ]]
    refute grep -q ',failed,' runs/demo/progress.csv
    write_job
    the_rest_is_done_later || run "$evalsweep" run job.json --accept-change
    [ "$(n_markers)" -eq 60 ]
    refute grep -rhoq '"attempt":[^1]' runs/demo/outputs --include=done.json
}

@test "what is expected to take longer than there is time is not begun, what is not is" {
    write_job --sleep-ms 30
    costs='{"A": 0.03, "B": 300, "C": 0.03}'
    run "$evalsweep" run job.json --set limits.time_limit_s=200 --set limits.grace_s=10 \
        --set "schedule.task_cost_s=$costs" # it does not wait for the limit
    ended_early
    [ "$(n_markers)" -eq 40 ]
    refute grep -q ' B$' count
    [[ "$output" == *"stopped with work left (no unit that is left is expected to end within the time limit)"* ]]
    the_rest_is_done_later
}

@test "Slurm's end of the job, from the environment" {
    write_job --sleep-ms 50
    SLURM_JOB_ID=17 SLURM_JOB_END_TIME=$(($(date +%s) + 3)) run "$evalsweep" run job.json \
        --set limits.grace_s=1.5
    ended_early
    the_rest_is_done_later
}

@test "an end that is past is not believed" {
    write_job
    SLURM_JOB_ID=17 SLURM_JOB_END_TIME=1000000000 run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 60 ]
}

@test "Slurm's end of the job, from squeue" {
    write_job --sleep-ms 50
    fake_squeue 'echo 0:02'
    run "$evalsweep" run job.json --set limits.grace_s=1
    ended_early
    [ "$(cat squeue.arguments)" = "-h -j 17 -o %L" ]
    the_rest_is_done_later
}

@test "squeue without an answer, or without a limit, is no limit" {
    write_job
    fake_squeue 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2' 'exit 1'
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    rm -r runs bin
    fake_squeue 'echo UNLIMITED'
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
}

@test "a squeue that hangs delays nothing, and does not stay" {
    write_job
    fake_squeue 'trap "" TERM' 'exec sleep 98765'
    run timeout 9 "$evalsweep" run job.json # it would be waited for for 10 s
    [ "$status" -eq 0 ]
    [ -e squeue.arguments ]
    for _ in $(seq 250); do
        pgrep -f '^sleep 98765' >/dev/null || break
        sleep 0.02
    done
    refute pgrep -f '^sleep 98765'
}
