# jobs/evalsweep.sbatch: what it does with each end of a step, told by a Slurm of stubs. (On a real one:
# tests/slurm.)

load ../helper/common

# stub NAME LINE...: a program that notes its call in ./calls and then does these lines.
stub() {
    printf '%s\n' '#!/bin/bash' "echo \"$1 \${*//\$'\\n'/ }\" >>\"$work/calls\"" "${@:2}" >"bin/$1"
    chmod +x "bin/$1"
}

# A job on two nodes. Each step does what the next line of ./steps says, given to a shell; with no more
# lines it ends with 0.
make_slurm() {
    mkdir bin
    write_job
    : >calls
    stub sleep
    stub squeue 'case "$*" in *%N) echo n1,n2 ;; *%l) echo 1-00:00:00 ;; esac'
    stub sinfo 'printf "n1 allocated\nn2 allocated\n"'
    stub scontrol 'case $1 in hostnames | show) printf "n1\nn2\n" ;; *) exit "${SCONTROL:-0}" ;; esac'
    stub sbatch 'echo 8'
    stub srun '[ "$1" = --mpi=pmix ] || exit' \
        'line=$(head -n 1 steps) && sed -i 1d steps' 'eval "${line:-exit 0}"'
    PATH=$work/bin:$PATH
}

# job_script STEP... [-- RUN_OPTION...]: runs it; sets $status and $output.
job_script() {
    : >steps
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        echo "$1" >>steps
        shift
    done
    run env SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=2 SLURM_NTASKS_PER_NODE=2 SLURM_CPUS_PER_TASK=3 \
        SLURM_JOB_NODELIST=n1,n2 SLURMD_NODENAME=n1 SLURM_JOB_PARTITION=all SLURM_JOB_ACCOUNT=us \
        SLURM_GPUS_PER_NODE=2 EVALSWEEP="$evalsweep" EVALSWEEP_COMMENT_S="${comment_s:-0}" \
        bash "$repo/jobs/evalsweep.sbatch" job.json "${@:2}"
}

steps() { grep -c '^srun --mpi' calls; }
# A step that finishes some units: those of one checkpoint.
does() {
    echo "unset EVALSWEEP_EXIT_FILE; \"$evalsweep\" run --quiet --only checkpoint=$1 job.json; exit ${2:-75}"
}

@test "exit codes that are evalsweep's word on the run end the job" {
    make_slurm
    local code
    for code in 0 1 2 3; do
        : >calls
        job_script "echo $code 60 >\"\$EVALSWEEP_EXIT_FILE\"; exit $code"
        [ "$status" -eq "$code" ]
        [ "$(steps)" -eq 1 ]
        refute grep -E '^scontrol requeue|^sbatch' calls
    done
}

@test "the step has all nodes, tasks and cores of the job" {
    make_slurm
    job_script "exit 0" -- --join
    [ "$status" -eq 0 ]
    [ "$(steps)" -eq 1 ]
    grep '^srun --mpi' calls | head -n 1 >step
    for option in --mpi=pmix --nodes=2 --nodelist=n1,n2 --ntasks=4 --ntasks-per-node=2 \
        --cpus-per-task=3 --no-kill; do
        grep -qwe "$option" step
    done
    grep -q 'evalsweep run job.json --join$' step
}

@test "what srun returns when it fails itself is no word of evalsweep's" {
    make_slurm
    job_script "exit 1" 'echo pid 17 n1 >"$EVALSWEEP_EXIT_FILE"; exit 1' \
        'echo 0 60 >"$EVALSWEEP_EXIT_FILE"; exit 137'
    [ "$status" -eq 0 ]
    [ "$(steps)" -eq 3 ]
    [ "$(find . -name '*.exit')" = "" ]
}

@test "rank 0 leaves its word under srun, and returns it" {
    make_slurm
    echo '{}' >none.json
    run env SLURM_STEP_ID=0 EVALSWEEP_EXIT_FILE="$work/word" sh -c ': >word; exec "$@"' - \
        "$evalsweep" run none.json
    [ "$status" -eq 2 ]
    [[ "$(cat word)" == "2 "* ]]
}

@test "a step that breaks off starts again, a number of times without progress" {
    make_slurm
    job_script "$(does step0 137)" "exit 137" "exit 143" "$(does step1 139)" "exit 137" "exit 137" \
        "exit 137" "exit 9" "exit 0"
    [ "$status" -eq 9 ]
    [ "$(steps)" -eq 8 ]
    [[ "$output" == *"ended with 9, 4 times in a row without a unit done: giving up"* ]]
    # at once after progress; else ever later, until Slurm may know that a node is down
    [ "$(grep '^sleep' calls | tr '\n' ,)" = "sleep 10,sleep 60,sleep 10,sleep 60,sleep 300," ]
}

