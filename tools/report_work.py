"""What each worker did when: bundles, stretches of time with work in them, utilisation.

A bundle here is what a worker did of one (checkpoint, task) without another between. Markers have
times in whole seconds; a unit's own evaluation time is exact, so sums are made of those.
"""

from dataclasses import dataclass

import numpy as np
from report_data import Tries

# Where no worker did anything for longer, a stretch ends: the job ended, and another began later.
STRETCH_GAP_S = 60.0


@dataclass(frozen=True)
class Worker:
    """One rank on one host with one device; another job's rank of that number may be elsewhere."""

    rank: int
    host: str
    device: str

    @property
    def label(self) -> str:
        return " · ".join(part for part in (str(self.rank), self.host, self.device) if part)


@dataclass(frozen=True)
class Bundles:
    """Arrays [n_bundles], by worker and time."""

    worker: np.ndarray  # index into the stretch's workers
    checkpoint: np.ndarray
    task: np.ndarray
    n_tries: np.ndarray
    n_failed: np.ndarray
    started_s: np.ndarray
    finished_s: np.ndarray
    load_s: np.ndarray  # 0 also where it is not known


@dataclass(frozen=True)
class Stretch:
    """A time in which the run was worked on, without a break longer than STRETCH_GAP_S."""

    started_s: float
    finished_s: float
    workers: list[Worker]
    busy_s: np.ndarray  # [worker], loads included
    load_s: np.ndarray  # [worker]
    n_tries: np.ndarray  # [worker]
    bundles: Bundles

    @property
    def wall_s(self) -> float:
        return self.finished_s - self.started_s

    @property
    def held_s(self) -> float:
        """Time of all workers, idle or not."""
        return self.wall_s * len(self.workers)

    @property
    def utilisation(self) -> np.ndarray:
        """[worker]: the part of the stretch in which it evaluated or loaded."""
        return np.minimum(self.busy_s / max(self.wall_s, 1e-9), 1.0)


@dataclass(frozen=True)
class Work:
    stretches: list[Stretch]
    n_unknown: int  # tries without a worker or times: in no stretch

    @property
    def busy_s(self) -> float:
        return float(sum(stretch.busy_s.sum() for stretch in self.stretches))

    @property
    def load_s(self) -> float:
        return float(sum(stretch.load_s.sum() for stretch in self.stretches))

    @property
    def held_s(self) -> float:
        return sum(stretch.held_s for stretch in self.stretches)

    @property
    def wall_s(self) -> float:
        return sum(stretch.wall_s for stretch in self.stretches)

    @property
    def utilisation(self) -> float:
        return min(self.busy_s / self.held_s, 1.0) if self.held_s > 0 else float("nan")


def work_of(tries: Tries) -> Work:
    known = (tries.worker >= 0) & np.isfinite(tries.started_s) & np.isfinite(tries.finished_s)
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(tries.started_s[rows], kind="stable")]
    # A try ended no sooner than it took; its finish is cut to the second.
    ended_s = np.maximum(tries.finished_s, tries.started_s + tries.duration_s)
    stretches = []
    if len(rows):
        until_s = np.maximum.accumulate(ended_s[rows])
        breaks = np.flatnonzero(tries.started_s[rows][1:] - until_s[:-1] > STRETCH_GAP_S) + 1
        stretches = [_stretch(tries, part, ended_s) for part in np.split(rows, breaks)]
    return Work(stretches, int((~known).sum()))


def _stretch(tries: Tries, rows: np.ndarray, ended_s: np.ndarray) -> Stretch:
    places = np.stack([tries.worker[rows], tries.host[rows], tries.device[rows]], axis=1)
    found, worker = np.unique(places, axis=0, return_inverse=True)
    worker = worker.reshape(-1)
    n = len(found)
    load_s = np.nan_to_num(tries.load_s[rows])
    started_s, finished_s = tries.started_s[rows].min(), ended_s[rows].max()
    return Stretch(
        started_s=float(started_s),
        finished_s=float(finished_s),
        workers=[Worker(int(w), tries.hosts[h], tries.devices[d]) for w, h, d in found],
        busy_s=np.bincount(worker, tries.duration_s[rows], n),
        load_s=np.bincount(worker, load_s, n),
        n_tries=np.bincount(worker, minlength=n),
        bundles=_bundles(tries, rows, worker, ended_s[rows], load_s),
    )


def _bundles(
    tries: Tries, rows: np.ndarray, worker: np.ndarray, ended_s: np.ndarray, load_s: np.ndarray
) -> Bundles:
    checkpoint, task, started_s = (
        column[rows] for column in (tries.checkpoint, tries.task, tries.started_s)
    )
    # Many short units may have the same second: of those, what began first goes on first.
    key = (worker * (checkpoint.max() + 1) + checkpoint) * (task.max() + 1) + task
    _, group = np.unique(key, return_inverse=True)
    group = group.reshape(-1)
    group_started_s = np.full(group.max() + 1, np.inf)
    np.minimum.at(group_started_s, group, started_s)
    order = np.lexsort((group, group_started_s[group], tries.finished_s[rows], started_s, worker))
    group, worker = group[order], worker[order]
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    return Bundles(
        worker=worker[first],
        checkpoint=checkpoint[order][first],
        task=task[order][first],
        n_tries=np.diff(np.append(first, len(order))),
        n_failed=np.add.reduceat(tries.is_failed[rows][order].astype(int), first),
        started_s=np.minimum.reduceat(started_s[order], first),
        finished_s=np.maximum.reduceat(ended_s[order], first),
        load_s=np.add.reduceat(load_s[order], first),
    )
