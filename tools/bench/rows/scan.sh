#!/usr/bin/env bash
# The scan against find and bare loops over the same paths, with as many threads as cores.
# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
n_threads=$(nproc)

mode() {
    "$PROGRAMS/bench_scan" "$1" "$tree" "${size[@]}" "$n_threads"
}

first() { mode first; }
resume() { mode resume; }
read_loop() { mode read; }
access_loop() { mode access; }
by_find() { seconds_of find "$tree" -name done.json; }

make_tree() {
    say "making a tree of $((size[0] * size[1] * size[2])) markers"
    tree=$SCRATCH/tree-${size[0]}
    mkdir "$tree"
    mode make >/dev/null
}

first_rows() {
    interleave first by_find read_loop
    row "first scan, $1 markers" "$(median first) s" "find: $(median by_find) s" \
        "$(ratio by_find first)" ">= 4"
    row "first scan, $1 markers" "$(median first) s" \
        "open+read loop, $n_threads threads: $(median read_loop) s" "$(ratio first read_loop)" "<= 1.5"
}

resume_rows() {
    interleave resume by_find access_loop
    row "resume scan, $1 markers" "$(median resume) s" "find: $(median by_find) s" \
        "$(ratio by_find resume)" ">= 8"
    row "resume scan, $1 markers" "$(median resume) s" \
        "faccessat loop, $n_threads threads: $(median access_loop) s" \
        "$(ratio resume access_loop)" "<= 1.5"
}

size=(154 4 56)
make_tree
first_rows 34,496
resume_rows 34,496

if ! is_full; then
    skip "resume scan, 1,000,000 markers" "only with --full"
elif (($(df --output=iavail "$SCRATCH" | tail -n 1) < 3000000)); then
    skip "resume scan, 1,000,000 markers" "not enough inodes in $SCRATCH"
else
    size=(200 25 200)
    make_tree
    resume_rows 1,000,000
fi
