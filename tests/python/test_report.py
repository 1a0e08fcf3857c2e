"""tools/report.py: every number on the page is that of the markers, which are read here anew."""

import html
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.collections import QuadMesh
from report_world import DEVICES, Page, Sweep, make_report, seconds, stamp

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tools"))
import report_axis  # noqa: E402
import report_data  # noqa: E402
import report_figures  # noqa: E402
import report_scores  # noqa: E402
import report_style  # noqa: E402
import report_timeline  # noqa: E402
import report_work  # noqa: E402

pyplot.switch_backend("agg")

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> & \"so\""
)
CHECKPOINTS = ["step0", "step1", "step8", "step1000", "final"]
LAYERS = [0, 3, 12]
TASKS = ["STS12", 'A&B <i>"x" $y_1$', "Partial"]
BEGIN_S = 1_790_000_000
RETRIED = ("step1000", 3, "STS12")


def failed_try(start_s: float, worker: int) -> dict:
    """As the marker of the try that made good has it."""
    return {
        "attempt": 1, "status": "failed", "reason": "timed out", "started": stamp(start_s),
        "finished": stamp(start_s + 2), "host": "node0", "device": DEVICES[worker],
        "rank": worker, "load_s": 0,
    }  # fmt: skip


def fill(sweep: Sweep) -> None:
    """Two workers, and two hours between two stretches; some units failed, some are pending."""
    clock_s = {0: BEGIN_S, 1: BEGIN_S + 3}
    for c, checkpoint in enumerate(CHECKPOINTS):
        if checkpoint == "step1000":
            clock_s = {0: BEGIN_S + 7200, 1: BEGIN_S + 7203}
        for t, task in enumerate(TASKS):
            worker = (c + t) % 2
            for k, layer in enumerate(LAYERS):
                unit = (checkpoint, layer, task)
                if task == "Partial" and checkpoint in ("step0", "final"):
                    continue  # excluded; pending
                load_s = 4.5 if k == 0 else 0
                took_s = load_s + 1.25 + c + 0.5 * k
                score = 0.1 + 0.07 * c + 0.031 * ((7 * k + 3 * t) % 5) + 0.00012345678
                about = {"load_s": load_s, "pass_s": 1.0, "score_s": 0.25}
                if unit == ("step8", 3, "STS12"):
                    about["reason"] = HOSTILE
                elif unit in (("step8", 12, "STS12"), ("final", 0, "STS12")):
                    about["reason"] = "CUDA out of memory"
                elif unit != ("step1", 3, TASKS[1]):  # which is done without a score
                    about["score"] = score
                if unit == RETRIED:
                    about |= {"attempt": 2, "earlier": [failed_try(clock_s[worker], worker)]}
                    clock_s[worker] += 2
                sweep.mark(*unit, clock_s[worker], took_s, worker, **about)
                clock_s[worker] += took_s


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    exclude = [{"checkpoint": "step0", "task": "Partial"}]
    folder = tmp_path_factory.mktemp("report")
    sweep = Sweep(folder, CHECKPOINTS, LAYERS, TASKS, exclude=exclude)
    fill(sweep)
    sweep.consolidate()
    command = [PROJECT / "tools" / "report.py", sweep.run_dir, "--figures", folder / "figures"]
    subprocess.run(command, check=True, capture_output=True)
    return sweep


@pytest.fixture(scope="module")
def page(sweep):
    return Page(sweep.run_dir / "report.html")


def near(value: float | None, expected: float) -> bool:
    """Equal to six digits, None for NaN."""
    if value is None or math.isnan(expected):
        return value is None and math.isnan(expected)
    return math.isclose(value, expected, rel_tol=1e-5)


