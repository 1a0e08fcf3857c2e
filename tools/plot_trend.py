#!/usr/bin/env python3
"""Draws how the scores of a run change with training: a panel for each task, a line for each layer.

Reads RUN_DIR/results.h5. Needs matplotlib and xarray, as build/mteb-venv has them.
"""

import argparse
import math
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

COLUMNS = 2
PANEL_INCHES = (4.6, 3.0)


def read_scores(run_dir: Path) -> xr.DataArray:
    """Main scores by step, layer and task, of the checkpoints that are a step."""
    with xr.open_dataset(run_dir / "results.h5") as store:
        scores = store["main_score"].load()
    scores = scores.isel(checkpoint=np.isfinite(scores["step"].values))
    return scores.swap_dims(checkpoint="step").sortby("step").transpose("task", "layer", "step")


def draw_task(axes: Axes, scores: xr.DataArray, colours: Colormap) -> None:
    n_layers = scores.sizes["layer"]
    for i, layer in enumerate(scores["layer"].values):
        colour = colours(0.9 * i / max(1, n_layers - 1))  # the palest would not show on white
        axes.plot(scores["step"], scores[i], color=colour, marker="o", markersize=3, label=layer)
    axes.set_title(str(scores["task"].values), fontsize=10)
    axes.set_xscale("symlog", base=2, linthresh=1)  # step 0 has a place on it
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda step, _: f"{step:g}"))
    axes.set_xlim(left=-0.2)
    axes.grid(alpha=0.3)


def draw(scores: xr.DataArray, title: str) -> plt.Figure:
    n_tasks = scores.sizes["task"]
    n_rows = math.ceil(n_tasks / COLUMNS)
    width, height = PANEL_INCHES
    figure, grid = plt.subplots(
        n_rows,
        min(COLUMNS, n_tasks),
        figsize=(width * min(COLUMNS, n_tasks), height * n_rows + 0.5),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    panels = list(grid.flat)
    for axes, task_scores in zip(panels, scores, strict=False):
        draw_task(axes, task_scores, matplotlib.colormaps["viridis"])
    for axes in panels[n_tasks:]:
        axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="layer", loc="outside right center")
    figure.suptitle(title)
    figure.supxlabel("training step")
    figure.supylabel("main score")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder of the run, such as runs/tiny-pythia")
    parser.add_argument("picture", type=Path, help="file to write; its ending tells the format")
    parser.add_argument("--title", help="the run's name if not given")
    arguments = parser.parse_args()
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "evalsweep"  # the same picture, the same bytes
    scores = read_scores(arguments.run_dir)
    if not scores.size:
        parser.error(f"no checkpoint of {arguments.run_dir} is a training step")
    figure = draw(scores, arguments.title or arguments.run_dir.resolve().name)
    no_date = {"Date": None} if arguments.picture.suffix == ".svg" else None
    figure.savefig(arguments.picture, metadata=no_date, dpi=150)


if __name__ == "__main__":
    main()
