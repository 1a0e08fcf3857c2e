# Hostile and odd input: strange names are served, damaged and malicious files are refused with one line
# that names file and reason, and nothing that is finished is lost.

load ../helper/common

# Names that must work: spaces, quotes, shell, CSV and printf characters, a leading dash, other scripts,
# 240 bytes.
write_odd_job() { # MODE
    /usr/bin/python3 - "$work" "$fake" "$1" <<'END'
import json, sys
work, fake, mode = sys.argv[1:]
checkpoints = [" step 1 ", "-rf", "it's \"quoted\" \\ $(touch x) `touch y` ;&|<>*?~#!",
               "\u00e9tape \u6a21\u578b \U0001f40d", "c" * 240]
tasks = ["--task", "a,b=c {task} %s", "\u00dc" * 120]
command = [fake, "--count-file", work + "/count"] + ["--persistent"] * (mode == "persistent")
json.dump({"run": {"root": work + "/runs", "id": "-odd run\"'"},
           "grid": {"checkpoints": checkpoints, "layers": [0, 24], "tasks": tasks},
           "evaluator": {"mode": mode, "retries": 0, "command": command}}, open("job.json", "w"))
END
    run_dir="runs/-odd run\"'"
}

serves_odd_names() { # MODE
    write_odd_job "$1"
    "$evalsweep" check job.json
    "$evalsweep" run --quiet job.json
    [ "$(n_markers runs)" -eq 30 ]
    [ "$(n_evaluated)" -eq 30 ]
    [ "$("$evalsweep" status --json "$run_dir" | json done)" -eq 30 ]
    "$evalsweep" export "$run_dir" >before.csv
    /usr/bin/python3 - <<'END'
import csv, json
job = json.load(open("job.json"))
rows = list(csv.DictReader(open("before.csv", newline="")))
progress = list(csv.DictReader(open("runs/-odd run\"'/progress.csv", newline="")))
for table in rows, progress:
    assert {r["checkpoint"] for r in table} == set(job["grid"]["checkpoints"])
    assert {r["task"] for r in table} == set(job["grid"]["tasks"])
END
    "$evalsweep" consolidate "$run_dir"
    "$evalsweep" export "$run_dir" >after.csv
    cmp before.csv after.csv
    # Resuming finds all of it, by the store and by the markers alone.
    "$evalsweep" run --quiet job.json
    rm "$run_dir/results.h5"
    "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 30 ]
    # retry and --only find units by name, whatever it begins with.
    run "$evalsweep" retry --done --checkpoint=-rf --task --task job.json
    [[ "$output" == *"2 finished units are pending again"* ]]
    run "$evalsweep" retry --done --checkpoint=' step 1 ' job.json
    [[ "$output" == *"6 finished units are pending again"* ]]
    "$evalsweep" run --quiet job.json --only 'checkpoint=-rf'
    [ "$(n_evaluated)" -eq 32 ]
    "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 38 ]
    # A comma of a name, which is none between names.
    "$evalsweep" retry --done --task 'a,b=c {task} %s' job.json
    "$evalsweep" run --quiet job.json --only 'layer=24,task=a\,b=c {task} %s,task=--task'
    [ "$(n_evaluated)" -eq 43 ]
    "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 48 ]
    [ ! -e x ]
    [ ! -e y ]
}

@test "odd names are served by a persistent evaluator" { serves_odd_names persistent; }
@test "odd names are served by one-shot evaluators" { serves_odd_names one-shot; }

# One line on stderr, nothing on stdout, exit code 2, and the line has each text in it; within 600 MB and
# 20 s.
refuses() { # COMMAND... -- TEXT...
    local command=() code=0
    while [ "$1" != -- ]; do
        command+=("$1")
        shift
    done
    shift
    (
        ulimit -v 600000
        exec timeout 20 "${command[@]}"
    ) >out 2>err || code=$?
    echo "${command[*]}: $code: $(cat err)"
    [ "$code" -eq 2 ]
    [ ! -s out ]
    [ "$(wc -l <err)" -eq 1 ]
    refute grep -qP '[\x00-\x09\x0b-\x1f\x7f]' err
    local text
    for text in "$@"; do grep -qF -- "$text" err; done
}

