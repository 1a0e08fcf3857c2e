# Trees that the old array scripts left: markers of any JSON, no job file, no store, their own csv.

load ../helper/common

# marker CHECKPOINT LAYER TASK JSON
marker() {
    local dir=old/outputs/mteb/Pythia/410m/$1/layer_$2/$3
    mkdir -p "$dir"
    printf '%s' "$4" >"$dir/done.json"
}

make_old_tree() {
    marker step0 21 STS12 '{"status": "done"}'
    cat >old/outputs/mteb/Pythia/410m/step0/layer_21/STS12/STS12.json <<'END'
{"task_name": "STS12", "mteb_version": "1.14.0", "evaluation_time": 12.5,
 "scores": {"test": [{"main_score": 0.5, "cosine_spearman": NaN, "hf_subset": "default", "languages": ["eng-Latn"]}]}}
END
    marker step0 22 STS12 '{"main_score": 0.25, "time": "whatever"}'
    marker step1000 21 STS12 '[]'
    marker step1000 22 STS12 ''
    marker step512 21 STS12 '{"main_sc'
    mkdir -p old/outputs/mteb/Pythia/410m/step512/layer_22/STS12
    printf 'when,checkpoint,layer,task,who\n2025,step0,21,STS12,me\n' >old/progress.csv
}

@test "plan, status, export and consolidate take it without a job file" {
    make_old_tree
    run "$evalsweep" plan old
    [ "$status" -eq 0 ]
    [[ "$output" == *"grid    3 checkpoints x 2 layers x 1 tasks"* ]]
    [[ "$output" == *"6: 3 done"* ]]
    [[ "$output" == *"2 markers are not done"* ]]
    [ "$("$evalsweep" status --json old 2>/dev/null | json done)" -eq 3 ]
    run "$evalsweep" consolidate old
    [ "$status" -eq 0 ]
    "$evalsweep" export old 2>/dev/null >out.csv
    grep -q '^step0,0,21,STS12,done,test,default,main_score,0.5,0.5,12.5' out.csv
    grep -q '^step0,0,22,STS12,done,.*0.25' out.csv
    [ "$(cat old/progress.csv)" = "$(printf 'when,checkpoint,layer,task,who\n2025,step0,21,STS12,me')" ]
}

@test "run resumes it, and keeps its progress.csv's columns" {
    make_old_tree
    cat >job.json <<END
{"run": {"root": "$work", "id": "old"},
 "grid": {"checkpoints": ["step0", "step512", "step1000"], "layers": [21, 22], "tasks": ["STS12"]},
 "evaluator": {"mode": "persistent", "command": ["$fake", "--persistent", "--count-file", "$work/count"]}}
END
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq 3 ]
    [ "$("$evalsweep" status --json job.json | json done)" -eq 6 ]
    head -1 old/progress.csv | grep -qx 'when,checkpoint,layer,task,who'
    grep -qx ',step512,21,STS12,' old/progress.csv
    [ "$(json status <old/outputs/mteb/Pythia/410m/step1000/layer_22/STS12/done.json)" = done ]
    /usr/bin/python3 - <<'END'
import h5py
with h5py.File("old/results.h5") as store:
    assert (store["status"][:] == 1).all()
    assert store["main_score"][0, 0, 0] == 0.5
END
}

@test "a folder without any such tree is said" {
    mkdir empty
    run "$evalsweep" plan empty
    [ "$status" -eq 2 ]
    [[ "$output" == *empty* ]]
}
