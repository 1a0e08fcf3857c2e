# A job that loses the file server for long, while another one goes on with the run.

load faults

# on_another_machine COMMAND...: as a process whose life cannot be seen from here.
on_another_machine() {
    unshare --pid --fork --mount-proc --kill-child "$@"
}

n_stored() {
    /usr/bin/python3 -c '
import h5py
with h5py.File("runs/demo/results.h5") as file:
    print(int((file["status"][()] == 1).sum()))'
}

@test "a job that was cut off never replaces a newer results.h5 or status.json" {
    on_another_machine true 2>/dev/null || skip "needs the right to make namespaces"
    write_job --sleep-ms 150
    FAULT_CALLS=read,create,write,rename,link,mkdir,truncate,unlink FAULT_HOLD=$work/away \
        with_fault hold 1+ on_another_machine "$evalsweep" run job.json >a.out 2>&1 3>&- &
    a=$!
    for ((i = 0; i < 200; i++)); do
        if [ -d runs/demo ] && [ "$(n_markers)" -ge 3 ]; then break; fi
        sleep 0.1
    done
    "$evalsweep" run --join job.json >b.out 2>&1 3>&- &
    b=$!
    for ((i = 0; i < 200; i++)); do
        if [ "$(n_markers)" -ge 10 ]; then break; fi
        sleep 0.1
    done
    touch away # in mid-run: what it has begun, a store perhaps, it goes on with later
    code=0
    wait "$b" || code=$? # it waits for a minute to see whether the other lives
    cat b.out
    [ "$code" -eq 0 ]
    [ "$(n_markers)" -eq 60 ]
    [ "$(n_stored)" -eq 60 ]
    rm away
    code=0
    wait "$a" || code=$?
    cat a.out
    [ "$code" -eq 3 ]
    [ "$(n_stored)" -eq 60 ]
    [ "$(json done <runs/demo/status.json) $(json alive <runs/demo/status.json)" = "60 False" ]
    "$evalsweep" run job.json # nothing is in the way of the next start
    [ "$(n_stored)" -eq 60 ]
}
