"""The page's section on workers: what each did when."""

import report_html as h
from report_findings import Figures, Findings
from report_work import STRETCH_GAP_S, Stretch, Work


def work_section(found: Findings, figures: Figures) -> str:
    work = found.work
    parts = [h.tag("h2", "Workers", id="workers")]
    if work is None:
        why = (
            "This store does not say which worker did what when (it has no group"
            " <code>tries</code>);"
            f" <code>evalsweep consolidate {h.text(found.run.run_dir)}</code> adds it."
        )
        return "".join([*parts, h.tag("p", why)])
    if work.n_unknown:
        of = len(found.run.tries.task) if found.run.tries else 0
        missing = (
            f"{h.count(work.n_unknown)} of {h.count(of)} attempts have no known worker or times"
        )
        parts.append(h.tag("p", f"{missing}: they are left out here."))
    if not work.stretches:
        return "".join([*parts, h.tag("p", "Of no attempt both worker and times are known.")])
    about = (
        "A bar is a bundle: what a worker evaluated of one checkpoint and task without another"
        " between, to the second. Utilisation is the part of the time in which a worker evaluated"
        f" or loaded. A stretch ends where no worker did anything for more than {STRETCH_GAP_S:g}"
        " s: the job had ended."
    )
    parts += [h.tag("p", about), h.figure(figures.overview, "Busy workers over time")]
    for i, stretch in enumerate(work.stretches):
        if i in figures.stretches:
            parts.append(_stretch(i, stretch, figures.stretches[i]))
    if len(figures.stretches) < len(work.stretches):
        n = len(figures.stretches)
        parts.append(h.tag("p", f"The {n} longest stretches are drawn; the table has all."))
    return "\n".join([*parts, _stretch_table(work), _worker_table(work)])


def _stretch(i: int, stretch: Stretch, svg: str) -> str:
    n_bundles = len(stretch.bundles.task)
    used = stretch.busy_s.sum() / stretch.held_s if stretch.held_s > 0 else 1.0
    title = f"Stretch {i + 1}: {h.moment(stretch.started_s)}, {h.hours(stretch.wall_s)}"
    caption = (
        f"{h.count(len(stretch.workers))} workers, {h.count(n_bundles)} bundles,"
        f" {h.count(int(stretch.n_tries.sum()))} attempts; utilisation {h.percent(min(used, 1.0))}."
    )
    return h.tag("h3", title) + h.figure(svg, f"Timeline of stretch {i + 1}", caption)


def _stretch_table(work: Work) -> str:
    rows = []
    for i, stretch in enumerate(work.stretches):
        used = min(float(stretch.busy_s.sum() / stretch.held_s), 1.0) if stretch.held_s > 0 else 1.0
        cells = [
            h.text(h.moment(stretch.started_s)), h.hours(stretch.wall_s),
            h.count(len(stretch.workers)), h.count(int(stretch.n_tries.sum())),
            h.hours(float(stretch.busy_s.sum())), h.hours(float(stretch.load_s.sum())),
            h.percent(used),
        ]  # fmt: skip
        first = h.tag("th", f"{i + 1}", class_="t")
        rows.append(h.tag("tr", first + "".join(h.tag("td", cell) for cell in cells)))
    head = ["stretch", "began", "lasted", "workers", "attempts", "evaluating", "of it loading",
            "utilisation"]  # fmt: skip
    return h.table(head, rows, class_="scroll wide")


def _worker_table(work: Work) -> str:
    rows = []
    for i, stretch in enumerate(work.stretches):
        for k, worker in enumerate(stretch.workers):
            texts = (str(i + 1), str(worker.rank), worker.host or "–", worker.device or "–")
            cells = [h.tag("td", h.text(each), class_="t") for each in texts]
            cells += [
                h.tag("td", cell)
                for cell in (
                    h.count(int(stretch.n_tries[k])), h.hours(float(stretch.busy_s[k])),
                    h.hours(float(stretch.load_s[k])), h.percent(float(stretch.utilisation[k])),
                )
            ]  # fmt: skip
            rows.append(h.tag("tr", "".join(cells)))
    head = ["stretch", "worker", "host", "device", "attempts", "evaluating", "of it loading",
            "utilisation"]  # fmt: skip
    return h.tag(
        "details",
        h.tag("summary", "By worker") + h.table(head, rows, left=range(4), class_="scroll wide"),
    )
