# Several drivers on one run: every unit once, whoever dies, and the last one leaves it complete.

load ../helper/common

# wait_for N: until so many markers are there.
wait_for() {
    for _ in $(seq 1000); do
        [ "$(n_markers 2>/dev/null || true)" -ge "$1" ] && return
        sleep 0.02
    done
    return 1
}

# drive NAME N OPTION...: a driver on N ranks, on a job file of its own, NAME.json, by which its ranks
# are known; what it says goes to NAME.out.
drive() {
    local name=$1 n=$2
    shift 2
    cp job.json "$name.json"
    mpi "$n" "$evalsweep" run "$@" "$name.json" >"$name.out" 2>&1
}

# wait_until_joined NAME: until that driver has joined the run.
wait_until_joined() {
    for _ in $(seq 1000); do
        grep -qs 'joining run demo' "$1.out" && return
        sleep 0.02
    done
    return 1
}

# kill_driver NAME: all of its ranks at once, as a node that fails would.
kill_driver() {
    pkill -9 -f "^$evalsweep run (.* )?$1\\.json\$" # and of no other test that runs beside this one
}

run_is_complete() {
    [ "$(n_markers)" -eq 60 ]
    [ "$("$evalsweep" export runs/demo | sed 1d | cut -d, -f1,3,4 | sort -u | wc -l)" -eq 60 ]
    [ "$(sed 1d runs/demo/progress.csv | cut -d, -f2-4 | sort -u | wc -l)" -eq 60 ]
    [ "$(wc -l <runs/demo/progress.csv)" -eq 61 ]
    [ -z "$(ls -A runs/demo/.evalsweep/leases)$(ls -A runs/demo/.evalsweep/drivers)" ]
    [ ! -e runs/demo/.evalsweep/lock ]
    [ ! -e runs/demo/.evalsweep/lock.takeover ]
    [ -z "$(find runs/demo -name '.es-*')" ]
    scores runs/demo >stored
    "$evalsweep" consolidate runs/demo
    scores runs/demo | diff - stored
}

