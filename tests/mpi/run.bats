# Whole runs under mpirun: every unit exactly once, whatever the number of ranks, and resuming.

load ../helper/common

run_is_complete() { # RUN_DIR
    [ "$(n_markers "$1")" -eq 60 ]
    [ "$(n_evaluated)" -eq 60 ]
    [ "$(n_different)" -eq 60 ]
    [ "$("$evalsweep" status --json "$1" | json done)" -eq 60 ]
    [ "$(wc -l <"$1/progress.csv")" -eq 61 ]
    [ -z "$(find "$1" -name '.es-*')" ]
}

for_ranks() { # N
    write_job
    run mpi "$1" "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
}

@test "1 rank runs everything once" { for_ranks 1; }
@test "2 ranks run everything once" { for_ranks 2; }
@test "4 ranks run everything once" { for_ranks 4; }
@test "8 ranks run everything once" { for_ranks 8; }

@test "no launcher at all runs everything once" {
    write_job
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
}

@test "more ranks than units is fine" {
    write_job
    run mpi 6 "$evalsweep" run job.json --set 'grid.checkpoints=["step0"]' --set 'grid.layers=[21]'
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 3 ]
}

@test "a coordinator that does not work leaves it to the others" {
    write_job
    run mpi 3 "$evalsweep" run job.json --set resources.coordinator_works=false
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
    grep -q ',done,.*' runs/demo/progress.csv
    refute grep -rq '"rank":0,' runs/demo/outputs
}

@test "one-shot evaluators over ranks run everything once" {
    write_job
    run mpi 3 "$evalsweep" run job.json --set 'evaluator.mode="one-shot"' \
        --set "evaluator.command=[\"$fake\", \"--count-file\", \"$work/count\"]"
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
}

@test "run again, it evaluates nothing" {
    write_job
    mpi 2 "$evalsweep" run job.json
    before=$(scores runs/demo)
    run mpi 2 "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq 60 ]
    [ "$(scores runs/demo)" = "$before" ]
}

@test "ten deleted markers are ten evaluations" {
    write_job
    mpi 2 "$evalsweep" run job.json
    before=$(scores runs/demo)
    find runs/demo -name done.json | shuf -n 10 | while read -r marker; do
        rm "$marker"
        echo "$marker" >>deleted
    done
    : >count
    mpi 2 "$evalsweep" run job.json
    [ "$(n_evaluated)" -eq 10 ]
    while read -r checkpoint layer task; do
        grep -q "/$checkpoint/layer_$layer/$task/" deleted
    done <count
    [ "$(scores runs/demo)" = "$before" ]
}

@test "killed with -9 in mid-run, it resumes, and ends as if undisturbed" {
    write_job
    mpi 2 "$evalsweep" run job.json
    undisturbed=$(scores runs/demo)
    rm -r runs count
    write_job --sleep-ms 20
    mv job.json killed.json # a name of its own: only this test's ranks are to be killed
    mpi 3 "$evalsweep" run killed.json &
    launcher=$!
    for _ in $(seq 500); do # until some units are done, and some are not
        [ "$(n_markers 2>/dev/null || true)" -ge 10 ] && break
        sleep 0.02
    done
    pkill -9 -f "^$evalsweep run killed.json" || true
    kill -9 "$launcher" || true
    wait "$launcher" || true
    kept=$(n_markers)
    [ "$kept" -ge 10 ]
    [ "$kept" -lt 60 ]
    for _ in $(seq 250); do # no evaluator outlives its rank
        pgrep -f "^$fake --persistent --count-file $work/count" >/dev/null || break
        sleep 0.02
    done
    refute pgrep -f "^$fake --persistent --count-file $work/count"
    : >count
    write_job
    run mpi 2 "$evalsweep" run job.json --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_evaluated)" -eq $((60 - kept)) ]
    [ "$(n_markers)" -eq 60 ]
    [ "$(scores runs/demo)" = "$undisturbed" ]
}

