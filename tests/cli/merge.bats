# Several runs as one file.

load ../helper/common

# write_run NAME CHECKPOINTS LAYERS TASKS: NAME.json, with the default layout and the fake evaluator.
write_run() {
    cat >"$1.json" <<END
{
  "run": {"root": "$work/runs", "id": "$1"},
  "grid": {"checkpoints": $2, "layers": $3, "tasks": $4, "exclude": [{"checkpoint": "step1000", "task": "B"}]},
  "evaluator": {"mode": "persistent", "retries": 0,
                "command": ["$fake", "--persistent", "--error", "--fail-unit", "step1000/24/C"]}
}
END
}

# Two runs, and the tree that a job array left of one.
make_runs() {
    write_run 410m '["step0", "step1000", "final"]' '"21-24"' '["STS12", "B"]'
    write_run 1b '["step1000", "step8"]' '[3, 24]' '["C", "STS12", "B"]'
    "$evalsweep" run --quiet 410m.json
    "$evalsweep" run --quiet 1b.json || [ $? -eq 1 ]
    cp -r runs/410m old
    rm -r old/.evalsweep old/results.h5 old/outputs/mteb/Pythia/410m/final
}

# state: everything of the runs, with times.
state() {
    find runs old -printf '%p %s %T@ %i\n' | sort
}

@test "each run's results are there under its name, and the runs are as they were" {
    make_runs
    before=$(state)
    "$evalsweep" consolidate --into sweep.h5 runs/410m 1b.json tree=old 2>err
    [ "$(state)" = "$before" ]
    grep -q '^evalsweep: 410m: 20 units done, 0 pending, 0 failed: runs/410m$' err
    grep -q '^evalsweep: 1b: 9 units done, 0 pending, 1 failed: ' err
    grep -q '^evalsweep: tree: 12 units done, 4 pending, 0 failed: old$' err
    grep -q '^evalsweep: 3 runs, 4 checkpoints x 5 layers x 3 tasks: sweep.h5$' err
    for run in 410m=runs/410m 1b=runs/1b tree=old; do
        "$evalsweep" export "${run#*=}" >"${run%%=*}.csv" 2>/dev/null
    done
    /usr/bin/python3 - <<'END'
import csv, json, h5py, numpy as np
with h5py.File("sweep.h5") as file:
    axes = [[str(name) for name in (file[a].asstr()[:] if file[a].dtype == object else file[a][:])]
            for a in ("run", "checkpoint", "layer", "task")]
    scores, status = file["main_score"][:], file["status"][:]
    job, folder, starts = (file[name].asstr()[:] for name in ("job", "run_dir", "starts"))
    command = json.loads(file.attrs["command"].decode())
assert axes == [["410m", "1b", "tree"], ["step0", "step8", "step1000", "final"],
                ["3", "21", "22", "23", "24"], ["STS12", "B", "C"]], axes
n = 0
for run in axes[0]:
    for row in csv.DictReader(open(run + ".csv", newline="")):
        at = tuple(axis.index(name) for axis, name in zip(axes, (run, row["checkpoint"], row["layer"], row["task"])))
        assert scores[at] == float(row["main_score"]) and status[at] == 1
        n += 1
assert n == 20 + 9 + 12 == (status == 1).sum() == np.isfinite(scores).sum()
assert status[1, 2, 4, 2] == 2 and (status == 2).sum() == 1 and (status == 0).sum() == 4
assert json.loads(job[0])["run"]["id"] == "410m" and job[2] == ""
assert folder[2].endswith("/old") and json.loads(starts[1].splitlines()[0])["command"] and starts[2] == ""
assert command[1:] == ["consolidate", "--into", "sweep.h5", "runs/410m", "1b.json", "tree=old"]
END
}

@test "one run will do, and an earlier merge is replaced" {
    make_runs
    "$evalsweep" consolidate --into sweep.h5 runs/410m runs/1b
    "$evalsweep" consolidate --into sweep.h5 old
    [ "$(/usr/bin/python3 -c 'import h5py; print(h5py.File("sweep.h5")["run"].asstr()[:])')" = "['old']" ]
}

# refuses MESSAGE ARGUMENT...: exit code 2, a message with this in it, and nothing new.
refuses() {
    local message=$1 code=0 before
    shift
    before=$(find . ! -name err | sort)
    "$evalsweep" "$@" >out 2>err || code=$?
    rm out
    cat err
    [ "$code" -eq 2 ]
    grep -qF -- "$message" err
    [ "$(find . ! -name err | sort)" = "$before" ]
}

@test "what cannot be is refused, and the run at fault is named" {
    make_runs
    : >err
    refuses 'merging runs: runs/none: ' consolidate --into sweep.h5 runs/410m runs/none
    refuses 'merging runs: other=runs/none: ' consolidate --into sweep.h5 runs/410m other=runs/none
    refuses 'merging runs: 410m: runs/410m and ' consolidate --into sweep.h5 runs/410m 410m.json
    refuses 'both called so; NAME=' consolidate --into sweep.h5 runs/410m runs/410m/
    refuses "the run's name " consolidate --into sweep.h5 =runs/410m
    refuses "a run's own store has this name" consolidate --into runs/1b/results.h5 runs/410m
    refuses 'no earlier merge' consolidate --into runs/410m runs/1b
    refuses 'no earlier merge' consolidate --into 1b.json runs/1b
    cp runs/410m/results.h5 copy.h5
    refuses 'no earlier merge' consolidate --into copy.h5 runs/1b
    refuses 'one operand too many' consolidate runs/410m runs/1b
    refuses 'does not go with --output' consolidate --into sweep.h5 -o other.h5 runs/1b
    refuses 'an operand is missing' consolidate --into sweep.h5
    mv runs/1b/outputs away
    ln -s nowhere runs/1b/outputs
    refuses 'merging runs: 1b: ' consolidate --into sweep.h5 runs/410m runs/1b
}

@test "a merge is no run: commands say so" {
    make_runs
    "$evalsweep" consolidate --into sweep.h5 runs/410m runs/1b
    : >err
    refuses 'sweep.h5: it is an HDF5 file; expected a run folder or its job file' status sweep.h5
    cp sweep.h5 runs/1b/results.h5
    run "$evalsweep" status runs/1b
    [ "$status" -eq 0 ]
    [[ "$output" == *"it has several runs"*"(reading the markers instead)"* ]]
    [[ "$output" == *" 9 done, 0 pending, 1 failed"* ]]
}

@test "a run whose store is damaged or gone is read from its markers" {
    make_runs
    "$evalsweep" consolidate --into before.h5 runs/410m runs/1b
    printf x | dd of=runs/410m/results.h5 bs=1 seek=3000 conv=notrunc 2>/dev/null
    rm runs/1b/results.h5
    "$evalsweep" consolidate --into after.h5 runs/410m runs/1b 2>err
    grep -q 'reading the markers instead' err
    for name in main_score status; do h5diff before.h5 after.h5 /$name; done
}
