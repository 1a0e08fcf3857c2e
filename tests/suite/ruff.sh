#!/usr/bin/env bash
# ruff over all Python: ruff.toml's rules, and its format. It comes from the Python package index, into
# build/lint-venv; left out where the index cannot be reached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=ruff==0.17.6 # others have other rules
venv=build/lint-venv

if ! grep -qsxF "$wanted" $venv/.made; then
    rm -rf $venv
    python3 -m venv $venv
    if ! $venv/bin/python3 -m pip install --quiet --disable-pip-version-check --no-input "$wanted"; then
        echo "ruff: left out: $wanted cannot be had from the Python package index" >&2
        exit 77
    fi
    echo "$wanted" >$venv/.made
fi
$venv/bin/ruff check tools tests
$venv/bin/ruff format --check tools tests
