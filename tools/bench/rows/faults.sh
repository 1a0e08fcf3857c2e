#!/usr/bin/env bash
# What faults cost, on the virtual clock: sweeps with something bad in them, against the same sweeps
# without it, on 64 workers with 60 s loads. A unit that fails takes a tenth of its time. Simulations are
# exact, so that a round is not a repetition: each has other times and other bad parts, and a row shows
# the worst of them.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

workers=64
retries=2
bad_units="unit,share=0.001"
# Of the round: what fails (options of simulate), and what the reference leaves out (JSON of grid.exclude).
sweep=() bad_task='' bad_checkpoints=() after_s=0 # of the outage

# simulate EXCLUDED FAULT...: a sweep into $SCRATCH/simulated.json.
simulate() {
    local excluded=$1 fault options=()
    shift
    for fault; do options+=(--fault "$fault"); done
    "$EVALSWEEP" simulate "$SCRATCH/job.json" --workers "$workers" --json --fault-takes 0.1 \
        --set schedule.checkpoint_load_s=60 --set schedule.pass_share=0.1 \
        --set "evaluator.retries=$retries" --set "grid.exclude=[$excluded]" \
        "${sweep[@]}" "${options[@]}" >"$SCRATCH/simulated.json"
}
told() { json_number "$1" <"$SCRATCH/simulated.json"; }

# Each case sets what fails, and what the reference leaves out.
faults=() excluded=''
bad_task_case() {
    faults=("task=$bad_task")
    excluded="{\"task\":\"$bad_task\"}"
}
bad_checkpoints_case() {
    local checkpoint
    faults=() excluded=
    for checkpoint in "${bad_checkpoints[@]}"; do
        faults+=("checkpoint=$checkpoint")
        excluded+="${excluded:+,}{\"checkpoint\":\"$checkpoint\"}"
    done
}
bad_workers_case() {
    faults=("worker=5,after=3600" "worker=25,after=3600" "worker=45,after=3600")
    excluded=
}
outage_case() {
    faults=("outage,after=$after_s,for=600")
    excluded=
}
bad_units_case() {
    faults=("$bad_units")
    excluded=
}
all_case() {
    local name all=() all_excluded=
    for name in bad_task bad_checkpoints bad_workers outage bad_units; do
        "${name}_case"
        all+=("${faults[@]}")
        all_excluded+="${excluded:+${all_excluded:+,}$excluded}"
    done
    faults=("${all[@]}") excluded=$all_excluded
}

