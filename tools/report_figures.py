"""The figures of scores: for a task, or the mean over tasks, heat map, best layers and curves."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from report_axis import TrainingAxis, layer_ticks
from report_data import DONE, EXCLUDED, FAILED, PENDING
from report_scores import Panel
from report_style import (
    BLUE,
    INK,
    LINE_STYLES,
    MARKERS,
    MID_GREY,
    PAPER_GREY,
    VERMILION,
    WIDTH_INCHES,
    ordered_colours,
    score_colours,
)

_ABOVE_INCHES, _BODY_INCHES = 0.34, 2.35
_MANY_LAYERS = 8  # more are told apart by a colour bar, not by a legend
_MANY_POINTS = 40  # of more checkpoints a curve has no markers
_MANY_CROSSES = 300
_CROSS = {"color": INK, "edgecolor": "white", "linewidth": 0.5, "zorder": 4}

# Cells without a score, by what they are: status in the store, colour, text of the legend.
_BLANKS = (
    (PENDING, PAPER_GREY, "pending"),
    (DONE, MID_GREY, "done, no score"),
    (FAILED, VERMILION, "failed"),
    (EXCLUDED, "#ffffff", "excluded"),
)
_OF_A_MEAN = (PAPER_GREY, "not every task has a score")


def draw_panel(panel: Panel, axis: TrainingAxis, layers: list[int]) -> Figure:
    figure = plt.figure(figsize=(WIDTH_INCHES, 1.0))
    blanks, colours, legend = _blanks(panel)
    below = 0.82 if legend or _has_gaps(panel) else 0.54
    total = _ABOVE_INCHES + _BODY_INCHES + below
    figure.set_figheight(total)
    bottom, height = below / total, _BODY_INCHES / total
    heat = figure.add_axes((0.037, bottom, 0.32, height))
    bar = figure.add_axes((0.363, bottom, 0.009, height))
    best = figure.add_axes((0.473, bottom, 0.16, height), sharey=heat)
    curves = figure.add_axes((0.7, bottom, 0.235, height))
    side = figure.add_axes((0.942, bottom, 0.009, height))
    _draw_heat(heat, bar, panel, axis, layers, blanks, colours)
    _draw_best(best, panel, axis, layers)
    _draw_curves(curves, side, panel, axis, layers)
    if legend:
        figure.legend(
            handles=legend, ncols=len(legend), loc="lower left", bbox_to_anchor=(0.03, 0.0),
            borderpad=0.1,
        )  # fmt: skip
    return figure


def _draw_heat(
    axes: Axes,
    bar: Axes,
    panel: Panel,
    axis: TrainingAxis,
    layers: list[int],
    blanks: np.ndarray,
    colours: ListedColormap,
) -> None:
    norm = _norm(panel.score)
    rows = np.arange(len(layers) + 1) - 0.5
    for group in axis.groups:
        edges = axis.edges(group)
        kinds = np.ma.masked_less(blanks[group].T, 0)
        if kinds.count():
            axes.pcolormesh(
                edges, rows, kinds, cmap=colours, vmin=-0.5, vmax=colours.N - 0.5, rasterized=True
            )
        scores = np.ma.masked_invalid(panel.score[group].T)
        axes.pcolormesh(edges, rows, scores, cmap=score_colours(), norm=norm, rasterized=True)
    if panel.status is not None:
        # A cell may be too thin to be seen.
        checkpoint, layer = np.nonzero(np.isnan(panel.score) & (panel.status == FAILED))
        if len(checkpoint) <= _MANY_CROSSES:
            axes.scatter(axis.centre[checkpoint], layer, s=16, marker="X", **_CROSS)
    axis.apply(axes)
    layer_ticks(axes, layers)
    axes.set_title(f"{panel.measure.capitalize()} by {axis.kind} and layer")
    if np.isfinite(panel.score).any():
        axes.figure.colorbar(ScalarMappable(norm, score_colours()), cax=bar)
        bar.set_ylabel(panel.measure, labelpad=2)
    else:
        bar.remove()
        axes.text(0.5, 0.5, "no scores", transform=axes.transAxes, ha="center", va="center")


def _norm(score: np.ndarray) -> Normalize:
    if np.isnan(score).all():
        return Normalize(0, 1)
    low, high = np.nanmin(score), np.nanmax(score)
    margin = 0 if high > low else max(abs(high) * 0.01, 1e-3)
    return Normalize(low - margin, high + margin)


def _blanks(panel: Panel) -> tuple[np.ndarray, ListedColormap, list[Patch]]:
    """[checkpoint, layer]: which colour a cell without a score has, -1 for one with a score."""
    none = np.isnan(panel.score)
    if panel.status is None:
        kinds = np.where(none, 0, -1)
        colour, text = _OF_A_MEAN
        return kinds, ListedColormap([colour]), [_patch(colour, text)] if none.any() else []
    kinds = np.full(panel.score.shape, -1)
    legend = []
    for k, (status, colour, text) in enumerate(_BLANKS):
        these = none & (panel.status == status)
        kinds[these] = k
        if these.any():
            legend.append(_patch(colour, text))
    return kinds, ListedColormap([colour for _, colour, _ in _BLANKS]), legend


def _patch(colour: str, text: str) -> Patch:
    return Patch(facecolor=colour, edgecolor="#888888", linewidth=0.6, label=text)


def _draw_best(axes: Axes, panel: Panel, axis: TrainingAxis, layers: list[int]) -> None:
    best = panel.best_layer
    for part in axis.lines:
        line = np.asarray(part)[best[np.asarray(part)] >= 0]
        whole = ~np.isnan(panel.score[line]).any(axis=1)
        axes.plot(axis.centre[line], best[line], color=BLUE, linewidth=0.7, alpha=0.6)
        axes.scatter(axis.centre[line][whole], best[line][whole], s=14, color=BLUE, zorder=3)
        axes.scatter(
            axis.centre[line][~whole], best[line][~whole], s=14,
            facecolor="white", edgecolor=BLUE, zorder=3,
        )  # fmt: skip
    axis.apply(axes, margin=0.02)
    axes.set_xlabel(axis.kind)
    layer_ticks(axes, layers)
    axes.set_title("Best layer")
    axes.grid(alpha=0.3)
    if _has_gaps(panel):
        hollow = Line2D(
            [], [], marker="o", mfc="white", mec=BLUE, ls="", label="some layers missing"
        )
        axes.figure.legend(
            handles=[hollow], loc="lower left", bbox_to_anchor=(0.463, 0.0), handlelength=1,
            borderpad=0.1,
        )  # fmt: skip


def _marker(layer: int, n_points: int, few: bool) -> str | None:
    if few and n_points <= _MANY_POINTS:
        return MARKERS[layer % len(MARKERS)]
    return "." if n_points == 1 else None


def _has_gaps(panel: Panel) -> bool:
    """Whether a checkpoint has scores, but not of every layer."""
    return bool(np.isnan(panel.score[panel.best_layer >= 0]).any())


def _draw_curves(
    axes: Axes, side: Axes, panel: Panel, axis: TrainingAxis, layers: list[int]
) -> None:
    colours = ordered_colours(len(layers))
    few = len(layers) <= _MANY_LAYERS
    for i, layer in enumerate(layers):
        for line in axis.lines:
            axes.plot(
                axis.centre[line],
                panel.score[line, i],
                color=colours(i),
                linestyle=LINE_STYLES[i % 4] if few else "-",
                linewidth=1.4 if few else 0.9,
                marker=_marker(i, len(line), few),
                markersize=4,
                label=str(layer),
            )
    axis.apply(axes, margin=0.02)
    axes.set_ylabel(panel.measure)
    if np.isnan(panel.score).all():
        axes.set_yticks([])
    axes.set_title("Each layer over training" if axis.kind != "checkpoint" else "Each layer")
    axes.grid(alpha=0.3)
    if few:
        side.remove()
        handles, labels = axes.get_legend_handles_labels()
        by_layer = dict(zip(labels, handles, strict=True))  # one for each
        axes.legend(
            list(by_layer.values())[::-1], list(by_layer)[::-1], title="layer",
            loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.4, borderaxespad=0.4,
        )  # fmt: skip
    else:
        norm = Normalize(-0.5, len(layers) - 0.5)
        axes.figure.colorbar(ScalarMappable(norm, colours), cax=side)
        layer_ticks(side, layers)
