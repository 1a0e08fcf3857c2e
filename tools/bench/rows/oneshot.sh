#!/usr/bin/env bash
# A process for each unit, two at a time, against everything else that can start processes.
# Each sample is the seconds for one unit; ours has its folder, its marker and its log pipe in them.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

n_fast=4928 # units of those that take less than a millisecond for one
n_slow=2000
figure="one-shot /bin/true, 2 in flight"

each() { calc "$1 / $2"; } # SECONDS N_UNITS

ours() {
    write_job 154 4 8 '{"mode": "one-shot", "command": ["/bin/true"]}'
    each "$(run_job_s 2)" $n_fast
}
spawn_loop() { each "$("$PROGRAMS/bench_spawn" $n_fast 2 /bin/true)" $n_fast; }
spawn_loop_with_markers() {
    each "$("$PROGRAMS/bench_spawn" $n_fast 2 --markers "$SCRATCH/runs/$(fresh_run_id)" /bin/true)" $n_fast
}
with_xargs() { each "$(seq $n_fast | seconds_of xargs -P2 -n1 /bin/true)" $n_fast; }
with_parallel() { each "$(seq $n_slow | seconds_of parallel -j2 -n0 /bin/true)" $n_slow; }
with_makeflow() {
    cd "$SCRATCH/runs/$(fresh_run_id)" || return
    yes $':\n\t/bin/true\n' | head -n $((3 * n_slow)) >flow
    each "$(seconds_of setsid --wait makeflow -T local -j 2 flow)" $n_slow
}
with_mpi4py() {
    "$REPO/tools/mpirun.sh" 3 /usr/bin/python3 -m mpi4py.futures "$SCRATCH/futures.py" $n_slow
}
with_hyperqueue() { "$SCRATCH/venv/bin/python" "$SCRATCH/hq.py" $n_slow 2>/dev/null | tail -n 1; }

write_scripts() {
    cat >"$SCRATCH/futures.py" <<'END'
import os, sys, time
from mpi4py.futures import MPIPoolExecutor

def spawn(unit):
    return os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], os.environ), 0)[1]

if __name__ == "__main__":
    n = int(sys.argv[1])
    with MPIPoolExecutor(max_workers=2) as pool:
        list(pool.map(spawn, range(20)))
        begun = time.monotonic()
        assert not any(pool.map(spawn, range(n)))
        print(f"{(time.monotonic() - begun) / n:.9f}")
END
    cat >"$SCRATCH/hq.py" <<'END'
import sys, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

n = int(sys.argv[1])
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client, job = cluster.client(), Job()
    for _ in range(n):
        job.program(["/bin/true"])
    begun = time.monotonic()
    client.wait_for_jobs([client.submit(job)])
    print(f"{(time.monotonic() - begun) / n:.9f}")
END
}

# against FUNCTION NAME TARGET: our row beside one of the others.
against() {
    row "$figure" "$(calc "$(median ours) * 1e6") us/unit" \
        "$2: $(calc "$(median "$1") * 1e6") us/unit" "$(ratio "$1" ours)" "$3"
}

# others FUNCTION NAME TARGET PACKAGE CHECK...: the same if the check says that it can be had.
others() {
    local function=$1 name=$2 target=$3 package=$4
    shift 4
    if "$@" >/dev/null 2>&1; then
        interleave ours "$function"
        against "$function" "$name" "$target"
    else
        skip "$figure against $name" "not installed ($package)"
    fi
}

make_venv() {
    /usr/bin/python3 -m venv "$SCRATCH/venv" && "$SCRATCH/venv/bin/pip" install hyperqueue
}

write_scripts
interleave ours spawn_loop spawn_loop_with_markers
row "$figure" "$(calc "$(median ours) * 1e6") us/unit" \
    "bare spawn + wait loop: $(calc "$(median spawn_loop) * 1e6") us/unit" \
    "$(ratio ours spawn_loop)" "<= 1.25"
row "$figure" "$(calc "$(median ours) * 1e6") us/unit" \
    "the same loop with a folder and a marker: $(calc "$(median spawn_loop_with_markers) * 1e6") us/unit" \
    "$(ratio ours spawn_loop_with_markers)" "-"
others with_makeflow makeflow ">= 3" coop-computing-tools is_installed makeflow
others with_parallel "GNU parallel" ">= 10" parallel is_installed parallel
others with_xargs "xargs -P" - findutils is_installed xargs
others with_mpi4py "mpi4py.futures" - python3-mpi4py /usr/bin/python3 -c 'import mpi4py.futures'
if is_full; then
    others with_hyperqueue HyperQueue - "hyperqueue, from the Python package index" make_venv
else
    skip "$figure against HyperQueue" "only with --full"
fi
