# Full disks, quotas, read-only and vanished folders at each write that a driver makes: nothing is called
# done that is not, what fails is named, nothing torn stays, and the next start ends the run.

load faults

kinds=(ENOSPC EDQUOT EROFS EACCES EIO ENOENT short full)

# sweep SUFFIX STRIDE run_undisturbed|keep_half: a fault at the places of a run, the kinds taking turns; in
# full, each kind at each.
sweep() {
    local at kind turn=0
    write_small_job
    "$3"
    for at in $(places "$2" "$evalsweep" run job.json); do
        for kind in "${kinds[@]}"; do
            is_full || [ "$kind" = "${kinds[turn % ${#kinds[@]}]}" ] || continue
            survives "$kind" "$at$1"
        done
        turn=$((turn + 1))
    done
    [ "$turn" -gt 10 ]
}

@test "any one call on a file may fail" { sweep '' 3 run_undisturbed; }
@test "any one call on a file may fail in a run that goes on" { sweep '' 3 keep_half; }
@test "from any call on, all may fail" { sweep + 4 run_undisturbed; }
@test "any one file may be there and not open" {
    kinds=(EACCES EIO)
    FAULT_CALLS='read' sweep '' 1 keep_half
}

# write_deleting_job WHAT [NTH]: one-shot; the NTH unit evaluated deletes the folder that this variable
# names; without NTH the first try at step0/22/B.
write_deleting_job() {
    local condition='"$EVALSWEEP_LAYER$EVALSWEEP_TASK" = 22B'
    [ $# -eq 1 ] || condition="\$(wc -l <$work/count) -eq $2"
    cat >evaluator <<END
#!/bin/sh
echo "\$EVALSWEEP_CHECKPOINT \$EVALSWEEP_LAYER \$EVALSWEEP_TASK" >>$work/count
if [ $condition ] && [ ! -e $work/deleted ]; then
    touch $work/deleted
    mv "$1" $work/gone # at once: rm fails where something is just being written
    exec rm -rf $work/gone
fi
exec "$fake"
END
    chmod +x evaluator
    write_small_job
    sed -i -e "s|\"command\": .*\]|\"command\": [\"$work/evaluator\"]|" -e 's/"persistent"/"one-shot"/' \
        -e 's/"retries": 0/"retries": 1/' job.json
    touch deleted
    run_undisturbed
    forget_run
    rm deleted
}

@test "a unit's folder deleted under it costs that try" {
    write_deleting_job '$EVALSWEEP_OUTPUT_DIR'
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"step0/layer_22/B failed on worker 0 (attempt 1): writing: done.json: No such file"* ]]
    [ "$(n_evaluated)" -eq 5 ]
    [ "$(n_markers)" -eq 4 ]
    [ "$(stored)" = "$undisturbed" ]
}

@test "outputs/ deleted in mid-run: the end says so, and the next start evaluates what it held" {
    write_deleting_job '$EVALSWEEP_RUN_DIR/outputs' 3
    run "$evalsweep" run job.json
    echo "$output"
    [ "$status" -eq 70 ]
    [[ "$output" == *"runs/demo/outputs/mteb/Pythia/410m/step0/layer_2"*": it was there, and is gone"* ]]
    [ "$(n_markers)" -lt 4 ]
    "$evalsweep" run job.json
    [ "$(n_markers)" -eq 4 ]
    [ "$(stored)" = "$undisturbed" ]
}

@test "the run folder deleted in mid-run: it stops, says so, and makes no other" {
    write_deleting_job '$EVALSWEEP_RUN_DIR'
    run "$evalsweep" run job.json --set limits.max_consecutive_failures=2
    [ "$status" -eq 70 ]
    [[ "$output" == *"$work/runs/demo/"*": No such file or directory"* ]]
    [ ! -e runs/demo ]
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(stored)" = "$undisturbed" ]
}

mount_small() { # OPTIONS
    mkdir -p runs
    mount -t tmpfs -o "$1" evalsweep-test runs 2>/dev/null || skip "no file system can be mounted here"
}

teardown() {
    ! mountpoint -q "$BATS_TEST_TMPDIR/runs" || umount "$BATS_TEST_TMPDIR/runs"
}

begin_full() {
    write_job --print hello
    "$evalsweep" run job.json 2>/dev/null
    undisturbed=$(scores runs/demo)
    rm -r runs
    mount_small size=300k
    : >count
}

@test "a disk that is full in mid-run, and has room before the next start" {
    begin_full
    run "$evalsweep" run job.json --set limits.outage_s=1
    [ "$status" -eq 75 ] || [ "$status" -eq 70 ]
    [[ "$output" == *"outage: everything fails on 1 of 1 workers"*"done.json: No space left on device"* ]]
    "$checker" runs/demo count >done_before
    [ "$(wc -l <done_before)" -gt 5 ]
    [ "$(wc -l <done_before)" -lt 60 ]
    mount -o remount,size=16m runs
    : >count
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq $((60 - $(wc -l <done_before))) ]
    [ -z "$(sort count | comm -12 - done_before)" ]
    [ "$(stored)" = "$undisturbed" ]
    [ -z "$(find runs -name '.es-*')" ]
}

@test "a disk that is full for a while: the run waits, and does the rest" {
    begin_full
    "$evalsweep" run job.json 2>said &
    run=$!
    for ((i = 0; i < 300; i++)); do
        if grep -q 'outage: everything fails on 1 of 1 workers' said; then break; fi
        sleep 0.1
    done
    mount -o remount,size=16m runs
    wait "$run"
    grep -q 'the outage is over after ' said
    [ "$(stored)" = "$undisturbed" ]
    [ -z "$(find runs -name '.es-*' -o -name failed.json)" ]
}

@test "a read-only tree can be looked at, and no run begins in it" {
    mount_small size=16m
    write_small_job
    "$evalsweep" run job.json
    rm runs/demo/outputs/mteb/Pythia/410m/step0/layer_22/B/done.json
    before=$(find runs | sort)
    stored=$(scores runs/demo)
    mount -o remount,ro runs
    : >count
    for command in run consolidate "retry --done"; do
        run "$evalsweep" $command job.json
        [ "$status" -ne 0 ]
        [[ "$output" == *"$work/runs/demo"*"Read-only file system"* ]] || { echo "$command: $output"; false; }
    done
    [ "$("$evalsweep" status --json runs/demo | json done)" -eq 3 ]
    [ "$("$evalsweep" plan --json runs/demo | json pending)" -eq 1 ]
    [ "$(scores runs/demo)" = "$stored" ]
    [ "$(n_evaluated)" -eq 0 ]
    [ "$(find runs | sort)" = "$before" ]
}
