#!/usr/bin/env bash
# Installs the Debian packages that evalsweep is built from; with --tests, those of the tests too;
# with --venv, only what Python makes virtual environments with.
# Does nothing, quickly, when they are all there. Debian 12 and 13.
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config
    libopenmpi-dev openmpi-bin libhdf5-dev libcjson-dev
    python3 python3-numpy python3-sklearn python3-h5py python3-xarray python3-h5netcdf
    python3-netcdf4 python3-matplotlib)
test_packages=(libcmocka-dev clang hdf5-tools netcdf-bin bats python3-pytest python3-venv valgrind
    procps git mandoc file doxygen lua5.4 shellcheck clang-tidy clang-format cppcheck gcovr)

case "${1-}" in
--tests) packages+=("${test_packages[@]}") ;;
--venv) packages=(python3 python3-venv) ;;
'') ;;
*)
    echo "usage: tools/install-deps.sh [--tests|--venv]" >&2
    exit 2
    ;;
esac

# The packages among the arguments that are not installed, one a line.
missing() {
    local installed
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p') || true
    comm -13 <(sort -u <<<"$installed") <(printf '%s\n' "$@" | sort -u)
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        DEBIAN_FRONTEND=noninteractive "$@"
    elif ! command -v sudo >/dev/null; then
        echo "install-deps: neither root nor sudo: ask for the packages named above" >&2
        return 1
    else
        sudo DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps: this is no Debian; packages of the like of these are needed:" >&2
    echo "  ${packages[*]}" >&2
    exit 0
fi
# The lists may be missing or so old that their files are gone: fetch them only then.
install() { # PACKAGE...
    local apt=(apt-get install --yes --no-install-recommends -o Acquire::Retries=3)
    echo "install-deps: installing $*" >&2
    if ! as_root "${apt[@]}" "$@"; then
        as_root apt-get -o Acquire::Retries=3 update
        as_root "${apt[@]}" "$@"
    fi
}

mapfile -t wanted < <(missing "${packages[@]}")
[ "${#wanted[@]}" -eq 0 ] || install "${wanted[@]}"

# For what can be had only on some machines: tests that need it are left out without.
install_if_possible() { # PACKAGE...
    (install "$@") || echo "install-deps: going on without $*" >&2
}

# clang's libFuzzer: without it the fuzz targets run their corpus and no more.
has_libfuzzer() {
    compgen -G "$(clang -print-resource-dir)/lib/*/libclang_rt.fuzzer*.a" >/dev/null
}
if [ "${1-}" = --tests ] && ! has_libfuzzer; then
    install_if_possible libclang-rt-dev
fi

# A browser for tests/python/test_report.py: 110 MB to fetch, 410 MB on disk.
if [ "${1-}" = --tests ]; then
    mapfile -t wanted < <(missing chromium)
    [ "${#wanted[@]}" -eq 0 ] || install_if_possible "${wanted[@]}"
fi

# A Slurm for tests/slurm, which only root can start.
if [ "${1-}" = --tests ]; then
    mapfile -t wanted < <(missing munge slurm-client slurmctld slurmd)
    [ "${#wanted[@]}" -eq 0 ] || install_if_possible "${wanted[@]}"
fi
