#!/usr/bin/env bash
# Units through MPI that cost nothing, beside units that a real evaluator answers over pipes.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

n_null=215600 n_piped=9856
apart='"resources": {"coordinator_works": false}'
figure_null="dispatch, null evaluator, 2 ranks, $n_null units"
figure_piped="persistent evaluator, markers, one worker, $n_piped units"

null_run() {
    write_job 154 25 56 '{"mode": "null"}' "$apart"
    run_job_s 2
}
round_trips() { "$REPO/tools/mpirun.sh" 2 "$PROGRAMS/bench_pingpong" "$n_null"; }

piped_run() {
    write_job 154 4 16 "{\"mode\": \"persistent\", \"command\": [\"$FAKE_EVALUATOR\", \"--persistent\"]}" "$apart"
    run_job_s 2
}
bare_pipe() {
    "$PROGRAMS/bench_pipe" "$n_piped" "$SCRATCH/runs/$(fresh_run_id)" "$FAKE_EVALUATOR" --persistent
}

# The same null units as futures of a pool with one worker process.
write_futures() {
    cat >"$SCRATCH/futures.py" <<'END'
import sys, time
from mpi4py.futures import MPIPoolExecutor

def null(unit):
    return 0.0

if __name__ == "__main__":
    units = range(int(sys.argv[1]))
    with MPIPoolExecutor(max_workers=1) as pool:
        list(pool.map(null, range(100)))
        begun = time.monotonic()
        n = sum(1 for score in pool.map(null, units))
        print(f"{(time.monotonic() - begun) / n:.9f}")
END
}
null_run_unit() { calc "$(null_run) / $n_null"; }
future_unit() {
    "$REPO/tools/mpirun.sh" 2 /usr/bin/python3 -m mpi4py.futures "$SCRATCH/futures.py" 5000
}

interleave null_run round_trips piped_run bare_pipe
row "$figure_null" "$(per_second $n_null null_run)" "200000 units/s" \
    "$(calc "$n_null / $(median null_run) / 200000")" ">= 1"
row "$figure_null" "$(calc "$(median null_run) / $n_null * 1e6") us/unit" \
    "bare MPI round trip: $(calc "$(median round_trips) / $n_null * 1e6") us" \
    "$(ratio null_run round_trips)" "<= 5"
row "$figure_piped" "$(per_second $n_piped piped_run)" "5000 units/s" \
    "$(calc "$n_piped / $(median piped_run) / 5000")" ">= 1"
row "$figure_piped" "$(per_second $n_piped piped_run)" \
    "bare loop, same pipe and files: $(per_second $n_piped bare_pipe)" \
    "$(ratio piped_run bare_pipe)" "-"

if /usr/bin/python3 -c 'import mpi4py.futures' 2>/dev/null; then
    write_futures
    interleave null_run_unit future_unit
    row "$figure_null" "$(calc "$(median null_run_unit) * 1e6") us/unit" \
        "mpi4py.futures, one worker: $(calc "$(median future_unit) * 1e6") us/unit" \
        "$(ratio future_unit null_run_unit)" "-"
else
    skip "$figure_null against mpi4py.futures" "not installed (python3-mpi4py)"
fi
