#!/usr/bin/env bash
# How long sweeps take under each policy, on the virtual clock: against the bound
# max(total / workers, longest unit), and one load where loads cost. And for what part of the time, from
# 20 % of it on, the ETA was within 10 %, nothing known at the start. Simulations are exact: one run.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# simulate POLICY WORKERS LOAD_S ARGUMENT...: the makespan in seconds; the bound goes to $SCRATCH/bound.
simulate() {
    local policy=$1 workers=$2 load_s=$3
    shift 3
    "$EVALSWEEP" simulate "$SCRATCH/job.json" --set "schedule.checkpoint_load_s=$load_s" \
        --policy "$policy" --workers "$workers" --json "$@" >"$SCRATCH/simulated.json"
    json_number lower_bound_s <"$SCRATCH/simulated.json" >"$SCRATCH/bound"
    json_number makespan_s <"$SCRATCH/simulated.json"
}

# rows FIGURE WORKERS LOAD_S TARGET ARGUMENT...
rows() {
    local figure=$1 workers=$2 load_s=$3 target=$4 affine bound policy others='' makespan
    shift 4
    affine=$(simulate affine "$workers" "$load_s" "$@")
    bound=$(awk "BEGIN {printf \"%.9g\", $(cat "$SCRATCH/bound") + $load_s}")
    for policy in lpt fifo static; do
        makespan=$(simulate "$policy" "$workers" "$load_s" "$@")
        others+="${others:+, }$policy $(calc "$makespan / $bound")"
    done
    local bound_text="bound"
    [ "$load_s" = 0 ] || bound_text="bound + one load"
    row "$figure, $workers workers, $load_s s loads" "$(calc "$affine / 3600") h" \
        "$bound_text: $(calc "$bound / 3600") h (ratios: $others)" \
        "$(awk "BEGIN {printf \"%.9g\", $affine / $bound}")" "<= $target"
}

# eta_row SWEEP WORKERS ARGUMENT...
eta_row() {
    local sweep=$1 workers=$2 good
    shift 2
    simulate affine "$workers" 60 "$@" >"$SCRATCH/makespan"
    good=$(json_number eta_good <"$SCRATCH/simulated.json")
    row "ETA within 10 %, $sweep, $workers workers, 60 s loads" "$(calc "100 * $good") % of the time" \
        "all of it, from 20 % on" "$(calc "$good")" ">= 0.9"
}

write_job 154 4 40 '{"mode": "null"}'
for workers in 16 64 256; do
    rows "makespan, synthetic 154 x 4 x 40" "$workers" 0 1.01 --synthetic 1
    rows "makespan, synthetic 154 x 4 x 40" "$workers" 60 1.03 --synthetic 1
    eta_row "synthetic 154 x 4 x 40" "$workers" --synthetic 1
done

if [ -z "${EVALSWEEP_TRACE:-}" ]; then
    skip "makespan, measured trace" "no EVALSWEEP_TRACE"
else
    known=$(write_trace_job)
    for workers in 32 128; do
        rows "makespan, measured trace (known: $known)" "$workers" 60 \
            "1.0$((workers == 32 ? 1 : 2))" --trace "$EVALSWEEP_TRACE" --known "$known"
        eta_row "measured trace" "$workers" --trace "$EVALSWEEP_TRACE"
    done
fi
