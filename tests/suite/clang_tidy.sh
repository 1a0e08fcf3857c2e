#!/usr/bin/env bash
# clang-tidy over every C file that the build compiles from this tree, on all cores.
#
#     clang_tidy.sh BUILD_FOLDER
#
# .clang-tidy and tests/.clang-tidy hold the checks, and why some are left out. Only version 14, of
# Debian 12, is asked: each later one has checks of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1
version=$(clang-tidy --version | grep -oP 'version \K[0-9]+')
if [ "$version" -ne 14 ]; then
    echo "clang_tidy: left out: this is version $version, not 14" >&2
    exit 77
fi

mapfile -t files < <(python3 -c '
import json, pathlib, sys
ours = [pathlib.Path.cwd() / folder for folder in ("src", "tests", "tools")]
paths = {pathlib.Path(entry["file"]) for entry in json.load(open(sys.argv[1]))}
print(*sorted(path for path in paths if any(path.is_relative_to(folder) for folder in ours)), sep="\n")
' "$build/compile_commands.json")
[ -n "${files[0]-}" ] || {
    echo "clang_tidy: $build compiles nothing of this tree" >&2
    exit 1
}

echo "clang_tidy: ${#files[@]} files"
printf '%s\n' "${files[@]}" |
    xargs --max-args=4 --max-procs="$(nproc)" clang-tidy -p "$build" --quiet \
        2> >(grep -vE '^[0-9]+ warnings? |^Suppressed|^Use -' >&2)