each_once() {
    [ "$(n_evaluated)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
}

# did_units NAME: whether that driver evaluated some itself.
did_units() {
    grep -qE ' [1-9][0-9]* evaluated' "$1.out"
}

@test "two drivers share a run: every unit once, and both end well" {
    write_job --sleep-ms 100
    drive a 2 &
    a=$!
    wait_for 3
    drive b 2 --join &
    b=$!
    wait_until_joined b
    [ "$("$evalsweep" status --json runs/demo | json drivers)" -eq 2 ]
    wait "$b"
    wait "$a"
    cat a.out b.out
    grep -q 'joining run demo' b.out
    did_units a
    did_units b
    each_once
    run_is_complete
}

@test "three drivers share a run, which one of them began" {
    write_job --sleep-ms 60
    drive a 1 --join &
    a=$!
    wait_for 1
    drive b 2 --join &
    b=$!
    drive c 1 --join &
    c=$!
    wait "$a"
    wait "$b"
    wait "$c"
    each_once
    run_is_complete
}

@test "a second driver that does not join is told who holds the run, and how to join" {
    write_job --sleep-ms 60
    drive a 1 &
    a=$!
    wait_for 1
    run "$evalsweep" run job.json
    [ "$status" -eq 3 ]
    [[ "$output" == *"another driver holds it: process "*" on "* ]]
    [[ "$output" == *"--join"* ]]
    run "$evalsweep" consolidate runs/demo
    [ "$status" -eq 3 ]
    [[ "$output" == *"consolidate -o FILE"* ]]
    run "$evalsweep" consolidate --output="$work/now.h5" runs/demo
    [ "$status" -eq 0 ]
    [ -s now.h5 ]
    wait "$a"
    each_once
}

@test "a job with another evaluator does not join" {
    write_job --sleep-ms 60
    drive a 1 &
    a=$!
    wait_for 1
    run "$evalsweep" run --join job.json --set 'evaluator.command=["/bin/true"]'
    [ "$status" -eq 2 ]
    [[ "$output" == *"the evaluator or layout changed"* ]]
    wait "$a"
    each_once
    run_is_complete
}

@test "the owner is killed: who joined it does the rest, and completes the run" {
    write_job --sleep-ms 60
    drive a 2 &
    a=$!
    wait_for 3
    drive b 2 --join &
    b=$!
    wait_for 20
    kill_driver a
    wait "$a" || true
    wait "$b"
    cat b.out
    did_units b
    [ "$(n_different)" -eq 60 ]
    [ "$(n_evaluated)" -le 62 ] # two were in flight
    run_is_complete
}

@test "who joined is killed: the owner does the rest" {
    write_job --sleep-ms 200
    drive a 2 &
    a=$!
    wait_for 1
    drive b 2 --join &
    b=$!
    wait_until_joined b
    wait_for $(($(n_markers) + 6))
    kill_driver b
    wait "$b" || true
    wait "$a"
    [ "$(n_different)" -eq 60 ]
    [ "$(n_evaluated)" -le 62 ]
    run_is_complete
}

# The first driver is fast, the second has one long bundle in hand when nothing else is left.
@test "an owner with nothing left hands the run over, frees its workers and says what is left" {
    cat >evaluator <<END
#!/bin/sh
if [ -e "$work/slow.\$PPID" ]; then exec "$fake" --persistent --count-file "$work/count" --sleep-ms 1500; fi
exec "$fake" --persistent --count-file "$work/count" --sleep-ms 30
END
    chmod +x evaluator
    write_job
    sed -i "s#\"command\": .*#\"command\": [\"$work/evaluator\"]}#" job.json
    drive a 1 &
    a=$!
    wait_for 3
    cp job.json b.json
    # of one process, which becomes the driver: so its evaluator knows it by its parent
    sh -c "touch '$work/slow.'\$\$; exec '$evalsweep' run --join b.json" >b.out 2>&1 &
    b=$!
    wait "$a"
    cat a.out
    grep -qE '[1-4] units? (is|are) being done by another driver' a.out
    [ -e runs/demo/.evalsweep/lock ]
    run "$evalsweep" run job.json # held without a gap
    [ "$status" -eq 3 ]
    wait "$b"
    cat b.out
    did_units b
    each_once
    run_is_complete
}

@test "a unit that fails for good on one driver is not tried again on the other" {
    write_job --sleep-ms 60 --fail-unit /21/A --error
    drive a 2 &
    a=$!
    wait_for 3
    code=0
    drive b 2 --join || code=$?
    [ "$code" -eq 1 ]
    code=0
    wait "$a" || code=$?
    [ "$code" -eq 1 ]
    cat a.out b.out
    each_once
    [ "$(n_markers)" -eq 55 ]
    [ "$(wc -l <runs/demo/progress.csv)" -eq 61 ]
    [ "$(grep -c ',failed,' runs/demo/progress.csv)" -eq 5 ]
    [ "$("$evalsweep" status --json runs/demo | json failed)" -eq 5 ]
    # the next start tries them again
    write_job
    "$evalsweep" run job.json --accept-change
    [ "$(n_markers)" -eq 60 ]
}

@test "beside the old array scripts: a marker that appears in mid-run counts, and has no second line" {
    write_job --sleep-ms 60
    drive a 1 &
    a=$!
    wait_for 1
    n=0
    for unit in step0/layer_21/A step1/layer_22/B step2/layer_23/C step4/layer_24/A; do
        dir=runs/demo/outputs/mteb/Pythia/410m/$unit
        [ -e "$dir/done.json" ] && continue
        mkdir -p "$dir"
        echo '{"main_score": 0.125}' >"$dir/.mine"
        mv "$dir/.mine" "$dir/done.json"
        n=$((n + 1))
    done
    wait "$a"
    [ "$n" -gt 0 ]
    [ "$(n_markers)" -eq 60 ]
    [ "$(n_evaluated)" -ge $((60 - n)) ]
    [ "$(n_evaluated)" -le $((61 - n)) ] # one may have been in flight
    [ "$(wc -l <runs/demo/progress.csv)" -eq $((1 + $(n_evaluated))) ]
}

@test "stopped by a signal, who joined leaves the rest to the owner" {
    write_job --sleep-ms 60
    drive a 1 &
    a=$!
    wait_for 3
    "$evalsweep" run --join job.json >b.out 2>&1 &
    b=$!
    wait_for 15
    kill -USR1 "$b"
    code=0
    wait "$b" || code=$?
    [ "$code" -eq 75 ]
    wait "$a"
    each_once
    run_is_complete
}

# Its last unit takes the run away from it, as a driver would that took it for gone; unit after unit has
# failed on its only worker, whose failures do not count.
@test "a driver whose run was taken over changes nothing more, and ends with 3" {
    cat >evaluator <<'EVALUATOR'
#!/bin/sh
cd "$EVALSWEEP_RUN_DIR" || exit 1
if [ "$(find outputs -name failed.json | wc -l)" -eq 2 ]; then
    rm -f results.h5
    echo '{"counter":1,"host":"elsewhere","boot":"another","pid":7,"pid_start":1}' >.evalsweep/new
    mv .evalsweep/new .evalsweep/lock
    cp .evalsweep/lock ..
fi
exit 9
EVALUATOR
    chmod +x evaluator
    write_job
    run "$evalsweep" run job.json --set "evaluator.command=[\"$work/evaluator\"]" \
        --set 'evaluator.mode="one-shot"' --set evaluator.retries=0 \
        --set limits.outage_s=0
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"runs/demo/.evalsweep/lock: another driver took the run over"* ]]
    [ "$(find runs/demo -name failed.json | wc -l)" -ge 3 ] # the other's to judge
    [ ! -e runs/demo/results.h5 ]
    cmp runs/lock runs/demo/.evalsweep/lock
}
