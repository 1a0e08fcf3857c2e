#!/usr/bin/env bash
# Runs a command on a number of MPI ranks of this machine:
#
#     tools/mpirun.sh NRANKS COMMAND [ARGUMENT...]
#
# Hides what Open MPI 4.1 and 5 want to be told: that root may run it, that there may be more ranks
# than cores, and that ranks are not to be bound to one core each (their evaluators would be too).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: tools/mpirun.sh NRANKS COMMAND [ARGUMENT...]" >&2
    exit 2
fi
n_ranks=$1
shift

launcher=${MPIRUN:-}
for name in mpirun.openmpi mpirun; do # where MPICH stands beside Open MPI, mpirun may be MPICH's
    [ -n "$launcher" ] || launcher=$(command -v "$name" || true)
done
if [ -z "$launcher" ]; then
    echo "mpirun.sh: no mpirun on PATH; tools/install-deps.sh installs Open MPI" >&2
    exit 127
fi

if [ "$(id -u)" -eq 0 ]; then # the second pair is how Open MPI 5's launcher reads it
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
exec "$launcher" -n "$n_ranks" --map-by :OVERSUBSCRIBE --bind-to none "$@"
