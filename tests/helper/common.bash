# For the bats files: a scratch folder for each test, jobs for the fake evaluator, and looks at trees.
# EVALSWEEP and FAKE_EVALUATOR name the programs under test.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
evalsweep=${EVALSWEEP:-$repo/build/evalsweep}
fake=${FAKE_EVALUATOR:-$repo/build/tests/helper/fake_evaluator}

setup() {
    work=$BATS_TEST_TMPDIR
    cd "$work" || exit 1
    unset RUN_ID SLURM_JOB_ID SLURM_PROCID SLURM_STEP_NUM_TASKS
}

# write_job [FAKE_ARGUMENT...]: job.json, 5 checkpoints x 4 layers x 3 tasks on the persistent fake
# evaluator, which appends a line to ./count for each unit.
write_job() {
    local arguments='' argument
    for argument in "$@"; do arguments+=", \"$argument\""; done
    cat >job.json <<END
{
  "run": {"root": "$work/runs", "id": "demo"},
  "grid": {"checkpoints": ["step0", "step1", "step2", "step4", "step8"],
           "layers": "21-24", "tasks": ["A", "B", "C"]},
  "evaluator": {"mode": "persistent", "retries": 1,
                "command": ["$fake", "--persistent", "--count-file", "$work/count"$arguments]}
}
END
}

# mpi N COMMAND...: the command on N ranks.
mpi() {
    "$repo/tools/mpirun.sh" "$@"
}

n_markers() {
    find "${1:-runs/demo}" -name done.json | wc -l
}

# refute COMMAND...: fails when the command succeeds (bats does not notice a plain `! command`).
refute() {
    if "$@"; then return 1; fi
}

# How many units the evaluator was given, and how many different ones.
n_evaluated() {
    if [ -e count ]; then wc -l <count; else echo 0; fi
}
n_different() {
    sort -u count | wc -l
}

# The scores of a run, without what differs from run to run.
scores() {
    "$evalsweep" export "$1" | cut -d, -f1-10
}

# json KEY: the value of a key of the JSON document on stdin.
json() {
    /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# on_rank N COMMAND...: writes ./on_rank, which runs a command, on rank N after the shell's COMMAND. (Not as
# two commands of one mpirun: that crashes Open MPI 5.0.7's launcher.)
on_rank() {
    local rank=$1
    shift
    printf '#!/bin/sh\nif [ "$OMPI_COMM_WORLD_RANK" = %s ]; then %s; fi\nexec "$@"\n' "$rank" "$*" >on_rank
    chmod +x on_rank
}
