#!/usr/bin/env bash
# Runs sweeps while it kills evaluators, ranks and whole jobs at random, then checks what is left.
#
#     tools/soak.sh [--minutes N] [--seed N] [--units N] [--ranks N] [--build DIR] [--keep]
#
# One sweep is 100,000 units of 20 ms on 8 ranks. It is started again, with the same RUN_ID, until all
# units are done, and then another one, for 10 minutes; the last one is then left in peace to end.
# For each: every unit has one marker, is done in the store, and was evaluated once, or once more for
# each disturbance that can have hit it; the store is what the markers say; no process is left; and no
# rank's descriptors or memory grow. The seed is printed: it repeats the order of the disturbances, not
# their moments. The folder, in TMPDIR, is kept when a check fails, or with --keep.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=10 seed=$((RANDOM + 1)) n_units=100000 n_ranks=8 build=build keep=false
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$2 && shift 2 ;;
    --seed) seed=$2 && shift 2 ;;
    --units) n_units=$2 && shift 2 ;;
    --ranks) n_ranks=$2 && shift 2 ;;
    --build) build=$2 && shift 2 ;;
    --keep) keep=true && shift ;;
    *)
        sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
done

n_layers=8 n_tasks=100
n_checkpoints=$((n_units / (n_layers * n_tasks)))
n_units=$((n_checkpoints * n_layers * n_tasks))
evalsweep=$(realpath "$build/evalsweep")
work=$(mktemp -d "${TMPDIR:-/tmp}/soak-XXXXXX")
evaluator=$work/soak_evaluator # a name of its own, to be found by
cp "$build/tests/helper/fake_evaluator" "$evaluator"
export EVALSWEEP_SOAK=$work # in the environment of every process that belongs to it
unset RUN_ID
RANDOM=$seed
n_again=0 # evaluations beyond one for each unit that the disturbances allow
declare -A n_done_to

say() {
    echo "soak: $(date +%T) $*"
}

fail() {
    say "FAILED: $*"
    failed=true
}

# --- Processes ---

# ours: the pids of all processes of this soak, but this script's own.
ours() {
    local file pid
    for file in /proc/[0-9]*/environ; do
        pid=${file//[^0-9]/}
        if [ "$pid" != $$ ] && { tr '\0' '\n' <"$file"; } 2>/dev/null | grep -qxF "EVALSWEEP_SOAK=$work"; then
            echo "$pid"
        fi
    done
}

# ranks: "PID RANK" for each rank, which is what mpirun started (its guard is a child of its own).
ranks() {
    local pid rank parent
    for pid in $(pgrep -x evalsweep || true); do
        parent=$(awk '$1 == "PPid:" {print $2}' "/proc/$pid/status" 2>/dev/null) || continue
        case $(cat "/proc/${parent:-0}/comm" 2>/dev/null) in
        mpirun* | orted | prte*) ;;
        *) continue ;;
        esac
        rank=$({ tr '\0' '\n' <"/proc/$pid/environ"; } 2>/dev/null |
            awk -F= -v tag="$work" '$1 == "OMPI_COMM_WORLD_RANK" {rank = $2}
                $1 == "EVALSWEEP_SOAK" && $2 == tag {mine = 1} END {if (mine) print rank}') || continue
        [ -z "$rank" ] || echo "$pid $rank"
    done
}

# any: one line of stdin, at random.
any() {
    local lines
    mapfile -t lines
    [ ${#lines[@]} -eq 0 ] || echo "${lines[RANDOM % ${#lines[@]}]}"
}

# send SIGNAL: to the pids on stdin, which may have ended meanwhile, or be none.
send() {
    local pid
    while read -r pid _; do
        kill "-$1" "$pid" 2>/dev/null || true
    done
}

# --- Disturbances ---

disturb() {
    local what pid kinds=(evaluator evaluator evaluator evaluator worker worker worker coordinator
        job pause pause terminate drain "join")
    what=${kinds[RANDOM % ${#kinds[@]}]}
    case $what in
    evaluator)
        { pgrep -f "^$evaluator" || true; } | any | send KILL
        n_again=$((n_again + 1))
        ;;
    worker)
        ranks | awk '$2 > 0' | any | send KILL
        n_again=$((n_again + 2))
        ;;
    pause)
        pid=$(ranks | any)
        send STOP <<<"$pid"
        sleep "$((RANDOM % 25))"
        send CONT <<<"$pid"
        ;;
    coordinator) ranks | awk '$2 == 0' | send KILL ;;
    job) (echo "$job" && ranks) | send KILL ;;
    terminate) send TERM <<<"$job" ;;
    drain) send USR1 <<<"$job" ;;
    "join") tools/mpirun.sh 2 "$evalsweep" run --join --quiet "$work/job.json" >>"$work/join.log" 2>&1 & ;;
    esac
    case $what in
    evaluator | worker) ;;
    *) n_again=$((n_again + n_ranks + 2)) ;; # whatever was running then, at most
    esac
    n_done_to[$what]=$((${n_done_to[$what]:-0} + 1))
    echo "$(date +%T) $what" >>"$work/disturbances"
}

# --- Runs ---

write_job() {
    cat >"$work/job.json" <<END
{
  "run": {"root": "$work/runs", "id": "soak"},
  "grid": {"checkpoints": {"range": ["step1", "step$n_checkpoints", 1]}, "layers": "0-$((n_layers - 1))",
           "tasks": [$(seq -s, -f '"Task%.0f"' 1 "$n_tasks")]},
  "evaluator": {"mode": "persistent", "retries": 1000,
                "command": ["$evaluator", "--persistent", "--sleep-ms", "20", "--count-file", "$work/count"]},
  "limits": {"heartbeat_s": 15, "grace_s": 2, "max_consecutive_failures": 1000}
}
END
}

