# Workers that go bad: the others do their units, and nothing is called failed that only a bad one failed.

load faults

# bad_on DEVICE...: an evaluator that fails each unit on these devices, and is fine elsewhere.
bad_on() {
    {
        echo '#!/bin/sh'
        for device in "$@"; do
            echo "if [ \"\$CUDA_VISIBLE_DEVICES\" = $device ]; then exec '$fake' --persistent --print 'no GPU' --exit 9; fi"
        done
        echo "exec '$fake' --persistent --sleep-ms 30 --count-file '$work/count'"
    } >evaluator
    chmod +x evaluator
    export CUDA_VISIBLE_DEVICES=4,5
}

run_on_two() { # [OPTION...]
    run mpi 2 "$evalsweep" run job.json --set resources.gpus_per_worker=1 \
        --set "evaluator.command=[\"$work/evaluator\"]" --set limits.max_consecutive_failures=3 "$@"
}

@test "what failed for good on a quarantined worker is done by the others" {
    write_job
    bad_on 4
    run_on_two --set evaluator.retries=0
    [ "$status" -eq 0 ]
    [[ "$output" == *"worker 0 on $(hostname) (device 4) is quarantined after "*" failed attempts; it is tried again in 30 s: "* ]]
    [[ "$output" == *"60 of 60 units done, 0 pending"* ]]
    [ "$(n_markers)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
    [ -z "$(find runs -name failed.json)" ]
    refute grep -q ',failed,' runs/demo/progress.csv
    [ "$(wc -l <runs/demo/progress.csv)" -eq 61 ]
}

@test "when nothing succeeds anywhere, nothing is failed and the last line says the most frequent reason" {
    write_job
    bad_on 4 5
    run_on_two --set evaluator.retries=0 --set limits.outage_s=3 --json
    [ "$status" -eq 1 ]
    [ "$(echo "$output" | grep '^{' | json pending)" -eq 60 ]
    [ "$(echo "$output" | grep '^{' | json failed)" -eq 0 ]
    last=$(echo "$output" | grep -v '^{' | grep 'nothing has succeeded for')
    [[ "$last" == *" times): exit code 9: no GPU"* ]]
    log=$(echo "$last" | grep -o '/[^ ]*/log.txt')
    grep -q 'no GPU' "$log"
    [ -z "$(find runs -name failed.json -exec grep -L '"retry":true' {} +)" ]
    [ "$("$evalsweep" status --json runs/demo | json pending)" -eq 60 ]
    refute grep -q ',failed,' runs/demo/progress.csv
    bad_on # repaired
    run_on_two --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 60 ]
}

@test "a unit that fails on a good worker is failed, though it failed with others in between" {
    write_job --fail-unit /23/B --error
    run "$evalsweep" run job.json --set limits.max_consecutive_failures=2 # five checkpoints, one unit each
    [ "$status" -eq 1 ]
    [ "$(n_markers)" -eq 55 ]
    failed=$(grep -c ',failed,' runs/demo/progress.csv)
    [ "$failed" -ge 3 ] # then the layer of the task is blocked
    "$evalsweep" status --json runs/demo >seen
    [ "$(json failed <seen)" -eq "$failed" ]
    [ "$(json blocked <seen)" -eq $((5 - failed)) ]
}

@test "a command that is missing on one node takes that worker out, no more" {
    write_job --sleep-ms 20
    on_rank 1 export PATH="$(dirname "$fake"):$PATH"
    run mpi 2 ./on_rank "$evalsweep" run job.json \
        --set "evaluator.command=[\"fake_evaluator\", \"--persistent\", \"--count-file\", \"$work/count\"]"
    [ "$status" -eq 0 ]
    [[ "$output" == *"worker 0 on $(hostname) is out: "*"fake_evaluator: No such file"* ]]
    [ "$(n_markers)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
}

@test "a command that is missing everywhere: exit code 2 before any unit" {
    write_job
    for mode in persistent one-shot; do
        run mpi 3 "$evalsweep" run job.json --set 'evaluator.command=["no-such-command"]' \
            --set "evaluator.mode=\"$mode\""
        [ "$status" -eq 2 ]
        [[ "$output" == *"no-such-command"* ]]
        [ "$(n_markers)" -eq 0 ]
        [ -z "$(find runs -name failed.json)" ]
        refute grep -q failed <<<"$output"
        rm -r runs
    done
}

# Else a driver that gets the lease, and finds a failed.json of this run, takes the unit for failed.
@test "what does not count is retracted on disk before the leases go" {
    local last_failed first_lease
    write_job --exit 9
    run with_fault none 1+ "$evalsweep" run job.json --set evaluator.retries=0 --set limits.outage_s=2
    [ "$status" -eq 1 ]
    grep -n '^\(rename\|unlink\) ' faults
    last_failed=$(grep -n '^rename .*failed.json$' faults | tail -n 1 | cut -d: -f1)
    first_lease=$(grep -n '^unlink .*/leases/' faults | head -n 1 | cut -d: -f1)
    [ "$last_failed" -lt "$first_lease" ]
    [ -n "$(find runs -name failed.json)" ]
    [ -z "$(find runs -name failed.json -exec grep -L '"retry":true' {} +)" ]
}