# The same, for a command that goes on, with exit code 0.
goes_on() { # COMMAND...
    (
        ulimit -v 600000
        exec timeout 60 "$@"
    ) >out 2>err
    refute grep -qP '[\x00-\x09\x0b-\x1f\x7f]' err
}

@test "names that cannot be folders are refused, in lists, files, RUN_ID and flags" {
    write_job
    long=$(printf '%241s' '' | tr ' ' x)
    for name in 'a\nb' 'a\u0007b' 'a\u007fb' '..' '.' 'a/b' '/etc' '../x' '' "$long"; do
        refuses "$evalsweep" check job.json --set "grid.tasks=[\"$name\"]" -- '--set grid.tasks=' \
            '$.grid.tasks[0]'
        refuses "$evalsweep" check job.json --set "run.id=\"$name\"" -- '--set run.id=' '$.run.id'
    done
    for id in $'a\nb' $'a\e[31mb' '..' 'a/b' '/etc' '../../x' "$long" $'\xff'; do
        RUN_ID=$id refuses "$evalsweep" run job.json -- "the environment's RUN_ID" '$.run.id'
        RUN_ID=$id refuses "$evalsweep" status job.json -- "the environment's RUN_ID" '$.run.id'
    done
    printf 'A\nB/../../x\n' >tasks.txt
    refuses "$evalsweep" check job.json --set 'grid.tasks={"file": "tasks.txt"}' -- \
        'tasks.txt: line 2: "B/../../x" holds a '
    for layout in '../{checkpoint}/{layer}/{task}' '/{checkpoint}/{layer}/{task}' \
        'a/../../{checkpoint}/{layer}/{task}' 'a//{checkpoint}/{layer}/{task}' \
        '{checkpoint}/{layer}/{task}/..' $'a\nb/{checkpoint}/{layer}/{task}'; do
        refuses "$evalsweep" run job.json --set "layout=$layout" -- '$.layout: '
    done
    [ ! -e runs ]
    cp job.json -- -job.json
    "$evalsweep" check -- -job.json
}

@test "JSON nested 100,000 deep, of 1 GB, binary, or no file at all, as job file" {
    /usr/bin/python3 -c 'print("{\"run\":" + "[" * 100000 + "]" * 100000 + "}")' >deep.json
    truncate -s 1G huge.json
    head -c 100000 /dev/urandom >binary.json
    mkfifo fifo.json
    for command in check plan run status simulate; do
        refuses "$evalsweep" $command deep.json -- 'deep.json: line 1: lists or objects nested too deep'
        refuses "$evalsweep" $command huge.json -- 'huge.json: larger than 64 MiB'
        refuses "$evalsweep" $command binary.json -- 'binary.json: '
        refuses "$evalsweep" $command fifo.json -- 'fifo.json: it is no regular file'
        refuses "$evalsweep" $command /dev/zero -- '/dev/zero: it is no regular file'
        refuses "$evalsweep" $command $'no\nsuch\e[31m.json' -- 'no?such?[31m.json: No such file'
    done
}

