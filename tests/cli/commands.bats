# The command line, without MPI: every subcommand as a user meets it on a login node.

load ../helper/common

commands="check plan run status consolidate export retry adopt simulate"

@test "--help of every command is on stdout, and 0" {
    run "$evalsweep" --help
    [ "$status" -eq 0 ]
    for command in $commands; do
        [[ "$output" == *"  $command "* ]]
        "$evalsweep" "$command" --help >out 2>err
        grep -q "^usage: evalsweep $command " out
        [ ! -s err ]
    done
}

@test "usage errors: 2, one line on stderr, nothing on stdout" {
    for arguments in "" "nonsense" "check" "check a b" "plan --nonsense x" "status --json=1 x" "status --json --watch x" "status --watch --interval=0 x" \
        "run --set" "status --interval=5 x" "plan --time-limit=soon x" "run --progress=loud x"; do
        code=0
        # shellcheck disable=SC2086
        "$evalsweep" $arguments >out 2>err || code=$?
        [ "$code" -eq 2 ]
        [ ! -s out ]
        [ "$(wc -l <err)" -eq 1 ]
        grep -q '^evalsweep: ' err
    done
}

@test "--version names the libraries" {
    run "$evalsweep" --version
    [[ "$output" =~ ^evalsweep\ [0-9.]+\ \(Open\ MPI\ v[0-9.]+,\ HDF5\ [0-9.]+,\ cJSON\ [0-9.]+\)$ ]]
}

