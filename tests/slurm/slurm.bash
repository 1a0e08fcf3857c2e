# For the bats files of this folder: a cluster for each of them, jobs on it, and what they leave.

# shellcheck disable=SC2154 # common.bash sets the names
load ../helper/common

cluster_sh=$repo/tests/slurm/cluster.sh

setup_file() {
    local code=0 why
    cluster=$(mktemp -d "${TMPDIR:-/tmp}/es-slurm-XXXXXX")
    why=$("$cluster_sh" up "$cluster" 2>&1 3>&-) || code=$?
    if [ "$code" -eq 77 ]; then
        export CANNOT=$why
    elif [ "$code" -ne 0 ]; then
        echo "$why"
        "$cluster_sh" down "$cluster"
        return 1
    fi
    export cluster SLURM_CONF=$cluster/slurm.conf EVALSWEEP=$evalsweep EVALSWEEP_HOME=$repo
    # The nodes are one host: shared memory and addresses would be taken for one node's.
    export OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=lo
    export EVALSWEEP_COMMENT_S=1 RUN_ID=demo
}

teardown_file() {
    "$cluster_sh" down "$cluster"
    rm -rf "$cluster"
}

setup() {
    [ -z "${CANNOT-}" ] || skip "$CANNOT"
    work=$BATS_TEST_TMPDIR
    cd "$work" || exit 1
    unset SLURM_JOB_ID SLURM_PROCID SLURM_STEP_NUM_TASKS
    bring_nodes_back
}

# Those that an earlier test killed or set down.
bring_nodes_back() {
    local i
    for i in 1 2 3 4; do
        kill -0 "$(cat "$cluster/n$i.pid")" 2>/dev/null || "$cluster_sh" node "$cluster" "$i" 3>&-
        [ "$(sinfo -h -n "n$i" -o %t)" != down ] || scontrol update "nodename=n$i" state=resume
    done
    patience_s=180 wait_until nodes_are_idle || { sinfo -N -o "%N %T %E"; return 1; }
}

