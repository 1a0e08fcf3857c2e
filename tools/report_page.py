"""The page: what report.py knows of a run, put into words, tables and figures."""

import contextlib
import json
from pathlib import Path

import numpy as np
import report_html as h
from report_data import DONE, FAILED, Run
from report_drawn import drawn
from report_findings import Figures, Findings
from report_page_failures import failure_section
from report_page_work import work_section
from report_scores import Panel
from report_work import Work

_STATUS_COLOURS = {"done": "#0072b2", "failed": "#d55e00", "pending": "#e4e4e4"}


def write_page(found: Findings, figures: Figures, folder: Path) -> str:
    """HTML of a page that will be in the folder, which its links start from."""
    sections = [
        _head(found),
        _nav(),
        _mean_section(found, figures),
        _task_sections(found, figures),
        work_section(found, figures),
        failure_section(found, folder),
        _provenance_section(found.run),
    ]
    numbers = json.dumps(drawn(found), ensure_ascii=False, separators=(",", ":"))
    return h.page(f"{found.run.name}: evaluation report", "\n".join(sections), numbers)


def _nav() -> str:
    links = (("mean", "Mean over tasks"), ("tasks", "Tasks"), ("workers", "Workers"),
             ("failures", "Failures"), ("provenance", "Provenance"))  # fmt: skip
    return h.tag("nav", "".join(h.tag("a", text, href=f"#{name}") for name, text in links))


# --- head and summary


def _head(found: Findings) -> str:
    run = found.run
    n = len(run.checkpoints), len(run.layers), len(run.tasks)
    kinds = ("checkpoint", "layer", "task")
    grid = " × ".join(
        f"{h.count(i)} {kind}{'' if i == 1 else 's'}" for i, kind in zip(n, kinds, strict=True)
    )
    lines = [
        f"{grid} · <code>{h.text(run.run_dir.resolve())}</code>",
        f"Results as of {h.moment(run.store_written_s)}; this page was made "
        f"{h.moment(found.made_s)}. Scores are each task's main score; higher is taken for better.",
    ]
    origin = _origin(run)
    if origin:
        lines.append(" · ".join(map(h.text, origin)))
    text = "".join(h.tag("p", line, class_="quiet") for line in lines)
    return h.tag("header", h.tag("h1", h.text(run.name)) + text + _bar(run) + _tiles(found))


def _origin(run: Run) -> list[str]:
    """Who evaluated, with what, as far as the store tells."""
    known = run.attributes
    words = []
    with contextlib.suppress(KeyError, TypeError, ValueError):
        words.append(f"evalsweep {json.loads(known['versions'])['evalsweep']}")
    kinds = (("evaluator_model", "model"), ("host", "host"), ("slurm_job_id", "Slurm job"),
             ("git_commit", "commit"))  # fmt: skip
    return words + [f"{word} {known[name][:80]}" for name, word in kinds if known.get(name)]


def _bar(run: Run) -> str:
    counts = run.counts
    total = max(1, sum(counts[kind] for kind in _STATUS_COLOURS))
    parts = "".join(
        f'<i style="width:{100 * counts[kind] / total:.3f}%;background:{colour}"></i>'
        for kind, colour in _STATUS_COLOURS.items()
    )
    return h.tag(
        "div", parts, class_="bar", role="img", aria_label="done, failed and pending units"
    )


def _tile(big: str, small: str, bad: bool = False) -> str:
    return h.tag(
        "div", h.tag("b", big) + h.tag("span", small), class_="tile bad" if bad else "tile"
    )


