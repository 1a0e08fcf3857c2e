"""What a report is made of: what was found out of a run, and the figures of it."""

from dataclasses import dataclass

from report_data import Run
from report_failures import Reason
from report_scores import Panel, TaskMean
from report_suspects import Suspects
from report_work import Work


@dataclass(frozen=True)
class Findings:
    """What the page is made of."""

    run: Run
    panels: list[Panel]  # [task]
    mean: TaskMean
    mean_panel: Panel
    work: Work | None  # None: the store does not tell
    reasons: list[Reason]
    suspects: Suspects
    made_s: float  # when the page is made


@dataclass(frozen=True)
class Figures:
    """SVG texts."""

    panels: list[str]  # [task]
    mean: str
    overview: str  # empty: there is none
    stretches: dict[int, str]  # by index of the stretch; not all are drawn
