#!/usr/bin/env bash
# The scheduler at its largest: 10 million units, 10,000 workers.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

simulated() {
    "$PROGRAMS/bench_timed" "$EVALSWEEP" simulate "$SCRATCH/job.json" --synthetic 1 --workers 10000 \
        --json 2>"$SCRATCH/timed" >/dev/null
    tail -n 1 "$SCRATCH/timed" | cut -d' ' -f1
}
peak_gib() { calc "$(tail -n 1 "$SCRATCH/timed" | cut -d' ' -f2) / 1048576"; }

write_job 1000 25 400 '{"mode": "null"}' '"schedule": {"checkpoint_load_s": 60}'
interleave simulated peak_gib
figure="simulator, 10 million units, 10,000 workers"
row "$figure, time" "$(median simulated) s" "60 s" "$(calc "$(median simulated) / 60")" "<= 1"
row "$figure, memory" "$(median peak_gib) GiB" "4 GiB" "$(calc "$(median peak_gib) / 4")" "<= 1"
