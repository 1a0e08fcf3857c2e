"""The figures that report.py derives from scores. NaN stands for no score throughout."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Panel:
    """What one row of figures shows: a task, or the mean over tasks."""

    title: str
    score: np.ndarray  # [checkpoint, layer], NaN for none
    status: np.ndarray | None  # [checkpoint, layer] as in the store; None for a mean

    @property
    def measure(self) -> str:
        return "mean main score" if self.status is None else "main score"

    @property
    def best(self) -> tuple[int, int] | None:
        """(checkpoint, layer) of the highest score, the first of equals; None without a score."""
        if np.isnan(self.score).all():
            return None
        checkpoint, layer = np.unravel_index(np.nanargmax(self.score), self.score.shape)
        return int(checkpoint), int(layer)

    @property
    def best_layer(self) -> np.ndarray:
        """[checkpoint]: index of the layer with the highest score, the first of equals, or -1."""
        found = np.where(np.isnan(self.score), -np.inf, self.score).argmax(axis=1)
        return np.where(np.isnan(self.score).all(axis=1), -1, found)


@dataclass(frozen=True)
class TaskMean:
    """Means over tasks by checkpoint and layer, of the tasks that have a score there."""

    mean: np.ndarray  # [checkpoint, layer]
    n_scores: np.ndarray  # tasks in each mean
    n_tasks: int

    @property
    def is_complete(self) -> np.ndarray:
        """Where every task has a score. Only those means are of the same tasks, and compare."""
        return self.n_scores == self.n_tasks

    @property
    def complete(self) -> np.ndarray:
        return np.where(self.is_complete, self.mean, np.nan)


def task_mean(score: np.ndarray) -> TaskMean:
    n_scores = (~np.isnan(score)).sum(axis=2)
    total = np.nansum(score, axis=2)
    mean = np.where(n_scores > 0, total / np.maximum(n_scores, 1), np.nan)
    return TaskMean(mean, n_scores, score.shape[2])