teardown() {
    [ -z "${CANNOT-}" ] || return 0
    [ -n "${BATS_TEST_COMPLETED-}" ] || tail -n 40 job.log && tail -n 10 "$cluster"/*.log
    scancel --user=root 2>/dev/null || true
}

# write_slurm_job MS [MEMBER]: as write_job, a GPU for each worker; units take MS. The evaluator notes
# where it is: ./seen has a line "NODE GPUS CPUS" for each process.
write_slurm_job() {
    write_job --sleep-ms "$1"
    note_where
    sed -i -e "s#\"command\": \[#&\"$work/where\", #" \
        -e "s#^  \"evaluator\"#  \"limits\": {\"heartbeat_s\": 5, \"grace_s\": 12},\n  \"resources\": {\"gpus_per_worker\": 1},\n&#" job.json
}

note_where() {
    cat >where <<END
#!/bin/bash
echo "\$SLURMD_NODENAME \$CUDA_VISIBLE_DEVICES \$(nproc)" >>"$work/seen"
exec "\$@"
END
    chmod +x where
}

# write_old_array RUN UNIT_S [OPTIONS]: old.sh, an array as of old, on the grid of write_job. Each of its tasks
# does a sixteenth of the units, one after the other, skips what has a marker, and writes one. ./old.done has
# a line for each unit that it did, with the time.
write_old_array() {
    local run=$1 unit_s=$2
    cat >old.sh <<END
#!/bin/bash
#SBATCH --job-name=sweep-array --array=0-15 --nodes=1 --ntasks=1 --output=old-%a.log ${3-}
i=0
for checkpoint in step0 step1 step2 step4 step8; do
    for layer in 21 22 23 24; do
        for task in A B C; do
            [ \$((i++ % 16)) -eq "\$SLURM_ARRAY_TASK_ID" ] || continue
            out=$work/runs/$run/outputs/mteb/Pythia/410m/\$checkpoint/layer_\$layer/\$task
            [ ! -e "\$out/done.json" ] || continue
            sleep $unit_s
            mkdir -p "\$out"
            echo '{"status": "done", "main_score": 0.5}' >"\$out/done.tmp"
            mv "\$out/done.tmp" "\$out/done.json"
            echo "\$checkpoint \$layer \$task \$EPOCHREALTIME" >>"$work/old.done"
            echo "2025-01-01,\$checkpoint,\$layer,\$task" >>$work/runs/$run/progress.csv
        done
    done
done
END
}

# write_unit_script JOB: a one-shot evaluator in the place of the job's, whose units take a second. ./started
# has a line for each start, with its time.
write_unit_script() {
    cat >unit.sh <<END
#!/bin/bash
echo "\$EVALSWEEP_CHECKPOINT \$EVALSWEEP_LAYER \$EVALSWEEP_TASK \$EPOCHREALTIME" >>"$work/started"
sleep 1
echo '{"main_score": 0.5}' >"\$EVALSWEEP_OUTPUT_DIR/result.json"
END
    chmod +x unit.sh
    sed -i "s#\"persistent\"#\"one-shot\"#; s#\"command\": .*#\"command\": [\"$work/unit.sh\"]}#" "$1"
}

# Units that both it and an array did; and those of them that evalsweep started although they were done. (A
# second is for what lies between its look and the evaluator's first line.)
n_twice() {
    cat started old.done | cut -d' ' -f1-3 | sort | uniq -d | wc -l
}
n_late() {
    awk 'NR == FNR { done_at[$1, $2, $3] = $4; next }
        ($1, $2, $3) in done_at && $4 > done_at[$1, $2, $3] + 1 { n++ }
        END { print n + 0 }' old.done started
}

# submit [SBATCH_OPTION...]: job.json on 4 nodes with 2 ranks each. Sets $id.
submit() {
    id=$(sbatch --parsable --nodes=4 --ntasks-per-node=2 --gpus-per-node=2 --cpus-per-task=1 \
        --output=job.log "$@" "${script:-$repo/jobs/evalsweep.sbatch}" job.json)
}

# wait_until COMMAND...: until it succeeds; after $patience_s (60) it fails.
wait_until() {
    local end=$((SECONDS + ${patience_s:-60}))
    while [ "$SECONDS" -lt "$end" ]; do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    echo "in vain: $*"
    return 1
}

# job FIELD: of the job, as squeue's --Format has it.
job() {
    squeue --noheader --states=all --jobs="$id" --Format="$1:60" | sed 's/ *$//'
}
has_state() { [ "$(job State)" = "$1" ]; }
has_ended() {
    case $(job State) in COMPLETED | CANCELLED | FAILED | TIMEOUT | NODE_FAIL) true ;; *) false ;; esac
}
array_has_ended() { [ -z "$(squeue --noheader --jobs="$1" 2>/dev/null)" ]; }
has_evaluated() { [ "$(n_evaluated)" -ge "$1" ]; }
has_markers() { [ "$(n_markers)" -ge "$1" ]; }

# The job ends with 0, and every unit is done.
it_completes() {
    wait_until has_ended
    has_state COMPLETED
    [ "$(n_markers)" -eq 60 ]
    [ "$("$evalsweep" status --json job.json | json "done")" -eq 60 ]
    [ -e runs/demo/results.h5 ]
}

nodes_are_idle() { [ "$(sinfo -h -N -o %t | grep -c '^idle$')" -eq 4 ]; }

# job_pids VARIABLE=VALUE: the job's processes with this in their environment. (Another cluster has a job
# of this number, too.)
job_pids() {
    local pid
    for pid in $(grep -lszxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ | cut -d/ -f3); do
        grep -qszxF "SLURM_JOB_ID=$id" "/proc/$pid/environ" || continue
        if grep -qszxF "$1" "/proc/$pid/environ"; then echo "$pid"; fi
    done
}

# The ranks among them.
ranks() {
    local pid
    for pid in $(job_pids "$1"); do
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = evalsweep ]; then echo "$pid"; fi
    done
}

# kill_node NODE: slurmd, and all of the job that runs there, at once.
kill_node() {
    local pids daemons groups
    pids=$(job_pids "SLURMD_NODENAME=$1" | paste -sd, -)
    # The steps' slurmstepd are the parents of their processes.
    daemons=$(cat "$cluster/$1.pid"; ps -o ppid= -p "$pids" | tr -d ' ' | sort -u |
        while read -r pid; do
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != slurmstepd ] || echo "$pid"
        done)
    groups=$(ps -o pgid= -p "$pids" | tr -d ' ' | sort -u | sed 's/^/-/')
    # Nobody is to tell of the others: the daemons are still when their processes die, and srun dies together
    # with its child, which would end the step on all nodes. Some die of others.
    # shellcheck disable=SC2086 # several
    {
        kill -STOP $daemons
        kill -KILL -- $groups
        kill -KILL $daemons
    } 2>/dev/null || true
}