@test "nodes that are down are left out" {
    make_slurm
    stub sinfo 'printf "n1 allocated\nn2 down*\n"'
    job_script "exit 0"
    grep -q '^srun --mpi=pmix --nodes=1 --nodelist=n1 --ntasks=2 ' calls
    [[ "$output" == *"without n2, which is down*"* ]]
}

@test "75 requeues the job; a pass that did nothing is the last" {
    make_slurm
    job_script "$(does step0)"
    [ "$status" -eq 75 ]
    grep -qx 'scontrol requeue 7' calls
    : >calls
    job_script "exit 75"
    [ "$status" -eq 75 ]
    [[ "$output" == *"no unit was done in this pass"* ]]
    refute grep '^scontrol requeue' calls
}

@test "everything again, by --no-resume: fewer units done than before are progress, too" {
    make_slurm
    "$evalsweep" run --quiet job.json
    job_script "unset EVALSWEEP_EXIT_FILE; \"$evalsweep\" run --quiet --no-resume --only checkpoint=step0 job.json; exit 75" \
        -- --no-resume
    [ "$status" -eq 75 ]
    grep -qx 'scontrol requeue 7' calls
}

@test "where requeueing is refused, a job behind this one goes on with the same options" {
    make_slurm
    SCONTROL=1 job_script "$(does step0)" -- --join --no-resume --set run.fsync=true
    grep '^sbatch' calls >call
    for option in --dependency=afterany:7 --nodes=2 --ntasks-per-node=2 --cpus-per-task=3 \
        --gpus-per-node=2 --partition=all --account=us --time=1-00:00:00; do
        grep -qwe "$option" call
    done
    # what is done by then stays done
    grep -qe 'evalsweep.sbatch job.json --join --set run.fsync=true --set=run.resume=true$' call
}

@test "--set says which run is looked at" {
    make_slurm
    job_script "unset EVALSWEEP_EXIT_FILE; \"$evalsweep\" run --quiet --only checkpoint=step0 --set run.id='\"other\"' job.json; exit 75" \
        -- --set 'run.id="other"'
    grep -qx 'scontrol requeue 7' calls
    : >calls
    job_script "unset EVALSWEEP_EXIT_FILE; \"$evalsweep\" run --quiet --only checkpoint=step1 --set run.id='\"other\"' job.json; exit 75" \
        -- '--set=run.id="other"'
    grep -qx 'scontrol requeue 7' calls
}

@test "the job's comment tells done/total; a site that forbids it is no trouble" {
    make_slurm
    "$evalsweep" run --quiet --only checkpoint=step0 job.json
    comment_s=1000 SCONTROL=1 job_script "exit 0"
    [ "$status" -eq 0 ]
    [ "$output" = "" ]
    grep -qx 'scontrol update jobid=7 comment=12/60' calls
}

@test "signals reach the step, and one that was cancelled is neither started again nor submitted" {
    make_slurm
    job_script 'trap "exit 75" USR1; kill -USR1 $PPID; for i in {1..300}; do /bin/sleep 0.1; done'
    [ "$status" -eq 75 ]
    job_script "$(does step0 | sed 's/; exit/; trap "exit 143" TERM; kill -TERM $PPID; for i in {1..300}; do \/bin\/sleep 0.1; done; exit/')"
    [ "$status" -eq 143 ]
    [ "$(steps)" -eq 2 ]
    [[ "$output" != *again* ]]
    refute grep '^scontrol requeue' calls
}

@test "a signal in the pause before a step ends the pause" {
    make_slurm
    stub sleep 'kill -TERM $PPID; exec /bin/sleep 1000'
    job_script "exit 137" "exit 0"
    [ "$status" -eq 137 ]
    [ "$(steps)" -eq 1 ]
}

@test "by mpirun: what it returns without a word of rank 0 is not evalsweep's" {
    make_slurm
    stub mpirun.openmpi '[ "$1" = --version ] || exit 1' 'echo "mpirun (Open MPI) 4.1.4"'
    export EVALSWEEP_LAUNCHER=mpirun EVALSWEEP_HOME=$repo EVALSWEEP_RESTARTS=1
    job_script
    [[ "$output" == *"the step ended with 70, 2 times in a row without a unit done: giving up"* ]]
}
