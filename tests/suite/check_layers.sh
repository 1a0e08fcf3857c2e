#!/usr/bin/env bash
# The layers only call downwards: which headers each may include, and what src/core may call of the C
# library (no files, clock, environment, random device, threads).
#
#     check_layers.sh CORE_ARCHIVE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
archive=$1
faults=0

complain() {
    echo "$*" >&2
    faults=$((faults + 1))
}

# layer: the layers whose headers it may include besides its own and the public ones
declare -A may_use=(
    [core]='' [sys]='core' [run]='core sys' [exec]='core sys' [store]='core sys'
    [mpi]='core sys run store exec' [cli]='core sys run store exec mpi'
)
for layer in "${!may_use[@]}"; do
    for used in $(grep -hoP '^#include "\K(core|sys|run|exec|store|mpi|cli)(?=/)' \
        src/"$layer"/*.[ch] | sort -u); do
        [[ " $layer ${may_use[$layer]} " == *" $used "* ]] ||
            complain "src/$layer includes a header of src/$used"
    done
done

# only HEADER FILE...: nothing but these files includes the header
only() {
    local header=$1 file
    shift
    while read -r file; do
        [[ " $* " == *" $file "* || " $* " == *" $(dirname "$file")/ "* ]] ||
            complain "$file includes $header"
    done < <(grep -rlE "^#include <$header>" src include || true)
}
only mpi.h src/mpi/transport_mpi.c
only hdf5.h src/store/
only hdf5_hl.h src/store/
only cjson/cJSON.h src/sys/ src/run/ src/cli/main.c src/cli/provenance.c
only pthread.h src/sys/ src/run/ src/mpi/ src/exec/slurm.c

# Pure C: memory, strings, mathematics, and text into memory.
allowed='__assert_fail|__stack_chk_fail|__errno_location|__ctype_b_loc|__isoc[0-9]+_\w+|_GLOBAL_OFFSET_TABLE_'
allowed+='|erfc?|expf|logf|calloc|malloc|realloc|reallocarray|free|qsort|bsearch|mem\w+|str\w+|__xpg_strerror_r'
allowed+='|(__)?(v?snprintf)(_chk)?|__\w+_chk|exp|exp2|log|log2|log1p|expm1|pow|sqrt|cos|sin|floor|ceil|round|lround'
allowed+='|fabs|fmin|fmax|fmod|ldexp|frexp|hypot|es_\w+|__(gcov|asan|ubsan|tsan)\w*|__sanitizer\w*'
while read -r symbol; do
    complain "src/core calls $symbol"
done < <(nm -u "$archive" | awk '$1 == "U" {print $2}' | sort -u | grep -vxE "$allowed" || true)

exit "$((faults > 0))"
