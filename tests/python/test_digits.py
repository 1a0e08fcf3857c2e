"""The trainer, the evaluator and the evaluator SDK of the digits job, without the driver."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import xarray

PROJECT = Path(__file__).resolve().parents[2]
TOOLS = PROJECT / "tools"
JOB = json.loads((PROJECT / "jobs" / "digits.json").read_text())
sys.path.insert(0, str(TOOLS))
import digits_train  # noqa: E402

TASKS = JOB["grid"]["tasks"]


def train(folder, *options):
    command = [sys.executable, TOOLS / "digits_train.py", folder, *options]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    train(folder)
    return folder


class Evaluator:
    """A persistent evaluator process, as a worker would start it."""

    def __init__(self, *command, by_path=None, cwd="/", **environment):
        environment = {**os.environ, **environment, "OMP_NUM_THREADS": "1"}
        pass_fds = []
        reader = None
        if by_path:
            os.mkfifo(by_path)
            environment["EVALSWEEP_REPLY_PATH"] = str(by_path)
        else:
            reader, writer = os.pipe()
            pass_fds = [writer]
            environment["EVALSWEEP_REPLY_FD"] = str(writer)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            cwd=cwd,
            env=environment,
            text=True,
        )
        if reader is not None:
            os.close(writer)
        path = reader if by_path is None else by_path
        self.replies = open(path, encoding="utf-8")  # noqa: SIM115 (closed when the process ends)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, checkpoint="step8", layer=1, task="WineKNN", unit=0):
        request = {"unit": unit, "checkpoint": checkpoint, "layer": layer, "task": task}
        self.send(json.dumps(request))
        return json.loads(self.replies.readline(), parse_constant=pytest.fail)

    def close(self):
        """Exit code and everything that was printed."""
        self.process.stdin.close()
        output = self.process.stdout.read()
        self.replies.close()
        return self.process.wait(timeout=60), output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.replies.close()


def digits(folder, **options):
    return Evaluator(TOOLS / "digits_evaluator.py", "--checkpoints", folder, **options)


@pytest.fixture(scope="session")
def evaluator(checkpoints):
    with digits(checkpoints) as running:
        yield running


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- the trainer ----


def test_one_checkpoint_for_each_of_the_job(checkpoints):
    names = [f"{name}.npz" for name in JOB["grid"]["checkpoints"]]
    assert sorted(path.name for path in checkpoints.iterdir()) == sorted(names)
    assert len(names) >= 11


def test_the_seed_decides_every_byte(checkpoints, tmp_path):
    train(tmp_path / "same")
    train(tmp_path / "other", "--seed", "1")
    first, same, other = map(contents, (checkpoints, tmp_path / "same", tmp_path / "other"))
    assert same == first
    assert all(other[name] != first[name] for name in first)


def test_what_is_there_is_kept_and_what_is_damaged_made_again(checkpoints, tmp_path):
    train(tmp_path)
    before = contents(tmp_path)
    inodes = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    train(tmp_path)
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == inodes
    (tmp_path / "step8.npz").write_bytes(before["step8.npz"][:1000])
    (tmp_path / "step16.npz").write_bytes(b"")
    (tmp_path / "step32.npz").unlink()
    train(tmp_path)
    assert contents(tmp_path) == before


def test_gradients_against_differences():
    rng = np.random.default_rng(0)
    weights = digits_train.init_weights(rng, 5, 3)
    x, y = rng.normal(size=(7, 5)), np.array([0, 1, 2, 0, 1, 2, 0])

    def loss():
        logits = digits_train.activations(weights, x)[-1]
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(7), y])

    for layer, pair in enumerate(digits_train.gradients(weights, x, y)):
        for array, gradient in zip(weights[layer], pair, strict=True):
            at = tuple(rng.integers(array.shape))
            before = array[at]
            array[at] = before + 1e-5
            above = loss()
            array[at] = before - 1e-5
            below = loss()
            array[at] = before
            assert gradient[at] == pytest.approx((above - below) / 2e-5, abs=1e-7)


# ---- the evaluator ----


def test_every_task_of_the_job_has_scores(evaluator):
    for unit, task in enumerate(TASKS):
        for layer in range(5):
            reply = evaluator.ask("step64", layer, task, unit)
            assert reply["unit"] == unit and reply["status"] == "ok"
            assert 0 < reply["main_score"] <= 1
            values = {entry["metric"]: entry["value"] for entry in reply["metrics"]}
            assert len(values) >= 3
            main = "v_measure" if task.endswith("Clustering") else "accuracy"
            assert values[main] == reply["main_score"]
            assert {entry["split"] for entry in reply["metrics"]} == {"test"}
            assert all(reply[part] >= 0 for part in ("load_s", "pass_s", "score_s"))
            assert reply["attributes"] == {
                "n_layers": digits_train.LAYERS[-1],
                "scikit_learn_version": version("scikit-learn"),
            }


def test_training_makes_the_last_layer_better(evaluator):
    for task in ("DigitsLinearProbe", "DigitsKNN", "DigitsClustering"):
        untrained = evaluator.ask("step0", 4, task)["main_score"]
        trained = evaluator.ask("step512", 4, task)["main_score"]
        assert trained > untrained + 0.1


def test_same_scores_in_any_order_and_process(checkpoints, evaluator):
    units = [(f"step{step}", layer, task) for step in (0, 64) for layer in (1, 4) for task in TASKS]

    def scores(process, order):
        return {unit: process.ask(*unit)["metrics"] for unit in order}

    with digits(checkpoints) as other:
        assert scores(evaluator, units) == scores(other, units[::-1])


def test_a_checkpoint_is_loaded_and_passed_through_once(checkpoints):
    with digits(checkpoints) as fresh:
        first = fresh.ask("step8", 1, "WineKNN")
        layer = fresh.ask("step8", 2, "WineKNN")
        task = fresh.ask("step8", 2, "WineClustering")
        data = fresh.ask("step8", 2, "DigitsKNN")
        moved = fresh.ask("step16", 2, "DigitsKNN")
        back = fresh.ask("step8", 1, "WineKNN")
    assert [reply["load_s"] > 0 for reply in (first, layer, task, data, moved, back)] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]
    assert [reply["pass_s"] > 0 for reply in (first, layer, task, data, moved, back)] == [
        True,
        False,
        False,
        True,
        True,
        True,
    ]


def test_clear_errors(evaluator, checkpoints, tmp_path):
    for request, part in [
        ({"task": "WineCooking"}, "unknown task WineCooking"),
        ({"layer": 5}, "there is no layer 5"),
        ({"layer": -1}, "there is no layer -1"),
        ({"checkpoint": "step3"}, "step3.npz is not there: run tools/digits_train.py"),
    ]:
        reply = evaluator.ask(**request, unit=7)
        assert reply["unit"] == 7 and reply["status"] == "error"
        assert part in reply["error"] and reply["retry"] is False
    (tmp_path / "step8.npz").write_bytes((checkpoints / "step8.npz").read_bytes()[:5000])
    with digits(tmp_path) as fresh:
        reply = fresh.ask()
        assert reply["status"] == "error" and "is no checkpoint" in reply["error"]
        (tmp_path / "step8.npz").write_bytes((checkpoints / "step8.npz").read_bytes())
        assert fresh.ask()["status"] == "ok"


def test_by_hand_from_any_folder(checkpoints, tmp_path):
    request = '{"unit": 3, "checkpoint": "step8", "layer": 1, "task": "WineKNN"}\n'
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EVALSWEEP_")}
    done = subprocess.run(
        [sys.executable, TOOLS / "digits_evaluator.py", "--checkpoints", checkpoints],
        input=request,
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["unit"] == 3


# ---- the job, through mpirun ----


@pytest.fixture
def project(checkpoints, tmp_path):
    """A folder to start the job in, as the quickstart starts it in the project's."""
    (tmp_path / "tools").symlink_to(TOOLS)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits-checkpoints").symlink_to(checkpoints)
    return tmp_path


