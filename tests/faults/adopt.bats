# evalsweep adopt, killed or refused at every call: what counts is whole, and the next one goes on.

load faults

# make_source: a finished small run in ./runs/other.
make_source() {
    write_small_job
    "$evalsweep" run job.json --set run.id=other >/dev/null 2>&1
    rm count
    cp -a runs source
    sources=$(cd source/other && find outputs -type f -exec sha256sum {} + | sort)
    [ "$(wc -l <<<"$sources")" -eq 8 ]
}

# What `places` begins with.
begin_run() {
    rm -rf runs faults
    cp -a source runs
}

outputs_of() {
    (cd "runs/$1" && find outputs -type f -exec sha256sum {} + | sort)
}

# After whatever happened: each marker that is there has its files with it, and the rest is adopted by
# another adoption, so that nothing is evaluated.
goes_on() { # WHAT
    local marker
    while read -r marker; do
        [ -s "$(dirname "$marker")/log.txt" ] || complain "$1: $marker has no log"
    done < <(find runs/demo/outputs -name done.json 2>/dev/null)
    [ "$(outputs_of other)" = "$sources" ] || complain "$1: the other run was changed"
    "$evalsweep" adopt runs/other job.json >said 2>&1 || complain "$1: the next one ended with $?"
    "$evalsweep" run job.json >said 2>&1 || complain "$1: the run ended with $?"
    [ ! -e count ] || complain "$1: evaluated $(cat count)"
    [ "$(outputs_of demo)" = "$sources" ] || complain "$1: not the same files"
}

@test "killed before any call on a file" {
    make_source
    local at code n=0
    for at in $(places 4 "$evalsweep" adopt runs/other job.json); do
        begin_run
        code=0
        { with_fault kill "$at" "$evalsweep" adopt runs/other job.json >said 2>&1; } 2>/dev/null || code=$?
        [ "$code" -eq 137 ] || complain "kill at $at: ended with $code"
        goes_on "kill at $at"
        n=$((n + 1))
    done
    [ "$n" -gt 8 ]
}

@test "refused by the file system at any call: said, and the other run's are as they were" {
    make_source
    local at code n=0
    for at in $(FAULT_CALLS=create,write,rename FAULT_PATH="$work/runs/demo/outputs*" \
        places 3 "$evalsweep" adopt runs/other job.json); do
        begin_run
        code=0
        FAULT_CALLS=create,write,rename FAULT_PATH="$work/runs/demo/outputs*" \
            with_fault ENOSPC "$at" "$evalsweep" adopt runs/other job.json >said 2>&1 || code=$?
        [ "$code" -eq 2 ] || complain "ENOSPC at $at: ended with $code"
        grep -q 'evalsweep: adopting .*step0/layer_2.*No space left' said || complain "ENOSPC at $at"
        goes_on "ENOSPC at $at"
        n=$((n + 1))
    done
    [ "$n" -gt 2 ]
}

@test "where no links can be made, markers are copied with their times" {
    make_source
    begin_run
    FAULT_CALLS=link FAULT_PATH="$work/runs/demo/outputs*" \
        with_fault EACCES 1+ "$evalsweep" adopt runs/other job.json >said 2>&1
    [ "$(wc -l <faults)" -eq 4 ]
    local marker=outputs/mteb/Pythia/410m/step0/layer_21/A/done.json
    refute [ runs/demo/$marker -ef runs/other/$marker ]
    [ "$(stat -c %.9Y runs/demo/$marker)" = "$(stat -c %.9Y runs/other/$marker)" ]
    goes_on "without links"
}