def test_counts_are_those_of_the_markers(sweep, page):
    done, failed = sweep.markers(), sweep.markers("failed.json")
    n_units = len(CHECKPOINTS) * len(LAYERS) * len(TASKS) - len(LAYERS)
    expected = {
        "done": len(done),
        "failed": len(failed),
        "pending": n_units - len(done) - len(failed),
        "excluded": len(LAYERS),
        "blocked": 0,
    }
    assert page.drawn["counts"] == expected
    assert (expected["pending"], expected["failed"]) == (3, 3)
    words = (
        f"{len(done)} of {n_units} units done; 3 pending, 3 failed, 3 excluded, 1 without a score"
    )
    assert words in page.text


def test_drawn_scores_are_those_of_the_markers(sweep, page):
    assert [each["task"] for each in page.drawn["tasks"]] == TASKS
    for drawn in page.drawn["tasks"]:
        for c, checkpoint in enumerate(CHECKPOINTS):
            expected = [sweep.score(checkpoint, layer, drawn["task"]) for layer in LAYERS]
            assert all(map(near, drawn["main_score"][c], expected))
            found = [(-score, i) for i, score in enumerate(expected) if not math.isnan(score)]
            assert drawn["best_layer"][c] == (LAYERS[min(found)[1]] if found else None)


def test_figures_draw_those_scores(sweep):
    """The heat map's cells, the curves' points and the best layers, as matplotlib has them."""
    report_style.use_style()
    run = report_data.read_run(sweep.run_dir)
    axis = report_axis.TrainingAxis(run.checkpoints, run.step)
    for t, task in enumerate(TASKS):
        expected = np.array([[sweep.score(c, k, task) for k in LAYERS] for c in CHECKPOINTS])
        panel = report_scores.Panel(task, run.score[:, :, t], run.status[:, :, t])
        figure = report_figures.draw_panel(panel, axis, run.layers)
        heat, best, curves = (axes for axes in figure.axes if axes.get_title(loc="left"))
        cells = {}
        for mesh in heat.collections:
            if isinstance(mesh, QuadMesh) and mesh.get_cmap().name == "viridis":
                edges = mesh.get_coordinates()[0, :, 0]
                rows = np.ma.filled(mesh.get_array(), np.nan).reshape(len(LAYERS), -1)
                for i, column in enumerate(rows.T):
                    cells[(edges[i], edges[i + 1])] = column
        assert len(cells) == len(CHECKPOINTS)
        for c, x in enumerate(axis.centre):
            (column,) = (each for (low, high), each in cells.items() if low < x < high)
            np.testing.assert_array_equal(column, expected[c])
        points = {}
        for line in curves.lines:
            for x, y in line.get_xydata():
                points[x, int(line.get_label())] = y
        for c, x in enumerate(axis.centre):
            for k, layer in enumerate(LAYERS):
                np.testing.assert_equal(points[x, layer], expected[c, k])
        dots = {x: y for each in best.collections for x, y in each.get_offsets()}
        for c, x in enumerate(axis.centre):
            whole = not np.isnan(expected[c]).all()
            assert (x in dots) == whole
            assert not whole or dots[x] == np.nanargmax(expected[c])


def test_steps_stand_where_their_logarithm_is():
    steps = np.array([1000, 0, 1, 8, math.nan, 8])
    names = ["step1000", "step0", "step1", "step8", "final", "again8"]
    axis = report_axis.TrainingAxis(names, steps)
    centre = axis.centre
    assert np.allclose(centre[[2, 3, 0]], [0, 3, math.log2(1000)])
    # Step 0 left of all, apart; what is no step, or one that is taken, right of all by name.
    assert centre[1] < axis.edges(axis.groups[1])[0] < axis.edges(axis.groups[1])[-1] < centre[4]
    assert centre[4] < centre[5]
    assert [list(group) for group in axis.groups] == [[1], [2, 3, 0], [4, 5]]
    assert axis.limits[0] < centre.min() and axis.limits[1] > centre.max()


