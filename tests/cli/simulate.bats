# The simulator at the command line.

load ../helper/common

write_sweep() {
    cat >sweep.json <<END
{"run": {"id": "sim"},
 "grid": {"checkpoints": {"range": ["step1", "step20", 1]}, "layers": "21-24",
          "tasks": ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"]},
 "evaluator": {"mode": "null"},
 "schedule": {"checkpoint_load_s": 60}}
END
}

@test "made-up times: all policies run everything, affine not above the others" {
    write_sweep
    for policy in affine lpt fifo static; do
        "$evalsweep" simulate sweep.json --workers 8 --synthetic 3 --policy $policy --json >"$policy"
        [ "$(json units <"$policy")" -eq 800 ]
        [ "$(json policy <"$policy")" = "$policy" ]
        [ "$(json workers <"$policy")" -eq 8 ]
    done
    /usr/bin/python3 - <<'END'
import json
of = {name: json.load(open(name)) for name in ("affine", "lpt", "fifo", "static")}
for name, run in of.items():
    assert run["ratio"] >= 1, (name, run)
    assert abs(run["ratio"] - run["makespan_s"] / run["lower_bound_s"]) < 1e-9
    assert run["checkpoint_loads"] >= 20 and run["messages"] > 0
    total = run["workers"] * run["makespan_s"]
    assert abs(run["work_s"] + run["load_s"] + run["idle_s"] - total) < 1e-6 * total
assert of["affine"]["makespan_s"] == min(run["makespan_s"] for run in of.values())
END
}

@test "the same seed gives the same run, another seed another" {
    write_sweep
    first=$("$evalsweep" simulate sweep.json --synthetic 7 --json)
    [ "$("$evalsweep" simulate sweep.json --synthetic 7 --json)" = "$first" ]
    [ "$("$evalsweep" simulate sweep.json --synthetic 8 --json)" != "$first" ]
}

@test "slow loads and slow nodes cost time" {
    write_sweep
    plain=$("$evalsweep" simulate sweep.json --json | json makespan_s)
    loads=$("$evalsweep" simulate sweep.json --slow-loads 0.5 --json | json makespan_s)
    nodes=$("$evalsweep" simulate sweep.json --slow-nodes 0.5 --json | json makespan_s)
    /usr/bin/python3 -c "assert $plain < $loads and $plain < $nodes"
}

@test "a trace: units without a time are left out, and said" {
    write_sweep
    {
        echo checkpoint,layer,task,seconds
        for step in 1 2 3 4; do
            for layer in 21 22 23 24; do echo "step$step,$layer,A,100"; done
        done
        echo step99,21,A,5
    } >trace.csv
    run "$evalsweep" simulate sweep.json --trace trace.csv --workers 4
    [ "$status" -eq 0 ]
    [[ "$output" == *"1 rows are outside the grid, and 784 units of the grid are not in it"* ]]
    run bash -c "'$evalsweep' simulate sweep.json --trace trace.csv --workers 4 --json 2>/dev/null"
    [ "$(echo "$output" | json units)" -eq 16 ]
    [ "$(echo "$output" | json checkpoint_loads)" -eq 4 ] # one for each worker, and none twice
    [ "$(echo "$output" | json lower_bound_s)" -eq 400 ]
    run bash -c "'$evalsweep' simulate sweep.json --trace trace.csv --known step1 --json 2>/dev/null"
    [ "$(echo "$output" | json units)" -eq 12 ]
}

@test "an export is a trace" {
    write_job --sleep-ms 2
    "$evalsweep" run job.json
    "$evalsweep" export job.json >times.csv
    run "$evalsweep" simulate job.json --trace times.csv --json
    [ "$status" -eq 0 ]
    [ "$(echo "$output" | json units)" -eq 60 ]
}

@test "what is wrong is said" {
    write_sweep
    for option in --workers=0 --policy=best --synthetic=-1 --slow-nodes=2 --known=step99 --trace=none; do
        run "$evalsweep" simulate sweep.json "$option"
        [ "$status" -eq 2 ]
        [[ "$output" == "evalsweep: "* ]]
    done
}
