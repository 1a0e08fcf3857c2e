"""Why units failed: their reasons, counted, and where their logs are."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from report_data import FAILED, Run

NOT_KNOWN = "(reason not known)"


@dataclass
class Reason:
    text: str
    n_units: int = 0  # that have failed now
    n_tries: int = 0  # all, also of units that were done later
    units: list[tuple[int, int, int]] = field(default_factory=list)  # those n_units, in order


def reasons_of(run: Run) -> list[Reason]:
    """The commonest first. Without tries in the store, those of failed units, from failed.json."""
    n_tries: Counter[str] = Counter()
    last: dict[tuple[int, int, int], str] = {}
    if run.tries:
        tries = run.tries
        for i in np.flatnonzero(tries.is_failed):
            unit = (int(tries.checkpoint[i]), int(tries.layer[i]), int(tries.task[i]))
            last[unit] = tries.reasons[tries.reason[i]] or NOT_KNOWN
            n_tries[last[unit]] += 1
    units = defaultdict(list)
    for place in np.argwhere(run.status == FAILED).tolist():
        unit = (place[0], place[1], place[2])
        units[last.get(unit) or _told_by_marker(run, unit)].append(unit)
    reasons = [
        Reason(text, len(units[text]), n_tries[text], units[text])
        for text in sorted({*n_tries, *units})
    ]
    return sorted(reasons, key=lambda reason: (-reason.n_units, -reason.n_tries))


def _told_by_marker(run: Run, unit: tuple[int, int, int]) -> str:
    try:
        text = (run.run_dir / run.unit_dir(*unit) / "failed.json").read_text(encoding="utf-8")
        reason = json.loads(text).get("reason")
    except (OSError, ValueError, AttributeError):
        return NOT_KNOWN
    return reason if isinstance(reason, str) and reason else NOT_KNOWN
