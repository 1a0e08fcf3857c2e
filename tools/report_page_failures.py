"""The page's section on failures: what is blocked or quarantined, why units failed, and which."""

from pathlib import Path

import report_html as h
from report_data import PENDING, Run
from report_findings import Findings
from report_suspects import MOST_WORKERS, SCOPES, Suspect, log_of

MAX_ROWS = 1000  # in a list of suspects or failed units; the counts are of all
N_EXAMPLES = 3
MAX_TIME_S = 253402300800.0  # the year 10000


def failure_section(found: Findings, folder: Path) -> str:
    parts = [h.tag("h2", "Failures", id="failures"), *_suspects(found, folder)]
    if found.reasons:
        return "\n".join([*parts, *_reasons(found, folder), _failed_units(found, folder)])
    # What is suspected has failed, though the store may not tell of it.
    is_sure = found.run.tries and not found.suspects.all
    nothing = "No unit has failed, and no attempt." if is_sure else "No unit has failed."
    return "\n".join([*parts, h.tag("p", nothing)])


def _suspects(found: Findings, folder: Path) -> list[str]:
    run, suspects = found.run, found.suspects
    if suspects.unknown:
        if not (run.status == PENDING).any():
            return []
        why = f"{h.text(suspects.unknown)}: what is blocked or quarantined is not known"
        return [h.tag("p", f"{why}, nor how many of the pending units are blocked.")]
    if not suspects.all:
        return []
    is_dated = 0 <= suspects.told_s < MAX_TIME_S
    when = f" As told at {h.moment(suspects.told_s)}." if is_dated else ""
    about = (
        "What is to blame for failures, as far as the run has found out. What is blocked stays"
        " pending, and is tried again now and then. The blocked units are those that are pending in"
        f" the store; one that several suspects block counts for each of them.{when}"
    )
    rows = [_suspect(run, each, folder) for each in suspects.all[:MAX_ROWS]]
    head = ["suspect", "attempts failed", "on workers", "units blocked", "reason", "log"]
    parts = [h.tag("h3", "Blocked or quarantined"), h.tag("p", about)]
    if len(suspects.all) > MAX_ROWS:
        parts.append(h.tag("p", f"Of {h.count(len(suspects.all))}, {MAX_ROWS:,} are listed."))
    return [*parts, h.table(head, rows, left=(0, 4, 5), class_="scroll wide")]


def _suspect(run: Run, suspect: Suspect, folder: Path) -> str:
    blocks, is_worker = bool(SCOPES[suspect.kind]), suspect.kind == "worker"
    name = f"{suspect.kind} {suspect.name}".rstrip()
    if is_worker:
        name += f" on {suspect.host} (device {suspect.device})"
    failed, workers = h.count(suspect.n_failed), h.count(suspect.n_workers)
    if blocks and suspect.n_workers >= MOST_WORKERS:
        workers += " or more"
    if not suspect.n_failed:
        failed, workers = "– (blocked by an earlier job)", "–"
    log = log_of(run, suspect)
    shown = h.link(run.run_dir / log, log, folder) if log else h.text(suspect.log or "–")
    cells = [
        h.tag("td", h.text(name), class_="t w"),
        h.tag("td", failed),
        h.tag("td", "–" if is_worker else workers),
        h.tag("td", h.count(suspect.n_blocked) if blocks else "–"),
        h.tag("td", h.text(suspect.reason or "–"), class_="t w"),
        h.tag("td", shown, class_="t w"),
    ]
    return h.tag("tr", "".join(cells))


def _reasons(found: Findings, folder: Path) -> list[str]:
    run = found.run
    about = (
        "A unit has failed when its last attempt did, and no other is to come. Attempts count also"
        " where the unit is pending, or was done later. Reasons that differ in their numbers only"
        " are one: the first text is shown."
    )
    if not run.tries:
        about += " The store does not tell of attempts."
    rows = []
    for reason in found.reasons:
        examples = [_log(run, unit, folder) for unit in reason.units[:N_EXAMPLES]]
        cells = h.tag("td", h.text(reason.text), class_="t w")
        cells += h.tag("td", h.count(reason.n_units))
        cells += h.tag("td", h.count(reason.n_attempts) if run.tries else "–")
        cells += h.tag("td", "<br>".join(examples), class_="t w")
        rows.append(h.tag("tr", cells))
    head = ["reason", "units failed", "attempts failed", "logs"]
    table = h.table(head, rows, left=(0, 3), class_="scroll wide")
    return [h.tag("h3", "Reasons"), h.tag("p", about), table]


def _log(run: Run, unit: tuple[int, int, int], folder: Path) -> str:
    unit_dir = run.unit_dir(*unit)
    for name in ("log.txt", "failed.json"):
        if (run.run_dir / unit_dir / name).exists():
            return h.link(run.run_dir / unit_dir / name, f"{unit_dir}/{name}", folder)
    return h.text(unit_dir)


def _failed_units(found: Findings, folder: Path) -> str:
    run = found.run
    units = [(unit, reason.text) for reason in found.reasons for unit in reason.units]
    if not units:
        return ""
    rows = []
    for unit, reason in units[:MAX_ROWS]:
        names = (run.checkpoints[unit[0]], run.layers[unit[1]], run.tasks[unit[2]])
        cells = "".join(h.tag("td", h.text(name), class_="t") for name in names)
        cells += h.tag("td", h.text(reason), class_="t w")
        rows.append(h.tag("tr", cells + h.tag("td", _log(run, unit, folder), class_="t w")))
    shown = f", of which {MAX_ROWS:,} are listed" if len(units) > MAX_ROWS else ""
    title = h.tag("summary", f"The {len(units):,} failed units{shown}")
    listed = h.table(
        ["checkpoint", "layer", "task", "reason", "log"], rows, range(5), "scroll wide"
    )
    return h.tag("details", title + listed)