@test "a failed unit is tried again elsewhere, and then told" {
    write_job --fail-unit step4/23/B --exit 7
    run mpi 3 "$evalsweep" run job.json
    [ "$status" -eq 1 ]
    [ "$(n_markers)" -eq 59 ]
    failed=runs/demo/outputs/mteb/Pythia/410m/step4/layer_23/B/failed.json
    [ "$(json reason <"$failed")" = "exit code 7" ]
    [ "$(json attempt <"$failed")" -eq 2 ]
    [ "$(grep -c '^step4 23 B$' count)" -eq 2 ]
    [[ "$output" == *"step4/layer_23/B failed on worker "[0-2]" (attempt 1): exit code 7 (log: "*"/log.txt)"* ]]
    first=$(grep -o 'step4/layer_23/B failed on worker [0-9]' <<<"$output" | grep -o '[0-9]$')
    [ "$(json rank <"$failed")" -ne "$first" ] # the second attempt
    run "$evalsweep" status runs/demo
    [[ "$output" == *"1 failed"* ]]
    [[ "$output" == *"exit code 7"* ]]
    # on resume it is tried again, and its failed.json goes with success
    write_job
    run mpi 2 "$evalsweep" run job.json --accept-change
    [ "$status" -eq 0 ]
    [ "$(n_markers)" -eq 60 ]
    [ ! -e "$failed" ]
}

@test "SIGUSR1 drains: exit code 75, nothing lost, the rest later" {
    write_job --sleep-ms 50
    "$evalsweep" run job.json &
    driver=$!
    for _ in $(seq 500); do
        [ "$(n_markers 2>/dev/null || true)" -ge 3 ] && break
        sleep 0.02
    done
    kill -USR1 "$driver"
    code=0
    wait "$driver" || code=$?
    [ "$code" -eq 75 ]
    [ "$(n_markers)" -eq "$(n_evaluated)" ]
    [ "$(n_markers)" -lt 60 ]
    run "$evalsweep" run job.json
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
}

@test "a rank that cannot take part ends the run, whichever it is" {
    write_job
    export ASAN_OPTIONS=verify_asan_link_order=0
    on_rank 1 export LD_PRELOAD="$NO_EVENTFD"
    run timeout 60 "$repo/tools/mpirun.sh" 2 ./on_rank "$evalsweep" run job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"worker 1"*"Too many open files"* ]]
    on_rank 0 export LD_PRELOAD="$NO_EVENTFD"
    run timeout 60 "$repo/tools/mpirun.sh" 2 ./on_rank "$evalsweep" run job.json
    [ "$status" -eq 2 ]
    [[ "$output" == *"Too many open files"* ]]
}

@test "an evaluator that does not exist: exit code 2 on every rank, and no unit" {
    write_job
    run mpi 3 "$evalsweep" run job.json --set 'evaluator.command=["/no/such/evaluator"]'
    [ "$status" -eq 2 ]
    [[ "$output" == *"/no/such/evaluator"* ]]
    [ "$(n_markers)" -eq 0 ]
}

@test "a bad job file under mpirun: exit code 2, and one error" {
    echo '{"grid": {}}' >bad.json
    run mpi 4 "$evalsweep" run bad.json
    [ "$status" -eq 2 ]
    [ "$(echo "$output" | grep -c 'bad.json')" -eq 1 ]
}

@test "too few devices: exit code 2, naming both counts" {
    write_job
    export CUDA_VISIBLE_DEVICES=0
    run mpi 2 "$evalsweep" run job.json --set resources.gpus_per_worker=1
    [ "$status" -eq 2 ]
    [[ "$output" == *2* && "$output" == *1* ]]
}

