"""The job of tiny-pythia as the documentation tells to start it, on a part of its grid: through
mpirun, the evaluator, the markers and the store."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import mteb
import numpy as np
import pytest
import tiny_tasks
import xarray
from mteb.models.abs_encoder import AbsEncoder
from mteb_encoder import model_meta
from mteb_model import Runner, Settings, load

PROJECT = Path(__file__).resolve().parents[2]
JOB = PROJECT / "jobs" / "tiny-pythia.json"
CHECKPOINTS = ["step0", "step256"]
LAYERS = [0, 3, 6]
TASKS = json.loads(JOB.read_text())["grid"]["tasks"]
N_UNITS = len(CHECKPOINTS) * len(LAYERS) * len(TASKS)

pytestmark = pytest.mark.skipif("EVALSWEEP" not in os.environ, reason="EVALSWEEP names no program")


def run_job(folder, *options):
    environment = {k: v for k, v in os.environ.items() if k != "RUN_ID"}
    done = subprocess.run(
        [PROJECT / "tools" / "mpirun.sh", "2", os.environ["EVALSWEEP"], "run", JOB,
         "--json", "--quiet", *options],
        cwd=folder, env=environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """A folder to start the job in, like the project's, where a part of the grid is evaluated."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "build").mkdir()
    (folder / "build" / "mteb-venv").symlink_to(sys.prefix)
    (folder / "build" / "tiny-pythia").symlink_to(PROJECT / "build" / "tiny-pythia")
    (folder / "tools").symlink_to(PROJECT / "tools")
    only = [f"checkpoint={name}" for name in CHECKPOINTS] + [f"layer={layer}" for layer in LAYERS]
    selection = ["--only", ",".join(only)]
    return folder, selection, run_job(folder, *selection)


def test_every_unit_is_evaluated_once(part):
    folder, selection, summary = part
    assert (summary["evaluated"], summary["failed"]) == (N_UNITS, 0)
    assert run_job(folder, *selection)["evaluated"] == 0


def test_the_store_has_what_the_markers_have(part):
    run_dir = part[0] / "runs" / "tiny-pythia"
    markers = {path: json.loads(path.read_text()) for path in run_dir.rglob("done.json")}
    with xarray.open_dataset(run_dir / "results.h5") as store:
        scores = store["main_score"].load()
    assert len(markers) == int(scores.notnull().sum()) == N_UNITS
    for path, marker in markers.items():
        checkpoint, layer, task = path.parts[-4:-1]
        unit = {"checkpoint": checkpoint, "layer": int(layer.removeprefix("layer_")), "task": task}
        assert float(scores.sel(unit)) == marker["main_score"], unit


class OneLayer(AbsEncoder):
    """A checkpoint's layer as it comes out of the model: without bundles and without a cache."""

    def __init__(self, checkpoint, layer):
        folder = PROJECT / "build" / "tiny-pythia" / checkpoint
        self.runner = Runner(Settings(device="cpu"))
        self.runner.swap(load(folder, checkpoint, self.runner.dtype))
        self.layer = layer
        self.mteb_model_meta = model_meta("a/b", checkpoint, 96, {"layer": layer})

    def encode(self, inputs, **_):
        texts = [text for batch in inputs for text in batch["text"]]
        distinct = list(dict.fromkeys(texts))
        known = {}
        for indices, pooled in self.runner.run(distinct, (self.layer,)):
            known.update(
                (distinct[i], vectors[0]) for i, vectors in zip(indices, pooled, strict=True)
            )
        return np.stack([known[text] for text in texts])


def test_every_score_is_that_of_mteb_and_this_layer_alone(part):
    run_dir = part[0] / "runs" / "tiny-pythia"
    for path in run_dir.rglob("done.json"):
        checkpoint, layer, task = path.parts[-4:-1]
        encoder = OneLayer(checkpoint, int(layer.removeprefix("layer_")))
        plain = mteb.evaluate(encoder, tiny_task(task), cache=None, show_progress_bar=False)
        score = json.loads(path.read_text())["main_score"]
        assert score == pytest.approx(plain.task_results[0].get_score(), abs=1e-6), path


def tiny_task(name):
    return next(task for task in tiny_tasks.tasks() if task.metadata.name == name)


def evaluator_attributes(path):
    with xarray.open_dataset(path) as store:
        return {
            name.removeprefix("evaluator_"): value
            for name, value in store.attrs.items()
            if name.startswith("evaluator_")
        }


def test_the_store_says_what_evaluated_it(part, tmp_path):
    run_dir = part[0] / "runs" / "tiny-pythia"
    attributes = evaluator_attributes(run_dir / "results.h5")
    assert (attributes["n_layers"], attributes["normalize"]) == (6, 0)
    assert (attributes["pooling"], attributes["device"]) == ("mean", "cpu")
    assert attributes["torch_version"] == version("torch")
    assert attributes["layer_rule"].startswith("layer N is hidden_states[N]")
    # The markers alone say the same.
    rebuilt = tmp_path / "rebuilt.h5"
    command = [os.environ["EVALSWEEP"], "consolidate", "--output", rebuilt, run_dir]
    subprocess.run(command, check=True, capture_output=True)
    assert evaluator_attributes(rebuilt) == attributes


def test_a_page_about_it(part, tmp_path):
    """With this Python's matplotlib, which is newer than Debian's."""
    page = tmp_path / "report.html"
    command = [sys.executable, PROJECT / "tools" / "report.py", "--output", page]
    subprocess.run([*command, part[0] / "runs" / "tiny-pythia"], check=True)
    assert "data:image/svg+xml" in page.read_text()