def run_job(project, n_ranks, *options):
    environment = {k: v for k, v in os.environ.items() if k != "RUN_ID"}
    command = [
        TOOLS / "mpirun.sh",
        str(n_ranks),
        os.environ["EVALSWEEP"],
        "run",
        PROJECT / "jobs" / "digits.json",
        "--json",
        "--quiet",
        *options,
    ]
    done = subprocess.run(command, cwd=project, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def all_scores(run_dir):
    with xarray.open_dataset(run_dir / "results.h5") as store:
        return store["main_score"].load()


@pytest.mark.skipif("EVALSWEEP" not in os.environ, reason="EVALSWEEP names no program to test")
def test_the_job(project, evaluator):
    grid = JOB["grid"]
    n_units = len(grid["checkpoints"]) * 4 * len(TASKS)
    run_dir = project / "runs" / "digits"
    summary = run_job(project, 2)
    assert (summary["done"], summary["evaluated"]) == (n_units, n_units)
    scores = all_scores(run_dir)
    assert list(scores["checkpoint"]) == grid["checkpoints"] and list(scores["task"]) == TASKS
    assert scores.notnull().all()
    for checkpoint, layer, task in [("step0", 1, TASKS[0]), ("step512", 4, TASKS[8])]:
        expected = evaluator.ask(checkpoint, layer, task)["main_score"]
        assert float(scores.sel(checkpoint=checkpoint, layer=layer, task=task)) == expected

    assert run_job(project, 2)["evaluated"] == 0

    markers = sorted(run_dir.glob("outputs/**/done.json"))
    lost = {markers[i] for i in np.random.default_rng(0).choice(n_units, 10, replace=False)}
    inodes = {marker: marker.stat().st_ino for marker in markers}
    for marker in lost:
        marker.unlink()
    summary = run_job(project, 3)
    assert (summary["done"], summary["evaluated"]) == (n_units, 10)
    kept = {marker for marker in markers if marker.stat().st_ino == inodes[marker]}
    assert len(kept - lost) == n_units - 10
    assert all_scores(run_dir).equals(scores)

    (run_dir / "results.h5").unlink()
    subprocess.run([os.environ["EVALSWEEP"], "consolidate", run_dir], check=True)
    assert all_scores(run_dir).equals(scores)

    command = [sys.executable, TOOLS / "show_scores.py", run_dir, "--task", "DigitsKNN"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "44 of 44" in shown[0]
    assert shown[-1].split() == ["512"] + [
        f"{score:.3f}" for score in scores.sel(checkpoint="step512", task="DigitsKNN").values
    ]


# ---- the SDK ----

SCRIPT = f"""
import subprocess, sys
sys.path.insert(0, {str(TOOLS)!r})
from evalsweep_evaluator import UnitError, metric, serve
import numpy

def score(unit):
    kind = unit["task"]
    print("printed by", kind)
    if kind == "child":  # it would swallow the next request
        return {{"main_score": len(subprocess.run(["cat"], capture_output=True).stdout)}}
    if kind == "numpy":
        return {{"main_score": numpy.float32(0.5), "metrics": [metric("n", numpy.int64(3))]}}
    if kind == "nan":
        return {{"main_score": float("nan"), "metrics": [metric("inf", float("inf"), "dev", "en")]}}
    if kind == "refuse":
        raise UnitError("not this one", retry=False)
    if kind == "again":
        raise UnitError("out of memory")
    if kind == "odd":
        return {{"main_score": object()}}
    if kind == "exit":
        sys.exit(3)
    return {{"main_score": 1 / 0}}

serve(score)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "evaluator.py"
    path.write_text(SCRIPT)
    return path


def test_replies(script):
    with Evaluator(script) as process:
        assert process.ask(task="numpy", unit=5) == {
            "unit": 5,
            "status": "ok",
            "main_score": 0.5,
            "metrics": [{"split": "test", "subset": "default", "metric": "n", "value": 3.0}],
        }
        reply = process.ask(task="nan")
        assert reply["main_score"] is None and reply["metrics"][0]["value"] is None
        assert (reply["metrics"][0]["split"], reply["metrics"][0]["subset"]) == ("dev", "en")
        assert process.ask(task="child")["main_score"] == 0
        reply = process.ask(task="refuse", unit=6)
        assert reply == {"unit": 6, "status": "error", "error": "not this one", "retry": False}
        assert process.ask(task="again")["retry"] is True
        reply = process.ask(task="raise")
        assert reply["retry"] is True and "ZeroDivisionError" in reply["error"]
        assert process.ask(task="odd")["status"] == "error"
        assert process.ask(task="numpy")["status"] == "ok"
        code, output = process.close()
        assert code == 0
        assert "printed by numpy" in output and "Traceback" in output


def test_reply_by_fifo(script, tmp_path):
    with Evaluator(script, by_path=tmp_path / "fifo") as process:
        assert process.ask(task="numpy")["main_score"] == 0.5


@pytest.mark.parametrize("number", ["3", "99"])  # 3: what the evaluator opens first gets it
def test_fifo_where_a_wrapper_closed_the_descriptor(script, tmp_path, number):
    with Evaluator(script, by_path=tmp_path / "fifo", EVALSWEEP_REPLY_FD=number) as process:
        assert process.ask(task="numpy")["main_score"] == 0.5


def test_end_of_the_process(script):
    with Evaluator(script) as process:
        process.send('{"unit": 0, "task": "exit"}')
        assert process.replies.readline() == ""
        assert process.process.wait(timeout=60) == 3
    with Evaluator(script) as process:
        process.send("")
        process.send("not JSON")
        assert process.replies.readline() == ""
        assert process.process.wait(timeout=60) == 1
