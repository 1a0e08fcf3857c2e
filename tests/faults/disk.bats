# Full disks, quotas, read-only and vanished folders at each write that a driver makes: nothing is called
# done that is not, what fails is named, nothing torn stays, and the next start ends the run.

load faults

kinds=(ENOSPC EDQUOT EROFS EACCES EIO ENOENT short full)

# sweep SUFFIX STRIDE: a fault at the places of a run, the kinds taking turns; in full, each kind at each.
sweep() {
    local at kind turn=0
    write_small_job
    run_undisturbed
    forget_run
    for at in $(places "$2" "$evalsweep" run job.json); do
        for kind in "${kinds[@]}"; do
            is_full || [ "$kind" = "${kinds[turn % ${#kinds[@]}]}" ] || continue
            survives "$kind" "$at$1"
        done
        turn=$((turn + 1))
    done
    [ "$turn" -gt 20 ]
}

@test "any one call on a file may fail" { sweep '' 2; }
@test "from any call on, all may fail" { sweep + 3; }
