#!/usr/bin/env bash
# The installed library serves another project: find_package(evalsweep) and pkg-config in a prefix that
# the build was not configured with. Its headers stand each for itself, and none needs those of MPI, HDF5
# or cJSON.
#
#     find_package.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
repo=$here/../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix="$work/a prefix"
expected="$(sed -n 's/^#define ES_VERSION "\(.*\)"/\1/p' "$repo/include/evalsweep/version.h")"
expected+=": 396 units, makespan above its bound"

cmake --install "$build" --prefix "$prefix" >"$work/log"
cd "$work"

# check PROGRAM: it runs, and writes a store that the installed evalsweep reads.
check() {
    local said
    said=$("$1" "$repo/jobs/digits.json" "$work/results.h5")
    [ "$said" = "$expected" ] || { echo "$1 says $said" >&2 && exit 1; }
    [ -s results.h5 ]
    rm results.h5
}

cmake -S "$here/find_package" -B build -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2 && exit 1; }
cmake --build build >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
check build/forecast

# Another minor version is another library.
sed 's/evalsweep 0.1/evalsweep 0.2/' "$here/find_package/CMakeLists.txt" >CMakeLists.txt
cp "$here/find_package/main.c" .
if cmake -S . -B other -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1; then
    echo "find_package takes this version for 0.2" >&2
    exit 1
fi

pc=$(find "$prefix" -name evalsweep.pc)
ln -s "$prefix" plain # pkg-config quotes no spaces
export PKG_CONFIG_PATH=$work/plain${pc#"$prefix"}
PKG_CONFIG_PATH=${PKG_CONFIG_PATH%/*}
# shellcheck disable=SC2046 # flags are words
cc -Werror main.c -o by_pkg_config $(pkg-config --cflags --libs evalsweep)
check ./by_pkg_config

for header in "$prefix"/include/evalsweep/*.h; do
    name=evalsweep/${header##*/}
    printf "#include <%s>\nextern int used;\n" "$name" | cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I "$prefix/include" -H \
        -fsyntax-only -x c - 2>headers || { cat headers >&2 && exit 1; }
    if grep -E '/(mpi|hdf5|H5[a-z]*|cJSON)\.h' headers; then
        echo "$name includes a header of a library beneath evalsweep" >&2
        exit 1
    fi
done
