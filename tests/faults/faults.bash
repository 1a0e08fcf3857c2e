# For the bats files of this folder: a small run whose calls on its files fail, and what must hold then.
# EVALSWEEP_FULL=1 tries every place and kind of fault, where the short run steps through them.

# shellcheck disable=SC2154,SC2120 # common.bash sets the names; job_pids may go without its argument
load ../helper/common

checker=$repo/tests/faults/check_tree.py
dump_store=${DUMP_STORE:-$repo/build/tests/helper/dump_store}
faults_library=${FAULTS:-$repo/build/tests/helper/libpreload_faults.so}

is_full() {
    [ -n "${EVALSWEEP_FULL-}" ]
}

# write_small_job: 1 checkpoint x 2 layers x 2 tasks, on an evaluator that prints; one try for each.
write_small_job() {
    write_job --print hello "$@"
    sed -i -e 's/"checkpoints": .*\],/"checkpoints": ["step0"],/' -e 's/"21-24"/"21-22"/' \
        -e 's/"A", "B", "C"/"A", "B"/' -e 's/"retries": 1/"retries": 0/' job.json
}

# What such a run gives that nothing disturbs, in $undisturbed.
run_undisturbed() {
    forget_run
    "$evalsweep" run job.json >/dev/null 2>&1
    undisturbed=$(scores runs/demo)
    [ "$(stored)" = "$undisturbed" ]
    [ "$(wc -l <<<"$undisturbed")" -gt 4 ]
}

# stored: the scores in the store, as `scores` tells those in the markers.
stored() {
    "$dump_store" runs/demo/results.h5 >dumped || return 1
    cut -d, -f1-10 dumped
}

# with_fault FAULT AT COMMAND...: the command, whose calls on the files of the run fail so (see
# tests/helper/preload_faults.c).
with_fault() {
    FAULT=$1 FAULT_AT=$2 FAULT_PATH=${FAULT_PATH:-$work/runs*} FAULT_LOG=$work/faults \
        LD_PRELOAD=$faults_library ASAN_OPTIONS=verify_asan_link_order=0 "${@:3}"
}

# places STRIDE COMMAND...: the numbers of the calls at which a sweep breaks this command. In full all of
# them, else every STRIDE-th of those that are not just another write to the same file.
places() {
    begin_run
    with_fault none 1+ "${@:2}" >/dev/null 2>&1
    [ "$(wc -l <faults)" -gt 20 ]
    if is_full; then
        seq "$(wc -l <faults)"
    else
        awk '$0 != last { print NR } { last = $0 }' faults | awk -v "stride=$1" 'NR % stride == 1 % stride'
    fi
}

forget_run() {
    rm -rf runs count faults
}

# keep_half: from now on begin_run gives a run of which two units are done and one has failed.
keep_half() {
    local outputs=runs/demo/outputs/mteb/Pythia/410m/step0
    run_undisturbed
    rm "$outputs"/layer_21/A/done.json
    mv "$outputs"/layer_22/B/done.json "$outputs"/layer_22/B/failed.json
    mv runs half
    sort count | grep -v -e '21 A' -e '22 B' >half.count
}

# A run as the sweeps begin it: none, or the half of one.
begin_run() {
    forget_run
    [ -d half ] || return 0
    cp -r half runs
    cp half.count count
}

# complain WORD...: for conditions that a plain [ would not explain.
complain() {
    echo "$*"
    cat said
    echo "faults:" && tail -n 5 faults
    return 1
}

# What the driver said about a fault: its text, and a file or unit of the run, in one line.
tells() { # FAULT
    local text
    case $1 in
    ENOSPC | full) text='No space left on device' ;;
    EDQUOT) text='Disk quota exceeded' ;;
    EROFS) text='Read-only file system' ;;
    EACCES) text='Permission denied' ;;
    EIO) text='Input/output error' ;;
    ENOENT) text='No such file or directory' ;;
    esac
    grep "$text" said | grep -q -e "$work/runs" -e "step0/layer_" -e ": outputs/"
}

# The whole lines of progress.csv that tell of a unit that is done.
whole_lines() {
    grep -E '^([^,]*,){9}[^,]*$' runs/demo/progress.csv | grep ',done,'
}

