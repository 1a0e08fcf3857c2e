#!/usr/bin/python3
"""Writes a page about a run: scores over training and layers, what the workers did, what failed.

Reads RUN_DIR/results.h5, and RUN_DIR/status.json for what is blocked, and writes
RUN_DIR/report.html, one file that needs no network and no other file. docs/report.md says how each
number comes about. Needs h5py and matplotlib.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

from report_axis import TrainingAxis
from report_data import ReportError, Run, read_run
from report_failures import reasons_of
from report_figures import draw_panel
from report_findings import Figures, Findings
from report_page import write_page
from report_scores import Panel, task_mean
from report_style import use_style, write_figure
from report_suspects import suspects_of
from report_timeline import draw_overview, draw_stretch
from report_work import work_of

MAX_STRETCHES = 12  # that are drawn: the longest


def look_at(run: Run) -> Findings:
    mean = task_mean(run.score)
    return Findings(
        run=run,
        panels=[
            Panel(task, run.score[:, :, i], run.status[:, :, i]) for i, task in enumerate(run.tasks)
        ],
        mean=mean,
        mean_panel=Panel("Mean over tasks", mean.complete, None),
        work=work_of(run.tries) if run.tries else None,
        reasons=reasons_of(run),
        suspects=suspects_of(run),
        made_s=time.time(),
    )


def draw(found: Findings, folder: Path | None) -> Figures:
    """All figures, and files of them in the folder."""
    run = found.run
    axis = TrainingAxis(run.checkpoints, run.step)

    def panel(shown: Panel, stem: str) -> str:
        return write_figure(draw_panel(shown, axis, run.layers), stem, folder)

    stretches = found.work.stretches if found.work else []
    longest = sorted(range(len(stretches)), key=lambda i: -stretches[i].wall_s)[:MAX_STRETCHES]
    return Figures(
        panels=[panel(each, file_stem(each.title, i)) for i, each in enumerate(found.panels)],
        mean=panel(found.mean_panel, "mean"),
        overview=write_figure(draw_overview(found.work), "workers", folder) if stretches else "",
        stretches={
            i: write_figure(draw_stretch(stretches[i], run), f"timeline_{i + 1}", folder)
            for i in sorted(longest)
        },
    )


def file_stem(task: str, place: int) -> str:
    """A file's name for a task's figure, with a number where the task's name could not be kept."""
    plain = re.sub(r"[^\w.-]", "_", task)[:50]
    return f"task_{plain}" if plain == task else f"task_{plain}_{place}"


def write_whole(path: Path, text: str) -> None:
    """The file appears whole or not at all."""
    part = path.with_name(f".report.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ReportError("writing", path, error.strerror, exit_code=1) from error
    finally:
        part.unlink(missing_ok=True)


def report(run_dir: Path, output: Path, folder: Path | None) -> None:
    found = look_at(read_run(run_dir))
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        figures = draw(found, folder)
    except OSError as error:
        subject = error.filename or folder
        raise ReportError("writing figures", subject, error.strerror, exit_code=1) from error
    write_whole(output, write_page(found, figures, output.parent))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="such as runs/digits")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="RUN_DIR/report.html if not given"
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="also write each figure there, as SVG and PNG"
    )
    arguments = parser.parse_args(words)
    output = arguments.output or arguments.run_dir / "report.html"
    use_style()
    try:
        report(arguments.run_dir, output, arguments.figures)
    except ReportError as error:
        print(f"report: {error}", file=sys.stderr)
        return error.exit_code
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
