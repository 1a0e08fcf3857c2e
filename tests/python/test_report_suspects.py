"""What the report says is blocked or quarantined: page, `status`, `run --json` and store agree."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import pytest
from report_suspects import MAX_BYTES
from report_world import Page, Sweep, make_report

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
NO_FAILURE = "No unit has failed, and no attempt"
COLUMNS = ("suspect", "units blocked")
BEGIN_S = 1_790_000_000


def page_of(run_dir: Path) -> Page:
    make_report(run_dir)
    return Page(run_dir / "report.html")


def pending_in_store(run_dir: Path) -> int:
    with h5py.File(run_dir / "results.h5") as store:
        return int((store["status"][()] == 0).sum())


def rows_of(page: Page) -> list[tuple[str, list[float], list[float], list[float], str]]:
    """Name, attempts, workers, units and reason; none where the page has no such table."""
    if "Blocked or quarantined" not in page.text:
        return []
    return [
        (row[0].text, row[1].numbers, row[2].numbers, row[3].numbers, row[4].text)
        for row in page.table(*COLUMNS)
    ]


def rows_of_status(status: dict[str, Any]) -> list:
    rows = []
    for each in status["suspects"]:
        blocks = each["kind"] not in ("worker", "outage")
        name = f"{each['kind']} {each['name']}".rstrip()
        if each["kind"] == "worker":
            name += f" on {each['host']} (device {each['device']})"
        failed, workers = [each["failed"]], [each["workers"]]
        if not each["failed"]:
            failed = workers = []
        elif each["kind"] == "worker":
            workers = []
        rows.append(
            (name, failed, workers, [each["blocked"]] if blocks else [], each["reason"] or "–")
        )
    return rows


def logs_linked(page: Page) -> list[str]:
    links = [unquote(e.attributes.get("href") or "") for e in page.elements if e.name == "a"]
    return [link for link in links if "/" in link]


# --- a run


@pytest.fixture(scope="module")
def blocked(tmp_path_factory) -> tuple[Sweep, dict[str, Any]]:
    """A run with a task that always fails, and what `run --json` said at its end."""
    sweep = Sweep(
        tmp_path_factory.mktemp("blocked"),
        ["step0", "step1", "step2", "step1000"], [0, 1, 2], ["STS12", "STS13", "Other"],
        exclude=[{"checkpoint": "step0", "layer": 0, "task": "STS13"}],
    )  # fmt: skip
    job = json.loads(sweep.job.read_text())
    job["evaluator"] = {
        "mode": "persistent",
        "command": [os.environ["FAKE_EVALUATOR"], "--persistent", "--fail-unit", "/STS13",
                    "--error", "--retry", "--sleep-ms", "5"],
    }  # fmt: skip
    sweep.job.write_text(json.dumps(job))
    command = [os.environ["EVALSWEEP"], "run", "--quiet", "--json", sweep.job]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return sweep, json.loads(done.stdout)


def copy_of(blocked, folder: Path) -> Sweep:
    """Another folder of the same run."""
    sweep, _ = blocked
    shutil.copytree(sweep.run_dir.parent, folder, dirs_exist_ok=True)
    copy = object.__new__(Sweep)
    copy.run_dir, copy.job = folder / "sweep", folder / "sweep.json"
    copy.job.write_text(copy.job.read_text().replace(str(sweep.run_dir.parent), str(folder)))
    return copy


def test_a_blocked_task_is_shown_as_status_and_run_tell_it(blocked):
    sweep, ended = blocked
    page, status = page_of(sweep.run_dir), sweep.status()
    assert ended["suspects"][0]["blocked"] == 11  # 4 checkpoints, 3 layers, one unit excluded
    (row,) = rows_of(page)
    assert row[0] == "task STS13" and row[4] == "asked to fail"
    for told in (ended, status):
        assert [row] == rows_of_status(told)
        assert page.drawn["counts"] == {key: told[key] for key in page.drawn["counts"]}
    assert pending_in_store(sweep.run_dir) == row[3][0] == 11
    assert re.search(r"11 pending \( ?11 blocked\)", page.text)
    assert f"{int(row[1][0])} attempts failed in all" in page.text


def test_attempts_at_pending_units_are_told(blocked, tmp_path):
    """Also where nobody says what is to blame."""
    sweep = copy_of(blocked, tmp_path)
    n_failed = sweep.status()["suspects"][0]["failed"]
    (sweep.run_dir / "status.json").unlink()
    page = page_of(sweep.run_dir)
    (row,) = page.table("reason", "units failed")
    assert (row[0].text, row[1].numbers, row[2].numbers) == ("asked to fail", [0], [n_failed])
    assert NO_FAILURE not in page.text and rows_of(page) == []
    assert "there is no status.json: what is blocked or quarantined is not known" in page.text
    assert "11 pending," in page.text and page.drawn["counts"]["blocked"] == 0


def test_the_log_is_linked_or_what_is_beside_it(blocked, tmp_path):
    sweep = copy_of(blocked, tmp_path)
    log = Path(sweep.status()["suspects"][0]["log"])
    assert not (sweep.run_dir / log).exists()  # the evaluator printed nothing
    assert logs_linked(page_of(sweep.run_dir)) == [str(log.with_name("failed.json"))]
    (sweep.run_dir / log).write_text("what it printed\n")
    assert logs_linked(page_of(sweep.run_dir)) == [str(log)]
    (sweep.run_dir / log).unlink()
    (sweep.run_dir / log).with_name("failed.json").unlink()
    page = page_of(sweep.run_dir)
    assert logs_linked(page) == [] and page.table(*COLUMNS)[0][5].text == str(log)


def test_what_others_have_done_since_is_no_suspect(blocked, tmp_path):
    """Once the job has ended; and until then, its word counts."""
    sweep = copy_of(blocked, tmp_path)
    for folder in sweep.run_dir.glob("outputs/*/layer_*/STS13"):
        shutil.rmtree(folder)
    for checkpoint in ("step0", "step1", "step2", "step1000"):
        for layer in (0, 1, 2):
            if (checkpoint, layer) != ("step0", 0):
                sweep.mark(checkpoint, layer, "STS13", BEGIN_S, 1, 0, score=0.5)
    sweep.consolidate()
    assert sweep.status()["suspects"] == rows_of(page_of(sweep.run_dir)) == []
    told = json.loads((sweep.run_dir / "status.json").read_text())
    write_status(sweep, told | {"alive": True, "updated_s": time.time()})
    (row,) = rows_of(page_of(sweep.run_dir))
    assert (row[0], row[3]) == ("task STS13", [0])
    for late_s in (-7, 61):  # silent for too long, and dated ahead
        write_status(sweep, told | {"alive": True, "updated_s": time.time() + late_s})
        assert sweep.status()["suspects"] == rows_of(page_of(sweep.run_dir)) == []


# --- any status.json


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    """Two units are done, one has failed, twelve are pending."""
    sweep = Sweep(
        tmp_path, ["step0", "step1", "step1000"], [0, 1, 5], ["STS12", "STS13"],
        exclude=[{"checkpoint": "step0", "task": "STS13"}],
    )  # fmt: skip
    sweep.mark("step0", 1, "STS12", BEGIN_S, 1, 0, score=0.5)
    sweep.mark("step1", 1, "STS13", BEGIN_S, 1, 0, score=0.5)
    sweep.mark("step1", 5, "STS13", BEGIN_S, 1, 0, reason="exit code 1")
    sweep.consolidate()
    return sweep


def write_status(sweep: Sweep, told: Any) -> None:
    text = told if isinstance(told, str) else json.dumps(told)
    (sweep.run_dir / "status.json").write_text(text, encoding="utf-8")


def suspect(kind: Any, **more: Any) -> dict[str, Any]:
    about = {"name": "N", "reason": "R", "failed": 3, "workers": 2, "blocked": 77, "log": None}
    return {"kind": kind, **about, **more}


ALL_KINDS = [
    suspect("task", name="STS13", task="STS13"),
    suspect("checkpoint", name="step1", checkpoint="step1", workers=8),
    suspect("bundle", name="step1000/STS13", checkpoint="step1000", task="STS13"),
    suspect("layer", name="STS12 layer 5", task="STS12", layer=5, failed=0),
    suspect("layer", name="STS12 layer 0", task="STS12", layer=0),
    suspect("worker", name="3", worker=3, host="node7", device="cuda:1"),
    suspect("outage", name="", workers=64),
]
ODD = [
    suspect("task", task="STS99"),
    suspect("task", task=None, checkpoint="step1"),
    suspect("task", task=["STS13"]),
    suspect("checkpoint", checkpoint=7),
    suspect("bundle", checkpoint="step1", task="STS99"),
    suspect("bundle", checkpoint="step1"),
    suspect("layer", task="STS12"),  # without a layer: 0
    suspect("layer", task="STS12", layer=-1),
    suspect("layer", task="STS12", layer="5"),
    suspect("layer", task="STS12", layer=5.9),
    suspect("layer", task="STS12", layer=1e300),
    suspect("layer", task="STS12", layer=True),
    suspect("task", task="STS12", failed=-1, workers=-2),
    suspect("task", task="STS12", failed="9", workers=[8]),
    suspect("task", task="STS12", failed=True, workers=2.9),
    suspect("task", task="STS12", failed=1e300, workers=1e300),
    suspect("task", task="STS12", failed=10**400),
    suspect("task", task="STS12", name=7, reason={}, log=[1]),
    suspect("worker", task="STS12", worker="x", host=None, device=7),
    suspect("outage", task="STS12", checkpoint="step1", layer=5),
    suspect("planet"), suspect(None), suspect(7), suspect(["task"]), {}, [], 7, None, "task",
]  # fmt: skip


@pytest.mark.parametrize("is_alive", [True, False])
@pytest.mark.parametrize("suspects", [ALL_KINDS, ODD, [], {}, None, "all", 7])
def test_every_state_is_told_as_status_tells_it(sweep, suspects, is_alive):
    told = {"alive": is_alive, "updated_s": time.time(), "blocked": 5, "suspects": suspects}
    write_status(sweep, told)
    page, status = page_of(sweep.run_dir), sweep.status()
    # No driver's process is there, which `status` sees at once, and the page after 6 s.
    if not is_alive:
        assert rows_of(page) == rows_of_status(status)
    assert [row for row in rows_of(page) if row[3] != [0]] == [
        row for row in rows_of_status(status) if row[3] != [0]
    ]
    counts = page.drawn["counts"]
    assert counts == {key: status[key] for key in counts}
    assert counts["pending"] == pending_in_store(sweep.run_dir) == 12
    text = f"12 pending ({counts['blocked']} blocked)" if counts["blocked"] else "12 pending,"
    assert text in page.text.replace("( ", "(")


def test_units_that_several_suspects_block_count_once(sweep):
    write_status(sweep, {"suspects": ALL_KINDS})
    page = page_of(sweep.run_dir)
    # Of the checkpoint step1: STS12 three times, STS13 once; the layers of STS12 have 2 and 2 more.
    assert [row[3] for row in rows_of(page)] == [[4], [4], [3], [3], [3], [], []]
    assert page.drawn["counts"]["blocked"] == 4 + 3 + 2 + 2
    rows = page.table(*COLUMNS)
    assert rows[1][2].text == "8 or more" and rows[6][2].text == "64"
    assert rows[3][1].text == "– (blocked by an earlier job)"
    assert rows[5][0].text == "worker 3 on node7 (device cuda:1)" and rows[5][2].text == "–"


def test_of_names_that_come_twice_the_first_counts(sweep):
    write_status(
        sweep, '{"suspects":[{"kind":"task","task":"STS12","task":"STS13"}],"suspects":[]}'
    )
    assert rows_of(page_of(sweep.run_dir)) == rows_of_status(sweep.status()) != []


def test_what_status_json_says_is_no_markup(sweep):
    secret = sweep.run_dir.parent / "secret"
    secret.write_text("not of this run")
    logs = [str(secret), "../secret", "outputs/../../secret", ".", "a" * 5000, "b\0c", HOSTILE,
            "javascript:alert(1)"]  # fmt: skip
    suspects = [
        suspect("worker", name=HOSTILE, host=HOSTILE, device=HOSTILE, reason=HOSTILE, log=log)
        for log in logs
    ]
    suspects += [suspect("task", task="STS12", name=HOSTILE, reason="half of one: \ud800")]
    write_status(sweep, {"updated_s": 1e300, "suspects": suspects})
    page = page_of(sweep.run_dir)
    assert [e.attributes for e in page.elements if e.name == "script"] == [
        {"type": "application/json", "id": "drawn"}
    ]
    assert "onerror" not in {name for e in page.elements for name in e.attributes}
    assert len(page.table(*COLUMNS)) == len(logs) + 1
    assert page.table(*COLUMNS)[0][4].text == HOSTILE
    assert all("log.txt" in log for log in logs_linked(page))  # those of the failed unit alone


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "deep", '{"suspects": [{"kind": "task"}',
     "a folder", "a pipe", "too much"],
)  # fmt: skip
def test_without_a_status_json_that_can_be_read_the_page_says_so(sweep, text):
    path = sweep.run_dir / "status.json"
    if text == "a folder":
        path.mkdir()
    elif text == "a pipe":
        os.mkfifo(path)
    elif text == "too much":
        path.write_text('{"suspects": []}' + " " * MAX_BYTES)
    else:
        path.write_text('{"a":[' * 100_000 if text == "deep" else text)
    page = page_of(sweep.run_dir)
    assert re.search(
        r"status\.json cannot be read: .+: what is blocked or quarantined is not known", page.text
    )
    assert page.drawn["counts"]["pending"] == 12 and "12 pending," in page.text
    assert [row[0].text for row in page.table("reason", "units failed")] == ["exit code 1"]


def test_a_suspect_without_attempts_in_the_store_is_a_failure_too(tmp_path):
    sweep = Sweep(tmp_path, ["step0"], [1], ["STS12", "STS13"])
    sweep.consolidate()
    write_status(sweep, {"suspects": []})
    assert NO_FAILURE in page_of(sweep.run_dir).text
    write_status(sweep, {"suspects": [suspect("task", task="STS12")]})
    page = page_of(sweep.run_dir)
    assert "No unit has failed." in page.text and NO_FAILURE not in page.text


# --- reasons


@pytest.mark.parametrize("has_tries", [True, False])
def test_reasons_that_differ_in_numbers_only_are_one(tmp_path, has_tries):
    reasons = ["b: 12 of 7 GiB", "a: 1", "b: 3 of 99 GiB", "b:  of 7 GiB", "a: 22", "b: 5 of 5 GiB",
               "c: ²", "c: ³", "a"]  # fmt: skip
    sweep = Sweep(tmp_path, [f"step{i}" for i in range(len(reasons))], [1], ["STS12"])
    for i, reason in enumerate(reasons):
        sweep.mark(f"step{i}", 1, "STS12", BEGIN_S, 1, 0, reason=reason)
    sweep.consolidate()
    if not has_tries:
        with h5py.File(sweep.run_dir / "results.h5", "r+") as store:
            del store["tries"]
    rows = page_of(sweep.run_dir).table("reason", "units failed")
    found = [(row[0].text, int(row[1].numbers[0])) for row in rows]
    assert found[:2] == [("b: 12 of 7 GiB", 3), ("a: 1", 2)]
    told = [(each["reason"], each["units"]) for each in sweep.status()["failures"]]
    assert sorted(found) == sorted(told) and len(found) == 6
    assert not has_tries or [row[2].numbers for row in rows] == [row[1].numbers for row in rows]
