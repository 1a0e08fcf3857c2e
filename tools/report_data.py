"""What report.py knows of a run: its store (results.h5) and the job file kept in it.

Arrays over the grid have the shape [checkpoint, layer, task], in the store's order. Times are
seconds, points in time seconds since 1970 (UTC).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PENDING, DONE, FAILED, EXCLUDED = range(4)  # status in the store
TRY_FAILED = 2  # outcome in the store's group of tries
KNOWN_SCHEMAS = (1, 2)  # 1 has no tries
DEFAULT_LAYOUT = "outputs/mteb/Pythia/410m/{checkpoint}/layer_{layer}/{task}"


class ReportError(Exception):
    """What went wrong, to which file, and why; with the exit code that report.py ends with."""

    def __init__(self, doing: str, subject: object, why: object, exit_code: int = 2) -> None:
        super().__init__(f"{doing}: {subject}: {why}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Tries:
    """Every try of every unit: arrays [n_tries], in the order of the units."""

    checkpoint: np.ndarray  # indices along the axes of the grid
    layer: np.ndarray
    task: np.ndarray
    worker: np.ndarray  # MPI rank, -1: not known
    host: np.ndarray  # index into hosts
    device: np.ndarray  # index into devices
    started_s: np.ndarray  # whole seconds, NaN: not known
    finished_s: np.ndarray
    load_s: np.ndarray  # NaN: not known
    duration_s: np.ndarray  # the unit's evaluation_time where this try made it, else to the second
    is_failed: np.ndarray
    reason: np.ndarray  # index into reasons
    hosts: list[str]  # the first is empty: not known
    devices: list[str]
    reasons: list[str]


@dataclass(frozen=True)
class Run:
    run_dir: Path
    name: str
    checkpoints: list[str]
    layers: list[int]
    tasks: list[str]
    step: np.ndarray  # [checkpoint], NaN for a name without one
    score: np.ndarray  # NaN for none
    status: np.ndarray
    evaluation_s: np.ndarray  # NaN: not known
    tries: Tries | None  # None: the store has none
    attributes: dict[str, str]  # of the store, as text
    job: dict[str, Any]  # the job file; empty where it is not known
    store_written_s: float

    @property
    def counts(self) -> dict[str, int]:
        kinds = {"done": DONE, "pending": PENDING, "failed": FAILED, "excluded": EXCLUDED}
        return {name: int((self.status == kind).sum()) for name, kind in kinds.items()}

    def unit_dir(self, checkpoint: int, layer: int, task: int) -> str:
        """The unit's folder, relative to the run's."""
        names = {
            "checkpoint": self.checkpoints[checkpoint],
            "layer": str(self.layers[layer]),
            "task": self.tasks[task],
        }
        layout = str(self.job.get("layout", DEFAULT_LAYOUT))
        return re.sub(r"\{(checkpoint|layer|task)\}", lambda found: names[found[1]], layout)


def read_run(run_dir: Path) -> Run:
    path = run_dir / "results.h5"
    try:
        with h5py.File(path, "r") as file:
            return _read(run_dir, path, file)
    except FileNotFoundError:
        why = f"there is none (evalsweep consolidate {run_dir} writes it)"
        raise ReportError("reading the store", path, why) from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        why = " ".join(str(error.args[0] if error.args else error).split())
        raise ReportError("reading the store", path, why) from error


def _read(run_dir: Path, path: Path, file: h5py.File) -> Run:
    attributes = {name: _attribute(value) for name, value in file.attrs.items()}
    if attributes.get("evalsweep_schema") not in map(str, KNOWN_SCHEMAS):
        found = attributes.get("evalsweep_schema", "none")
        known = ", ".join(map(str, KNOWN_SCHEMAS))
        raise ValueError(f"its schema is {found}; known here: {known}")
    if file["main_score"].ndim != 3:
        raise ValueError("it has the results of several runs; a report is of one")
    evaluation_s = file["evaluation_time"][()]
    status = file["status"][()]
    return Run(
        run_dir=run_dir,
        name=attributes.get("run_id") or run_dir.resolve().name,
        checkpoints=_texts(file["checkpoint"]),
        layers=file["layer"][()].tolist(),
        tasks=_texts(file["task"]),
        step=file["step"][()],
        score=file["main_score"][()],
        status=status,
        evaluation_s=evaluation_s,
        tries=_tries(file["tries"], evaluation_s) if "tries" in file else None,
        attributes=attributes,
        job=_job(run_dir, attributes),
        store_written_s=path.stat().st_mtime,
    )


def _texts(dataset: h5py.Dataset) -> list[str]:
    return [value.decode("utf-8", "replace") for value in dataset[()]]


def _attribute(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _job(run_dir: Path, attributes: dict[str, str]) -> dict[str, Any]:
    """The job file as run; a store that `consolidate` made of a bare tree has none."""
    text = attributes.get("job")
    if text is None:
        try:
            text = (run_dir / ".evalsweep" / "job.json").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
    try:
        job = json.loads(text)
    except ValueError:
        return {}
    return job if isinstance(job, dict) else {}


def _tries(group: h5py.Group, evaluation_s: np.ndarray) -> Tries:
    unit = [group[axis][()] for axis in ("checkpoint", "layer", "task")]
    started_s, finished_s = group["started_at"][()], group["finished_at"][()]
    is_failed = group["outcome"][()] == TRY_FAILED
    # The unit's own time, which is not of whole seconds, is that of the try that made its result.
    duration_s = np.where(is_failed, np.nan, evaluation_s[tuple(unit)])
    duration_s = np.where(np.isnan(duration_s), finished_s - started_s, duration_s)
    return Tries(
        *unit,
        worker=group["worker"][()],
        host=group["host"][()],
        device=group["device"][()],
        started_s=started_s,
        finished_s=finished_s,
        load_s=group["load_time"][()],
        duration_s=np.maximum(duration_s, 0),
        is_failed=is_failed,
        reason=group["reason"][()],
        hosts=_texts(group["host_name"]),
        devices=_texts(group["device_name"]),
        reasons=_texts(group["reason_name"]),
    )