def _tiles(found: Findings) -> str:
    run, work = found.run, found.work
    counts = run.counts
    total = counts["done"] + counts["pending"] + counts["failed"]
    without = int(((run.status == DONE) & np.isnan(run.score)).sum())
    kinds = {kind: counts[kind] for kind in ("pending", "failed", "excluded")}
    kinds["without a score"] = without
    blocked = found.suspects.n_blocked
    notes = {"pending": f" ({h.count(blocked)} blocked)"} if blocked else {}
    rest = ", ".join(f"{h.count(n)} {kind}{notes.get(kind, '')}" for kind, n in kinds.items() if n)
    done = f"of {h.count(total)} units done{'; ' if rest else ''}{rest}"
    tiles = [_tile(h.count(counts["done"]), done)]
    best = found.mean_panel.best
    if best:
        where = f"{h.text(run.checkpoints[best[0]])}, layer {run.layers[best[1]]}"
        what = "best mean over all tasks" if len(run.tasks) > 1 else "best score"
        tiles.append(_tile(h.score(found.mean.mean[best]), f"{what}: {where}"))
    tiles += _work_tiles(run, work)
    n_attempts = sum(reason.n_attempts for reason in found.reasons)
    failed = f"failed; {h.count(n_attempts)} attempts failed in all" if run.tries else "failed"
    bad = counts["failed"] > 0
    tiles.append(_tile(f"{h.count(counts['failed'])} units", failed, bad))
    return h.tag("div", "".join(tiles), class_="tiles")


def _work_tiles(run: Run, work: Work | None) -> list[str]:
    if not work or not work.stretches:
        spent = float(np.nansum(run.evaluation_s))
        return [_tile(h.hours(spent), "spent on the results that are there")]
    loads = f", {h.percent(work.load_s / work.busy_s)} of it loading" if work.busy_s else ""
    held = f"of workers' time spent{loads}; they were held for {h.hours(work.held_s)}"
    gpus = _gpus_per_worker(run)
    if gpus:
        held += f" ({h.hours(work.held_s * gpus)} of GPUs)"
    n = len(work.stretches)
    span = f"of work{f' in {n} stretches' if n > 1 else ''}"
    begin, end = h.moment(work.stretches[0].started_s), h.moment(work.stretches[-1].finished_s)
    return [
        _tile(h.hours(work.busy_s), held),
        _tile(h.hours(work.wall_s), f"{span}, {begin} to {end}"),
        _tile(h.percent(work.utilisation), "utilisation of workers"),
    ]


def _gpus_per_worker(run: Run) -> float:
    """0 where the devices were none, or the job file does not say how many a worker has."""
    devices = set(run.tries.devices) - {"", "cpu"} if run.tries else set()
    resources = run.job.get("resources")
    if not devices or not isinstance(resources, dict):
        return 0.0
    try:
        return float(resources["gpus_per_worker"]) / float(resources.get("workers_per_gpu", 1))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


# --- scores


def _mean_section(found: Findings, figures: Figures) -> str:
    run, mean = found.run, found.mean
    n_cells, n_whole = mean.mean.size, int(mean.is_complete.sum())
    about = (
        f"The mean of {mean.n_tasks} main scores, each task counting once. {h.count(n_whole)} of "
        f"{h.count(n_cells)} (checkpoint, layer) pairs have a score of every task."
    )
    if n_whole < n_cells:
        about += (
            " The figure shows those alone; in the table, means over fewer tasks are in grey"
            " italics with their number: they are not of the same tasks, and do not compare."
        )
    body = h.tag("h2", "Mean over tasks", id="mean") + h.tag("p", about)
    if n_whole:
        body += h.figure(figures.mean, _alt(found.mean_panel, run), _caption(found.mean_panel, run))
    return body + _mean_table(found)


def _mean_table(found: Findings) -> str:
    run, mean = found.run, found.mean
    whole = mean.complete
    low, high = (np.nanmin(whole), np.nanmax(whole)) if mean.is_complete.any() else (0.0, 0.0)
    best = found.mean_panel.best
    rows = []
    for i, checkpoint in enumerate(run.checkpoints):
        cells = [h.tag("th", h.text(checkpoint), class_="t")]
        for k in range(len(run.layers)):
            value, n = mean.mean[i, k], int(mean.n_scores[i, k])
            if n == 0:
                cells.append("<td>–</td>")
            elif n < mean.n_tasks:
                small = f" <small>{n}/{mean.n_tasks}</small>"
                cells.append(h.tag("td", h.score(value) + small, class_="part"))
            else:
                depth = (value - low) / (high - low) if high > low else 0.0
                style = f"background:hsl(203 75% {98 - 24 * depth:.1f}%)"
                mark = {"class_": "best"} if (i, k) == best else {}
                cells.append(h.tag("td", h.score(value), style=style, **mark))
        rows.append(h.tag("tr", "".join(cells)))
    layers = [f"layer {run.layers[0]}", *map(str, run.layers[1:])]
    return h.table(["checkpoint", *layers], rows)


