"""The figures of a run's workers: what each did when, and how many were busy."""

from datetime import UTC, datetime

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from report_data import Run
from report_style import INK, PAPER_GREY, SKY, VERMILION, WIDTH_INCHES, short, thinned
from report_work import Stretch, Work

_BAR = 0.84  # of a row's height
_MAX_HEIGHT_INCHES = 8.5
_AROUND_INCHES = 1.16
_MANY_BARS = 2000  # more are pictures in the SVG, not shapes
_CATEGORIES = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#cc79a7", "#999999")
_CHECKPOINT_LETTERS = 16


def draw_stretch(stretch: Stretch, run: Run) -> Figure:
    """A bar for each bundle, in the colour of its checkpoint, and each worker's utilisation."""
    n = len(stretch.workers)
    body = min(max(0.26 * n, 0.7), _MAX_HEIGHT_INCHES - _AROUND_INCHES)
    height = body + _AROUND_INCHES
    figure = plt.figure(figsize=(WIDTH_INCHES, height))
    bottom, part = 0.82 / height, body / height
    bars = figure.add_axes((0.135, bottom, 0.6, part))
    used = figure.add_axes((0.745, bottom, 0.13, part), sharey=bars)
    n_shown = _draw_bars(bars, stretch, run)
    _draw_used(used, stretch)
    _draw_key(figure, stretch, run, n_shown, (0.9, bottom, 0.012, part), height)
    return figure


def _time_unit(span_s: float) -> tuple[float, str]:
    for seconds, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if span_s >= 2 * seconds:
            return seconds, name
    return 1.0, "seconds"


def _draw_bars(axes: Axes, stretch: Stretch, run: Run) -> int:
    """Returns the number of failed attempts that are marked."""
    bundles, n = stretch.bundles, len(stretch.workers)
    second, unit = _time_unit(stretch.wall_s)
    start = (bundles.started_s - stretch.started_s) / second
    end = (bundles.finished_s - stretch.started_s) / second
    loaded = np.minimum(start + bundles.load_s / second, end)
    whole = np.arange(n, dtype=float)
    raster = len(start) > _MANY_BARS
    wall = np.full(n, stretch.wall_s / second)
    _bars(axes, whole, np.zeros(n), wall, PAPER_GREY, raster)
    colours, norm = checkpoint_colours(run)
    edge = 0.4 if len(start) <= _MANY_BARS else 0.0
    _bars(axes, bundles.worker, start, end, colours(norm(bundles.checkpoint)), raster, edge)
    is_load = bundles.load_s > 0
    _bars(axes, bundles.worker[is_load], start[is_load], loaded[is_load], INK, raster)
    failed = bundles.n_failed > 0
    axes.scatter(
        end[failed], bundles.worker[failed], s=26, marker="X", color=VERMILION,
        edgecolor="white", linewidth=0.6, zorder=4, clip_on=False,
    )  # fmt: skip
    shown = thinned(n, 36)
    axes.set_yticks(shown, [short(stretch.workers[i].label, 24) for i in shown])
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlim(0, max(stretch.wall_s / second, 1e-6))
    begin = datetime.fromtimestamp(stretch.started_s, UTC)
    axes.set_xlabel(f"{unit} since {begin:%Y-%m-%d %H:%M:%S} UTC")
    axes.set_title("What each worker evaluated")
    axes.tick_params(axis="y", length=0)
    return int(failed.sum())


def _bars(
    axes: Axes,
    row: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    colour: str | np.ndarray,
    raster: bool,
    edge: float = 0.0,
) -> None:
    """Boxes from start to end in rows, [n] each; one colour, or [n, 4]."""
    low, high = row - _BAR / 2, row + _BAR / 2
    corners = [(start, low), (end, low), (end, high), (start, high)]
    boxes = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    # Without an edge, a hair of the own colour keeps the shortest from vanishing.
    edges = {"edgecolor": "white", "linewidth": edge} if edge else {"edgecolor": "face", "lw": 0.1}
    axes.add_collection(PolyCollection(boxes, facecolor=colour, rasterized=raster, **edges))