@test "the job files that come with it are right, also before their evaluators are there" {
    for job in "$repo"/jobs/*.json; do
        "$evalsweep" check "$job" >out
    done
    "$evalsweep" check "$repo/jobs/pythia-410m-last4.json" | grep -q '^units  *19712,'
    "$evalsweep" check "$repo/jobs/pythia-410m-all-layers.json" | grep -q '^units  *123200,'
}

@test "gpus_per_worker without a GPU: 2, or --allow-cpu" {
    write_job
    export CUDA_VISIBLE_DEVICES=''
    run "$evalsweep" run job.json --set resources.gpus_per_worker=1
    [ "$status" -eq 2 ]
    [[ "$output" == *"1 GPUs are needed"*"0 are visible"*"--allow-cpu"* ]]
    [ "$(n_evaluated)" -eq 0 ]
    run "$evalsweep" run job.json --set resources.gpus_per_worker=1 --allow-cpu
    [ "$status" -eq 0 ]
    [[ "$output" == *"local rank 0, device cpu"* ]]
    [ "$(n_markers)" -eq 60 ]
}

@test "check prints the grid, and says where a job file is wrong" {
    write_job
    run "$evalsweep" check job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"units        60"* ]]
    "$evalsweep" check --json job.json | json grid >/dev/null
    sed -i 's/"21-24"/"24-21"/' job.json
    run "$evalsweep" check job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"job.json: line 4: \$.grid.layers: "* ]]
}

@test "RUN_ID names the run, above the file and below --set" {
    write_job
    RUN_ID=other run "$evalsweep" check job.json
    [[ "$output" == *"/runs/other"* ]]
    RUN_ID=other run "$evalsweep" check job.json --set run.id=third
    [[ "$output" == *"/runs/third"* ]]
}

@test "plan before anything has run" {
    write_job
    run "$evalsweep" plan job.json
    [ "$status" -eq 0 ]
    [[ "$output" == *"60 pending"* ]]
    [ "$("$evalsweep" plan --json job.json | json pending)" -eq 60 ]
    [ ! -e runs ]
}

@test "plan predicts from what was timed" {
    write_job --sleep-ms 10
    "$evalsweep" run job.json --only checkpoint=step0,checkpoint=step1
    run "$evalsweep" plan --json job.json --time-limit 1h --set schedule.checkpoint_load_s=0.01
    [ "$(echo "$output" | json done)" -eq 24 ]
    [ "$(echo "$output" | json measured)" = True ]
    [ "$(echo "$output" | json workers_needed)" -eq 1 ]
    echo "$output" | /usr/bin/python3 -c '
import json, sys
wall = json.load(sys.stdin)["wall_s"]
assert 0.2 < wall["1"] < 20, wall
assert wall["4"] < wall["1"], wall
'
}

@test "run --only tries a part, and --json tells" {
    write_job
    run bash -c "'$evalsweep' run job.json --only checkpoint=step2,task=B --json 2>/dev/null"
    [ "$status" -eq 0 ]
    [ "$(echo "$output" | json evaluated)" -eq 4 ]
    [ "$(echo "$output" | json done)" -eq 4 ]
    [ "$(echo "$output" | json pending)" -eq 56 ]
    [ "$(n_evaluated)" -eq 4 ]
    run "$evalsweep" run job.json --only task=Z
    [ "$status" -eq 2 ]
    [[ "$output" == *"the grid has no such task"* ]]
}

@test "status tells progress by checkpoint" {
    write_job
    "$evalsweep" run job.json --only checkpoint=step2
    run "$evalsweep" status runs/demo
    [ "$status" -eq 0 ]
    [[ "$output" == *"60: 12 done, 48 pending, 0 failed"* ]]
    [[ "$output" == *"driver  not running"* ]]
    echo "$output" | grep -qE '^step2 +12 +0 +0$'
    run "$evalsweep" status --json job.json
    [ "$(echo "$output" | json total)" -eq 60 ]
    [ "$(echo "$output" | json alive)" = False ]
}

# driver_says TEXT: what status says of the driver, as text.
driver_says() { [[ "$("$evalsweep" status runs/demo | grep '^driver ')" == "driver  $1"* ]]; }

@test "status tells a driver that is at work, stopped and killed, at once" {
    local i
    write_job --sleep-ms 60000
    "$evalsweep" run job.json --quiet 3>&- &
    driver=$!
    for ((i = 0; i < 500; i++)); do
        if driver_says 'alive on'; then break; fi
        sleep 0.02
    done
    driver_says 'alive on'
    kill -STOP "$driver"
    sed -i 's/"updated_s":[0-9]*/"updated_s":1000000000/' runs/demo/status.json
    driver_says 'silent since 2001-09-09T01:46:40Z on '
    sed -i 's/"updated_s":[0-9]*/"updated_s":4000000000/' runs/demo/status.json
    driver_says 'its status.json is dated ahead of now, 2096-10-02T07:06:40Z on '
    [ "$("$evalsweep" status --json runs/demo | json alive)" = False ]
    rm runs/demo/status.json
    driver_says 'at work, no figures yet'
    kill -CONT "$driver"
    for ((i = 0; i < 500; i++)); do
        if driver_says 'alive on'; then break; fi
        sleep 0.02
    done
    kill -KILL "$driver"
    wait "$driver" || true
    driver_says 'not running: killed, perhaps (last seen '
    [ "$("$evalsweep" status --json runs/demo | json alive)" = False ]
}

@test "status tells what runs longest, and nothing of that once the driver is dead" {
    local i
    write_job --sleep-ms 60000
    "$evalsweep" run job.json --quiet 3>&- &
    driver=$!
    for ((i = 0; i < 500; i++)); do
        if [ "$("$evalsweep" status --json runs/demo 2>/dev/null | json running)" = 1 ]; then break; fi
        sleep 0.02
    done
    "$evalsweep" status runs/demo >out
    grep -A1 '^running longest:$' out | tail -1 |
        grep -qE "^ +[0-9]+ s  step0, layer [0-9]*, [ABC]: worker 0 on $(hostname), device cpu$"
    "$evalsweep" status --json runs/demo >out
    [ "$(json running_units <out)" = "$(json workers <out)" ]
    json running_units <out | grep -q "'worker': 0, .*'task': '[ABC]', 'running_s': [0-9.]*, 'expected_s': None, 'out': False"
    kill -KILL "$driver"
    wait "$driver" || true
    "$evalsweep" status --json runs/demo >out
    for key in 'workers []' 'running_units []' 'running 0' 'rate_per_s None' 'eta_s None'; do
        [ "$(json "${key% *}" <out)" = "${key#* }" ]
    done
    refute grep -qE 'running longest|units/|worker' <("$evalsweep" status runs/demo)
}

