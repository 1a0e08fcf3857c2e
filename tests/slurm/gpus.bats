# The table of docs/slurm.md: which GPU each worker gets from what a job asks for, by Slurm's own variables.
# (Those of other sites, faked: tests/unit/exec/test_device.c.)

load slurm

# gpu_job LINE [SRUN_ARGUMENT]: job.json on two nodes with two ranks each; LINE takes the place of the script's
# --gpus-per-node. ./seen has each rank's node and GPUs.
gpu_job() {
    rm -rf runs seen job.log
    sed "s/^#SBATCH --gpus-per-node.*/#SBATCH $1/" "$repo/jobs/evalsweep.sbatch" >gpus.sbatch
    id=$(EVALSWEEP_SRUN_ARGS=${2-} sbatch --parsable --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 \
        --output=job.log gpus.sbatch job.json)
    wait_until has_ended
}

# each_has GPU...: every rank of n1, then of n2.
each_has() {
    has_state COMPLETED
    diff <(cut -d' ' -f1,2 seen | sort) <(printf '%s\n' "$@")
}

@test "each rank has a GPU of its own, however they are asked for" {
    write_slurm_job 10
    for line in --gpus-per-node=2 --gres=gpu:2 --gpus-per-task=1; do
        gpu_job "$line"
        each_has "n1 0" "n1 1" "n2 0" "n2 1" || { echo "$line"; return 1; }
    done
}

@test "what srun binds is kept" {
    write_slurm_job 10
    gpu_job --gpus-per-node=2 --gpu-bind=map_gpu:1,0
    each_has "n1 0" "n1 1" "n2 0" "n2 1"
    grep -q 'worker 0: .*, local rank 0, device 1,' job.log
    gpu_job --gpus-per-node=2 --gpu-bind=mask_gpu:2,1
    each_has "n1 0" "n1 1" "n2 0" "n2 1"
    grep -q 'worker 0: .*, local rank 0, device 1,' job.log
    gpu_job --gpus-per-node=2 --gpu-bind=single:1
    each_has "n1 0" "n1 1" "n2 0" "n2 1"
    gpu_job --gpus-per-node=2 --gpu-bind=closest
    each_has "n1 0" "n1 1" "n2 0" "n2 1"
}

@test "two workers on a GPU, two GPUs for a worker" {
    write_slurm_job 10
    sed -i 's/"gpus_per_worker": 1/&, "workers_per_gpu": 2/' job.json
    gpu_job --gpus-per-node=1
    each_has "n1 0" "n1 0" "n2 0" "n2 0"
    sed -i 's/"gpus_per_worker": 1, "workers_per_gpu": 2/"gpus_per_worker": 2, "workers_per_gpu": 2/' job.json
    gpu_job --gpus-per-node=2
    each_has "n1 0,1" "n1 0,1" "n2 0,1" "n2 0,1"
}

@test "too few GPUs, or none: the job ends with 2 before any unit, and names both counts" {
    write_slurm_job 10
    gpu_job --gpus-per-node=1
    has_state FAILED
    scontrol show job "$id" | grep -q "ExitCode=2:0"
    grep -q '2 GPUs are needed .*, and 1 are visible' job.log
    [ ! -e seen ]
    gpu_job --comment=none
    has_state FAILED
    grep -q '2 GPUs are needed .*, and 0 are visible' job.log
    [ ! -e seen ]
}
