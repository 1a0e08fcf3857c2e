# What evaluators do wrong, in whole runs: the unit is tried again, then failed.json says why, the others
# are done, and no process is left.

load faults

# launch NAME ARGUMENT...: in a folder of that name and in the background, a run of four units; step0/22/B
# meets an evaluator with these arguments. $sets holds options for the run.
sets=()
launch() {
    local name=$1 job=$work
    shift
    mkdir "$name"
    (
        cd "$name"
        work=$PWD
        write_small_job --fail-unit step0/22/B "$@"
        sed -i 's/"retries": 0/"retries": 1/' job.json
        code=0
        ES_TEST_MARK=$job "$evalsweep" run job.json "${sets[@]}" >said 2>&1 || code=$?
        echo "$code" >code
    ) &
}

# failed NAME TRIES REASON: the unit failed for this reason after so many tries, and only that unit.
failed() {
    local folder=$1/runs/demo/outputs/mteb/Pythia/410m/step0/layer_22/B
    [ "$(cat "$1/code")" -eq 1 ] || { cat "$1/said"; return 1; }
    [ "$(n_markers "$1/runs")" -eq 3 ]
    [ "$(find "$1/runs" -name failed.json)" = "$folder/failed.json" ]
    [ "$(json attempt <"$folder/failed.json")" -eq "$2" ]
    # shellcheck disable=SC2053 # a pattern
    [[ "$(json reason <"$folder/failed.json")" == $3 ]] || { cat "$folder/failed.json"; return 1; }
    [ "$(grep -c '^step0 22 B$' "$1/count")" -eq "$2" ]
    grep -q "step0/layer_22/B failed on worker 0 (attempt 1): " "$1/said"
}

tail_of() { # NAME
    json log_tail <"$1/runs/demo/outputs/mteb/Pythia/410m/step0/layer_22/B/failed.json"
}

@test "a persistent evaluator that fails in any way is started again, and the unit tried again" {
    local words=(--print 'last words') name
    launch exits "${words[@]}" --exit 7
    launch crashes "${words[@]}" --signal 11
    launch is-killed "${words[@]}" --signal 9
    launch no-json "${words[@]}" --garbage
    launch wrong-unit "${words[@]}" --wrong-unit
    launch huge --big-reply 100000000
    launch dies-mid-line "${words[@]}" --die-mid-line
    launch closes-stdin --close-stdin
    launch leaves-a-child "${words[@]}" --fork-grandchild --exit 5
    launch may-not-be-retried "${words[@]}" --error
    sets=(--set evaluator.timeout_s=1)
    launch hangs "${words[@]}" --hang
    launch closes-reply "${words[@]}" --close-reply
    sets+=(--set evaluator.retries=0)
    launch ignores-term "${words[@]}" --fork-grandchild --hang --ignore-term
    wait
    failed exits 2 'exit code 7: last words'
    failed crashes 2 'signal 11 (Segmentation fault): last words'
    failed is-killed 2 'signal 9 (Killed): last words'
    failed no-json 2 '*JSON*'
    failed wrong-unit 2 'the reply is for unit *'
    failed huge 2 'its reply is longer than 64 MiB: hello'
    failed dies-mid-line 2 'no reply before exit code 0: last words'
    failed leaves-a-child 2 'exit code 5: last words'
    failed may-not-be-retried 1 'asked to fail'
    failed hangs 2 'timeout after 1 s: last words'
    failed closes-reply 2 'timeout after 1 s: last words'
    failed ignores-term 1 'timeout after 1 s: last words'
    [ "$(cat closes-stdin/code)" -eq 0 ] # it had replied: another unit met it, and was tried again
    grep -q '(attempt 1): it closed its standard input' closes-stdin/said
    for name in exits crashes no-json dies-mid-line leaves-a-child may-not-be-retried hangs; do
        [ "$(tail_of "$name")" = "last words
last words" ]
    done
    wait_until nothing_is_left
}

@test "a one-shot evaluator that fails in any way is run again" {
    local name
    sets=(--set 'evaluator.mode="one-shot"' --set evaluator.timeout_s=1)
    command_of() { # NAME ARGUMENT...
        local text="\"$fake\", \"--count-file\", \"$work/$1/count\", \"--fail-unit\", \"step0/22/B\""
        shift
        for name in "$@"; do text+=", \"$name\""; done
        echo "evaluator.command=[$text]"
    }
    with() { # NAME ARGUMENT...
        local before=("${sets[@]}")
        sets+=(--set "$(command_of "$@")")
        launch "$1"
        sets=("${before[@]}")
    }
    with exits --exit 7
    with is-killed --signal 9
    with no-json --garbage
    with leaves-a-child --fork-grandchild --exit 5
    with hangs --fork-grandchild --hang
    wait
    failed exits 2 'exit code 7'
    failed is-killed 2 'signal 9 (Killed)'
    failed no-json 2 'its result.json is not valid JSON'
    failed leaves-a-child 2 'exit code 5'
    failed hangs 2 'timeout after 1 s'
    wait_until nothing_is_left
}

@test "a log is capped, and its end is in failed.json" {
    launch prints --spam 20000000 --print 'last words' --exit 3
    wait
    failed prints 2 'exit code 3: *'
    log=prints/runs/demo/outputs/mteb/Pythia/410m/step0/layer_22/B/log.txt
    [ "$(stat -c %s "$log")" -le $(((16 << 20) + 100)) ]
    tail -n 1 "$log" | grep -q 'log cut after'
    [ "$(tail_of prints | wc -c)" -ge 4000 ]
}

@test "what is said twice counts once, and what nobody asked for not at all" {
    sets=(--set evaluator.retries=5)
    launch twice --fail-unit step0 --twice
    launch plain --fail-unit nothing
    wait
    [ "$(cat plain/code)" -eq 0 ]
    [ "$(cat twice/code)" -eq 0 ]
    [ "$(scores plain/runs/demo)" = "$(scores twice/runs/demo)" ]
}

@test "one that leaves children with each unit leaves none at the end" {
    write_small_job --fork-grandchild
    in_job "$evalsweep" run job.json
    [ "$(n_markers)" -eq 4 ]
    wait_until nothing_is_left
}