def test_table_of_means(sweep, page):
    rows = page.table("checkpoint", "3")
    assert [row[0].text for row in rows] == CHECKPOINTS
    whole = {}
    for c, row in enumerate(rows):
        for k, (layer, cell) in enumerate(zip(LAYERS, row[1:], strict=True)):
            scores = [sweep.score(CHECKPOINTS[c], layer, task) for task in TASKS]
            scores = [score for score in scores if not math.isnan(score)]
            if not scores:
                assert cell.numbers == []
                assert page.drawn["mean"][c][k] is None
                continue
            assert math.isclose(cell.numbers[0], fmean(scores), rel_tol=1e-12)
            assert cell.text.startswith(f"{fmean(scores):.4f}")
            assert near(page.drawn["mean"][c][k], fmean(scores))
            assert page.drawn["n_tasks_in_mean"][c][k] == len(scores)
            # A mean of fewer tasks says so, and is never the best.
            assert ("part" in cell.kind) == (len(scores) < len(TASKS))
            assert cell.text.endswith(f"{len(scores)}/{len(TASKS)}") == ("part" in cell.kind)
            if len(scores) == len(TASKS):
                whole[c, layer] = (fmean(scores), cell)
    assert 0 < len(whole) < len(CHECKPOINTS) * len(LAYERS)
    (c, layer), (best, cell) = max(whole.items(), key=lambda item: item[1][0])
    assert "best" in cell.kind and sum("best" in x.kind for row in rows for x in row) == 1
    assert f"{best:.4f} best mean over all tasks: {CHECKPOINTS[c]}, layer {layer}" in page.text
    assert f"{len(whole)} of 15 (checkpoint, layer) pairs have a score of every task" in page.text


def test_table_of_tasks(sweep, page):
    rows = page.table("task", "best score")
    assert [row[0].text for row in rows] == TASKS
    for task, row in zip(TASKS, rows, strict=True):
        scores = {(c, k): sweep.score(c, k, task) for c in CHECKPOINTS for k in LAYERS}
        scores = {where: score for where, score in scores.items() if not math.isnan(score)}
        best = max(scores, key=scores.get)
        assert row[1].numbers == [scores[best]]
        assert (row[2].text, row[3].text) == (best[0], str(best[1]))
        assert row[4].numbers == [len(scores), len(CHECKPOINTS) * len(LAYERS)]
        failed = [unit for unit in sweep.markers("failed.json") if unit[2] == task]
        assert row[5].numbers == [len(failed)]


def all_tries(sweep: Sweep) -> list[dict]:
    tries = []
    for marker in [*sweep.markers().values(), *sweep.markers("failed.json").values()]:
        names = {name: marker[name] for name in ("checkpoint", "layer", "task")}
        tries += [marker, *(names | earlier for earlier in marker.get("earlier", []))]
    return tries


def stretch_of(marker: dict) -> int:
    return int(seconds(marker["started"]) >= BEGIN_S + 7000)


def test_timeline_is_that_of_the_markers(sweep, page):
    assert len(page.drawn["stretches"]) == 2
    for i, stretch in enumerate(page.drawn["stretches"]):
        markers = [marker for marker in all_tries(sweep) if stretch_of(marker) == i]
        assert stretch["started_s"] == min(seconds(marker["started"]) for marker in markers)
        assert stretch["workers"] == [[k, "node0", DEVICES[k]] for k in (0, 1)]
        bundles = stretch["bundles"]
        expected = {}
        for marker in markers:
            key = (marker["rank"], marker["checkpoint"], marker["task"])
            expected.setdefault(key, []).append(marker)
        for b in range(len(bundles["worker"])):
            names = (CHECKPOINTS[bundles["checkpoint"][b]], TASKS[bundles["task"][b]])
            units = expected.pop((bundles["worker"][b], *names))
            starts = [seconds(marker["started"]) for marker in units]
            assert bundles["n_tries"][b] == len(units)
            assert bundles["n_failed"][b] == sum(m["status"] == "failed" for m in units)
            assert bundles["load_s"][b] == sum(marker["load_s"] for marker in units)
            assert near(bundles["from_s"][b], min(starts) - stretch["started_s"])
            ends = [max(seconds(m["finished"]), seconds(m["started"]) + took_s(m)) for m in units]
            assert near(bundles["to_s"][b], max(ends) - stretch["started_s"])
        assert not expected