@test "status tells of five running units, the longest first, and of all workers that are out" {
    write_job
    "$evalsweep" run --quiet job.json --only checkpoint=step0
    rm -r runs/demo/.evalsweep/drivers
    /usr/bin/python3 - <<'END'
import json, time
workers = [{"worker": i, "host": "h\x1b[2J", "device": "3", "out": i == 4} for i in range(9)]
for worker in workers[:4] + workers[5:]:
    worker.update(checkpoint="step1", layer=22, task="B", running_s=100.0 * worker["worker"])
json.dump({"alive": True, "updated_s": time.time(), "host": "h", "rate_per_s": 0.5, "eta_s": 60,
           "running": 8, "workers": workers}, open("runs/demo/status.json", "w"))
END
    "$evalsweep" status runs/demo >out
    grep -q '^driver  alive on h: 8 running, 30.0 units/min, ETA 1:00$' out
    refute grep -qP '\x1b' out
    [ "$(grep -A99 'running longest' out | grep -o 'worker [0-9]' | tr -d '\n')" = 'worker 8worker 7worker 6worker 5worker 3' ]
    [ "$(grep -A1 '^workers that are out:$' out | tail -1)" = '      worker 4 on h?[2J, device 3' ]
    "$evalsweep" status --json runs/demo | /usr/bin/python3 -c '
import json, sys
told = json.load(sys.stdin)
assert [w["worker"] for w in told["running_units"]] == [8, 7, 6, 5, 3], told
assert [w["worker"] for w in told["workers"]] == list(range(9))
assert [w["worker"] for w in told["workers"] if w["out"]] == [4]
assert "task" not in told["workers"][4]
'
}

@test "reasons that are the same up to 500 bytes are one" {
    write_job
    /usr/bin/python3 - <<'END'
import json, os
for layer in 21, 22, 23:
    folder = f"runs/demo/outputs/mteb/Pythia/410m/step0/layer_{layer}/A"
    os.makedirs(folder)
    json.dump({"status": "failed", "reason": "x" * 500 + f" at 0x{layer}"}, open(folder + "/failed.json", "w"))
END
    "$evalsweep" status --json job.json >out
    /usr/bin/python3 -c '
import json
(failure,) = json.load(open("out"))["failures"]
assert failure["reason"] == "x" * 500 and failure["units"] == 3, failure
'
}

@test "status tells the most frequent reasons of failures, and where to read more" {
    write_job --fail-unit /B --print "no such file" --exit 9
    run "$evalsweep" run --quiet job.json --set evaluator.retries=0 --set limits.max_consecutive_failures=0
    [ "$status" -eq 1 ]
    "$evalsweep" status runs/demo >out
    grep -q '^      20  exit code 9: no such file$' out
    where=outputs/mteb/Pythia/410m/step0/layer_21/B
    grep -q "^          runs/demo/$where/log.txt$" out
    [ -f "runs/demo/$where/log.txt" ]
    "$evalsweep" status --json runs/demo >out
    [ "$(json failures <out)" = "[{'reason': 'exit code 9: no such file', 'units': 20, 'log': '$where/log.txt'}]" ]
    # the driver's word is the same
    [ "$(json failures <runs/demo/status.json)" = "$(json failures <out)" ]
    [ "$(json checkpoints <runs/demo/status.json)" = "$(json checkpoints <out)" ]
    # also of what was left failed by an earlier start
    run "$evalsweep" run --quiet job.json --no-retry-failed
    [ "$status" -eq 1 ]
    [ "$(json failures <runs/demo/status.json)" = "$(json failures <out)" ]
    rm "runs/demo/$where/log.txt"
    "$evalsweep" status runs/demo | grep -q "^          runs/demo/$where/failed.json$"
}

