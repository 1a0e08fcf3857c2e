# What the scripts in rows/ share: interleaved measurements, jobs, and rows. Sourced by them.
#
# run.sh sets REPO (the work tree), PROGRAMS (the folder of bench_*), EVALSWEEP and FAKE_EVALUATOR (the
# programs), SCRATCH (an empty folder of the row's own), ROUNDS, and FULL (1: also what takes long).
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C
unset RUN_ID

say() {
    echo "bench: $*" >&2
}

is_full() {
    [ "$FULL" = 1 ]
}

is_installed() {
    command -v "$1" >/dev/null
}

# calc EXPRESSION: its value, with four significant digits.
calc() {
    awk "BEGIN {printf \"%.4g\", $1}"
}

# --- Measurements ---

declare -A samples

# interleave FUNCTION...: calls each in turn, in rounds after one that warms the caches. What a function
# prints, a number, is a sample of its own.
interleave() {
    local round name value
    for ((round = 0; round <= ROUNDS; round++)); do
        for name in "$@"; do
            value=$("$name") || {
                say "$name failed"
                return 1
            }
            if ((round == 0)); then
                samples[$name]=
            else
                samples[$name]+="$value "
            fi
        done
    done
}

middle() {
    sort -g | awk 'NF {v[++n] = $1} END {printf "%.6g\n", n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2}'
}

# median FUNCTION: of its samples.
median() {
    tr ' ' '\n' <<<"${samples[$1]}" | middle
}

# ratio A B: the median, over the rounds, of A's sample by B's of the same round.
ratio() {
    paste -d' ' <(tr ' ' '\n' <<<"${samples[$1]}") <(tr ' ' '\n' <<<"${samples[$2]}") |
        awk 'NF == 2 {print $1 / $2}' | middle
}

# seconds_of COMMAND...: its wall time; stdout is dropped, stderr shown when it fails.
seconds_of() {
    local log=$SCRATCH/log
    if ! "$PROGRAMS/bench_timed" "$@" >/dev/null 2>"$log"; then
        tail -n 5 "$log" >&2
        return 1
    fi
    tail -n 1 "$log" | cut -d' ' -f1
}

# json_number KEY: the number of a key in the one-level JSON on stdin.
json_number() {
    grep -o "\"$1\":[-0-9.e+]*" | tail -n 1 | cut -d: -f2
}

# --- Rows ---

# row FIGURE MEASURED REFERENCE RATIO TARGET: one line of the table. TARGET is ">= N", "<= N", or "-".
row() {
    local reached=-
    if [ "$5" != - ]; then
        reached=$(awk "BEGIN {print ($4 $5) ? \"yes\" : \"no\"}")
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(calc "$4")" "$5" "$reached"
}

# skip FIGURE WHY
skip() {
    printf '%s\t%s\t-\t-\t-\t-\n' "$1" "$2"
}

# per_second N FUNCTION: "12345 units/s" from the median seconds of a function that does N units.
per_second() {
    awk "BEGIN {printf \"%.0f units/s\", $1 / $(median "$2")}"
}

# --- Jobs and runs ---

# write_job N_CHECKPOINTS N_LAYERS N_TASKS EVALUATOR [MORE]: $SCRATCH/job.json.
write_job() {
    local last_checkpoint=$(($1 - 1)) last_layer=$(($2 - 1)) last_task=$(($3 - 1))
    cat >"$SCRATCH/job.json" <<END
{
  "run": {"root": "$SCRATCH/runs", "id": "bench"},
  "grid": {"checkpoints": [$(seq -s, -f '"step%.0f000"' 0 "$last_checkpoint")],
           "layers": "0-$last_layer",
           "tasks": [$(seq -s, -f '"Task%.0fClassification"' 0 "$last_task")]},
  "evaluator": $4${5:+,
  $5}
}
END
}

# write_trace_job: the grid of $EVALSWEEP_TRACE as $SCRATCH/job.json; prints the checkpoint that it names first.
write_trace_job() {
    awk -F, '
        function add(axis, name, text) {
            if ((axis, name) in seen) return
            seen[axis, name]
            names[axis] = names[axis] (names[axis] ? "," : "") text
        }
        NR == 1 {for (i = 1; i <= NF; i++) at[$i] = i; next}
        {
            c = $at["checkpoint"]
            add("checkpoints", c, "\"" c "\"")
            add("layers", $at["layer"], $at["layer"])
            add("tasks", $at["task"], "\"" $at["task"] "\"")
            if (NR == 2) print c
        }
        END {
            printf "{\"run\":{\"id\":\"trace\"},\"evaluator\":{\"mode\":\"null\"},\n\"grid\":{" >job
            printf "\"checkpoints\":[%s],\"layers\":[%s],\n\"tasks\":[%s]}}\n", \
                names["checkpoints"], names["layers"], names["tasks"] >job
        }' job="$SCRATCH/job.json" "$EVALSWEEP_TRACE"
}

# fresh_run_id: each run gets a folder of its own, and all are removed at the end: ext4 does not reuse
# an inode that was freed within the last minute, and looks at all of them for each new one.
fresh_run_id() {
    local folder
    mkdir -p "$SCRATCH/runs"
    folder=$(mktemp -d "$SCRATCH/runs/XXXXXX")
    basename "$folder"
}

# run_job N_RANKS: runs it anew; prints the JSON document that the run ends with. Over shared memory, as
# everything that it is compared with: what is measured is the driver.
run_job() {
    EVALSWEEP_RECOVERY=0 RUN_ID=$(fresh_run_id) "$REPO/tools/mpirun.sh" "$1" \
        "$EVALSWEEP" run --quiet --json "$SCRATCH/job.json" 2>"$SCRATCH/log" || {
        tail -n 5 "$SCRATCH/log" >&2
        return 1
    }
}

# run_job_s N_RANKS: the same, printing the seconds from rank 0's start to its end.
run_job_s() {
    run_job "$1" | json_number wall_s
}