@test "whatever lies where a marker should be is evaluated again, and nothing else" {
    write_job
    "$evalsweep" run --quiet job.json
    top=runs/demo/outputs/mteb/Pythia/410m/step0
    # shellcheck disable=SC2015
    for unit in 21/A 21/B 21/C 22/A 22/B 22/C 23/A 23/B; do rm "$top/layer_$unit/done.json"; done
    mkfifo "$top/layer_21/A/done.json"
    ln -s done.json "$top/layer_21/B/done.json"
    ln -s /dev/zero "$top/layer_21/C/done.json"
    truncate -s 1G "$top/layer_22/A/done.json"
    /usr/bin/python3 -c 'print("[" * 100000 + "]" * 100000)' >"$top/layer_22/B/done.json"
    : >"$top/layer_22/C/done.json"
    printf '{"schema":1,' >"$top/layer_23/A/done.json"
    ln -s "$work/nowhere" "$top/layer_23/B/done.json"
    # Beside a marker without scores: none of these is waited for, followed for ever or swallowed whole.
    for unit in 23/C 24/A 24/B 24/C; do echo '{}' >"$top/layer_$unit/done.json"; done
    mkfifo "$top/layer_23/C/result.json"
    truncate -s 1G "$top/layer_24/A/result.json"
    ln -s / "$top/layer_24/B/B"
    /usr/bin/python3 -c 'print("[" * 100000)' >"$top/layer_24/C/C.json"
    goes_on "$evalsweep" status --json job.json
    [ "$(json done <out)" -eq 52 ]
    grep -q '8 markers are not done, and pending' err
    goes_on "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 68 ]
    for unit in 21/A 21/B 21/C 22/A 22/B 22/C 23/A 23/B; do
        [ -f "$top/layer_$unit/done.json" ]
        [ ! -L "$top/layer_$unit/done.json" ]
    done
    goes_on "$evalsweep" status --json job.json
    [ "$(json done <out)" -eq 60 ]
    [ "$(json done_without_score <out)" -eq 4 ]
}

@test "what failed says so in one line, and failed.json may be anything" {
    write_job --fail-unit step4 --error
    "$evalsweep" run --quiet job.json --set limits.max_consecutive_failures=0 2>err || code=$?
    [ "$code" -eq 1 ]
    top=runs/demo/outputs/mteb/Pythia/410m/step4/layer_21
    printf '{"status":"failed","reason":"two\\nlines \\u001b[31mred\\u009b31m"}' >$top/A/failed.json
    rm $top/B/failed.json $top/C/failed.json
    truncate -s 1G $top/B/failed.json
    mkfifo $top/C/failed.json
    goes_on "$evalsweep" status job.json
    grep -qF 'two?lines ?[31mred??31m' out
    refute grep -qP '\x1b' out
    goes_on "$evalsweep" retry job.json
    goes_on "$evalsweep" plan --json job.json
    [ "$(json failed <out)" -eq 0 ]
    [ "$(json pending <out)" -eq 12 ]
}

@test "a one-shot evaluator's result.json of 1 GB, or a FIFO, fails the unit and says why" {
    write_job
    one_shot=(--only "checkpoint=step0,layer=21,task=A" --set 'evaluator.mode="one-shot"'
        --set evaluator.retries=0)
    run "$evalsweep" run job.json "${one_shot[@]}" \
        --set 'evaluator.command=["sh", "-c", "truncate -s 1G \"$EVALSWEEP_OUTPUT_DIR/result.json\""]'
    [ "$status" -eq 1 ]
    [[ "$output" == *"its result.json is larger than 64 MiB"* ]]
    run timeout 60 "$evalsweep" run job.json --accept-change "${one_shot[@]}" \
        --set 'evaluator.command=["sh", "-c", "mkfifo \"$EVALSWEEP_OUTPUT_DIR/result.json\""]'
    [ "$status" -eq 1 ]
    [[ "$output" == *"its result.json cannot be read"* ]]
    [ "$(n_markers)" -eq 0 ]
}