@test "consolidate rebuilds the same results from the markers alone" {
    write_job
    "$evalsweep" run job.json
    before=$("$evalsweep" export runs/demo)
    rm runs/demo/results.h5
    run "$evalsweep" consolidate runs/demo
    [ "$status" -eq 0 ]
    [ -s runs/demo/results.h5 ]
    [ "$("$evalsweep" export runs/demo)" = "$before" ]
    "$evalsweep" consolidate --output elsewhere.h5 job.json
    [ -s elsewhere.h5 ]
}

@test "export is a CSV with a row for each metric" {
    write_job
    "$evalsweep" run job.json
    "$evalsweep" export job.json >out.csv
    /usr/bin/python3 - <<'END'
import csv
rows = list(csv.DictReader(open("out.csv", newline="")))
assert len({(r["checkpoint"], r["layer"], r["task"]) for r in rows}) == 60
assert all(r["status"] == "done" and 0 <= float(r["main_score"]) <= 1 for r in rows)
END
}

@test "export in its other forms says the same as the long CSV" {
    write_job --fail-unit step1/22/B --error
    "$evalsweep" run job.json || [ $? -eq 1 ]
    "$evalsweep" export job.json >long.csv
    "$evalsweep" export job.json --format jsonl >long.jsonl
    "$evalsweep" export job.json --wide >wide.csv
    "$evalsweep" export job.json --wide --format=jsonl >wide.jsonl
    "$evalsweep" export job.json --metric main_score >main.csv
    /usr/bin/python3 - <<'END'
import csv, json
lists = lambda name: list(csv.DictReader(open(name, newline="", encoding="utf-8")))
objects = lambda name: [json.loads(line) for line in open(name, encoding="utf-8")]
plain = lambda row: {k: "" if v is None else v if isinstance(v, str) else float(v) for k, v in row.items()}
number = {"step", "layer", "value", "main_score", "evaluation_time_s"}
typed = lambda row: {k: float(v) if k not in ("checkpoint", "task", "status", "split", "subset", "metric")
                     and v != "" else v for k, v in row.items()}
unit = lambda row: (row["checkpoint"], row["layer"], row["task"])
long = [typed(row) for row in lists("long.csv")]
wide = [typed(row) for row in lists("wide.csv")]
assert [plain(row) for row in objects("long.jsonl")] == long
assert [plain(row) for row in objects("wide.jsonl")] == wide
assert len(wide) == len({unit(row) for row in wide}) == 59
values = {unit(row) + (key,): value for row in wide for key, value in row.items() if "/" in key}
assert values == {unit(row) + ("/".join((row["split"], row["subset"], row["metric"])),): row["value"]
                  for row in long} and values
main = lists("main.csv")
assert len(main) == 59 and all(row["metric"] == "main_score" and row["value"] == row["main_score"] for row in main)
END
}

@test "export refuses what it cannot do, with nothing on stdout" {
    write_job
    "$evalsweep" run job.json --only checkpoint=step0
    for option in --format=xml --metric=acuracy; do
        code=0
        "$evalsweep" export job.json "$option" >out 2>err || code=$?
        [ "$code" -eq 2 ]
        [ ! -s out ]
        [ "$(wc -l <err)" -eq 1 ]
    done
    grep -q 'acuracy: no unit has a metric of this name' err
}

@test "--no-retry-failed leaves failed units failed, and they count" {
    write_job --fail-unit /B --error
    run "$evalsweep" run job.json --only checkpoint=step0
    [ "$status" -eq 1 ]
    write_job # they would not fail any more
    : >count
    failed=$(find runs -name failed.json -exec md5sum {} + | sort)
    run "$evalsweep" plan --json --no-retry-failed job.json
    [ "$(echo "$output" | json failed)" -eq 4 ]
    run "$evalsweep" run job.json --accept-change --no-retry-failed --json
    [ "$status" -eq 1 ]
    [[ "$output" == *"8 done, 4 failed and left so, 48 to do"* ]]
    [ "$(echo "$output" | grep '^{' | json failed)" -eq 4 ]
    [ "$(echo "$output" | grep '^{' | json pending)" -eq 0 ]
    [ "$(n_evaluated)" -eq 48 ]
    [ "$(find runs -name failed.json -exec md5sum {} + | sort)" = "$failed" ]
    run "$evalsweep" plan job.json --no-retry-failed # nothing else is left to predict
    [[ "$output" == *"nothing is left to do"* ]]
    run "$evalsweep" plan job.json
    [[ "$output" == *"predicted wall time"* ]]
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq 52 ]
}

