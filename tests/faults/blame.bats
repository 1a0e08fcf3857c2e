# One bad task, checkpoint or outage costs its own units and no more; and whoever tells of it, the run's
# summary, status, the report or the store, tells the same.

load ../helper/common

# A job of 6 checkpoints x LAYERS x 4 tasks; an evaluator of 20 ms that does as `bad` says.
write_sweep() { # [LAYERS]
    cat >evaluator <<'EVALUATOR'
import json, os, sys, time

bad, begun_s = sys.argv[1], float(open("begun").read())
may_retry = "may-not-be-retried" not in sys.argv
reply = os.fdopen(int(os.environ["EVALSWEEP_REPLY_FD"]), "w")
for line in sys.stdin:
    request = json.loads(line)
    checkpoint, layer, task = request["checkpoint"], request["layer"], request["task"]
    time.sleep(0.02)
    fails = {
        "task": task == "STS13",
        "checkpoint": checkpoint == "step4000",
        "outage": time.time() < begun_s + 4,
        "units": (int(checkpoint[4:]) // 1000 * 7 + layer * 3 + ord(task[-1])) % 12 == 0,
        "none": False,
    }[bad]
    answer = {"unit": request["unit"], "status": "ok", "main_score": 0.5}
    if fails:
        print("no sentences of", task, flush=True)
        answer = {"unit": request["unit"], "status": "error", "error": "KeyError: 'sentence1'", "retry": may_retry}
    print(json.dumps(answer), file=reply, flush=True)
EVALUATOR
    cat >job.json <<END
{"run": {"root": "runs", "id": "demo"}, "layout": "outputs/{checkpoint}/layer_{layer}/{task}",
 "grid": {"checkpoints": ["step0", "step1000", "step2000", "step3000", "step4000", "step5000"],
          "layers": "${1-0-24}", "tasks": ["Banking77", "STS12", "STS13", "Toxic"]},
 "evaluator": {"mode": "persistent", "command": ["python3", "$work/evaluator", "none"]}}
END
}

# Runs the sweep on four ranks, and leaves what it says in `said` and its JSON in `json`.
sweep() { # BAD [OPTION...]
    local bad=$1
    shift
    date +%s.%N >begun
    status=0
    mpi 4 "$evalsweep" run job.json --json --accept-change \
        --set "evaluator.command=[\"python3\", \"$work/evaluator\", \"$bad\"]" "$@" >said.json 2>said || status=$?
    cat said
}

# Whether everybody tells of so many units, and of as many failed attempts as there were.
all_say() { # DONE FAILED BLOCKED
    local total=$(($1 + $2 + $3))
    "$evalsweep" status --json runs/demo >seen
    for file in said.json seen runs/demo/status.json; do
        [ "$(json done <"$file") $(json failed <"$file") $(json blocked <"$file")" = "$1 $2 $3" ]
        [ "$(json pending <"$file")" -eq "$3" ]
        [ "$(json total <"$file")" -eq "$total" ]
    done
    cp runs/demo/results.h5 of-the-run.h5
    "$evalsweep" consolidate runs/demo
    /usr/bin/python3 - "$@" <<'CHECK'
import json, pathlib, sys
import h5py

done, failed, blocked = map(int, sys.argv[1:])
attempts = []
for path in ("of-the-run.h5", "runs/demo/results.h5"):
    with h5py.File(path) as file:
        status, outcome = file["status"][()], file["tries/outcome"][()]
        assert [(status == kind).sum() for kind in (0, 1, 2)] == [blocked, done, failed], path
        attempts.append(int((outcome == 2).sum()))
told = 0
for path in pathlib.Path("runs/demo/outputs").rglob("failed.json"):
    told += 1 + len(json.loads(path.read_text()).get("earlier", []))
for path in pathlib.Path("runs/demo/outputs").rglob("done.json"):
    told += len(json.loads(path.read_text()).get("earlier", []))
assert attempts == [told, told], (attempts, told)
said = json.load(open("said.json"))
assert said["retries"] + failed == told or said["skipped"], (said, told) # of this start alone
CHECK
}

suspects() { # FILE: kind and name of each
    /usr/bin/python3 -c '
import json, sys
for suspect in json.load(sys.stdin)["suspects"]:
    print(suspect["kind"], suspect["name"], suspect["reason"])' <"$1"
}

@test "one of four tasks always fails: the other three are done, and it is named" {
    write_sweep
    sweep task
    [ "$status" -eq 1 ]
    [ "$(n_markers)" -eq 450 ]
    all_say 450 0 150
    grep -q 'task STS13 is blocked after .* on [1-4] workers\?, with [0-9]* pending units: KeyError: .sentence1. (log: .*/STS13/log.txt)' said
    for file in said.json seen runs/demo/status.json; do
        [ "$(suspects "$file")" = "task STS13 KeyError: 'sentence1'" ]
    done
    [ "$(grep -c 'failed on worker' said)" -eq 1 ] # one line for a kind of failure
    "$evalsweep" status runs/demo >text
    grep -q 'units   600: 450 done, 150 pending (150 blocked), 0 failed' text
    log=$(grep -A1 'task STS13: .* 150 units blocked: ' text | tail -n 1 | tr -d ' ')
    grep -q 'no sentences of STS13' "$log"
    [ "$(find runs -name failed.json | wc -l)" -le 40 ] # of 150 units
    # the next start tries one unit of it first, then two others, and needs no more
    sweep task
    [ "$status" -eq 1 ]
    grep -q 'task STS13 was blocked by an earlier job: one unit of it is tried first' said
    [ "$(json retries <said.json)" -le 3 ]
    all_say 450 0 150
    sweep none
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 600 ]
    grep -q 'task STS13 works again: [0-9]* units are no longer blocked' said
    [ "$(suspects status.json 2>/dev/null || suspects runs/demo/status.json)" = "" ]
}

