"""Where the checkpoints stand along a figure's axis of training.

Steps stand where their logarithm is. Step 0, which has none, has a column of its own to the left of
them; names that are no step, or a step that another name has already, have one each to the right.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from report_style import short, thinned

_GAP = 0.5  # between the three groups, in columns
_LETTER_INCHES = 0.075  # the width of one in a tick's label
_MANY = 14  # more checkpoints than this are not labelled one by one


@dataclass(frozen=True)
class TrainingAxis:
    """Positions in binary orders of magnitude, as far as there are steps."""

    names: list[str]
    steps: np.ndarray  # [checkpoint]

    @cached_property
    def _is_step(self) -> np.ndarray:
        """[checkpoint]: that it stands at its step."""
        taken = np.zeros(len(self.steps), bool)
        finite = np.flatnonzero(np.isfinite(self.steps))
        taken[finite[np.unique(self.steps[finite], return_index=True)[1]]] = True
        return taken

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre, left and right edge of each checkpoint's column: [checkpoint]."""
        centre, left, right = (np.zeros(len(self.names)) for _ in range(3))
        logged = self.in_order(self._is_step & (self.steps > 0))
        place = np.log2(self.steps[logged])
        between = (place[1:] + place[:-1]) / 2
        first, last = 0.5, 0.5
        if len(place) > 1:
            first, last = between[0] - place[0], place[-1] - between[-1]
            # The last of many steps would be too thin to be seen, and a first one far too wide.
            first, last = min(first, 0.5), max(last, 0.01 * (place[-1] - place[0]))
        if len(place):
            edges = np.concatenate([[place[0] - first], between, [place[-1] + last]])
            centre[logged], left[logged], right[logged] = place, edges[:-1], edges[1:]
            width = max(0.5, min(1.0, 0.06 * (edges[-1] - edges[0])))
            low, high = edges[0], edges[-1]
        else:
            width, low, high = 1.0, 0.0, 0.0
        gap = _GAP * width if len(place) else 0.0
        for i in np.flatnonzero(self._is_step & (self.steps == 0)):
            left[i], right[i] = low - gap - width, low - gap
        for k, i in enumerate(np.flatnonzero(~self._is_step)):
            left[i] = high + gap + k * width
            right[i] = left[i] + width
        apart = ~(self._is_step & (self.steps > 0))
        centre[apart] = ((left + right) / 2)[apart]
        return centre, left, right

    def in_order(self, chosen: np.ndarray) -> np.ndarray:
        """Indices of the chosen checkpoints, by step."""
        indices = np.flatnonzero(chosen)
        return indices[np.argsort(self.steps[indices], kind="stable")]

    @property
    def centre(self) -> np.ndarray:
        return self._columns[0]

    @cached_property
    def groups(self) -> list[np.ndarray]:
        """Checkpoints whose columns touch, left to right: step 0, the other steps, the names."""
        kinds = (self.steps == 0, self.steps > 0)
        groups = [self.in_order(self._is_step & kind) for kind in kinds]
        return [group for group in (*groups, np.flatnonzero(~self._is_step)) if len(group)]

    def edges(self, group: np.ndarray) -> np.ndarray:
        """[len(group) + 1]: edges of the columns of one group."""
        _, left, right = self._columns
        return np.append(left[group], right[group[-1]])

    @cached_property
    def limits(self) -> tuple[float, float]:
        _, left, right = self._columns
        return float(left.min()), float(right.max())

    @cached_property
    def lines(self) -> list[np.ndarray]:
        """Checkpoints that a curve connects: all steps. A name stands for itself."""
        named = np.flatnonzero(~self._is_step)
        return [line for line in (self.in_order(self._is_step), *([i] for i in named)) if len(line)]

    @property
    def kind(self) -> str:
        """What the checkpoints differ by."""
        return "training step" if self._is_step.any() else "checkpoint"

    @property
    def label(self) -> str:
        named = "; others by name" if not self._is_step.all() else ""
        return f"{self.kind} (log scale{named})" if (self.steps > 0).any() else self.kind

    def _labels(self, letter: float) -> list[tuple[float, str]]:
        """Places and texts of ticks for those that are no step above 0; letters are so wide."""
        _, left, right = self._columns
        room = np.clip((right - left) / letter - 1, 6, 16).astype(int)
        zero = np.flatnonzero(self._is_step & (self.steps == 0))
        named = np.flatnonzero(~self._is_step)
        labels = [(self.centre[i], "0") for i in zero]
        return labels + [(self.centre[i], short(self.names[i], room[i])) for i in named]

    def _step_labels(self) -> list[list[tuple[float, str]]]:
        """Places and texts of ticks for the steps above 0: choices, the most detailed first."""
        logged = self.in_order(self._is_step & (self.steps > 0))
        if not len(logged):
            return [[]]
        if len(logged) <= _MANY:
            ticks = [(float(self.centre[i]), step_text(self.steps[i])) for i in logged]
            return [ticks[::-1][::stride] for stride in range(1, len(ticks) + 1)]
        low, high = np.log10(self.steps[[logged[0], logged[-1]]])
        choices = []
        for leads, decades in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
            wanted = [m * 10.0**k for k in range(int(low), int(high) + 1, decades) for m in leads]
            inside = [v for v in wanted if low - 1e-9 <= np.log10(v) <= high + 1e-9]
            choices.append([(float(np.log2(v)), step_text(v)) for v in inside])
        return [choice for choice in choices if choice] or [[]]

    def apply(self, axes: Axes, margin: float = 0.0) -> None:
        """Limits, ticks and label of the axes' x axis; the margin is a part of its length."""
        low, high = self.limits
        length = high - low
        axes.set_xlim(low - margin * length, high + margin * length)
        inches = axes.get_position().width * axes.figure.get_figwidth()
        letter = _LETTER_INCHES / max(inches, 0.5) * length

        def are_clear(ticks: list[tuple[float, str]]) -> bool:
            ends = [(x - letter * len(text) / 2, x + letter * len(text) / 2) for x, text in ticks]
            ends.sort()
            return all(b[0] - a[1] >= letter for a, b in pairwise(ends))

        choices = self._step_labels()
        ticks = next((choice for choice in choices if are_clear(choice)), choices[-1][:1])
        for tick in self._labels(letter):
            if are_clear([*ticks, tick]):
                ticks = [*ticks, tick]
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.set_xlabel(self.label)


def step_text(step: float) -> str:
    """1000 as 1k, 143000 as 143k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size and step % (size / 10) == 0:
            return f"{step / size:g}{letter}"
    return f"{step:g}"


def layer_ticks(axes: Axes, layers: list[int]) -> None:
    """A y axis whose position i is layers[i]."""
    shown = thinned(len(layers), 9)
    axes.set_yticks(shown, [str(layers[i]) for i in shown])
    axes.set_ylim(-0.5, len(layers) - 0.5)
    axes.set_ylabel("layer")
