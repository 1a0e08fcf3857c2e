#!/usr/bin/env bash
# Measures the figures that evalsweep is built to reach, each against its reference in the same run.
#
#     tools/bench/run.sh [--full] [--json] [--build DIR] [NAME...]
#
# Prints one table; with names (those of the scripts in rows/) only their rows. Each figure is the
# median of 5 rounds (ROUNDS) that take turns with their reference, in a warm cache. --full adds
# what takes long, or programs from the Python package index. Scratch files go to $TMPDIR or /tmp.
#
# EVALSWEEP_TRACE, a CSV of measured times (checkpoint,layer,task,seconds), adds rows on it.
# Measure on a machine that does nothing else; build with the preset `release` (in build/, or DIR).
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all=(scan dispatch oneshot makespan faults simulator idle store mteb)

usage() {
    echo "usage: tools/bench/run.sh [--full] [--json] [--build DIR] [NAME...]" >&2
    echo "names: ${all[*]}" >&2
    exit 2
}

export FULL=0 ROUNDS=${ROUNDS:-5} REPO PROGRAMS EVALSWEEP FAKE_EVALUATOR SCRATCH
REPO=$(cd "$here/../.." && pwd)
build=$REPO/build
format=table
names=()
while (($#)); do
    case $1 in
    --full) FULL=1 ;;
    --json) format=json ;;
    --build)
        (($# > 1)) || usage
        build=$(cd "$2" && pwd)
        shift
        ;;
    *)
        [ -x "$here/rows/$1.sh" ] || usage
        names+=("$1")
        ;;
    esac
    shift
done
((${#names[@]})) || names=("${all[@]}")
PROGRAMS=$build/tools/bench EVALSWEEP=$build/evalsweep FAKE_EVALUATOR=$build/tests/helper/fake_evaluator
for program in "$PROGRAMS/bench_timed" "$EVALSWEEP" "$FAKE_EVALUATOR"; do
    [ -x "$program" ] || {
        echo "bench: no $program: cmake --preset release && cmake --build build" >&2
        exit 2
    }
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/evalsweep-bench-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

measure() {
    local name status=0
    for name in "${names[@]}"; do
        echo "bench: $name (load $(cut -d' ' -f1 /proc/loadavg))" >&2
        SCRATCH=$scratch/$name
        mkdir "$SCRATCH"
        "$here/rows/$name.sh" || {
            echo "bench: $name failed" >&2
            status=1
        }
    done
    return "$status"
}

heading=$'figure\tmeasured\treference\tratio\ttarget\treached'

as_table() {
    {
        echo "$heading"
        cat
    } | awk -F'\t' '
        {for (i = 1; i <= NF; i++) {cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i)}}
        END {
            for (r = 1; r <= NR; r++) {
                line = ""
                for (i = 1; i <= 6; i++) line = line sprintf("| %-*s ", width[i], cell[r, i])
                print line "|"
                if (r > 1) continue
                line = ""
                for (i = 1; i <= 6; i++) {rule = sprintf("%*s", width[i] + 2, ""); gsub(/ /, "-", rule); line = line "|" rule}
                print line "|"
            }
        }'
}

as_json() {
    awk -F'\t' -v heading="$heading" '
        BEGIN {split(heading, key, "\t"); print "["}
        {
            line = ""
            for (i = 1; i <= 6; i++) line = line sprintf("%s\"%s\": \"%s\"", (i > 1 ? ", " : ""), key[i], $i)
            printf "%s  {%s}", (NR > 1 ? ",\n" : ""), line
        }
        END {print "\n]"}'
}

measure >"$scratch/rows.tsv" && status=0 || status=$?
if [ "$format" = json ]; then as_json; else as_table; fi <"$scratch/rows.tsv"
exit "$status"