@test "a store that is cut, empty, another sweep's, a folder or a FIFO: the markers are read instead" {
    write_job
    "$evalsweep" run --quiet job.json
    "$evalsweep" export job.json >before.csv
    cp runs/demo/results.h5 whole.h5
    size=$(stat -c %s whole.h5)
    tells_the_same() {
        goes_on "$evalsweep" export job.json
        cmp before.csv out
        grep -q 'results.h5: .*(reading the markers instead)' err
    }
    # At every 64th byte; every few hundredth of them here, the unit tests go through them all.
    for ((at = 0; at < size; at += 64 * 61)); do
        head -c "$at" whole.h5 >runs/demo/results.h5
        tells_the_same
    done
    truncate -s 1G runs/demo/results.h5
    tells_the_same
    rm runs/demo/results.h5
    mkdir runs/demo/results.h5
    tells_the_same
    rmdir runs/demo/results.h5
    mkfifo runs/demo/results.h5
    tells_the_same
    goes_on "$evalsweep" consolidate job.json
    goes_on "$evalsweep" export job.json
    cmp before.csv out
    refute grep -q markers err
    # Another sweep's store is a good store: what it says of this grid's units is checked by the markers.
    "$evalsweep" run --quiet job.json --set run.id=other --set 'grid.tasks=["A", "X"]'
    cp runs/other/results.h5 runs/demo/results.h5
    goes_on "$evalsweep" export job.json
    cmp before.csv out
    goes_on "$evalsweep" run --quiet job.json
    goes_on "$evalsweep" export runs/demo
    cmp before.csv out
}

@test "a damaged job.json in the run folder is named; --accept-change goes on without it" {
    write_job
    saved=runs/demo/.evalsweep/job.json
    "$evalsweep" run --quiet job.json
    cp $saved whole.json
    for damage in ': >$saved' 'head -c 100 whole.json >$saved' 'rm $saved; mkfifo $saved' \
        'rm $saved; truncate -s 1G $saved' 'rm $saved; echo "{\"run\":{}}" >$saved'; do
        eval "$damage"
        refuses "$evalsweep" run job.json -- "runs/demo/.evalsweep/job.json: " \
            '--accept-change goes on without it'
        refuses "$evalsweep" status runs/demo -- "runs/demo/.evalsweep/job.json: "
        goes_on "$evalsweep" status job.json
        goes_on "$evalsweep" run --quiet --accept-change job.json
        grep -q 'going on without it' err
        cmp whole.json $saved
    done
    [ "$(n_evaluated)" -eq 60 ]
}

@test "a damaged status.json only hides the driver" {
    write_job
    "$evalsweep" run --quiet job.json
    for text in '' '{"updated_s":' '[]' '{"updated_s":1e999,"alive":true,"running":-1,"eta_s":1e300}' \
        '{"alive":true,"updated_s":1e300,"host":"x\u001b[31m\ny","rate_per_s":1e300,"eta_s":-1}'; do
        printf '%s' "$text" >runs/demo/status.json
        goes_on "$evalsweep" status job.json
        grep -q '^units   60: 60 done' out
        refute grep -qP '\x1b' out
        goes_on "$evalsweep" status --json job.json
        [ "$(json done <out)" -eq 60 ]
        goes_on "$evalsweep" status --prometheus job.json
        grep -q '^evalsweep_driver_alive{run="demo"} 0$' out
        "$evalsweep" status --watch job.json 2>err | head -1 >out
        grep -q '; driver \|Z  driver ' out
        [ ! -s err ]
        refute grep -qP '\x1b' out
    done
    rm runs/demo/status.json
    mkfifo runs/demo/status.json
    goes_on "$evalsweep" status --prometheus job.json
    goes_on "$evalsweep" status job.json
    goes_on "$evalsweep" run --quiet job.json
    [ -f runs/demo/status.json ]
}

@test "FIFOs, folders, devices and loops as the run folder's files: nobody waits, nothing is lost" {
    for file in progress.csv .evalsweep/lock .evalsweep/epoch; do
        for kind in fifo folder loop device; do
            rm -rf runs count
            write_job
            "$evalsweep" run --quiet job.json --only checkpoint=step0
            rm -f "runs/demo/$file"
            case $kind in
            fifo) mkfifo "runs/demo/$file" ;;
            folder) mkdir "runs/demo/$file" ;;
            loop) ln -s "$(basename "$file")" "runs/demo/$file" ;;
            device) ln -s /dev/full "runs/demo/$file" ;;
            esac
            refuses "$evalsweep" run --quiet job.json -- "runs/demo/$file: "
            rm -r "runs/demo/$file"
            goes_on "$evalsweep" run --quiet job.json
            [ "$(n_evaluated)" -eq 60 ]
        done
    done
}

