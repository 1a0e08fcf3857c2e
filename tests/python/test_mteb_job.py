"""The job of tiny-pythia as the documentation tells to start it, on a part of its grid: through
mpirun, the evaluator, the markers and the store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray

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


def test_a_picture_of_the_trend(part, tmp_path):
    picture = tmp_path / "trend.svg"
    command = [sys.executable, PROJECT / "tools" / "plot_trend.py"]
    subprocess.run([*command, part[0] / "runs" / "tiny-pythia", picture], check=True)
    assert "<svg" in picture.read_text()
