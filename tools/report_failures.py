"""Why units and attempts failed: their reasons, counted, and where their logs are."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from report_data import FAILED, Run

NOT_KNOWN = "(reason not known)"


# What evalsweep keeps of a reason.
MAX_REASON_BYTES = 500
# As evalsweep counts, reasons that differ in their numbers only are one.
_NUMBERS = re.compile("[0-9]+")

Unit = tuple[int, int, int]


@dataclass
class Reason:
    text: str  # as it was told first
    n_units: int = 0  # that are failed now
    n_attempts: int = 0  # all, also of units that are done or pending
    units: list[Unit] = field(default_factory=list)  # those n_units, in order


def reasons_of(run: Run) -> list[Reason]:
    """The most frequent first. Without attempts in the store, those of failed units' markers."""
    n_attempts: Counter[str] = Counter()
    last: dict[Unit, str] = {}
    if run.tries:
        tries = run.tries
        for i in np.flatnonzero(tries.is_failed):
            unit = (int(tries.checkpoint[i]), int(tries.layer[i]), int(tries.task[i]))
            last[unit] = tries.reasons[tries.reason[i]] or NOT_KNOWN
            n_attempts[last[unit]] += 1
    reasons: dict[str, Reason] = {}

    def reason_of(text: str) -> Reason:
        return reasons.setdefault(_NUMBERS.sub("0", text), Reason(text))

    for place in np.argwhere(run.status == FAILED).tolist():
        unit = (place[0], place[1], place[2])
        reason_of(last.get(unit) or _told_by_marker(run, unit)).units.append(unit)
    for text, n in n_attempts.items():
        reason_of(text).n_attempts += n
    for reason in reasons.values():
        reason.n_units = len(reason.units)
    return sorted(reasons.values(), key=lambda each: (-each.n_units, -each.n_attempts, each.text))


def _told_by_marker(run: Run, unit: Unit) -> str:
    try:
        text = (run.run_dir / run.unit_dir(*unit) / "failed.json").read_text(encoding="utf-8")
        reason = json.loads(text).get("reason")
    except (OSError, ValueError, AttributeError):
        return NOT_KNOWN
    if not isinstance(reason, str) or not reason:
        return NOT_KNOWN
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