def _alt(panel: Panel, run: Run) -> str:
    if panel.best is None:
        return f"{panel.title}: no scores"
    checkpoint, layer = panel.best
    return (
        f"{panel.title}: heat map of main score by training step and layer, best layer by step,"
        f" and a curve for each layer. Highest: {panel.score[panel.best]:.4f} at"
        f" {run.checkpoints[checkpoint]}, layer {run.layers[layer]}."
    )


def _caption(panel: Panel, run: Run) -> str:
    if panel.best is None:
        return "No unit of it has a score."
    checkpoint, layer = panel.best
    n, of = int((~np.isnan(panel.score)).sum()), panel.score.size
    what = "units have a score" if panel.status is not None else "pairs have a mean of all tasks"
    return (
        f"Highest: {h.score(panel.score[panel.best])} at {h.text(run.checkpoints[checkpoint])},"
        f" layer {run.layers[layer]}. {h.count(n)} of {h.count(of)} {what}."
    )


def _task_sections(found: Findings, figures: Figures) -> str:
    run = found.run
    parts = [h.tag("h2", "Tasks", id="tasks")]
    about = (
        "The best (checkpoint, layer) of each, the first of equals. Names lead to their figures."
    )
    parts += [h.tag("p", about), _task_table(found)]
    for i, (panel, svg) in enumerate(zip(found.panels, figures.panels, strict=True)):
        body = h.tag("h3", h.text(panel.title))
        body += h.figure(svg, _alt(panel, run), _caption(panel, run))
        parts.append(h.tag("section", body, class_="task", id=f"task-{i}"))
    return "\n".join(parts)


def _task_table(found: Findings) -> str:
    run = found.run
    spent_s = _seconds_by_task(run)
    rows = []
    for i, panel in enumerate(found.panels):
        cells = [h.tag("th", h.tag("a", h.text(panel.title), href=f"#task-{i}"), class_="t")]
        best = panel.best
        where = ("–", "–", "–") if best is None else (
            h.score(panel.score[best]), h.text(run.checkpoints[best[0]]), str(run.layers[best[1]])
        )  # fmt: skip
        n_scores = int((~np.isnan(panel.score)).sum())
        failed = int((run.status[:, :, i] == FAILED).sum())
        cells += [h.tag("td", cell) for cell in where]
        cells += [
            h.tag("td", f"{h.count(n_scores)} of {h.count(panel.score.size)}"),
            h.tag("td", h.count(failed)),
            h.tag("td", h.hours(spent_s[i])),
        ]
        rows.append(h.tag("tr", "".join(cells)))
    head = ["task", "best score", "checkpoint", "layer", "with a score", "failed", "workers' time"]
    return h.table(head, rows, class_="scroll wide")


def _seconds_by_task(run: Run) -> np.ndarray:
    if run.tries:
        took_s = np.nan_to_num(run.tries.duration_s)
        return np.bincount(run.tries.task, took_s, len(run.tasks))
    return np.nansum(run.evaluation_s, axis=(0, 1))


# --- provenance


def _provenance_section(run: Run) -> str:
    rows = []
    for name in sorted(run.attributes):
        if name != "job":
            value = h.tag("td", h.text(run.attributes[name]), class_="t w")
            rows.append(h.tag("tr", h.tag("th", h.text(name), class_="t") + value))
    parts = [h.tag("h2", "Provenance", id="provenance")]
    parts.append(
        h.table(["attribute of results.h5", "value"], rows, left=(0, 1), class_="scroll wide")
    )
    if run.job:
        job = h.tag("pre", h.text(json.dumps(run.job, indent=2, ensure_ascii=False)))
        parts.append(h.tag("details", h.tag("summary", "Job file as run") + job))
    return "".join(parts)