def test_timeline_draws_those_bundles(sweep):
    """Where its bars begin and end, and in which rows, as matplotlib has them."""
    report_style.use_style()
    run = report_data.read_run(sweep.run_dir)
    for stretch in report_work.work_of(run.tries).stretches:
        figure = report_timeline.draw_stretch(stretch, run)
        idle, bars, loads, crosses = figure.axes[0].collections
        assert "seconds since 20" in figure.axes[0].get_xlabel()
        bundles, since = stretch.bundles, stretch.started_s
        for b, path in enumerate(bars.get_paths()):
            (low, bottom), (high, top) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            expected = [bundles.started_s[b] - since, bundles.finished_s[b] - since]
            assert [low, high] == pytest.approx(expected)
            assert (bottom + top) / 2 == bundles.worker[b]
        assert len(bars.get_paths()) == len(bundles.task)
        widths = [np.ptp(path.vertices[:, 0]) for path in loads.get_paths()]
        assert widths == pytest.approx(bundles.load_s[bundles.load_s > 0])
        ends = bundles.finished_s[bundles.n_failed > 0] - since
        assert crosses.get_offsets()[:, 0].tolist() == pytest.approx(ends)
        assert len(idle.get_paths()) == len(stretch.workers)
        colours = {
            tuple(bars.get_facecolor()[b]): run.checkpoints[bundles.checkpoint[b]]
            for b in range(len(bundles.task))
        }
        assert len(colours) == len(set(bundles.checkpoint.tolist()))  # a colour for each
        widths = [bar.get_width() for bar in figure.axes[1].patches]
        parts = np.array(widths).reshape(2, -1).sum(axis=0) / 100
        assert parts == pytest.approx(stretch.utilisation)


def took_s(marker: dict) -> float:
    """What a failed try took is known to the second only."""
    if marker["status"] == "done":
        return marker["evaluation_time_s"]
    return seconds(marker["finished"]) - seconds(marker["started"])


def test_utilisation_is_that_of_the_markers(sweep, page):
    held_s = 0.0
    rows, by_worker = page.table("stretch", "lasted"), page.table("stretch", "worker")
    assert len(rows) == 2 and len(by_worker) == 4
    for i, row in enumerate(rows):
        markers = [marker for marker in all_tries(sweep) if stretch_of(marker) == i]
        ends = [max(seconds(m["finished"]), seconds(m["started"]) + took_s(m)) for m in markers]
        wall_s = max(ends) - min(seconds(marker["started"]) for marker in markers)
        busy_s = math.fsum(map(took_s, markers))
        numbers = [cell.numbers[0] for cell in row[2:]]
        loads_s = math.fsum(marker["load_s"] for marker in markers)
        expected = [wall_s, 2, len(markers), busy_s, loads_s, busy_s / (2 * wall_s)]
        assert numbers == pytest.approx(expected, rel=1e-9)
        held_s += 2 * wall_s
        for worker in (0, 1):
            cells = by_worker[2 * i + worker]
            assert [cell.text for cell in cells[:4]] == [
                str(i + 1),
                str(worker),
                "node0",
                DEVICES[worker],
            ]
            own_s = math.fsum(took_s(m) for m in markers if m["rank"] == worker)
            assert cells[5].numbers == pytest.approx([own_s], rel=1e-9)
            assert cells[7].numbers == pytest.approx([min(own_s / wall_s, 1)], rel=1e-9)
    total = math.fsum(map(took_s, all_tries(sweep))) / held_s
    assert f"{total:.1%} utilisation of workers" in page.text


