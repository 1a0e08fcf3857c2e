"""What is at fault in a run, from status.json, and how many units it blocks, from the store.

Nothing in status.json is trusted. What is of the wrong type is taken as absent, as `evalsweep
status` takes it.
"""

import json
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from report_data import PENDING, Run

MAX_BYTES = 64 << 20
INTERVAL_S = 2.0  # a job at work writes this often, and is gone after three times as long
SKEW_S = 60.0  # clocks may differ by so much
MOST_WORKERS = 8  # that are counted one by one
# What each kind is made of: these names together are what it blocks.
SCOPES = {
    "task": ("task",),
    "checkpoint": ("checkpoint",),
    "bundle": ("checkpoint", "task"),
    "layer": ("layer", "task"),
    "worker": (),
    "outage": (),
}


@dataclass(frozen=True)
class Suspect:
    kind: str
    name: str
    host: str  # of a worker, else empty, as the device
    device: str
    reason: str
    n_failed: int  # attempts since it last succeeded; 0: it is known from an earlier job only
    n_workers: int
    log: str  # relative to the run's folder; empty: not known
    scope: tuple[Any, ...] | None  # an index of arrays over the grid; None: it blocks no units
    n_blocked: int = 0  # pending units within its scope


@dataclass(frozen=True)
class Suspects:
    all: list[Suspect]
    n_blocked: int  # pending units, each counted once
    told_s: float  # when status.json was written; NaN: not known
    unknown: str  # why nothing is known; empty: it is


def suspects_of(run: Run, now_s: float | None = None) -> Suspects:
    path = run.run_dir / "status.json"
    try:
        told = _read(path)
    except FileNotFoundError:
        return Suspects([], 0, math.nan, "there is no status.json")
    except (OSError, ValueError, RecursionError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        return Suspects([], 0, math.nan, f"status.json cannot be read: {words or 'no reason told'}")
    listed = told.get("suspects")
    found = [_suspect(each, run) for each in listed] if isinstance(listed, list) else []
    told_s = _number(told, "updated_s")
    age_s = (time.time() if now_s is None else now_s) - told_s
    is_alive = told.get("alive") is True and -SKEW_S <= age_s < 3 * INTERVAL_S
    return _counted([each for each in found if each], run.status == PENDING, told_s, is_alive)


def _counted(
    suspects: list[Suspect], is_pending: np.ndarray, told_s: float, is_alive: bool
) -> Suspects:
    is_blocked = np.zeros_like(is_pending)
    counted = []
    for each in suspects:
        if each.scope is None:
            n = 0
        else:
            n = int(is_pending[each.scope].sum())
            is_blocked[each.scope] |= is_pending[each.scope]
        # What a job that has ended suspected, and is done now, was done by others.
        if n or is_alive or not SCOPES[each.kind]:
            counted.append(replace(each, n_blocked=n))
    return Suspects(counted, int(is_blocked.sum()), told_s, "")


def _read(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    told = json.loads(
        text.decode("utf-8", "replace"), parse_int=float, object_pairs_hook=_first_of_each
    )
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")
    return told


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of names that come twice, evalsweep takes the first."""
    return dict(reversed(pairs))


def _suspect(told: Any, run: Run) -> Suspect | None:
    """None for what is of no known kind."""
    if not isinstance(told, dict) or _text(told, "kind") not in SCOPES:
        return None
    kind = _text(told, "kind")
    return Suspect(
        kind=kind,
        name=_text(told, "name"),
        host=_text(told, "host") if kind == "worker" else "",
        device=_text(told, "device") if kind == "worker" else "",
        reason=_text(told, "reason"),
        n_failed=_count(told, "failed"),
        n_workers=_count(told, "workers"),
        log=_inside(_text(told, "log")),
        scope=_scope(kind, told, run),
    )


def _scope(kind: str, told: dict[str, Any], run: Run) -> tuple[Any, ...] | None:
    places = {"checkpoint": run.checkpoints, "layer": run.layers, "task": run.tasks}
    names = {axis: _text(told, axis) for axis in ("checkpoint", "task")}
    layer = _number(told, "layer")
    names["layer"] = int(layer) if -(1 << 31) <= layer <= (1 << 31) - 1 else 0
    if not SCOPES[kind] or any(names[axis] not in places[axis] for axis in SCOPES[kind]):
        return None
    return tuple(
        places[axis].index(names[axis]) if axis in SCOPES[kind] else slice(None) for axis in places
    )


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key)
    # JSON can name halves of characters, which no file can hold.
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _number(told: dict[str, Any], key: str) -> float:
    value = told.get(key)
    return value if isinstance(value, float) and math.isfinite(value) else math.nan


def _count(told: dict[str, Any], key: str) -> int:
    value = _number(told, key)
    return int(value) if 0 < value < (1 << 32) - 1 else 0


def _inside(log: str) -> str:
    """The path, unless it leads out of the run's folder."""
    path = PurePosixPath(log)
    return log if path.name and not path.is_absolute() and ".." not in path.parts else ""


def log_of(run: Run, suspect: Suspect) -> str:
    """Its log, else the failed.json beside it, else nothing."""
    beside = str(PurePosixPath(suspect.log).with_name("failed.json")) if suspect.log else ""
    for path in (suspect.log, beside):
        if path and os.path.isfile(run.run_dir / path):  # a name that no file can have is no error
            return path
    return ""
