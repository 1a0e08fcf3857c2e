#!/usr/bin/env bash
# What waiting costs a rank, and how soon it picks a message up.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

latency() {
    "$REPO/tools/mpirun.sh" 2 "$PROGRAMS/bench_latency" 4 >"$SCRATCH/latency.json"
    json_number "$1" <"$SCRATCH/latency.json"
}
latency_median_ms() { latency median_ms; }
latency_p99_ms() { json_number p99_ms <"$SCRATCH/latency.json"; }
latency_share() { calc "100 * $(json_number cpu_share <"$SCRATCH/latency.json")"; }

# on_cpu_ns PID: what all threads of a process have used.
on_cpu_ns() {
    cat /proc/"$1"/task/*/schedstat | awk '{sum += $1} END {printf "%.0f", sum}'
}

# The share, in percent, of rank 1 while its one unit does nothing for some seconds.
worker_share() {
    local pid rank begun_ns used_ns
    write_job 2 1 1 '{"mode": "null", "seconds": 5}'
    run_job 2 >/dev/null &
    sleep 2
    for pid in $(pgrep -f "^$EVALSWEEP run .*$SCRATCH/job.json"); do
        rank=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
        [ "$rank" = 1 ] || continue
        used_ns=$(on_cpu_ns "$pid")
        begun_ns=$(date +%s%N)
        sleep 2
        calc "100 * ($(on_cpu_ns "$pid") - $used_ns) / ($(date +%s%N) - $begun_ns)"
        break
    done
    wait
}

interleave latency_median_ms latency_p99_ms latency_share worker_share
row "idle rank, message picked up, median" "$(median latency_median_ms) ms" "1 ms" \
    "$(median latency_median_ms)" "<= 1"
row "idle rank, message picked up, 99th percentile" "$(median latency_p99_ms) ms" "1 ms" \
    "$(median latency_p99_ms)" "<= 2"
row "idle rank, share of a core (bench_latency)" "$(median latency_share) %" "a core: 100 %" \
    "$(calc "$(median latency_share) / 100")" "<= 0.02"
row "idle worker rank of a run, share of a core" "$(median worker_share) %" "a core: 100 %" \
    "$(calc "$(median worker_share) / 100")" "<= 0.02"