@test "each worker has its own device" {
    write_job
    export CUDA_VISIBLE_DEVICES=4,5
    run mpi 2 "$evalsweep" run job.json --set resources.gpus_per_worker=1
    [ "$status" -eq 0 ]
    grep -rhoE '"device":"[45]","rank":[01]' runs/demo/outputs --include=done.json | sort -u >seen
    [ "$(cat seen)" = '"device":"4","rank":0
"device":"5","rank":1' ]
}

@test "an evaluator sees its device, and nothing of MPI" {
    write_job --dump-env "$work/env"
    export CUDA_VISIBLE_DEVICES=4,5
    run mpi 1 "$evalsweep" run job.json --set resources.gpus_per_worker=1
    [ "$status" -eq 0 ]
    grep -qx 'CUDA_VISIBLE_DEVICES=4' env
    grep -qx 'PYTHONUNBUFFERED=1' env
    grep -q '^OMP_NUM_THREADS=[1-9]' env
    refute grep -qE '^(OMPI_|PMIX_|PMI_|PRTE_)' env
}

# cpu_share PID: per cent of a core that a process uses over two seconds.
cpu_share() {
    local before after
    before=$(awk '{print $14 + $15}' "/proc/$1/stat")
    sleep 2
    after=$(awk '{print $14 + $15}' "/proc/$1/stat")
    echo $(((after - before) * 100 / (2 * $(getconf CLK_TCK))))
}

@test "it does not spin while an evaluator takes its time to end" {
    write_job --hang --ignore-term
    "$evalsweep" run job.json &
    driver=$!
    for _ in $(seq 500); do
        [ -s count ] && break
        sleep 0.02
    done
    kill -TERM "$driver"
    sleep 0.5
    [ "$(cpu_share "$driver")" -lt 20 ]
    wait "$driver" || [ $? -eq 75 ]
}

@test "a signal while it quits does not make it spin" {
    write_job
    cat >slow_to_end <<END
#!/bin/sh
"$fake" --persistent --count-file "$work/count"
sleep 60
END
    chmod +x slow_to_end
    "$evalsweep" run job.json --set "evaluator.command=[\"$work/slow_to_end\"]" &
    driver=$!
    for _ in $(seq 500); do
        [ "$(n_evaluated)" -eq 60 ] && break
        sleep 0.02
    done
    sleep 0.5
    kill -USR1 "$driver"
    [ "$(cpu_share "$driver")" -lt 20 ]
    wait "$driver"
}

@test "a bad worker is quarantined, and the others do its units" {
    write_job
    cat >evaluator <<END
#!/bin/sh
if [ "\$CUDA_VISIBLE_DEVICES" = 4 ]; then exec "$fake" --persistent --exit 9; fi
exec "$fake" --persistent --sleep-ms 20 --count-file "$work/count"
END
    chmod +x evaluator
    export CUDA_VISIBLE_DEVICES=4,5
    run mpi 2 "$evalsweep" run job.json --set resources.gpus_per_worker=1 \
        --set "evaluator.command=[\"$work/evaluator\"]" --set evaluator.retries=3 \
        --set limits.max_consecutive_failures=2
    [ "$status" -eq 0 ]
    [[ "$output" == *"worker 0 on "*" (device 4) is quarantined after "*": exit code 9"* ]]
    run_is_complete runs/demo
}

@test "the store at the end is what consolidate makes of the markers" {
    write_job
    mpi 2 "$evalsweep" run job.json
    "$evalsweep" consolidate --output rebuilt.h5 runs/demo
    for object in status main_score evaluation_time finished_at attempts worker markers metrics; do
        h5diff runs/demo/results.h5 rebuilt.h5 "/$object"
    done
}

store_says() { # FILE NAME VALUE
    h5dump -a "/evaluator_$2" "$1" | grep -qF "(0): $3"
}

@test "what the evaluator says of itself is in the store, also when the markers make it" {
    local says='{\"model\":\"x\",\"n\":24,\"gpu\":true,\"nested\":{\"a\":1}}' mode
    for mode in persistent one-shot; do
        write_job --attributes "$says"
        [ $mode = persistent ] || sed -i 's/"--persistent", //; s/"persistent"/"one-shot"/' job.json
        RUN_ID=$mode mpi 2 "$evalsweep" run job.json
        "$evalsweep" consolidate --output rebuilt.h5 runs/$mode
        for store in runs/$mode/results.h5 rebuilt.h5; do
            store_says "$store" model '"x"'
            store_says "$store" n 24
            store_says "$store" gpu 1
            refute h5dump -a /evaluator_nested "$store"
        done
    done
}

# The evaluator's own marker is kept: what it lacks of the reply is written beside it, where it is read again.
@test "what the evaluator says goes with its own marker" {
    local marker wrong
    for marker in '\"note\":1' '\"attributes\":{\"n\":2}' '\"main_score\":1'; do
        for wrong in --persistent --nan; do
            rm -rf runs
            write_job $wrong --attributes '{\"n\":1}' --marker "$marker"
            "$evalsweep" run job.json --only checkpoint=step0,layer=21
            "$evalsweep" consolidate --output rebuilt.h5 runs/demo
            echo "$marker $wrong"
            h5dump -N evaluator_n rebuilt.h5 | grep -F '(0)' >rebuilt || true
            h5dump -N evaluator_n runs/demo/results.h5 | grep -F '(0)' >written || true
            diff written rebuilt
            case $marker in
                *note*) grep -qF '(0): 1' rebuilt ;;
                *attributes*) grep -qF '(0): 2' rebuilt ;;
                *) [ ! -s rebuilt ] ;; # the marker is complete, and says nothing
            esac
        done
    done
}