def test_failures_have_reasons_counts_and_logs(sweep, page):
    rows = page.table("reason", "units failed")
    assert [row[0].text for row in rows] == ["CUDA out of memory", HOSTILE, "timed out"]
    assert [row[1].numbers for row in rows] == [[2], [1], [0]]
    assert [row[2].numbers for row in rows] == [[2], [1], [1]]
    assert "3 units failed; 4 attempts failed in all" in page.text
    links = [e.attributes["href"] for e in page.elements if e.name == "a"]
    logs = [unquote(link) for link in links if link.endswith("log.txt")]
    wanted = {sweep.unit_dir(*unit) / "log.txt" for unit in sweep.markers("failed.json")}
    assert {sweep.run_dir / log for log in logs} == wanted
    units = {tuple(cell.text for cell in row[:3]) for row in page.table("checkpoint", "log")}
    assert units == {(c, str(k), t) for c, k, t in sweep.markers("failed.json")}


def test_what_a_run_says_is_no_markup(page):
    assert "window.hacked" not in "".join(
        value or "" for e in page.elements for name, value in e.attributes.items() if name != "alt"
    )
    assert [e.attributes for e in page.elements if e.name == "script"] == [
        {"type": "application/json", "id": "drawn"}
    ]
    assert "<i>" not in page.source.split("<nav>")[1]
    assert html.escape(TASKS[1]) in page.source


def test_page_needs_nothing_else(sweep, page):
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "style"):
            value = element.attributes.get(name)
            if not value or value.startswith("#"):
                continue
            if value.startswith("data:image/svg+xml,"):
                svg = unquote(value)
                references = re.findall(r"""(?:href|src)=['"]([^'"]*)""", svg)
                assert all(r.startswith(("#", "data:image/png;base64,")) for r in references)
                assert not re.search(r"url\((?!#)", svg)
            elif name == "style":
                assert "url(" not in value
            elif value != "data:,":  # (the icon that there is not)
                assert not value.startswith("/") and (sweep.run_dir / unquote(value)).exists()
    css = page.source.split("<style>")[1].split("</style>")[0]
    assert "url(" not in css and "@import" not in css


def test_figure_files(sweep):
    names = {path.name for path in (sweep.run_dir.parent / "figures").iterdir()}
    stems = {"mean", "workers", "timeline_1", "timeline_2", "task_STS12", "task_Partial"}
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")} < names
    assert len(names) == 2 * (len(stems) + 1)
    for path in (sweep.run_dir.parent / "figures").iterdir():
        start = path.read_bytes()[:2000]
        assert start.startswith(b"\x89PNG") if path.suffix == ".png" else b"<svg" in start


