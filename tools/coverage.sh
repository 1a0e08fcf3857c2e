#!/usr/bin/env bash
# Builds the coverage preset, runs the tests of units and of the command line, and prints how much of
# each layer's lines they run. Fails where it is less than what is asked of src/core, src/run and the
# whole. The tests of whole runs would add 1 % to it, and as much time again.
#
#     tools/coverage.sh [REPORT_FOLDER]     REPORT_FOLDER: gets pages of the lines, index.html
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
declare -A least=([core]=95 [run]=95 [all]=85)
build=build/coverage

cmake --preset coverage -DEVALSWEEP_TESTS=ON -DEVALSWEEP_BENCH=OFF >/dev/null
cmake --build $build >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir $build -j2 --label-regex '^(unit|cli)$' --output-on-failure >$build/ctest.log || {
    cat $build/ctest.log
    exit 1
}

# After vfork, the child counts in its parent's memory: where it leaves, a count can be negative.
report=(--json-summary "$build/coverage.json")
[ -z "${1-}" ] || report+=(--html-details "$1/index.html")
[ -z "${1-}" ] || mkdir -p "$1"
gcovr --root . --object-directory $build --filter src/ --gcov-ignore-parse-errors "${report[@]}" \
    $build/src >/dev/null 2>$build/gcovr.log || {
    cat $build/gcovr.log
    exit 1
}

# Lines: "core 95.12"
shares() {
    python3 - $build/coverage.json <<'END'
import json, sys
covered, total = {}, {}
for file in json.load(open(sys.argv[1]))["files"]:
    for layer in (file["filename"].split("/")[1], "all"):
        covered[layer] = covered.get(layer, 0) + file["line_covered"]
        total[layer] = total.get(layer, 0) + file["line_total"]
for layer in sorted(total, key=lambda layer: (layer == "all", layer)):
    print(layer, f"{100 * covered[layer] / total[layer]:.2f}")
END
}

rc=0
while read -r layer percent; do
    wanted=${least[$layer]-0}
    printf 'coverage: %-6s %6s %% of lines\n' "$layer" "$percent"
    if [ "${percent%.*}" -lt "$wanted" ]; then
        echo "coverage: $layer must have $wanted %" >&2
        rc=1
    fi
done < <(shares)
exit $rc
