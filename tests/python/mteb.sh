#!/usr/bin/env bash
# Runs a file of tests with the Python that tools/setup-mteb.sh has set up; exit code 77: not there.
#
#     mteb.sh PYTHON FILE
set -euo pipefail
if ! [ -x "$1" ]; then
    echo "skipped: there is no $1 (tools/setup-mteb.sh makes it)" >&2
    exit 77
fi
exec "$1" -X faulthandler -m pytest -q -p no:cacheprovider -o faulthandler_timeout=100 "$2"
