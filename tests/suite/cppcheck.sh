#!/usr/bin/env bash
# cppcheck over every C file that the build compiles. .cppcheck-suppressions holds what it does not
# report, and why. Only version 2.10, of Debian 12, is asked: each has other findings and other errors.
#
#     cppcheck.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$(cppcheck --version)
if [ "$version" != "Cppcheck 2.10" ]; then
    echo "cppcheck: left out: this is $version, not 2.10" >&2
    exit 77
fi
cppcheck --project="$1/compile_commands.json" --quiet -j "$(nproc)" --std=c11 \
    --enable=warning,performance,portability,style --suppressions-list=.cppcheck-suppressions \
    --error-exitcode=1 --template='{file}:{line}: {severity}: {message} [{id}]'
