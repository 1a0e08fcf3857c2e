#!/usr/bin/env bash
# Writing the whole store, and the memory that rank 0 has for it.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

snapshot() {
    "$PROGRAMS/bench_store" 154 25 56 20 "$SCRATCH/results.h5" >"$SCRATCH/store.json"
    json_number wall_s <"$SCRATCH/store.json"
}
# As many bytes in one plain file: what the file system takes of it.
plain_write() {
    seconds_of dd if=/dev/zero of="$SCRATCH/plain" bs=1M iflag=count_bytes \
        count="$(json_number size_bytes <"$SCRATCH/store.json")"
}

# rank_0_kib N_TASKS: the peak of rank 0 over a run of 154 x 25 x N_TASKS units.
rank_0_kib() {
    write_job 154 25 "$1" '{"mode": "null"}' '"resources": {"coordinator_works": false}'
    RUN_ID=$(fresh_run_id) "$REPO/tools/mpirun.sh" 2 "$PROGRAMS/bench_timed" "$EVALSWEEP" run --quiet "$SCRATCH/job.json" \
        2>&1 | grep -xE '[0-9.]+ [0-9]+' | cut -d' ' -f2 | sort -n | tail -n 1
}
rank_0_bytes_per_unit() { calc "1024 * ($(rank_0_kib 280) - $(rank_0_kib 56)) / (154 * 25 * 224)"; }

interleave snapshot plain_write
row "snapshot, 215,600 units x 20 metrics" "$(median snapshot) s" "1 s" "$(median snapshot)" "<= 1"
row "snapshot, 215,600 units x 20 metrics" "$(median snapshot) s" \
    "plain file of its size: $(median plain_write) s" "$(ratio snapshot plain_write)" -
allowed=$((215600 * 300 + 215600 * 20 * 24))
table=$(json_number table_bytes <"$SCRATCH/store.json")
row "table of 215,600 units x 20 metrics, resident" "$(calc "$table / 1e6") MB" \
    "300 bytes a unit + 24 a metric: $(calc "$allowed / 1e6") MB" "$(calc "$table / $allowed")" "<= 1"
interleave rank_0_bytes_per_unit
row "rank 0, bytes for a unit without metrics (peak of a run)" \
    "$(median rank_0_bytes_per_unit)" "300" "$(calc "$(median rank_0_bytes_per_unit) / 300")" "<= 1"

# Typical reads of it, with a Python that has h5py and xarray: against reading all of main_score.
if /usr/bin/python3 "$REPO/tools/bench/read_store.py" "$SCRATCH/results.h5" >"$SCRATCH/reads.json" 2>/dev/null; then
    all_s=$(json_number h5py_all_scores <"$SCRATCH/reads.json")
    for read in h5py_task h5py_checkpoint xarray_h5netcdf_task xarray_netcdf4_task; do
        read_s=$(json_number "$read" <"$SCRATCH/reads.json")
        row "reading that store: $read" "$(calc "1000 * $read_s") ms" \
            "all of main_score by h5py: $(calc "1000 * $all_s") ms" "$read_s / $all_s" -
    done
fi
