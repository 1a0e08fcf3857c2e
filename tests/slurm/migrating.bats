# docs/migrating.md, command by command as it stands there, on a Slurm: with arrays that are at work, and jobs
# that share what they leave. (With stubs, in seconds: tests/cli/migrating.bats.)

load slurm
load ../helper/document

doc=$repo/docs/migrating.md

# A user's folder: sweep.json, jobs/evalsweep.sbatch with its lines as this cluster wants them.
make_folder() {
    unset RUN_ID
    write_slurm_job 300
    mv job.json sweep.json
    mkdir bin jobs
    ln -s "$evalsweep" bin/evalsweep
    PATH=$work/bin:$PATH
    sed -e 's/^\(#SBATCH --nodes=\).*/\12/' -e 's/^\(#SBATCH --ntasks-per-node=\).*/\11/' \
        -e 's/^\(#SBATCH --gpus-per-node=\).*/\11/' -e 's/^\(#SBATCH --cpus-per-task=\).*/\11/' \
        "$repo/jobs/evalsweep.sbatch" >jobs/evalsweep.sbatch
}

# start_array RUN: four of its tasks at a time, and ten units are done.
start_array() {
    write_old_array "$1" 2 --array=0-15%4
    array=$(sbatch --parsable old.sh)
    wait_until ten_are_done "$1"
}

ten_are_done() { [ -e "runs/$1" ] && [ "$(n_markers "runs/$1")" -ge 10 ]; } # RUN

# An array whose time is over, so to speak: RUN has some of the units.
leave_array() { # RUN
    start_array "$1"
    scancel --name=sweep-array
    wait_until no_jobs
}

no_jobs() { [ -z "$(squeue --noheader)" ]; }

# The jobs that the commands submitted end well.
jobs_complete() {
    for id in $(sed -n 's/^Submitted batch job //p' said); do
        patience_s=120 wait_until has_ended
        has_state COMPLETED || { cat "evalsweep-$id.log"; return 1; }
    done
}

# That many units were evaluated by evalsweep, each once, and none that an array had done.
n_left_and_done_once() {
    [ "$(n_evaluated)" -eq "$1" ]
    [ "$(n_different)" -eq "$1" ]
    [ "$(sort -u count <(cut -d' ' -f1-3 old.done) | wc -l)" -eq 60 ]
}

@test "look while the array is at work, and move by stopping it" {
    make_folder
    start_array first
    follow "Look"
    grep -Eq '^units   60: [0-9]+ done, [0-9]+ pending' said
    follow "Move, by stopping the array"
    jobs_complete
    [ "$(n_markers runs/first)" -eq 60 ]
    n_left_and_done_once $((60 - $(wc -l <old.done)))
    follow "What told you that it was done, and what does now"
    grep -qx 60 said
    grep -q '"done":60' said
}

@test "beside the array" {
    make_folder
    write_unit_script sweep.json
    start_array first
    cp old.done at_start
    follow "Or beside the array"
    jobs_complete
    [ "$(n_markers runs/first)" -eq 60 ]
    patience_s=120 wait_until array_has_ended "$array"
    echo "$(wc -l <started) here, $(wc -l <old.done) by the array: $(n_twice) twice"
    [ -s started ]
    [ "$(wc -l <old.done)" -gt "$(wc -l <at_start)" ]
    [ "$(cat started old.done | cut -d' ' -f1-3 | sort -u | wc -l)" -eq 60 ]
    [ "$(n_late)" -eq 0 ]
    RUN_ID=first evalsweep plan sweep.json | grep -q 'nothing is left to do'
}

@test "two runs, each half done by an array, become one" {
    make_folder
    leave_array first
    n_first=$(n_markers runs/first)
    # the other array began at the other end
    mkdir -p runs/second
    write_old_array second 2 --array=0-15%4
    sed -i 's/for checkpoint in .*; do/for checkpoint in step8 step4 step2 step1 step0; do/' old.sh
    sbatch old.sh
    wait_until ten_are_done second
    scancel --name=sweep-array
    wait_until no_jobs
    follow "Two runs, each half done"
    grep -q "units adopted from runs/second; $n_first done here already" said
    jobs_complete
    [ "$(n_markers runs/first)" -eq 60 ]
    [ "$(n_markers runs/both)" -eq 60 ]
    # what an array had done was evaluated by none of the jobs
    [ "$(sort -u count | comm -12 - <(cut -d' ' -f1-3 old.done | sort -u) | wc -l)" -eq 0 ]
}
