"""The checkpoints and the tasks of the tiny-pythia job, by themselves."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import debian_packages
import pytest
import tiny_pythia
import tiny_tasks
from tiny_recipe import Recipe
from transformers import AutoModelForCausalLM, AutoTokenizer

TOOLS = Path(tiny_tasks.__file__).parent


@pytest.fixture
def make(monkeypatch, capsys):
    """Runs the program without the seconds that a process of its own takes; gives what it says."""

    def run(folder, *options):
        monkeypatch.setattr(sys, "argv", ["tiny_pythia.py", str(folder), *options])
        tiny_pythia.main()
        return capsys.readouterr().err

    return run


def weights(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


@pytest.fixture(scope="module")
def beginning(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    command = [sys.executable, TOOLS / "tiny_pythia.py", folder, "--last-step", "2"]
    subprocess.run(command, check=True)
    return folder


# ---- the checkpoints ----


def test_one_checkpoint_for_each_of_the_job():
    job = json.loads((TOOLS.parent / "jobs" / "tiny-pythia.json").read_text())
    steps = [f"step{step}" for step in Recipe().steps()]
    assert job["grid"]["checkpoints"] == steps
    assert job["grid"]["layers"] == f"0-{Recipe.layers}"


def test_transformers_loads_them(beginning):
    assert sorted(weights(beginning)) == ["step0", "step1", "step2"]
    model = AutoModelForCausalLM.from_pretrained(beginning / "step2")
    tokens = AutoTokenizer.from_pretrained(beginning / "step2")(
        "It prints a list.", return_tensors="pt"
    )
    states = model(**tokens, output_hidden_states=True).hidden_states
    assert len(states) == Recipe.layers + 1
    assert states[0].shape == (1, tokens["input_ids"].shape[1], Recipe.width)


def test_the_seed_decides_every_weight_and_each_step_changes_them(beginning, tmp_path, make):
    make(tmp_path / "same", "--last-step", "1")
    make(tmp_path / "other", "--last-step", "1", "--seed", "1")
    first, same, other = map(weights, (beginning, tmp_path / "same", tmp_path / "other"))
    assert len(set(first.values())) == 3
    assert same == {name: first[name] for name in ("step0", "step1")}
    assert all(other[name] != first[name] for name in other)


def test_what_is_there_is_kept_and_what_is_missing_made_again(beginning, make):
    before = weights(beginning)
    inodes = {path: path.stat().st_ino for path in beginning.iterdir()}
    assert "3 checkpoints are in" in make(beginning, "--last-step", "2")
    for path in (beginning / "step1").iterdir():
        path.unlink()
    (beginning / "step1").rmdir()
    (beginning / "step2" / "recipe.json").write_text("of another one")
    make(beginning, "--last-step", "2")
    assert weights(beginning) == before
    kept = {path.name for path, inode in inodes.items() if path.stat().st_ino == inode}
    assert kept == {"packages.json", "step0"}
    assert {path.name for path in beginning.iterdir()} == {path.name for path in inodes}


# ---- the packages ----

STATUS = """\
Package: good
Status: install ok installed
Section: contrib/utils
Source: goods (1.2)
Description: does good
 A paragraph
 of two lines.
 .
 Another one.

Package: gone
Status: deinstall ok config-files
Section: utils
Description: is not there
 Any more.

Package: bare
Status: install ok installed
Section: libs
Description: has no more than this
"""


def test_packages_of_dpkgs_records(tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS)
    description = "A paragraph of two lines.\nAnother one."
    assert debian_packages.installed(status) == [
        debian_packages.Package("good", "goods", "utils", "does good", description)
    ]


def test_packages_stay_as_they_were_when_first_looked_at(tmp_path, monkeypatch):
    path = tmp_path / "new" / "packages.json"
    first = debian_packages.load(path)
    monkeypatch.setattr(debian_packages, "installed", lambda: pytest.fail("looked again"))
    assert debian_packages.load(path) == first and len(first) > 100
    assert [file.name for file in path.parent.iterdir()] == ["packages.json"]


# ---- the tasks ----


@pytest.fixture(scope="module")
def tasks():
    made = {task.metadata.name: task for task in tiny_tasks.tasks()}
    for task in made.values():
        task.load_data()
    return made


@pytest.fixture(scope="module")
def by_description():
    return {package.description: package for package in tiny_tasks.packages()}


def test_tasks_of_the_job(tasks):
    job = json.loads((TOOLS.parent / "jobs" / "tiny-pythia.json").read_text())
    assert list(tasks) == job["grid"]["tasks"]
    revisions = {task.metadata.revision for task in tasks.values()}
    assert len(revisions) == 1 and len(revisions.pop()) == 16


def test_classification_learns_from_other_sources_than_it_is_tested_on(tasks, by_description):
    data = tasks["DebianSectionClassification"].dataset
    sources, sections = {}, {}
    for split in ("train", "test"):
        rows = list(data[split])
        sources[split] = {by_description[row["text"]].source for row in rows}
        sections[split] = {(row["label"], by_description[row["text"]].section) for row in rows}
        assert min(Counter(row["label"] for row in rows).values()) >= 3
    assert not sources["train"] & sources["test"]
    assert sections["train"] == sections["test"] and len(sections["test"]) > 2


def test_clusters_are_the_sections(tasks, by_description):
    for row in tasks["DebianSectionClustering"].dataset["test"]:
        assert by_description[row["sentences"]].section == row["labels"]


def test_grades_of_pairs(tasks, by_description):
    by_synopsis = {}
    for package in tiny_tasks.packages():
        by_synopsis.setdefault(package.synopsis, []).append(package)
    rows = list(tasks["DebianSynopsisSTS"].dataset["test"])
    assert Counter(row["score"] for row in rows) == {
        0: len(rows) / 3,
        1: len(rows) / 3,
        2: len(rows) / 3,
    }
    for row in rows:
        firsts, second = by_synopsis[row["sentence1"]], by_description[row["sentence2"]]
        if row["score"] == 2:
            assert second in firsts
        else:
            assert any((first.section == second.section) == row["score"] for first in firsts)


def test_what_is_to_be_found_is_in_the_corpus(tasks):
    data = tasks["DebianDescriptionRetrieval"].dataset["default"]["test"]
    texts = {row["id"]: row["text"] for row in data["corpus"]}
    names = {package.name: package for package in tiny_tasks.packages()}
    assert len(data["queries"]) >= 50
    for query in data["queries"]:
        for name in data["relevant_docs"][query["id"]]:
            assert names[name].synopsis == query["text"] and names[name].description == texts[name]