def _draw_used(axes: Axes, stretch: Stretch) -> None:
    n = len(stretch.workers)
    wall_s = max(stretch.wall_s, 1e-9)
    load = np.minimum(stretch.load_s / wall_s, stretch.utilisation)
    work = stretch.utilisation - load
    height = _BAR if n <= 80 else 1.0
    axes.barh(np.arange(n), work * 100, height=height, color=SKY)
    axes.barh(np.arange(n), load * 100, left=work * 100, height=height, color=INK)
    if n <= 40:
        for i, part in enumerate(stretch.utilisation):
            axes.text(3, i, f"{part:.0%}", va="center", fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("% of the time")
    axes.set_title("Utilisation")
    axes.tick_params(axis="y", labelleft=False, length=0)


def checkpoint_colours(run: Run) -> tuple[ListedColormap, Normalize]:
    """A few checkpoints are told apart by hue, many by their order in training."""
    n = len(run.checkpoints)
    place = np.empty(n)
    place[np.argsort(np.where(np.isnan(run.step), np.inf, run.step), kind="stable")] = np.arange(n)
    if n <= len(_CATEGORIES):
        colours = np.array([to_rgba(c) for c in _CATEGORIES])[place.astype(int)]
    else:
        colours = matplotlib.colormaps["viridis"](place / (n - 1))
        colours = 0.7 * colours + 0.3  # lighter: loads are nearly black
    return ListedColormap(colours), Normalize(-0.5, n - 0.5)


def _draw_key(
    figure: Figure,
    stretch: Stretch,
    run: Run,
    has_failed: int,
    box: tuple[float, float, float, float],
    height: float,
) -> None:
    """What the colours mean: checkpoints to the right, the rest below."""
    kinds = [Patch(facecolor=PAPER_GREY, label="idle"), Patch(facecolor=INK, label="loading")]
    if has_failed:
        mark = {"marker": "X", "color": VERMILION, "ls": "", "label": "an attempt failed in it"}
        kinds.append(Line2D([], [], **mark))
    figure.legend(
        handles=kinds, ncols=3, loc="lower left", bbox_to_anchor=(0.13, 0.0), borderpad=0.1
    )
    colours, norm = checkpoint_colours(run)
    n = len(run.checkpoints)
    if n <= len(_CATEGORIES):
        seen = np.unique(stretch.bundles.checkpoint)
        patches = [
            Patch(facecolor=colours(i), label=short(run.checkpoints[i], _CHECKPOINT_LETTERS))
            for i in seen
        ]
        figure.legend(
            handles=patches, title="checkpoint", loc="upper left", handlelength=1.0,
            bbox_to_anchor=(box[0] - 0.02, box[1] + box[3] + 0.1 / height), borderaxespad=0,
        )  # fmt: skip
        return
    # By training, whatever the order in the store.
    order = np.argsort(np.where(np.isnan(run.step), np.inf, run.step), kind="stable")
    tall = max(box[3], 1.2 / height)
    bar = figure.add_axes((box[0], box[1] + box[3] - tall, box[2], tall))
    by_training = ListedColormap(colours(norm(order)))
    figure.colorbar(ScalarMappable(norm, by_training), cax=bar)
    ticks = thinned(n, max(3, min(12, int(tall * height / 0.3))))
    bar.set_yticks(ticks, [short(run.checkpoints[order[i]], 11) for i in ticks])
    bar.set_title("checkpoint", fontsize=9.5, fontweight="normal")


def draw_overview(work: Work) -> Figure:
    """How many workers were busy over the whole run, with its pauses."""
    figure = plt.figure(figsize=(WIDTH_INCHES, 2.1))
    axes = figure.add_axes((0.045, 0.27, 0.935, 0.58))
    begin = work.stretches[0].started_s
    end = max(work.stretches[-1].finished_s, begin + 1)
    edges = np.linspace(begin, end, 801)
    n_busy = np.zeros(len(edges) - 1)
    for stretch in work.stretches:
        bundles = stretch.bundles
        in_all = _integral(bundles.started_s, edges) - _integral(bundles.finished_s, edges)
        # Bundles may overlap by their cut seconds, workers do not.
        n_busy += np.clip(np.diff(in_all) / np.diff(edges), 0, len(stretch.workers))
    days = edges / 86400.0  # as matplotlib counts them
    axes.stairs(n_busy, days, fill=True, color=SKY)
    for stretch in work.stretches:
        there = [stretch.started_s / 86400.0, stretch.finished_s / 86400.0]
        axes.plot(there, [len(stretch.workers)] * 2, color=INK, linewidth=1.2)
    locator = AutoDateLocator(maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlim(days[0], days[-1])
    axes.set_ylim(0, 1.1 * max(len(stretch.workers) for stretch in work.stretches))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("UTC")
    axes.set_ylabel("workers")
    axes.set_title("Busy workers over time (line: workers there were)")
    axes.grid(alpha=0.3)
    return figure


def _integral(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Sum over times of max(t - time, 0), for each t of `at`."""
    times = np.sort(times)
    offset = at[0]  # keeps the sums small
    total = np.append(0.0, np.cumsum(times - offset))
    n = np.searchsorted(times, at, side="right")
    return n * (at - offset) - total[n]
