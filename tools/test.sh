#!/usr/bin/env bash
# Installs what the tests need, builds (gcc; gcc with the address and undefined-behaviour sanitizers;
# the fuzz targets by clang, where it has libFuzzer), prints the line coverage of each layer, runs the
# tests, and closes with ctest's summary.
# The tests of MTEB are left out, with a word, where tools/setup-mteb.sh cannot make their environment.
#
#     tools/test.sh           what every change must pass
#     tools/test.sh --full    everything: long tests, a build by clang, and the benchmarks too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

full=false
case "${1-}" in
--full) full=true ;;
'') ;;
*)
    echo "usage: tools/test.sh [--full]" >&2
    exit 2
    ;;
esac

build() { # PRESET FOLDER [CMAKE_ARGUMENT...]
    cmake --preset "$1" -DEVALSWEEP_TESTS=ON "${@:3}"
    cmake --build "$2"
}

has_libfuzzer() {
    local program
    program=$(mktemp)
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }' |
        clang -fsanitize=fuzzer,address,undefined -x c - -o "$program" 2>/dev/null
    local rc=$?
    rm -f "$program"
    return $rc
}

tools/install-deps.sh --tests
tools/setup-mteb.sh && has_mteb=true || has_mteb=false
build asan build/asan
cmake --preset tsan -DEVALSWEEP_TESTS=ON
cmake --build build/tsan --target unit_tests_mpi
fuzz_dir=
if has_libfuzzer; then
    fuzz_dir=$PWD/build/fuzz
    cmake --preset fuzz
    cmake --build --preset fuzz
else
    echo "test.sh: clang has no libFuzzer here: the fuzz targets only run their corpus" >&2
fi
tools/coverage.sh
build release build -DEVALSWEEP_ASAN_DIR="$PWD/build/asan" -DEVALSWEEP_TSAN_DIR="$PWD/build/tsan" \
    -DEVALSWEEP_FUZZ_DIR="$fuzz_dir"

choice=(--label-exclude '^full$')
if "$full"; then
    build clang build/clang
    if [ -x tools/bench/run.sh ]; then tools/bench/run.sh; fi
    choice=()
fi
"$has_mteb" || echo "test.sh: THE TESTS OF MTEB ARE LEFT OUT: tools/setup-mteb.sh failed, see above" >&2
ctest --test-dir build --output-on-failure -j2 "${choice[@]}"