@test "a run folder, outputs, a checkpoint or a unit that the user linked elsewhere just works" {
    write_job
    mkdir -p scratch/demo scratch/outputs scratch/step1 scratch/unit runs
    ln -s ../scratch/demo runs/demo
    ln -s ../outputs scratch/demo/outputs
    mkdir -p scratch/outputs/mteb/Pythia/410m/step0/layer_21
    ln -s "$work/scratch/step1" scratch/outputs/mteb/Pythia/410m/step1
    ln -s ../../../../../../unit scratch/outputs/mteb/Pythia/410m/step0/layer_21/A
    "$evalsweep" run --quiet job.json
    [ -f scratch/unit/done.json ]
    [ "$(find scratch/step1 -name done.json | wc -l)" -eq 12 ]
    [ "$(find -L runs/demo -name done.json | wc -l)" -eq 60 ]
    for link in runs/demo scratch/demo/outputs; do [ -L $link ]; done
    "$evalsweep" export job.json >before.csv
    rm runs/demo/results.h5
    "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 60 ]
    "$evalsweep" consolidate runs/demo
    "$evalsweep" export runs/demo | cmp before.csv -
    # The file system behind the link is gone: that is no empty run, and the store is left alone.
    cp runs/demo/results.h5 whole.h5
    mv scratch/outputs scratch/unmounted
    for command in run status plan consolidate export; do
        refuses "$evalsweep" $command job.json -- 'outputs: a link to nothing'
    done
    cmp whole.h5 runs/demo/results.h5
    mv scratch/unmounted scratch/outputs
    "$evalsweep" run --quiet job.json
    [ "$(n_evaluated)" -eq 60 ]
}

@test "no shell is involved in starting an evaluator" {
    write_job
    "$evalsweep" run --quiet job.json --only checkpoint=step0,layer=21,task=A \
        --set 'evaluator.mode="one-shot"' \
        --set "evaluator.command=[\"$fake\", \"--dump-args\", \"$work/arguments\", \"--print\", \"\$(touch x); \`touch y\` > z & *\"]"
    grep -qxF '$(touch x); `touch y` > z & *' arguments
    # A script without #! is no program: execvp would have given it to /bin/sh.
    echo 'touch x' >script
    chmod +x script
    run "$evalsweep" run job.json --accept-change --only checkpoint=step0,layer=22,task=A \
        --set 'evaluator.mode="one-shot"' --set "evaluator.command=[\"$work/script\"]"
    [ "$status" -eq 1 ]
    [[ "$output" == *"script: Exec format error"* ]]
    for file in x y z; do [ ! -e $file ]; done
}

@test "file modes follow the umask" {
    for mask in 077 002; do
        rm -rf runs
        write_job --fail-unit step4/21/A --error --print log
        (umask $mask && "$evalsweep" run --quiet job.json --set limits.max_consecutive_failures=9) ||
            [ $? -eq 1 ]
        (umask $mask && "$evalsweep" run --quiet --no-resume job.json --only checkpoint=step8)
        [ "$(find runs -name done.json | wc -l)" -eq 59 ]
        [ "$(find runs -name failed.json -o -name log.txt | wc -l)" -ge 2 ]
        case $mask in
        077) files=600 folders=700 ;;
        002) files=664 folders=775 ;;
        esac
        find runs -type f ! -perm "$files" >wrong
        find runs -type d ! -perm "$folders" >>wrong
        cat wrong
        [ ! -s wrong ]
    done
}