@test "retry clears failed units, and finished ones when asked" {
    write_job --fail-unit step4 --error
    run "$evalsweep" run job.json --set limits.max_consecutive_failures=0
    [ "$status" -eq 1 ]
    [ "$("$evalsweep" status --json job.json | json failed)" -eq 12 ]
    run "$evalsweep" retry job.json --task A --layer 22
    [[ "$output" == *"1 failed unit is pending again"* ]]
    [ "$("$evalsweep" status --json job.json | json failed)" -eq 11 ]
    run "$evalsweep" retry job.json
    [ "$("$evalsweep" status --json job.json | json failed)" -eq 0 ]
    run "$evalsweep" retry --done job.json
    [ "$status" -eq 2 ]
    run "$evalsweep" retry --done job.json --checkpoint step8
    [ "$("$evalsweep" status --json job.json | json done)" -eq 36 ]
}

@test "a changed evaluator is noticed" {
    write_job
    "$evalsweep" run job.json --only checkpoint=step0
    write_job --load-ms 1
    run "$evalsweep" run job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"evaluator.command: was "* ]]
    [[ "$output" == *"--accept-change"* ]]
    [ "$(n_markers)" -eq 12 ]
    run "$evalsweep" run job.json --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 60 ]
    # from now on that is the run's job: units cleared are run with it, and the first one is refused
    "$evalsweep" retry --done job.json --task A
    run "$evalsweep" run job.json --only checkpoint=step0
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 44 ]
    [ "$(n_evaluated)" -eq 64 ]
    write_job
    run "$evalsweep" run job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"evaluator.command: was "*"--load-ms"* ]]
    [ "$(n_evaluated)" -eq 64 ]
}

@test "the grid may grow and shrink between starts" {
    write_job
    "$evalsweep" run job.json --set 'grid.tasks=["A"]'
    [ "$(n_evaluated)" -eq 20 ]
    "$evalsweep" run job.json
    [ "$(n_evaluated)" -eq 60 ]
    run "$evalsweep" status job.json --set 'grid.layers=[23]'
    [[ "$output" == *"units   15: 15 done"* ]]
    [[ "$output" == *"45 results are outside the grid"* ]]
}

@test "--no-resume evaluates everything again, once for each Slurm job" {
    write_job
    "$evalsweep" run job.json
    sleep 0.02 # markers must be older than the epoch, by the file system's clock
    SLURM_JOB_ID=7 "$evalsweep" run job.json --no-resume --only checkpoint=step0
    [ "$(n_evaluated)" -eq 72 ]
    [ "$("$evalsweep" status --json job.json | json pending)" -eq 48 ]
    SLURM_JOB_ID=7 "$evalsweep" run job.json --no-resume # requeued: goes on
    [ "$(n_evaluated)" -eq 120 ]
    sleep 0.02
    SLURM_JOB_ID=8 "$evalsweep" run job.json --no-resume
    [ "$(n_evaluated)" -eq 180 ]
}

@test "srun without PMI is refused" {
    write_job
    SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 run "$evalsweep" run job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"use srun --mpi=pmix"* ]]
    [ ! -e count ]
}

@test "progress: a bar when asked for, lines otherwise, nothing when quiet" {
    write_job --sleep-ms 50 # it is drawn four times a second
    "$evalsweep" run job.json --progress=bar --only task=A 2>err
    grep -q '\[#' err
    COLUMNS=30 "$evalsweep" run job.json --progress=bar --only task=B 2>err
    refute grep -q '\[#' err
    "$evalsweep" run job.json --quiet 2>err
    refute grep -q 'worker 0' err
    grep -q '60 of 60 units done' err
}

