#!/usr/bin/env bash
# Fuzzes one reader of untrusted bytes for as long as is wanted, with libFuzzer (clang).
#
#     tools/fuzz.sh TARGET [SECONDS] [LIBFUZZER_OPTION...]
#
# TARGET is one of tests/fuzz/fuzz_*.c without its prefix: jobfile, marker, mteb, reply, wire, csv,
# folder, store. SECONDS: 600 unless given. Before a release each is worth an hour:
#
#     for target in jobfile marker mteb reply wire csv folder store; do
#         tools/fuzz.sh $target 3600 -max_len=65536 -fork=$(nproc)
#     done
#
# What it learns is kept in build/fuzz/found/TARGET and goes on from there the next time. An input on
# which it dies is left beside that folder and named at the end: run it with
# `build/fuzz/tests/fuzz/fuzz_TARGET FILE`, mend the cause with a unit test, and put the input, made
# small with -minimize_crash=1, into tests/fuzz/corpus/TARGET. cJSON and HDF5 are the distribution's,
# which no sanitizer sees into; valgrind does, over a build without sanitizers:
#
#     valgrind -q --error-exitcode=9 build/tests/fuzz/fuzz_jobfile build/fuzz/found/jobfile
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1-}
seconds=${2-600}
if [ -z "$target" ] || [ ! -f "tests/fuzz/fuzz_$target.c" ] || [[ ! $seconds =~ ^[0-9]+$ ]]; then
    echo "usage: tools/fuzz.sh TARGET [SECONDS] [LIBFUZZER_OPTION...]; targets:" \
        "$(basename -s .c -a tests/fuzz/fuzz_*.c | sed 's/^fuzz_//' | tr '\n' ' ')" >&2
    exit 2
fi
shift "$(($# < 2 ? $# : 2))"

cmake --preset fuzz
cmake --build build/fuzz --target "fuzz_$target"
dictionary=tests/fuzz/$target.dict
[ -f "$dictionary" ] || dictionary=tests/fuzz/json.dict
mkdir -p "build/fuzz/found/$target"
exec "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 \
    -dict="$dictionary" -artifact_prefix="build/fuzz/found/$target-" "$@" \
    "build/fuzz/found/$target" "tests/fuzz/corpus/$target"
