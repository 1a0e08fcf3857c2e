#!/usr/bin/env bash
# A small run of two ranks under valgrind's memcheck: the libraries below evalsweep are not built with
# sanitizers, so only this sees what they do with what we hand them.
#
#     valgrind.sh EVALSWEEP FAKE_EVALUATOR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
evalsweep=$1 fake=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
memcheck=(valgrind --error-exitcode=99 --leak-check=full
    --show-leak-kinds=definite --errors-for-leak-kinds=definite "--suppressions=$here/valgrind.supp"
    "--log-file=$work/log.%p")
cat >"$work/job.json" <<END
{
  "run": {"root": "$work/runs", "id": "demo"},
  "grid": {"checkpoints": ["step0", "step1"], "layers": "1-3", "tasks": ["A", "B"]},
  "evaluator": {"mode": "persistent", "command": ["$fake", "--persistent"]}
}
END
# Without recovery, or mpirun.sh would return what rank 0 left in a file, whatever valgrind returns.
export EVALSWEEP_RECOVERY=0 OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=lo
if ! "$here/../../tools/mpirun.sh" 2 "${memcheck[@]}" "$evalsweep" run --quiet "$work/job.json"; then
    head -n 200 "$work"/log.*
    exit 1
fi
