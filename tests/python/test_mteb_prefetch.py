"""Fetching what a job needs, with a hub that is not there."""

import json
import os

import mteb_hub
import mteb_world
import prefetch
import pytest

pytestmark = pytest.mark.skipif("EVALSWEEP" not in os.environ, reason="EVALSWEEP names no program")


def write_job(folder, command, **environment):
    job = {
        "run": {"root": str(folder), "id": "a"},
        "grid": {
            "checkpoints": {"range": ["step1", "step3", 1]},
            "layers": [0],
            "tasks": {"file": "tasks.txt"},
        },
        "evaluator": {"mode": "persistent", "command": command, "env": environment},
    }
    (folder / "tasks.txt").write_text("Likeness\nFinding\n")
    (folder / "job.json").write_text(json.dumps(job))
    return str(folder / "job.json")


@pytest.fixture
def fetched(monkeypatch):
    """Fetches what is asked for, but for what is in `refused`."""
    names, refused = [], set()

    def find(checkpoints, name):
        if name in refused:
            raise ConnectionError("no route to host")
        names.append((checkpoints.model_name, name))

    monkeypatch.setattr(mteb_hub.HubCheckpoints, "find", find)
    return names, refused


def fetch(job, *options):
    return prefetch.main([job, "--evalsweep", os.environ["EVALSWEEP"], *options])


def test_every_checkpoint_and_data_set(tmp_path, fetched, monkeypatch):
    loaded = []
    for kind in (mteb_world.Likeness, mteb_world.Finding):
        load = kind.load_data
        monkeypatch.setattr(
            kind, "load_data", lambda task, load=load: loaded.append(type(task)) or load(task)
        )
    monkeypatch.setattr("mteb_tasks._import_tasks", lambda path: mteb_world.tasks())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    command = ["python3", "tools/mteb_evaluator.py", "--model", "org/tiny", "--tasks-file", "x.py"]
    job = write_job(tmp_path, command, HF_HOME=str(tmp_path), HF_DATASETS_OFFLINE="1")
    monkeypatch.setenv("HF_HOME", "elsewhere")
    assert fetch(job) == 0
    assert fetched[0] == [("org/tiny", f"step{step}") for step in (1, 2, 3)]
    assert loaded == [mteb_world.Likeness, mteb_world.Finding]
    assert os.environ["HF_HOME"] == str(tmp_path)
    assert not {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"} & set(os.environ)


def test_one_that_fails_does_not_stop_the_others(tmp_path, fetched, capsys):
    names, refused = fetched
    refused.add("step2")
    command = ["mteb_evaluator.py", "--model", "a/b", "--tasks-file", mteb_world.__file__]
    job = write_job(tmp_path, command)
    assert fetch(job) == 1
    assert [name for _, name in names] == ["step1", "step3"]
    errors = capsys.readouterr().err
    assert "a/b step2: no route to host" in errors and "1 of 5 failed" in errors
    refused.clear()
    assert fetch(job) == 0


def test_another_evaluator_and_a_bad_job(tmp_path, capfd):
    job = write_job(tmp_path, ["python3", "tools/digits_evaluator.py"])
    with pytest.raises(SystemExit, match=r"not mteb_evaluator\.py"):
        fetch(job)
    (tmp_path / "tasks.txt").unlink()
    with pytest.raises(SystemExit) as caught:
        fetch(job)
    assert caught.value.code == 2 and "tasks.txt" in capfd.readouterr().err
