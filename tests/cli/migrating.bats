# docs/migrating.md, command by command as it stands there, on what two array runs left.

load ../helper/common
load ../helper/document

doc=$repo/docs/migrating.md

# old_unit RUN CHECKPOINT LAYER TASK: as an array task of the old scripts left it.
old_unit() {
    local dir=runs/$1/outputs/mteb/Pythia/410m/$2/layer_$3/$4
    mkdir -p "$dir"
    echo '{"main_score": 0.5, "metrics": []}' >"$dir/result.json"
    echo '{"status": "done"}' >"$dir/done.json"
    echo "2025-01-01,$2,$3,$4" >>"runs/$1/progress.csv"
}

# Of the 60 units, 20 are done in `first` and 24 in `second`, 8 of them in both.
make_arrays() {
    local layer task
    write_job
    mv job.json sweep.json
    mkdir -p runs/first runs/second
    for layer in 21 22 23 24; do
        for task in A B C; do
            old_unit first step0 $layer $task
            old_unit second step2 $layer $task
        done
        for task in A B; do
            old_unit first step1 $layer $task
            old_unit second step1 $layer $task
        done
        old_unit second step4 $layer A
    done
}

# The cluster's programs: sbatch runs the job at once.
make_cluster() {
    mkdir bin jobs
    ln -s "$evalsweep" bin/evalsweep
    cat >bin/sbatch <<'END'
#!/bin/sh
[ "$1" = jobs/evalsweep.sbatch ] || exit 1
shift
exec evalsweep run "$@"
END
    printf '#!/bin/sh\necho "$*" >>scancelled\n' >bin/scancel
    chmod +x bin/sbatch bin/scancel
    PATH=$work/bin:$PATH
}

@test "look, and move by stopping the array" {
    make_arrays
    make_cluster
    before=$(find runs -type f | sort)
    follow "Look"
    grep -q '^units   24: 20 done, 4 pending' said
    grep -q '^units   60: 20 done, 40 pending' said
    [ "$(find runs -type f | sort)" = "$before" ]
    follow "Move, by stopping the array"
    [ "$(cat scancelled)" = --name=sweep-array ]
    [ "$(n_evaluated)" -eq 40 ]
    [ "$(n_markers runs/first)" -eq 60 ]
}

@test "beside the array" {
    make_arrays
    make_cluster
    follow "Or beside the array"
    [ "$(n_evaluated)" -eq 40 ]
}

@test "two runs, each half done" {
    make_arrays
    make_cluster
    follow "Two runs, each half done"
    grep -q '16 units adopted from runs/second; 20 done here already, 24 done in neither' said
    [ "$(n_evaluated)" -eq 24 ] # the third run has it all from the other two
    [ "$(n_markers runs/both)" -eq 60 ]
}

@test "what told that it was done" {
    make_arrays
    make_cluster
    follow "What told you that it was done, and what does now"
    grep -qx 20 said
    grep -q '"done":20' said
    grep -q '^step0,0,21,A,done,.*,0.5,' said
    [ -s runs/first/results.h5 ]
}

@test "what it saves: the commands, and the figures of the table" {
    make_arrays
    make_cluster
    local workers policy more row
    /usr/bin/python3 - <<'END'
import json
json.dump({"run": {"id": "x"}, "evaluator": {"mode": "null"},
           "grid": {"checkpoints": {"pythia": "all"}, "layers": "21-24",
                    "tasks": [f"t{i}" for i in range(32)]}}, open("jobs/pythia-410m-last4.json", "w"))
END
    follow "What it saves"
    commands "What it saves" | head -n 1 >./command
    for workers in 16 32 64; do
        row="| $workers |"
        for more in --slow-nodes=0 --slow-nodes=0.2; do
            for policy in static affine; do
                row+=" $(bash -c "$(sed "s/--workers=16 --policy=static/--workers=$workers --policy=$policy $more/" command)" |
                    sed -n 's/^makespan *\(.*\) (.*/\1/p') |"
            done
        done
        grep -qxF "$row" "$doc" || { echo "not in the document: $row"; return 1; }
    done
}