@test "a second driver is refused with 3, and told who holds the run" {
    write_job --sleep-ms 50
    "$evalsweep" run job.json &
    driver=$!
    for _ in $(seq 500); do
        [ "$(n_evaluated)" -ge 1 ] && break
        sleep 0.02
    done
    run "$evalsweep" run job.json
    [ "$status" -eq 3 ]
    [[ "$output" == *"another driver holds it: process $driver on "* ]]
    run "$evalsweep" consolidate job.json
    [ "$status" -eq 3 ]
    run "$evalsweep" consolidate --output copy.h5 job.json
    [ "$status" -eq 0 ]
    run "$evalsweep" retry --done job.json --checkpoint step0 --checkpoint step8
    [ "$status" -eq 3 ]
    wait "$driver"
    [ "$(n_markers)" -eq 60 ]
    [ "$(n_evaluated)" -eq 60 ]
    [ ! -e runs/demo/.evalsweep/lock ]
    run "$evalsweep" consolidate job.json
    [ "$status" -eq 0 ]
}

@test "a mistyped --only touches nothing, --no-resume or not" {
    write_job
    "$evalsweep" run --quiet job.json
    run "$evalsweep" run --no-resume --only checkpoint=typo job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *typo* ]]
    [ "$("$evalsweep" status --json job.json | json pending)" -eq 0 ]
}

@test "a store that cannot be written: the summary and the JSON all the same, and exit code 70" {
    write_job
    mkdir -p runs/demo/results.h5/in_the_way
    "$evalsweep" run --json job.json >out 2>err || code=$?
    [ "$code" -eq 70 ]
    [ "$(json done <out)" -eq 60 ]
    grep -q '60 of 60 units done' err
    grep -q 'results.h5: Is a directory' err
    grep -q 'evalsweep consolidate' err
}

@test "output that does not arrive is an error" {
    write_job
    for command in "check --json" "plan --json" "status" "status --json" "simulate --json"; do
        code=0
        # shellcheck disable=SC2086
        "$evalsweep" $command job.json >/dev/full || code=$?
        [ "$code" -eq 70 ]
    done
}

@test "--quiet still tells what failed, and nothing else but the summary" {
    write_job --fail-unit step4/23/B --exit 7
    run "$evalsweep" run --quiet job.json
    [ "$status" -eq 1 ]
    [[ "$output" == *"step4/layer_23/B failed"*"exit code 7"* ]]
    refute grep -q 'device cpu' <<<"$output"
}

@test "started without stdin, stdout and stderr, it opens nothing in their place" {
    write_job --sleep-ms 50
    "$evalsweep" run job.json <&- >&- 2>&- &
    driver=$!
    for _ in $(seq 500); do
        [ "$(n_evaluated)" -ge 1 ] && break
        sleep 0.02
    done
    for number in 0 1 2; do [ "$(readlink "/proc/$driver/fd/$number")" = /dev/null ]; done
    wait "$driver"
    [ "$(n_markers)" -eq 60 ]
}

@test "a result.json that was cut is a failure, not a unit without a score" {
    write_job
    run "$evalsweep" run job.json --only checkpoint=step0 --set 'evaluator.mode="one-shot"' \
        --set 'evaluator.command=["sh", "-c", "printf {: >\"$EVALSWEEP_OUTPUT_DIR/result.json\""]'
    [ "$status" -eq 1 ]
    [[ "$output" == *"its result.json is not valid JSON"* ]]
    [ "$(n_markers)" -eq 0 ]
}

@test "an earlier try's log does not outlive it" {
    write_job
    run "$evalsweep" run job.json --set 'evaluator.mode="one-shot"' --set evaluator.retries=1 \
        --set limits.max_consecutive_failures=0 \
        --set 'evaluator.command=["sh", "-c", "[ $EVALSWEEP_ATTEMPT = 2 ] || { echo oops; exit 1; }"]'
    [ "$status" -eq 0 ]
    [ -z "$(find runs/demo -name log.txt)" ]
}

