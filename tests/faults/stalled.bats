# Whoever reads what a job says stalls (Ctrl-S, a hung ssh, a stopped `tee`): the job goes on.

load ../helper/common

# A pipe that nobody reads, and a job that says more than it holds: each unit fails for a reason of its own.
setup() {
    work=$BATS_TEST_TMPDIR
    cd "$work"
    mkfifo pipe
    exec 8<>pipe
    cat >evaluator <<'EVALUATOR'
import json, os, sys

reply = os.fdopen(int(os.environ["EVALSWEEP_REPLY_FD"]), "w")
for line in sys.stdin:
    request = json.loads(line)
    name = "%s %d %s" % (request["checkpoint"], request["layer"], request["task"])
    if name.startswith("step8") and len(sys.argv) > 1:
        sys.stdin.read()  # hangs
    reason = "".join(chr(ord("a") + ord(letter) % 26) for letter in name) * 20
    answer = {"unit": request["unit"], "status": "error", "error": reason, "retry": False}
    if request["task"] == "B":
        answer = {"unit": request["unit"], "status": "ok", "main_score": 0.5}
    print(json.dumps(answer), file=reply, flush=True)
EVALUATOR
    write_job
    sed -i -e 's/"21-24"/"1-60"/' -e "s|\"command\": .*\]|\"command\": [\"python3\", \"$work/evaluator\"]|" job.json
}

teardown() {
    exec 8>&-
}

is_over() {
    "$evalsweep" status --json runs/demo >seen 2>/dev/null || return 1
    [ "$(json alive <seen)" = False ] && [ "$(json ended <seen)" = None ]
}

pipe_is_full() {
    /usr/bin/python3 -c '
import array, fcntl, sys, termios
n = array.array("i", [0])
fcntl.ioctl(8, termios.FIONREAD, n)
sys.exit(n[0] < 60000)'
}

@test "one rank whose stderr nobody reads does its units, and ends" {
    code=0
    timeout 100 "$evalsweep" run job.json --set limits.max_consecutive_failures=0 2>pipe 8>&- || code=$?
    pipe_is_full
    [ "$code" -eq 1 ]
    [ "$(n_markers)" -eq 300 ]
    [ "$("$evalsweep" status --json runs/demo | json failed)" -eq 600 ]
}

@test "four ranks whose stderr nobody reads do their units, and end" {
    timeout 200 "$repo/tools/mpirun.sh" 4 "$evalsweep" run job.json --set limits.max_consecutive_failures=0 2>pipe 8>&- &
    run=$!
    for ((i = 0; i < 600; i++)); do
        if is_over; then break; fi
        sleep 0.1
    done
    is_over
    [ "$(json done <seen) $(json failed <seen)" = "300 600" ]
    cat <pipe >said 8>&- & # mpirun itself waits for its reader
    reader=$!
    code=0
    wait "$run" || code=$?
    [ "$code" -eq 1 ]
    exec 8>&-
    wait "$reader"
    grep -q '600 failed' said
}

@test "signals are heeded while nobody reads" {
    for signal in TERM INT USR1; do
        rm -rf runs
        "$evalsweep" run job.json --set limits.max_consecutive_failures=0 --set limits.grace_s=1 \
            --set "evaluator.command=[\"python3\", \"$work/evaluator\", \"hangs\"]" 2>pipe 8>&- 3>&- &
        run=$!
        for ((i = 0; i < 300; i++)); do
            if pipe_is_full; then break; fi
            sleep 0.1
        done
        kill -s "$signal" "$run"
        for ((i = 0; i < 300; i++)); do
            if ! kill -0 "$run" 2>/dev/null; then break; fi
            sleep 0.1
        done
        code=0
        refute kill -0 "$run"
        wait "$run" || code=$?
        [ "$code" -eq 75 ]
        cat <pipe >/dev/null 8>&- &
        reader=$!
        exec 8>&-
        wait "$reader"
        exec 8<>pipe
    done
}

@test "the JSON at the end that nobody reads does not hold up the job for ever" {
    mkfifo out
    exec 7<>out
    head -c 65536 /dev/zero >out 2>/dev/null 7>&- 8>&- # it is full
    code=0
    timeout 100 "$evalsweep" run job.json --json --set 'grid.layers=[1]' --set 'grid.tasks=["B"]' >out 2>said 7>&- 8>&- || code=$?
    exec 7>&-
    cat said
    [ "$code" -eq 70 ]
    grep -q 'writing to standard output: nobody read it' said
    [ "$(n_markers)" -eq 5 ]
}

@test "status --watch that nobody reads heeds signals" {
    "$evalsweep" run job.json --quiet --set 'grid.layers=[1]' --set 'grid.tasks=["B"]' 8>&-
    rm runs/demo/status.json # so that it goes on: nothing says that the run has ended
    rm runs/demo/outputs/mteb/Pythia/410m/step0/layer_1/B/done.json
    head -c 65536 /dev/zero >pipe 2>/dev/null 8>&- # it is full
    for signal in HUP TERM; do
        "$evalsweep" status --watch --interval 0.1 runs/demo >pipe 8>&- 3>&- &
        watch=$!
        sleep 0.3 # it writes by then, mostly; the signal counts before, too
        kill -s "$signal" "$watch"
        for ((i = 0; i < 100; i++)); do
            if ! kill -0 "$watch" 2>/dev/null; then break; fi
            sleep 0.1
        done
        refute kill -0 "$watch"
    done
}