# A part is evaluated again by another evaluator, and then everything.
@test "what evaluators say differently of themselves is called so" {
    write_job --attributes '{\"model\":\"x\",\"n\":24}'
    "$evalsweep" run job.json
    find runs/demo -name done.json | head -10 | xargs rm
    write_job --attributes '{\"model\":\"x\",\"n\":25}'
    mpi 2 "$evalsweep" run job.json --accept-change
    "$evalsweep" consolidate --output rebuilt.h5 runs/demo
    for store in runs/demo/results.h5 rebuilt.h5; do
        store_says "$store" model '"x"'
        store_says "$store" n '"(differs)"'
    done
    mpi 2 "$evalsweep" run job.json --no-resume
    store_says runs/demo/results.h5 n 25
}

# All that a site needs to have in one place: the program, and how to start it without Slurm's launcher.
@test "what is installed runs by itself, and the job script for mpirun finds it" {
    cmake --install "$(dirname "$evalsweep")" --prefix "$work/site" >/dev/null
    write_job
    run "$work/site/bin/evalsweep-mpirun" 2 "$work/site/bin/evalsweep" run job.json
    echo "$output"
    [ "$status" -eq 0 ]
    run_is_complete runs/demo
    # In a folder without tools, on a Slurm that answers nothing; what it starts only says so.
    mkdir jobs slurm
    cp "$repo"/jobs/*.sbatch jobs
    for command in squeue sinfo scontrol srun; do
        printf '#!/bin/sh\n' >"slurm/$command"
        chmod +x "slurm/$command"
    done
    printf '#!/bin/sh\necho "started: $*"\n' >site/bin/evalsweep-mpirun
    EVALSWEEP='' PATH=$work/slurm:$work/site/bin:$PATH SLURM_JOB_ID=1 SLURM_JOB_NODELIST=x SLURMD_NODENAME=x \
        SLURM_NTASKS=3 SLURM_JOB_NUM_NODES=1 EVALSWEEP_COMMENT_S=0 \
        run bash jobs/evalsweep-mpirun.sbatch job.json --quiet
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"started: "*" $work/site/bin/evalsweep run job.json --quiet"* ]]
}

# Every value of the store; not its attributes, which tell who wrote it.
store_values() {
    h5dump -A 0 -d /main_score -d /status -d /evaluation_time -d /finished_at -d /attempts -d /worker \
        -g /tries -g /metrics -g /markers runs/demo/results.h5 | grep -v '^HDF5 '
}

@test "tries that failed are in the store, and the same from a run, from its resume and from the markers" {
    write_job --fail-unit step1/22/B --fail-attempts 1 --error --retry
    run mpi 3 "$evalsweep" run job.json --only checkpoint=step0,checkpoint=step1
    [ "$status" -eq 0 ]
    store_values >half
    grep -q 'asked to fail' half
    "$evalsweep" consolidate job.json
    store_values | cmp half -
    run mpi 3 "$evalsweep" run job.json # the half is read back
    [ "$status" -eq 0 ]
    store_values >whole
    grep -q 'asked to fail' whole
    "$evalsweep" consolidate job.json
    store_values | cmp whole -
}
