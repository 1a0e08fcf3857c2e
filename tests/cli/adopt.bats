# Finished units of other runs: evalsweep adopt, and run.reuse in the job file.

load ../helper/common

outputs=outputs/mteb/Pythia/410m

# old_unit RUN CHECKPOINT TASK SCORE: all four layers as an array task of the old scripts left them, with
# the scores beside a marker that has none.
old_unit() {
    local layer dir
    for layer in 21 22 23 24; do
        dir=runs/$1/$outputs/$2/layer_$layer/$3
        mkdir -p "$dir"
        echo "{\"main_score\": $4, \"metrics\": []}" >"$dir/result.json"
        echo "by $1" >"$dir/log.txt"
        echo '{"status": "done"}' >"$dir/done.json"
    done
}

# Two array runs of the sweep of write_job, half done, overlapping: 20 and 24 of 60 units, 36 together.
make_two_halves() {
    local task
    for task in A B C; do old_unit first step0 $task 0.25; done
    for task in A B; do old_unit first step1 $task 0.25; done
    for task in A B; do old_unit second step1 $task 0.75; done
    for task in A B C; do old_unit second step2 $task 0.75; done
    old_unit second step4 A 0.75
}

# Every file of a tree with its content and times.
fingerprint() {
    (cd "$1" && find . -type f -printf '%p %T@ ' -exec sha256sum {} \; | sort)
}

unit_file() {
    echo "runs/$1/$outputs/$2"
}

@test "two half-done array runs become one, and only what neither had is evaluated" {
    write_job
    make_two_halves
    mv job.json sweep.json
    before=$(fingerprint runs/second)
    RUN_ID=first run "$evalsweep" adopt runs/second sweep.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"16 units adopted from runs/second; 20 done here already, 24 done in neither"* ]]
    [[ "$output" == *"36 units done, 24 pending, 0 failed: "*"/runs/first/results.h5"* ]]
    [ "$(fingerprint runs/second)" = "$before" ]
    RUN_ID=first run "$evalsweep" run sweep.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq 24 ]
    [ "$(n_different)" -eq 24 ]
    [ "$(n_markers runs/first)" -eq 60 ]
    [ "$(fingerprint runs/second)" = "$before" ]
    # each score is its own run's: what was done here stayed
    "$evalsweep" export runs/first >out.csv
    [ "$(grep -c '^step[01],.*,0.25,' out.csv)" -eq 20 ]
    [ "$(grep -c '^step[24],.*,0.75,' out.csv)" -eq 16 ]
    [ "$(cat "$(unit_file first step1/layer_21/A/log.txt)")" = "by first" ]
    [ "$(cat "$(unit_file first step2/layer_21/A/log.txt)")" = "by second" ]
}

@test "run.reuse: the same at the start of a run, and plan shows what it saves" {
    write_job
    make_two_halves
    sed -i 's/"id": "demo"/"id": "demo", "reuse": ["first", "second"]/' job.json
    run "$evalsweep" plan job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"60: 0 done, 60 pending"* ]]
    [[ "$output" == *"reuse   20 of the units to do are done in run first"* ]]
    [[ "$output" == *"reuse   16 of the units to do are done in run second"* ]]
    [ ! -e runs/demo ]
    [ "$("$evalsweep" plan --json job.json | json reuse)" = "{'first': 20, 'second': 16}" ]
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"reuse: 20 units of run first adopted"* ]]
    [[ "$output" == *"reuse: 16 units of run second adopted"* ]]
    [ "$(n_evaluated)" -eq 24 ]
    [ "$(n_markers)" -eq 60 ]
    # again: nothing is left, and nothing is adopted
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [[ "$output" != *reuse* ]]
    run "$evalsweep" plan runs/demo
    [ "$status" -eq 0 ]
    [[ "$output" == *"nothing is left to do"* ]]
}

@test "the provenance is in .evalsweep/adopted.csv and in the store" {
    write_job
    make_two_halves
    "$evalsweep" adopt runs/first job.json
    "$evalsweep" adopt runs/second job.json
    [ "$(head -1 runs/demo/.evalsweep/adopted.csv)" = adopted,checkpoint,layer,task,from ]
    [ "$(wc -l <runs/demo/.evalsweep/adopted.csv)" -eq 37 ]
    [ "$(grep -cE "^20[0-9-]+T[0-9:]+Z,step2,2[1-4],[ABC],$(realpath runs/second)\$" runs/demo/.evalsweep/adopted.csv)" -eq 12 ]
    expected=$(printf '%s\n' "$(realpath runs/first)" "$(realpath runs/second)")
    [ "$(attribute adopted_from)" = "$expected" ]
    "$evalsweep" run job.json
    [ "$(attribute adopted_from)" = "$expected" ]
    "$evalsweep" consolidate runs/demo
    [ "$(attribute adopted_from)" = "$expected" ]
}

attribute() {
    /usr/bin/python3 -c '
import h5py, sys
value = h5py.File("runs/demo/results.h5").attrs[sys.argv[1]]
print(value.decode() if isinstance(value, bytes) else value, end="")' "$1"
}