def test_the_same_run_gives_the_same_figures(sweep, tmp_path):
    make_report(sweep.run_dir, "--output", tmp_path / "again.html", "--figures", tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (sweep.run_dir.parent / "figures" / path.name).read_bytes()
    # Links start from where the page is.
    page = Page(tmp_path / "again.html")
    (link, *_) = (
        e.attributes["href"] for e in page.elements if "log.txt" in (e.attributes.get("href") or "")
    )
    assert (tmp_path / unquote(link)).resolve().exists()


def copy_of(sweep: Sweep, folder: Path) -> Path:
    return Path(shutil.copytree(sweep.run_dir, folder / "copy"))


def test_without_tries_the_page_says_so(sweep, tmp_path):
    run_dir = copy_of(sweep, tmp_path)
    with h5py.File(run_dir / "results.h5", "r+") as store:
        del store["tries"]
    make_report(run_dir)
    page = Page(run_dir / "report.html")
    assert "does not say which worker did what when" in page.text
    assert page.drawn["stretches"] is None
    assert [row[0].text for row in page.table("reason", "units failed")] == [
        "CUDA out of memory",
        HOSTILE,
    ]


def test_unknown_times_are_counted(sweep, tmp_path):
    run_dir = copy_of(sweep, tmp_path)
    with h5py.File(run_dir / "results.h5", "r+") as store:
        store["tries/started_at"][:5] = math.nan
        store["tries/worker"][5] = -1
        n = len(store["tries/worker"])
    make_report(run_dir)
    text = Page(run_dir / "report.html").text
    assert f"6 of {n} attempts have no known worker or times: they are left out here" in text
    with h5py.File(run_dir / "results.h5", "r+") as store:
        store["tries/finished_at"][:] = math.nan
    make_report(run_dir)
    assert "Of no attempt both worker and times are known" in Page(run_dir / "report.html").text


@pytest.mark.parametrize(
    ("checkpoints", "layers"),
    [(["step5"], [7]), (["main"], [1, 2]), (["alpha", "beta", "gamma"], [1]),
     (["a-step3", "b-step3", "step0", "zeta"], [2, 9]), (["step0"], [0])],
)  # fmt: skip
@pytest.mark.parametrize("scored", [True, False])
def test_small_and_odd_grids(tmp_path, checkpoints, layers, scored):
    sweep = Sweep(tmp_path, checkpoints, layers, ["STS12"])
    for i, checkpoint in enumerate(checkpoints):
        for layer in layers:
            score = 0.5 + 0.01 * i if scored else None
            sweep.mark(checkpoint, layer, "STS12", BEGIN_S, 0.4, 0, score=score)
    make_report(sweep.consolidate())
    page = Page(sweep.run_dir / "report.html")
    (drawn,) = page.drawn["tasks"]
    for i, checkpoint in enumerate(checkpoints):
        expected = [sweep.score(checkpoint, layer, "STS12") for layer in layers]
        assert all(map(near, drawn["main_score"][i], expected))
    assert len(page.drawn["stretches"]) == 1


def test_a_run_without_any_result(tmp_path):
    sweep = Sweep(tmp_path, ["step0", "step1"], [1, 2], ["STS12", "STS13"])
    make_report(sweep.consolidate())
    page = Page(sweep.run_dir / "report.html")
    assert page.drawn["counts"]["pending"] == 8
    assert "No unit has failed, and no attempt" in page.text


def test_bundles_go_on_through_short_units():
    """Two bundles, ten units in each second: their order within a second is lost."""
    n = 40
    started_s = np.repeat([100.0, 101.0, 102.0, 103.0], 10)
    columns = {
        "checkpoint": np.repeat([3, 1], 20), "layer": np.tile(np.arange(20), 2),
        "task": np.zeros(n, int), "worker": np.zeros(n, int),
        "host": np.ones(n, int), "device": np.zeros(n, int), "started_s": started_s,
        "finished_s": started_s.copy(), "load_s": np.full(n, np.nan), "duration_s": np.full(n, 0.1),
        "is_failed": np.zeros(n, bool), "reason": np.zeros(n, int),
    }  # fmt: skip
    columns["started_s"][20:25] -= 1  # the second bundle begins in the first one's last second
    columns["finished_s"] = columns["started_s"].copy()
    shuffled = np.random.default_rng(1).permutation(n)
    tries = report_data.Tries(
        **{name: column[shuffled] for name, column in columns.items()},
        hosts=["", "a"], devices=[""], reasons=[""],
    )  # fmt: skip
    work = report_work.work_of(tries)
    (stretch,) = work.stretches
    assert stretch.bundles.checkpoint.tolist() == [3, 1]
    assert stretch.bundles.n_tries.tolist() == [20, 20]
    assert work.busy_s == pytest.approx(4.0)


def test_errors_are_one_line(sweep, tmp_path):
    done = make_report(tmp_path, code=2)
    assert done == (
        f"report: reading the store: {tmp_path}/results.h5: there is none"
        f" (evalsweep consolidate {tmp_path} writes it)\n"
    )
    (tmp_path / "results.h5").write_bytes(b"no HDF5 at all")
    assert re.fullmatch(
        r"report: reading the store: .*results.h5: .+\n", make_report(tmp_path, code=2)
    )
    run_dir = copy_of(sweep, tmp_path)
    with h5py.File(run_dir / "results.h5", "r+") as store:
        store.attrs["evalsweep_schema"] = 99
    assert "its schema is 99" in make_report(run_dir, code=2)
    nowhere = tmp_path / "nowhere" / "report.html"
    done = make_report(sweep.run_dir, "--output", nowhere, code=1)
    assert done == f"report: writing: {nowhere}: No such file or directory\n"


def test_a_report_that_cannot_be_written_leaves_the_old_one(sweep, tmp_path):
    output = tmp_path / "report.html"
    output.mkdir()
    (output / "old").touch()
    done = make_report(sweep.run_dir, "--output", output, code=1)
    assert done.startswith(f"report: writing: {output}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def recipes(page: Path, heading: str) -> list[str]:
    """The Python in the section of that heading."""
    (found,) = (part for part in re.split(r"\n#+ ", page.read_text()) if part.startswith(heading))
    return re.findall(r"```python\n(.*?)```", found, re.S)


@pytest.mark.parametrize("name", ["report.md", "store.md"])
def test_heat_map_in_one_line(sweep, tmp_path, monkeypatch, name):
    """The recipes as printed: the first for checkpoints that are steps, the next for any."""
    for_steps, *for_any = recipes(PROJECT / "docs" / name, "xarray: a heat map in one line")
    steps = Sweep(tmp_path, CHECKPOINTS[:-1], LAYERS, ["STS12"])
    for unit, marker in sweep.markers().items():
        if unit[0] in steps.checkpoints and unit[2] == "STS12":
            steps.mark(*unit, BEGIN_S, 1, 0, score=marker["main_score"])
    steps.consolidate()
    for run, recipe in [(steps, for_steps), *((sweep, recipe) for recipe in for_any)]:
        monkeypatch.chdir(run.run_dir)
        pyplot.close("all")
        exec(compile(recipe, name, "exec"), {})
        axes = pyplot.gcf().axes[0]
        (mesh,) = axes.collections
        expected = [[sweep.score(c, k, "STS12") for c in CHECKPOINTS[:-1]] for k in LAYERS]
        drawn = np.ma.filled(mesh.get_array(), np.nan).reshape(len(LAYERS), -1)
        np.testing.assert_array_equal(drawn, expected)
        assert axes.get_xscale() == "symlog" and axes.get_ylabel().startswith("layer")


PROBE = """<script>
window.onload = () => {
  const images = [...document.images];
  const broken = images.filter(i => !i.complete || i.naturalWidth < 100).length;
  const asked = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"));
  console.log("PROBE " + JSON.stringify({images: images.length, broken: broken,
    hacked: window.hacked || 0, asked: asked.length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth}));
};
</script></body>"""


def test_in_a_browser(sweep, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("there is no chromium")
    source = (sweep.run_dir / "report.html").read_text()
    (tmp_path / "page.html").write_text(source.replace("</body>", PROBE))
    picture = tmp_path / "page.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr", "--window-size=1400,5000",
        f"--screenshot={picture}", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert len(said) == 1, done.stderr  # the probe, and no error
    found = json.loads(re.search(r"PROBE (\{.*?\})", said[0])[1])
    n_figures = len(TASKS) + 4  # mean, busy workers, two stretches
    assert found == {"images": n_figures, "broken": 0, "hacked": 0, "asked": 0, "wide": 0}
    pixels = pyplot.imread(picture)[:, :, :3]
    assert pixels.shape[:2] == (5000, 1400)
    inked = (pixels.min(axis=2) < 0.9).mean(axis=1) > 0
    assert inked[:3000].mean() > 0.5  # all down the page there is something
    colourful = (pixels.max(axis=2) - pixels.min(axis=2) > 0.3).mean()
    assert colourful > 0.02
