#!/usr/bin/env bash
# The tiny-pythia job, two checkpoints of it, with the layers of a bundle sharing a forward pass against
# one layer at a time. The evaluators' start (imports) is in both.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

figure="MTEB, 2 checkpoints x 7 layers x 4 tasks, 2 ranks"
command='"build/mteb-venv/bin/python3", "tools/mteb_evaluator.py", "--model", "build/tiny-pythia",
         "--tasks-file", "tools/tiny_tasks.py"'

# evaluate [WORD...]: the seconds of the job, with words before the evaluator's command.
evaluate() {
    (
        cd "$REPO" || exit
        RUN_ID=$(fresh_run_id) tools/mpirun.sh 2 "$EVALSWEEP" run --quiet --json jobs/tiny-pythia.json \
            --set "run.root=$SCRATCH/runs" --set 'grid.checkpoints=["step0", "step256"]' \
            --set "evaluator.command=[${1:+"$1, "}$command]" 2>"$SCRATCH/log" | json_number wall_s
    )
}
bundles() { evaluate; }
one_layer_at_a_time() { evaluate '"/usr/bin/python3", "tools/bench/one_layer.py"'; }

if ! is_full; then
    skip "$figure" "only with --full"
elif ! "$REPO/tools/setup-mteb.sh" >&2; then
    skip "$figure" "no environment (tools/setup-mteb.sh)"
else
    interleave bundles one_layer_at_a_time
    row "$figure" "$(median bundles) s" "one layer at a time: $(median one_layer_at_a_time) s" \
        "$(ratio one_layer_at_a_time bundles)" "-"
fi
