#!/usr/bin/env bash
# The Debian package: it is built, installed by dpkg, runs the digits job, and is removed without a trace.
# The installation is a real one, seen only by this test: /usr and /var are overlays in a mount namespace
# of its own, so that nothing needs cleaning up, however it ends. Without the right to make
# one (77, skipped) the package is only built and looked at.
#
#     package.sh BUILD_FOLDER
set -euo pipefail
fail() {
    echo "package.sh: $*" >&2
    exit 1
}

lay_over() { # FOLDER: what is written to /usr and /var goes there from now on
    local folder
    mount -t tmpfs tmpfs "$1"
    for folder in usr var; do
        mkdir -p "$1/$folder" "$1/.work/$folder"
        mount -t overlay overlay \
            -o "lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/.work/$folder" "/$folder"
    done
}

install_run_remove() { # WORK PACKAGE; in the namespace
    local work=$1 package=$2 tools=/usr/share/evalsweep/tools command left
    lay_over "$work/layers"
    if dpkg-query -W -f '${db:Status-Status}' evalsweep 2>/dev/null | grep -qx installed; then
        dpkg --purge evalsweep # somebody's own, which stays where it is
    fi
    dpkg --install "$package"

    unset RUN_ID EVALSWEEP_HOME PYTHONDONTWRITEBYTECODE
    export OMP_NUM_THREADS=1
    mkdir "$work/site"
    cd "$work/site"
    /usr/bin/python3 "$tools/digits_train.py" runs/digits-checkpoints
    command="[\"/usr/bin/python3\", \"$tools/digits_evaluator.py\", \"--checkpoints\", \"runs/digits-checkpoints\"]"
    /usr/bin/evalsweep-mpirun 2 /usr/bin/evalsweep run --quiet --set "evaluator.command=$command" \
        /usr/share/evalsweep/jobs/digits.json
    /usr/bin/evalsweep status --json runs/digits >status
    grep -q '"done":396,"pending":0,"failed":0' status || fail "the digits job left: $(cat status)"
    [ -e /usr/share/bash-completion/completions/evalsweep ]
    zcat /usr/share/man/man1/evalsweep-run.1.gz | grep -q '^\.Nm evalsweep-run'
    /usr/bin/python3 -c "import sys; sys.path.insert(0, '$tools'); import evalsweep_evaluator"
    [ -d "$tools/__pycache__" ] || fail "python left nothing to be removed"

    dpkg --purge evalsweep
    left=$(find "$work"/layers/{usr,var} /etc -path '*/*evalsweep*')
    [ -z "$left" ] || fail "the package leaves $left"
}

case $1 in
--inside)
    install_run_remove "$2" "$3"
    exit
    ;;
--probe)
    lay_over "$2"
    exit
    ;;
esac
self=$(realpath "${BASH_SOURCE[0]}")
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$work/package" >log 2>&1 || fail "$(cat log)"
package=$(find package -maxdepth 1 -name '*.deb' -exec realpath {} +)
dpkg --field "$package" Depends >depends
for library in libopenmpi libhdf5 libcjson; do
    grep -q "$library" depends || fail "Depends lacks $library: $(cat depends)"
done
if command -v lintian >/dev/null; then
    # There is no address to give; and evalsweep.pc names MPI's and HDF5's libraries by their paths, since
    # not everywhere they have a .pc.
    lintian --allow-root --suppress-tags bogus-mail-host,pkg-config-multi-arch-wrong-dir "$package"
fi
mkdir layers
apart=(unshare --mount --propagation private "$self")
if [ "$(id -u)" -ne 0 ] || ! "${apart[@]}" --probe "$work/layers" 2>/dev/null; then
    echo "package.sh: not installed: that needs root, and the right to mount"
    exit 77
fi
"${apart[@]}" --inside "$work" "$package" >log 2>&1 || fail "$(cat log)"