# One line for each rank: pid, open descriptors, resident kB.
sample() {
    local pid _ n_fds rss_kb
    while read -r pid _; do # a process may end meanwhile
        n_fds=$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l) || continue
        rss_kb=$(awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status" 2>/dev/null) || continue
        echo "$pid $n_fds $rss_kb"
    done < <(ranks) >>"$work/samples"
}

start() {
    setsid tools/mpirun.sh "$n_ranks" "$evalsweep" run --quiet "${joining[@]}" "$work/job.json" >>"$work/log" 2>&1 &
    job=$!
    joining=()
}

is_running() {
    kill -0 "$job" 2>/dev/null
}

# attempt: one start, disturbed until the time is over; its exit code in $code.
attempt() {
    local next=$((SECONDS + 1 + RANDOM % 4))
    start
    while is_running; do
        sleep 1
        [ $((SECONDS % 5)) -ne 0 ] || sample
        if [ $SECONDS -lt $end ] && [ $SECONDS -ge $next ]; then
            disturb
            next=$((SECONDS + 1 + RANDOM % 8))
        fi
    done
    code=0
    wait "$job" || code=$?
    n_starts=$((n_starts + 1))
    case $code in
    0 | 1 | 75 | 137) ;;
    3) joining=(--join) ;; # to whoever has it: one that joined before, or what is left of a job
    *) fail "a start ended with $code" ;;
    esac
}

# --- Checks ---

n_done() {
    "$evalsweep" status --json "$work/job.json" | grep -o '"done":[0-9]*' | head -n 1 | cut -d: -f2
}

check_sweep() {
    local run=$work/runs/soak n_markers n_evaluated n_different object
    n_markers=$(find "$run" -name done.json | wc -l)
    n_evaluated=$(wc -l <"$work/count")
    n_different=$(sort -u "$work/count" | wc -l)
    [ "$n_markers" -eq $n_units ] || fail "$n_markers markers for $n_units units"
    [ "$(n_done)" -eq $n_units ] || fail "status has $(n_done) done"
    [ "$n_different" -eq $n_units ] || fail "$n_different units were evaluated"
    [ $((n_evaluated - n_units)) -le $n_again ] ||
        fail "$((n_evaluated - n_units)) evaluations too many, $n_again are explained"
    [ -z "$(find "$run" -name '.es-*' -o -name failed.json)" ] || fail "temporary or failed.json files are left"
    "$evalsweep" consolidate --output "$work/rebuilt.h5" "$run" >>"$work/log" 2>&1
    for object in status main_score evaluation_time finished_at attempts worker markers metrics; do
        h5diff "$run/results.h5" "$work/rebuilt.h5" "/$object" >>"$work/h5diff" ||
            fail "the store's $object is not what the markers say: $work/h5diff"
    done
    say "sweep done: $n_starts starts, $n_evaluated evaluations ($n_again repeated ones explained)"
}

check_left() {
    local i
    for ((i = 0; i < 30; i++)); do
        [ -n "$(ours)" ] || return 0
        sleep 1
    done
    fail "processes are left: $(ours | tr '\n' ' ')"
    ours | send KILL
}

# Of each rank that lived for a minute: the second half's descriptors and memory by the first half's.
check_growth() {
    awk '{n[$1]++; fds[$1, n[$1]] = $2; kb[$1, n[$1]] = $3}
        END {
            for (pid in n) {
                if (n[pid] < 12) continue
                half = int(n[pid] / 2); f1 = f2 = m1 = m2 = 0
                for (i = 2; i <= n[pid]; i++) {
                    if (i <= half) {if (fds[pid, i] > f1) f1 = fds[pid, i]; if (kb[pid, i] > m1) m1 = kb[pid, i]}
                    else {if (fds[pid, i] > f2) f2 = fds[pid, i]; if (kb[pid, i] > m2) m2 = kb[pid, i]}
                }
                if (f2 > f1 + 4) {printf "process %d: %d descriptors, later %d\n", pid, f1, f2}
                if (m2 > 1.25 * m1 + 8192) {printf "process %d: %d kB, later %d\n", pid, m1, m2}
                seen++
            }
            printf "%d processes looked at for growth\n", seen >"/dev/stderr"
        }' "$work/samples" >"$work/growth"
    [ ! -s "$work/growth" ] || fail "$(cat "$work/growth")"
}

say "seed $seed, $minutes minutes, $n_ranks ranks, in $work"
failed=false n_starts=0 job=0 joining=()
trap 'ours | send KILL' EXIT
end=$((SECONDS + minutes * 60))
while [ $SECONDS -lt $end ]; do
    rm -rf "$work/runs" "$work/count"
    write_job
    n_again=0 n_starts=0 code=1
    until [ $code -eq 0 ] && [ "$(n_done)" -eq $n_units ]; do
        attempt
        [ $SECONDS -lt $((end + 1800)) ] || break
    done
    wait
    check_left
    check_sweep
done
check_growth
for what in "${!n_done_to[@]}"; do say "$what: ${n_done_to[$what]} times"; done
if $failed; then
    say "seed $seed FAILED; see $work"
    exit 1
fi
$keep || rm -rf "$work"
say "seed $seed passed"
