# What takes Slurm minutes, and old scripts beside the job.

load slurm

@test "a limit of one minute: drains before the end, requeues itself, ends later, nothing run twice" {
    write_slurm_job 8000 # more than one pass can do
    submit --time=1 --signal=USR1@25
    wait_until [ -e job.log ]
    patience_s=120 wait_until grep -q 'submitting it again' job.log
    kept=$(n_markers)
    [ "$kept" -gt 0 ]
    [ "$kept" -lt 60 ]
    [ "$(n_evaluated)" -eq "$kept" ] # no evaluator was killed
    patience_s=900 it_completes
    [ "$(n_evaluated)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
    [ "$(job RestartCnt)" -ge 1 ]
}

@test "where requeueing is refused, the next job has the same RUN_ID" {
    write_slurm_job 8000
    sed 's/USR1@120/USR1@25/' "$repo/jobs/evalsweep.sbatch" >short.sbatch
    script=$work/short.sbatch submit --time=1 --no-requeue
    patience_s=120 wait_until has_ended
    first=$id
    id=$(squeue --noheader --user=root --format=%i)
    [ "$id" -ne "$first" ]
    patience_s=900 it_completes
    [ "$(n_evaluated)" -eq 60 ]
}

@test "a pass that does no unit is the last" {
    write_slurm_job 90000
    submit --time=1 --signal=USR1@25
    patience_s=120 wait_until has_ended
    has_state FAILED
    grep -q 'no unit was done in this pass' job.log
}

@test "the node of the script and rank 0 dies: another one requeues the job" {
    write_slurm_job 5000
    submit
    wait_until has_evaluated 10
    kill_node n1
    patience_s=120 wait_until has_state PENDING
    kept=$(n_markers)
    [ "$kept" -lt 60 ]
    "$cluster_sh" node "$cluster" 1 3>&-
    : >count
    patience_s=300 it_completes
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
}

@test "the step breaks off when a node has died, and Slurm does not know it yet" {
    write_slurm_job 500
    submit
    wait_until has_evaluated 10
    kill_node n3
    kill -KILL "$(ranks SLURM_PROCID=2)" || true # it may have gone with the node
    patience_s=150 it_completes
    grep -q '; 6 ranks;' job.log
    [ "$(n_evaluated)" -le $((60 + 8)) ]
}

@test "beside an array of old on the same RUN_ID: together they finish, twice only what was in hand" {
    write_slurm_job 1000
    write_old_array demo 1
    write_unit_script job.json
    submit --ntasks-per-node=1 --gpus-per-node=1 # the other half of the nodes is for the array
    wait_until [ -s started ]
    old=$(sbatch --parsable old.sh)
    wait_until has_ended
    has_state COMPLETED
    [ "$(n_markers)" -eq 60 ]
    [ "$("$evalsweep" status --json job.json | json "done")" -eq 60 ]
    patience_s=120 wait_until array_has_ended "$old" # it skips what the job did
    echo "$(wc -l <started) here, $(wc -l <old.done) by the array: $(n_twice) twice"
    [ "$(cat started old.done | cut -d' ' -f1-3 | sort -u | wc -l)" -eq 60 ]
    [ "$(wc -l <old.done)" -gt 0 ]
    [ "$(wc -l <old.done)" -lt 60 ]
    [ "$(n_late)" -eq 0 ]
}

@test "the job's comment tells done/total while it runs" {
    write_slurm_job 1000
    submit
    wait_until eval '[[ "$(job Comment)" == [1-9]*/60 ]]'
    has_state RUNNING
    it_completes
    [ "$(job Comment)" = 60/60 ]
}
