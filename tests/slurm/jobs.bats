# jobs/evalsweep.sbatch on a real Slurm of four nodes on this machine.

load slurm

@test "the digits job on 4 nodes: every node works, each rank on its own GPU" {
    ln -s "$repo/tools" tools
    note_where
    /usr/bin/python3 tools/digits_train.py runs/digits-checkpoints >/dev/null
    sed -e "s#\"command\": \[#&\"$work/where\", #" -e 's/"gpus_per_worker": 0/"gpus_per_worker": 1/' \
        "$repo/jobs/digits.json" >job.json
    submit
    patience_s=120 wait_until has_ended
    has_state COMPLETED
    [ "$("$evalsweep" status --json job.json | json "done")" -eq 396 ]
    diff <(cut -d' ' -f1,2 seen | sort) - <<END
n1 0
n1 1
n2 0
n2 1
n3 0
n3 1
n4 0
n4 1
END
    [ "$(grep -c 'worker [0-7]: .*local rank [01], device [01]' job.log)" -eq 8 ]
    [ "$(job Comment)" = 396/396 ]
}

@test "evaluators may use all the cores that they were given, by srun and by mpirun" {
    [ "$(nproc)" -ge 2 ] || skip "one core"
    for script in "$repo"/jobs/evalsweep.sbatch "$repo"/jobs/evalsweep-mpirun.sbatch; do
        rm -rf runs count seen
        write_slurm_job 10
        # (--exact: what a step was not given is out of its reach, on a node of two cores, too)
        EVALSWEEP_SRUN_ARGS=--exact submit --nodes=2 --ntasks-per-node=1 --cpus-per-task=2
        it_completes
        [ "$(cut -d' ' -f1,3 seen | sort)" = $'n1 2\nn2 2' ]
    done
}

@test "cancelled in mid-run and submitted again: only what was left runs" {
    write_slurm_job 300
    submit
    wait_until has_markers 10
    scancel "$id"
    wait_until has_ended
    has_state CANCELLED
    wait_until nodes_are_idle
    kept=$(n_markers)
    [ "$kept" -lt 60 ]
    mv count count.before
    submit
    it_completes
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
    [ "$(n_different)" -eq $((60 - kept)) ]
}

@test "a rank is killed: the step starts again, and the job loses what was in flight" {
    write_slurm_job 300
    submit
    wait_until has_evaluated 10
    kill -KILL "$(ranks SLURM_PROCID=3)"
    it_completes
    grep -q 'the step ended with .*: starting it again' job.log
    [ "$(n_evaluated)" -le $((60 + 8)) ]
}

@test "a rank is killed, by mpirun: the step goes on without it" {
    write_slurm_job 300
    script=$repo/jobs/evalsweep-mpirun.sbatch submit
    wait_until has_evaluated 10
    kill -KILL "$(ranks OMPI_COMM_WORLD_RANK=3)"
    it_completes
    refute grep 'starting it again' job.log
    [ "$(n_evaluated)" -le $((60 + 1)) ]
}

@test "a node dies with slurmd and step: the others go on" {
    write_slurm_job 300
    submit
    wait_until has_evaluated 10
    kill_node n3
    it_completes
    in_hand=2
    # (from PMIx 5 on the step ends when a node is lost)
    if srun --mpi=list 2>&1 | grep -q pmix_v5; then in_hand=8; fi
    [ "$(n_evaluated)" -le $((60 + in_hand)) ]
}

@test "a node is set down: the others go on, and when the step breaks off it starts again without it" {
    write_slurm_job 500
    submit
    wait_until has_evaluated 10
    scontrol update nodename=n3 state=down reason=test
    wait_until grep -q 'Node failure on n3' job.log
    wait_until has_evaluated 20
    kill -KILL "$(ranks SLURM_PROCID=2)"
    it_completes
    grep -q '; 6 ranks;' job.log
    [ "$(n_evaluated)" -le $((60 + 8)) ]
}
