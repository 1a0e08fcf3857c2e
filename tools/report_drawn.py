"""The numbers behind a report's figures, as its page has them for programs."""

from typing import Any

import numpy as np
from report_findings import Findings
from report_work import Stretch


def drawn(found: Findings) -> dict[str, Any]:
    """The numbers behind the figures, scores to six digits, times in seconds."""
    run = found.run
    return {
        "run": run.name,
        "counts": run.counts | {"blocked": found.suspects.n_blocked},
        "checkpoints": run.checkpoints,
        "steps": _plain(run.step),
        "layers": run.layers,
        "tasks": [
            {
                "task": panel.title,
                "main_score": _plain(panel.score),
                "best_layer": [run.layers[i] if i >= 0 else None for i in panel.best_layer],
            }
            for panel in found.panels
        ],
        "mean": _plain(found.mean.mean),
        "n_tasks_in_mean": found.mean.n_scores.tolist(),
        "stretches": [_stretch(stretch) for stretch in found.work.stretches]
        if found.work
        else None,
    }


def _stretch(stretch: Stretch) -> dict[str, Any]:
    bundles = stretch.bundles
    since = stretch.started_s
    return {
        "started_s": since,
        "wall_s": stretch.wall_s,
        "workers": [[worker.rank, worker.host, worker.device] for worker in stretch.workers],
        "busy_s": _plain(stretch.busy_s),
        "bundles": {
            "worker": bundles.worker.tolist(),
            "checkpoint": bundles.checkpoint.tolist(),
            "task": bundles.task.tolist(),
            "n_tries": bundles.n_tries.tolist(),
            "n_failed": bundles.n_failed.tolist(),
            "from_s": _plain(bundles.started_s - since),
            "to_s": _plain(bundles.finished_s - since),
            "load_s": _plain(bundles.load_s),
        },
    }


def _plain(values: np.ndarray) -> Any:
    """Lists of numbers of six digits, None for NaN."""
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