# Round N of the synthetic sweep 154 x 25 x 32, or of the trace: sets what is bad in it.
synthetic_round() {
    sweep=(--synthetic "$1")
    bad_task=$(printf 'Task%02d' $(((7 * $1) % 32)))
    bad_checkpoints=("step$(($1 * 2))000" "step$(($1 * 8 + 50))000" "step$(($1 * 9 + 95))000")
    after_s=$((3600 + 1200 * $1))
}
trace_round() {
    local checkpoints tasks n=$1
    mapfile -t checkpoints < <(names_of checkpoints)
    mapfile -t tasks < <(names_of tasks)
    sweep=(--trace "$EVALSWEEP_TRACE")
    bad_task=${tasks[$(((7 * n) % ${#tasks[@]}))]}
    bad_checkpoints=("${checkpoints[$((n % ${#checkpoints[@]}))]}"
        "${checkpoints[$(((n + 4) % ${#checkpoints[@]}))]}"
        "${checkpoints[$(((n + 9) % ${#checkpoints[@]}))]}")
    after_s=$((3600 + 1200 * n))
}
# names_of AXIS: of $SCRATCH/job.json as write_trace_job writes it.
names_of() { grep -o "\"$1\":\[[^]]*\]" "$SCRATCH/job.json" | grep -o '"[^"]*"' | tail -n +2 | tr -d '"'; }

# worst FIELD: the line of $SCRATCH/rounds with the most in that field.
worst() { sort -t' ' -g -k"$1,$1" "$SCRATCH/rounds" | tail -n 1 | cut -d' ' -f"$1-"; }

# run_rounds CASE ROUND: a line for each round, of the makespan's ratio, ours, the reference's, and their
# difference in seconds; the most failed attempts on one worker, on one worker at one checkpoint, and of one
# unit; all failed attempts, and the seconds that they took. Good units that are not done are counted.
run_rounds() {
    local n n_good n_lost ours_s reference_s attempts
    : >"$SCRATCH/rounds"
    for ((n = 1; n <= ROUNDS; n++)); do
        "$2" "$n"
        "$1"
        simulate "$excluded"
        reference_s=$(told makespan_s)
        [[ "${faults[*]}" != *"$bad_units"* ]] || simulate "$excluded" "$bad_units"
        n_good=$(told units)
        simulate "" "${faults[@]}"
        ours_s=$(told makespan_s)
        n_lost=$((n_good - $(told units)))
        ((n_lost == 0)) || say "$1, round $n: $n_lost good units are not done"
        n_lost_in_all=$((n_lost_in_all + n_lost))
        attempts="$(told failed_attempts_most) $(told failed_attempts_most_checkpoint)"
        attempts+=" $(told failed_attempts_most_unit) $(told failed_attempts) $(told failed_s)"
        awk "BEGIN {printf \"%.9g %.9g %.9g %.9g %s\\n\", $ours_s / $reference_s, $ours_s, $reference_s, \
            $ours_s - $reference_s, \"$attempts\"}" >>"$SCRATCH/rounds"
    done
}

# makespan_row FIGURE TARGET
makespan_row() {
    local ratio ours_s reference_s
    read -r ratio ours_s reference_s _ < <(worst 1)
    row "makespan, $1" "$(calc "$ours_s / 3600") h" "without: $(calc "$reference_s / 3600") h" "$ratio" "$2"
}

# attempts_row FIGURE FIELD WHAT MOST
attempts_row() {
    local most
    read -r most _ < <(worst "$2")
    row "failed attempts $3, $1" "$most" "$4" "$(calc "$most / $4")" "<= 1"
}

# rows SWEEP ROUND
rows() {
    local more_s n took_s all_s share
    n_lost_in_all=0
    run_rounds bad_task_case "$2"
    makespan_row "one bad task, $1" "<= 1.02"
    attempts_row "one bad task, $1" 5 "on one worker" 3
    run_rounds bad_checkpoints_case "$2"
    makespan_row "3 bad checkpoints, $1" "<= 1.02"
    attempts_row "3 bad checkpoints, $1" 6 "at one of them on one worker" 6
    run_rounds bad_workers_case "$2"
    makespan_row "3 bad GPUs of 64 from 1 h on, $1" "<= 1.06"
    attempts_row "3 bad GPUs of 64 from 1 h on, $1" 5 "on one of them" 20
    run_rounds outage_case "$2"
    read -r more_s _ < <(worst 4)
    row "makespan, an outage of 600 s, $1" "$(calc "$more_s") s more" "690 s" "$(calc "$more_s / 690")" "<= 1"
    run_rounds bad_units_case "$2"
    makespan_row "1 unit of 1000 bad, $1" "<= 1.01"
    attempts_row "1 unit of 1000 bad, $1" 7 "of one unit" $((retries + 1))
    run_rounds all_case "$2"
    makespan_row "all five, $1" "<= 1.08"
    read -r share took_s all_s n < <(
        awk -v n="$workers" '{print $9 / (n * $2), $9, n * $2, $8}' "$SCRATCH/rounds" | sort -g | tail -n 1
    )
    row "failed attempts, all five, $1" "$n, $(calc "$took_s / 3600") h" \
        "all workers: $(calc "$all_s / 3600") h" "$share" "-"
    row "good units not done, in all of these, $1" "$n_lost_in_all" "none" "$n_lost_in_all" "<= 0"
}

cat >"$SCRATCH/job.json" <<END
{"run": {"id": "faults"}, "evaluator": {"mode": "null"},
 "grid": {"checkpoints": {"pythia": "all"}, "layers": "0-24", "tasks": [$(seq -s, -f '"Task%02.0f"' 0 31)]}}
END
rows "synthetic 154 x 25 x 32" synthetic_round

if [ -z "${EVALSWEEP_TRACE:-}" ]; then
    skip "faults, measured trace" "no EVALSWEEP_TRACE"
else
    write_trace_job >"$SCRATCH/first"
    rows "measured trace" trace_round
fi