@test "the same when its failures must not be retried, and without retries" {
    write_sweep
    for way in 'evaluator.command=["python3", "'"$work"'/evaluator", "task", "may-not-be-retried"]' evaluator.retries=0; do
        rm -rf runs
        sweep task --set "$way"
        [ "$status" -eq 1 ]
        [ "$(n_markers)" -eq 450 ]
        failed=$(json failed <said.json)
        [ "$failed" -le 30 ]
        all_say 450 "$failed" $((150 - failed))
        [ "$(suspects said.json)" = "task STS13 KeyError: 'sentence1'" ]
    done
}

@test "one of six checkpoints always fails: the other five are done, and it is named" {
    write_sweep
    sweep checkpoint
    [ "$status" -eq 1 ]
    [ "$(n_markers)" -eq 500 ]
    all_say 500 0 100
    for file in said.json seen; do
        [ "$(suspects "$file")" = "checkpoint step4000 KeyError: 'sentence1'" ]
    done
}

@test "everything fails for the first seconds: all units are done" {
    write_sweep
    sweep outage
    [ "$status" -eq 0 ]
    all_say 600 0 0
    grep -q 'outage: everything fails on [1-4] of 4 workers; ' said
    grep -q 'the outage is over after ' said
    [ -z "$(find runs -name failed.json)" ]
    refute grep -q ',failed,' runs/demo/progress.csv
}

@test "six units of 72 always fail: they are failed, and the others done" {
    write_sweep 0-2
    sweep units
    [ "$status" -eq 1 ]
    all_say 66 6 0
    [ "$(suspects said.json)" = "" ]
    [ "$(find runs -name failed.json | wc -l)" -eq 6 ]
    [ "$(grep -c ',failed,' runs/demo/progress.csv)" -eq 6 ]
    sweep units # at each start again
    [ "$status" -eq 1 ]
    all_say 66 6 0
}

@test "an outage that outlasts limits.outage_s ends the job with 75 once anything is done, and fails nothing" {
    write_sweep
    sweep none --only checkpoint=step0
    [ "$status" -eq 0 ]
    date +%s.%N >begun
    status=0
    "$evalsweep" run job.json --accept-change --set limits.outage_s=2 \
        --set "evaluator.command=[\"python3\", \"$work/evaluator\", \"outage\"]" >/dev/null 2>said || status=$?
    cat said
    [ "$status" -eq 75 ]
    grep -q 'stopped with work left (nothing has succeeded for [0-9]* s; the most frequent failure' said
    "$evalsweep" status --json runs/demo >seen
    [ "$(json done <seen) $(json pending <seen) $(json failed <seen)" = "100 500 0" ]
}

@test "with max_consecutive_failures 0 nothing is suspected: every unit gets all its attempts" {
    write_sweep 0-2
    sweep task --set limits.max_consecutive_failures=0
    [ "$status" -eq 1 ]
    all_say 54 18 0
    [ "$(json retries <said.json)" -eq 36 ]
}
