#!/usr/bin/env bash
# From a bare Debian machine to a finished sweep: installs what is needed, builds, trains small
# networks, evaluates every (checkpoint, layer, task) of them on all cores, and shows the scores.
# Run again, it evaluates only what is missing. RUN_ID=name starts a fresh run of that name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run_dir=runs/${RUN_ID:-digits}
n_ranks=$(nproc)

tools/install-deps.sh
[ -e build/build.ninja ] || cmake --preset release -DEVALSWEEP_TESTS=OFF
cmake --build build --target evalsweep_program
/usr/bin/python3 tools/digits_train.py runs/digits-checkpoints

progress=()
if [ -t 2 ]; then # under mpirun the program cannot tell that a terminal is there
    progress=(--progress=bar)
    COLUMNS=$(tput cols 2>/dev/null || echo 80)
    export COLUMNS
fi
tools/mpirun.sh "$n_ranks" build/evalsweep run jobs/digits.json "${progress[@]}"

echo
/usr/bin/python3 tools/show_scores.py "$run_dir"
echo
echo "What to type next, in $PWD:"
printf '  %-55s %s\n' \
    "build/evalsweep status $run_dir" "what is done, by checkpoint" \
    "tools/report.py $run_dir" "a page of figures: $run_dir/report.html" \
    "build/evalsweep export $run_dir > scores.csv" "every metric, as CSV" \
    "tools/show_scores.py $run_dir --task 'Digits*'" "the table of some of the tasks" \
    "rm -r $run_dir/outputs/digits/step8/layer_2" "lose some results: the next" \
    "tools/quickstart.sh" "run evaluates those alone"