@test "markers are linked, what is beside them is copied: neither run changes the other" {
    write_job
    old_unit other step0 A 0.25
    unit=step0/layer_21/A
    mkdir -p "$(unit_file other $unit/model/revision)"
    echo '{}' >"$(unit_file other $unit/model/revision/A.json)"
    before=$(fingerprint runs/other)
    "$evalsweep" adopt runs/other job.json
    [ "$(unit_file demo $unit/done.json)" -ef "$(unit_file other $unit/done.json)" ]
    refute [ "$(unit_file demo $unit/log.txt)" -ef "$(unit_file other $unit/log.txt)" ]
    refute [ "$(unit_file demo $unit/result.json)" -ef "$(unit_file other $unit/result.json)" ]
    cmp "$(unit_file demo $unit/model/revision/A.json)" "$(unit_file other $unit/model/revision/A.json)"
    [ "$(stat -c %Y.%y "$(unit_file demo $unit/result.json)")" = "$(stat -c %Y.%y "$(unit_file other $unit/result.json)")" ]
    # evaluated again here, by an evaluator that prints and writes in place
    cat >worker.sh <<'END'
#!/bin/sh
echo again
echo '{"main_score": 0.5}' >"$EVALSWEEP_OUTPUT_DIR/result.json"
END
    chmod +x worker.sh
    sed -i "s|\"persistent\"|\"one-shot\"|; s|\"command\": .*|\"command\": [\"$work/worker.sh\"]}|" job.json
    "$evalsweep" run --no-resume job.json
    [ "$(cat "$(unit_file demo $unit/log.txt)")" = again ]
    [ "$(json main_score <"$(unit_file demo $unit/done.json)")" = 0.5 ]
    [ "$(fingerprint runs/other)" = "$before" ]
}

@test "failed units are not taken; those that failed here are" {
    write_job
    old_unit other step0 A 0.25
    failed=$(unit_file other step0/layer_21/B)
    mkdir -p "$failed" "$(unit_file demo step0/layer_21/A)" "$(unit_file demo step0/layer_22/A)"
    echo '{"status": "failed"}' >"$failed/failed.json"
    echo '{"status": "failed"}' >"$(unit_file demo step0/layer_21/A/failed.json)"
    : >"$(unit_file demo step0/layer_22/A/done.json)"
    run "$evalsweep" adopt runs/other job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"4 units adopted"* ]]
    [[ "$output" == *"4 units done, 56 pending, 0 failed"* ]]
    [ ! -e "$(unit_file demo step0/layer_21/A/failed.json)" ]
    [ ! -e "$(unit_file demo step0/layer_21/B)" ]
    [ -s "$(unit_file demo step0/layer_22/A/done.json)" ]
}

@test "--dry-run tells, and writes nothing" {
    write_job
    make_two_halves
    run "$evalsweep" adopt --dry-run runs/second job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"24 units to adopt from runs/second; 0 done here already, 36 done in neither"* ]]
    [ ! -e runs/demo ]
}

@test "what is no other run is refused with 2, and named" {
    write_job
    "$evalsweep" run job.json --only checkpoint=step0
    for source in runs/nowhere job.json runs/demo; do
        run "$evalsweep" adopt "$source" job.json
        [ "$status" -eq 2 ]
        [[ "$output" == *"$source"* ]]
    done
    run "$evalsweep" run job.json --set 'run.reuse=["nowhere"]'
    [ "$status" -eq 2 ]
    [[ "$output" == *"run.reuse"*"runs/nowhere"* ]]
    run "$evalsweep" plan job.json --set 'run.reuse=["nowhere"]'
    [ "$status" -eq 2 ]
    run "$evalsweep" check job.json --set 'run.reuse=["a/b"]'
    [ "$status" -eq 2 ]
    [[ "$output" == *"run.reuse[0]"* || "$output" == *"run.reuse="* ]]
    # another evaluator is other results
    mkdir -p runs/other
    cp -r runs/demo/. runs/other
    sed -i 's/--count-file/--count-file2/' runs/other/.evalsweep/job.json
    rm -r "$(unit_file demo step0)"
    run "$evalsweep" adopt runs/other job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"evaluator.command"* ]]
    run "$evalsweep" adopt --accept-change runs/other job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"12 units adopted"* ]]
}

@test "a driver at work on the run: 3; on the other one it does not matter" {
    write_job --sleep-ms 100
    make_two_halves
    "$evalsweep" run job.json --quiet 2>driver.err &
    driver=$!
    for _ in $(seq 300); do
        [ -e count ] && break
        sleep 0.1
    done
    code=0
    "$evalsweep" adopt runs/first job.json 2>err || code=$?
    RUN_ID=third "$evalsweep" adopt runs/demo job.json
    kill -INT $driver
    wait $driver || true
    [ "$code" -eq 3 ]
    [ ! -e runs/demo/.evalsweep/adopted.csv ]
    [ "$(n_markers runs/third)" -ge 1 ]
}

@test "adopted units that are older than --no-resume do not count, and are not taken" {
    write_job
    old_unit other step0 A 0.25
    find runs -name done.json -exec touch -d 2020-01-01 {} +
    "$evalsweep" run --no-resume job.json --only checkpoint=step8
    run "$evalsweep" adopt runs/other job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"0 units adopted"* ]]
    [ ! -e "$(unit_file demo step0)" ]
}
