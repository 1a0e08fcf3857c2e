"""How the figures of report.py look, and the files that they become.

Colours stay apart for colour-blind readers and in print: viridis for scores, plasma (without its
palest end) for layers, Okabe and Ito's colours for the rest. Sizes are for a page 1190 pixels wide.
"""

import io
import re
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

WIDTH_INCHES = 12.4
INK = "#222222"
PAPER_GREY = "#e4e4e4"  # pending, idle
MID_GREY = "#a0a0a0"  # done without a score
VERMILION = "#d55e00"  # failed
SKY = "#56b4e9"
BLUE = "#0072b2"
MARKERS = "osD^vPX*"
LINE_STYLES = ("-", "--", "-.", ":")

# A hundredth of a point is enough for any place, and halves the size of curves.
_PATHS = re.compile(r' d="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")

_SETTINGS = {
    "figure.dpi": 96,
    "savefig.dpi": 192,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # names may have dollars in them
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "evalsweep",  # the same figure, the same bytes
    "svg.fonttype": "path",
}


def use_style() -> None:
    matplotlib.use("agg")
    matplotlib.rcParams.update(_SETTINGS)


def score_colours() -> Colormap:
    return matplotlib.colormaps["viridis"]


def ordered_colours(n: int) -> Colormap:
    """n colours for things that have an order, such as layers; none is too pale for white paper."""
    plasma = matplotlib.colormaps["plasma"]
    return ListedColormap(plasma(np.linspace(0.0, 0.86, max(n, 1))))


def short(text: str, n_letters: int) -> str:
    """The text, or its ends with an ellipsis between; control characters have no glyphs."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    if len(text) <= n_letters:
        return text
    n_end = n_letters // 3
    return f"{text[: n_letters - n_end - 1]}…{text[len(text) - n_end :]}"


def thinned(n: int, n_most: int) -> np.ndarray:
    """At most about n_most of the indices 0 to n - 1, evenly spaced, the first among them."""
    return np.arange(0, n, max(1, -(-n // n_most)))


def write_figure(figure: Figure, stem: str, folder: Path | None) -> str:
    """The figure as SVG, and as files of that stem in the folder; closes it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = _PATHS.sub(lambda path: _DECIMALS.sub(r"\1", path[0]), text.getvalue())
    if folder:
        (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
        figure.savefig(folder / f"{stem}.png", metadata={"Software": None})
    plt.close(figure)
    return svg
