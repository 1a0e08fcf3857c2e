#!/usr/bin/env bash
# Makes what jobs/tiny-pythia.json needs: a virtual environment with mteb, transformers and torch from
# the Python package index, and the checkpoints in build/tiny-pythia, trained on the spot. Does
# nothing, quickly, when they are there. No hub is asked.
#
#     tools/setup-mteb.sh [DIR]       DIR: of the virtual environment; build/mteb-venv if not given
#
# PYTHON=/path/to/python3 chooses the Python, 3.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

torch=torch==2.13.0 # first, and not in the lock file: which build there is depends on the machine
lock=tools/mteb-requirements.txt
venv=${1:-build/mteb-venv}
case $venv in
-*)
    echo "usage: tools/setup-mteb.sh [DIR]" >&2
    exit 2
    ;;
esac

say() {
    echo "setup-mteb: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

venv=$(realpath -m "$venv") # it may be a symbolic link to a larger disk

# Of this very environment: Python, torch and the lock file. In .recipe when all of it is installed.
recipe() {
    "$venv/bin/python3" -c 'import sys; print(*sys.version_info[:2], sys.prefix)' &&
        echo "$torch" && cat "$lock"
}

is_there() {
    [ -f "$venv/.recipe" ] && recipe 2>/dev/null | cmp -s - "$venv/.recipe"
}

find_python() {
    if [ -n "${PYTHON-}" ]; then
        command -v "$PYTHON"
    else
        command -v /usr/bin/python3 || command -v python3
    fi
}

can_make_venvs() { # PYTHON
    [ -n "$1" ] && "$1" -c 'import ensurepip, venv' 2>/dev/null
}

pick_python() {
    local python
    python=$(find_python) || true
    can_make_venvs "$python" || tools/install-deps.sh --venv >&2 || true
    python=$(find_python) || fail "there is no ${PYTHON:-python3}"
    can_make_venvs "$python" || fail "$python cannot make virtual environments (Debian: python3-venv)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is older than Python 3.11: name another with PYTHON="
    echo "$python"
}

install() { # a line of pip's for each package would hide what matters
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input "$@" >&2
}

# Nothing is deleted but what this script has made, which has a recipe from the first moment.
make_folder() {
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -f "$venv/.recipe" ]; then
        fail "$venv is there, and not made by this script: nothing was changed"
    fi
    rm -rf "$venv"
    mkdir -p "$venv" || fail "cannot make $venv"
    : >"$venv/.recipe"
}

make_venv() {
    local python
    python=$(pick_python)
    make_folder
    say "installing $torch and $lock into $venv (2 GB, 6 with CUDA; some minutes)"
    trap 'rm -rf "$venv"' EXIT # else a part of it would look like all of it
    trap 'exit 130' INT TERM
    "$python" -m venv "$venv" || fail "cannot make a virtual environment in $venv"
    install "$torch" || fail "cannot install $torch: what pip says stands above"
    install -r "$lock" || fail "cannot install what $lock names: what pip says stands above"
    recipe >"$venv/.recipe.tmp"
    mv "$venv/.recipe.tmp" "$venv/.recipe"
    trap - EXIT INT TERM
}

if is_there; then
    say "$venv is there already"
else
    make_venv
fi
"$venv/bin/python3" tools/tiny_pythia.py || fail "cannot make the checkpoints in build/tiny-pythia"