# it_goes_on WHAT [CHECKER_OPTION...]: the next start, without faults, finishes what is not done, and only that.
it_goes_on() {
    local n_before=0 code=0
    [ ! -e count ] || n_before=$(wc -l <count)
    "$evalsweep" run job.json >said 2>&1 || code=$?
    [ "$code" -eq 0 ] || complain "$1: the next start ended with $code"
    tail -n "+$((n_before + 1))" count | sort >evaluated_now
    sort done_before | comm -12 - evaluated_now >again
    [ ! -s again ] || complain "$1: evaluated again: $(cat again)"
    [ -z "$(uniq -d evaluated_now)" ] || complain "$1: evaluated twice"
    "$checker" "${@:2}" runs/demo count >done_now || complain "$1: at the end: $(cat done_now)"
    [ "$(wc -l <done_now)" -eq 4 ] || complain "$1: not all done at the end"
    [ "$(whole_lines | cut -d, -f2-4 | sort -u | wc -l)" -eq 4 ] || complain "$1: a unit has no line"
    [ "$(scores runs/demo)" = "$undisturbed" ] || complain "$1: the scores differ"
    [ "$(stored)" = "$undisturbed" ] || complain "$1: the store differs"
}

# The exit code of a faulty run is one of those promised; when it is 0, nothing is missing.
code_is_right() { # FAULT AT CODE
    case $3 in
    0)
        [ "$(wc -l <done_before)" -eq 4 ] || complain "$1 at $2: exit code 0, and not all done"
        [ "$(stored)" = "$undisturbed" ] || complain "$1 at $2: exit code 0, and the store differs"
        ;;
    1 | 2 | 70)
        [ "$1" != short ] || complain "short at $2: half a write is no fault"
        tells "$1" || complain "$1 at $2: no file is named"
        ;;
    137) ;;
    *) complain "$1 at $2: ended with $3" ;;
    esac
}

# survives FAULT AT: a run with this fault keeps every promise, and the next start ends it, in which no unit
# that has a marker is evaluated.
survives() {
    local code=0 leftovers=() torn=()
    begin_run
    { with_fault "$1" "$2" timeout -k 5 60 "$evalsweep" run job.json >said 2>&1; } 2>/dev/null || code=$?
    [ -e faults ] || return 0 # it makes fewer calls
    # Where it was killed, or could not remove them.
    if [ "$code" -eq 137 ] || grep -q '^unlink' faults; then leftovers=(--leftovers); fi
    if [ "$code" -eq 137 ] || grep -q '^truncate' faults; then torn=(--torn); fi
    case $1 in
    kill | torn) [ "$code" -eq 137 ] || complain "$1 at $2: it was to be killed" ;;
    *) [ "$code" -ne 137 ] || complain "$1 at $2: killed" ;;
    esac
    : >>count
    "$checker" "${leftovers[@]}" "${torn[@]}" runs/demo count >done_before || complain "$1 at $2: $(cat done_before)"
    [ ! -d half ] || [ -z "$(comm -23 half.count done_before)" ] || complain "$1 at $2: a marker is gone"
    code_is_right "$1" "$2" "$code"
    if [ -e runs/demo/results.h5 ]; then stored >/dev/null || complain "$1 at $2: the store is broken"; fi
    it_goes_on "$1 at $2" "${torn[@]}"
}

# in_job COMMAND...: the command, its processes and theirs marked, so that job_pids finds them all.
in_job() {
    ES_TEST_MARK=$work "$@"
}

# job_pids [NAME]: the processes of the job that live; those of this name.
job_pids() {
    local pid name
    for pid in $(grep -lzxF "ES_TEST_MARK=$work" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
        [ -n "${1-}" ] && [ "$name" != "$1" ] || echo "$pid"
    done
}

# wait_until COMMAND...: until it succeeds; after 30 s it fails.
wait_until() {
    local i
    for ((i = 0; i < 1500; i++)); do
        if "$@"; then return 0; fi
        sleep 0.02
    done
    echo "in vain: $*"
    return 1
}

nothing_is_left() {
    [ -z "$(job_pids)" ]
}
