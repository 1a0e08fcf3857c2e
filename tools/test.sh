#!/usr/bin/env bash
# Installs what the tests need, builds (gcc; and gcc with the address and undefined-behaviour
# sanitizers), runs the tests, and closes with ctest's summary.
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

tools/install-deps.sh --tests
build asan build/asan
build release build -DEVALSWEEP_ASAN_DIR="$PWD/build/asan"

choice=(--label-exclude '^full$')
if "$full"; then
    build clang build/clang
    if [ -x tools/bench/run.sh ]; then tools/bench/run.sh; fi
    choice=()
fi
ctest --test-dir build --output-on-failure -j2 "${choice[@]}"
