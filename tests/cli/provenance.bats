# Where results come from: the root attributes of results.h5.

load ../helper/common

# attribute NAME [STORE]: its text; nothing where there is none.
attribute() {
    /usr/bin/python3 - "$1" "${2:-runs/demo/results.h5}" <<'END'
import sys, h5py
value = h5py.File(sys.argv[2]).attrs.get(sys.argv[1])
print("" if value is None else value.decode())
END
}

@test "who, where and how; what is not known is left out" {
    write_job
    export USER=somebody
    unset SLURM_JOB_ID SLURM_ARRAY_JOB_ID
    "$evalsweep" run job.json --quiet --only 'checkpoint=step0' --set 'run.fsync=true'
    [ "$(attribute user)" = somebody ]
    [ "$(attribute host)" = "$(hostname)" ]
    [ "$(attribute working_folder)" = "$(pwd -P)" ]
    [[ "$(attribute command)" == *'evalsweep","run","job.json","--quiet","--only","checkpoint=step0","--set","run.fsync=true"]' ]]
    for library in evalsweep mpi hdf5 cjson; do
        [ -n "$(attribute versions | json $library)" ]
    done
    [ "$(attribute run_id)" = demo ]
    attribute job | json evaluator >/dev/null
    [ -z "$(attribute slurm_job_id)" ]
    unset USER LOGNAME
    "$evalsweep" consolidate runs/demo
    [ "$(attribute user)" = "uid $(id -u)" ]
}

@test "every start of the run is told, also after its store is made anew" {
    write_job
    export SLURM_ARRAY_JOB_ID=40 SLURM_ARRAY_TASK_ID=2 SLURM_CLUSTER_NAME=big
    SLURM_JOB_ID=41 "$evalsweep" run job.json --quiet --only checkpoint=step0
    SLURM_JOB_ID=43 "$evalsweep" run job.json --quiet --only checkpoint=step1
    [ "$(attribute slurm_job_id)" = 43 ]
    unset SLURM_ARRAY_JOB_ID
    rm runs/demo/results.h5
    SLURM_JOB_ID=57 "$evalsweep" consolidate runs/demo
    [ "$(attribute slurm_job_id)" = 57 ]
    [ "$(attribute slurm_array_task_id)" = 2 ]
    [ "$(attribute slurm_cluster)" = big ]
    attribute starts | /usr/bin/python3 -c '
import json, sys
starts = [json.loads(line) for line in sys.stdin if line.strip()]
assert [start["slurm_job_id"] for start in starts] == ["41", "43"], starts
assert [start["slurm_array_job_id"] for start in starts] == ["40", "40"], starts
assert [start["command"][-1] for start in starts] == ["checkpoint=step0", "checkpoint=step1"], starts
assert all(start["started"].endswith("Z") and start["host"] and start["versions"]["evalsweep"] for start in starts)
'
}

@test "a run goes on where its starts cannot be noted" {
    write_job
    mkdir -p runs/demo/.evalsweep/starts.jsonl
    "$evalsweep" run job.json --quiet
    [ "$(n_markers)" -eq 60 ]
    [ -z "$(attribute starts)" ]
}

@test "the commit of the tree that the run was started in is git's own" {
    command -v git >/dev/null || skip "git is not installed"
    export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    write_job
    git init -q tree
    mkdir tree/deep
    (cd tree && git commit -q --allow-empty -m one && git tag -a v1 -m v1)
    check() {
        (cd "$1" && "$evalsweep" consolidate -o "$work/out.h5" "$work/job.json" 2>/dev/null)
        [ "$(attribute git_commit out.h5)" = "$(git -C "$1" rev-parse HEAD)" ]
    }
    "$evalsweep" run job.json --quiet
    check tree
    check tree/deep
    git -C tree worktree add -q -b other ../added
    (cd added && git commit -q --allow-empty -m two)
    check added
    git -C tree pack-refs --all
    check tree
    check added
    git -C tree checkout -q v1
    check tree
}
