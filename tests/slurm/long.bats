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

# The worker of an array of old: its share of the units, one after the other, each with a marker.
write_old_array() {
    cat >old.sh <<END
#!/bin/bash
#SBATCH --array=0-15 --nodes=1 --ntasks=1 --output=old-%a.log
i=0
for checkpoint in step0 step1 step2 step4 step8; do
    for layer in 21 22 23 24; do
        for task in A B C; do
            [ \$((i++ % 16)) -eq "\$SLURM_ARRAY_TASK_ID" ] || continue
            out=$work/runs/demo/outputs/mteb/Pythia/410m/\$checkpoint/layer_\$layer/\$task
            [ ! -e "\$out/done.json" ] || continue
            echo "\$checkpoint \$layer \$task" >>"$work/count"
            sleep 1
            mkdir -p "\$out"
            echo '{"status": "done", "main_score": 0.5}' >"\$out/done.tmp"
            mv "\$out/done.tmp" "\$out/done.json"
            echo "\$checkpoint \$layer \$task" >>"$work/old.count"
        done
    done
done
END
}

@test "beside an array of old on the same RUN_ID: together they finish, twice only what was in hand" {
    write_slurm_job 1000
    write_old_array
    submit --ntasks-per-node=1 --gpus-per-node=1 # the other half of the nodes is for the array
    wait_until has_evaluated 1
    old=$(sbatch --parsable old.sh)
    it_completes
    [ "$(n_different)" -eq 60 ]
    [ "$(sort count | uniq -d | wc -l)" -le 12 ] # what the 4 ranks and 8 tasks had in hand
    [ "$(wc -l <old.count)" -gt 0 ] && [ "$(wc -l <old.count)" -lt 60 ]
    scancel "$old"
}

@test "the job's comment tells done/total while it runs" {
    write_slurm_job 1000
    submit
    wait_until eval '[[ "$(job Comment)" == [1-9]*/60 ]]'
    has_state RUNNING
    it_completes
    [ "$(job Comment)" = 60/60 ]
}