@test "a run in which nothing succeeds gives up, fails no unit, and says why" {
    write_job --print "no such GPU" --exit 9
    run "$evalsweep" run job.json --set limits.outage_s=2
    [ "$status" -eq 1 ]
    [[ "$output" == *" failed on worker 0 (attempt 1): exit code 9: no such GPU (log: "*"/log.txt)"* ]]
    [[ "$output" == *"outage: everything fails on 1 of 1 workers; "* ]]
    last=$(echo "$output" | tail -1)
    [[ "$last" == *"nothing has succeeded for "*" s; the most frequent failure ("*" times): exit code 9: no such GPU ("*"/log.txt)" ]]
    run "$evalsweep" status --json job.json
    [ "$(echo "$output" | json pending)" -eq 60 ]
    [ "$(echo "$output" | json failed)" -eq 0 ]
    # whoever was not there hears of it
    [[ "$(echo "$output" | json ended)" == "nothing has succeeded for "*": exit code 9: no such GPU" ]]
    [[ "$("$evalsweep" status job.json)" == *"driver  not running (last seen "*"): nothing has succeeded for "*"no such GPU"* ]]
    write_job
    "$evalsweep" run --quiet --accept-change job.json
    [ "$("$evalsweep" status --json job.json | json ended)" = None ]
}

@test "consolidate and retry make no folder for a mistyped run" {
    write_job
    for command in consolidate retry; do
        run "$evalsweep" "$command" job.json --set run.id=typo
        [ "$status" -eq 2 ]
        [[ "$output" == *"runs/typo: No such file"* ]]
        [ ! -e runs ]
    done
}

@test "an option's short form and its long one are the same" {
    write_job
    "$evalsweep" run --quiet job.json
    "$evalsweep" consolidate -o short.h5 runs/demo
    "$evalsweep" consolidate --output=long.h5 runs/demo
    h5diff short.h5 long.h5 /main_score
    run "$evalsweep" consolidate -o
    [ "$status" -eq 2 ]
    [[ "$output" == *"--output: expected FILE"* ]]
    run "$evalsweep" consolidate --outputs=x runs/demo
    [ "$status" -eq 2 ]
    run "$evalsweep" consolidate --help
    [[ "$output" == *"  -o, --output=FILE "* ]]
}

# As a driver leaves them that is killed between a marker and its line.
@test "lines of progress.csv that are missing are added by the next start, once" {
    local csv=runs/demo/progress.csv
    write_job
    "$evalsweep" run --quiet job.json
    sort $csv >whole
    sed -i '$d' $csv
    sed -i '$d' $csv
    printf 'step0,' >>$csv
    "$evalsweep" run --quiet job.json
    grep -v '^step0,$' $csv | sort | cmp - whole
    "$evalsweep" run --quiet job.json
    [ "$(wc -l <$csv)" -eq 62 ]
    # Those of a start before the last are not looked for.
    sed -i '2,4d' $csv
    "$evalsweep" run --quiet job.json
    [ "$(wc -l <$csv)" -eq 59 ]
    [ "$(n_evaluated)" -eq 60 ]
}

@test "what a start waits for is said" {
    write_job
    "$evalsweep" run --quiet job.json --only checkpoint=step0
    move_lock() { # COUNTER: of a driver on another machine
        echo '{"counter":'"$1"',"host":"elsewhere","boot":"another","pid":7}' >moved
        mv moved runs/demo/.evalsweep/lock
    }
    move_lock 0
    (
        for counter in $(seq 30); do
            sleep 4
            move_lock "$counter"
        done
    ) 3>&- &
    mover=$!
    run "$evalsweep" consolidate job.json
    kill "$mover"
    echo "$output"
    [ "$status" -eq 3 ]
    [[ "$output" == *"waiting, 60 s at most, to see whether process 7 on elsewhere is alive: it holds $work/runs/demo/.evalsweep/lock"* ]]
    [[ "$output" == *"another driver holds it: process 7 on elsewhere"* ]]
}
