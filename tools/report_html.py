"""Pieces of HTML for report_page.py. Whatever comes from a run is escaped here and nowhere else."""

import html
import math
import os
from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1260px; padding: 0 24px 48px; background: #fff; color: #222;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { padding: 28px 0 8px; }
h1 { font-size: 30px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 22px; margin: 44px 0 8px; padding-bottom: 4px; border-bottom: 2px solid #0072b2; }
h3 { font-size: 17px; margin: 26px 0 2px; overflow-wrap: anywhere; }
p { margin: 6px 0; max-width: 80em; }
.quiet, figcaption { color: #555; }
a { color: #00598c; }
nav { position: sticky; top: 0; z-index: 3; background: #fffffff2; padding: 8px 0;
  border-bottom: 1px solid #ddd; }
nav a { margin-right: 22px; text-decoration: none; font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: 12px;
  margin: 18px 0 6px; }
.tile { border: 1px solid #d8d8d8; border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 25px; line-height: 1.25; font-weight: 650; }
.tile span { color: #555; font-size: 13.5px; }
.tile.bad b { color: #b34700; }
.bar { display: flex; height: 14px; border-radius: 7px; overflow: hidden; background: #e4e4e4; }
.bar i { display: block; height: 100%; }
figure { margin: 4px 0 0; }
figure img { display: block; width: 100%; height: auto; }
section.task { content-visibility: auto; contain-intrinsic-size: auto 420px; scroll-margin: 44px; }
h2 { scroll-margin: 44px; }
.scroll { overflow: auto; max-height: 34rem; width: fit-content; max-width: 100%;
  border: 1px solid #d8d8d8; margin: 8px 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
.wide, .wide table { width: 100%; }
.wide { max-height: 60rem; }
th, td { padding: 3px 9px; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { position: sticky; top: 0; background: #f1f1f1; z-index: 1; }
th.t, td.t { text-align: left; }
td.w { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 20em; max-width: 46em; }
tbody th { position: sticky; left: 0; background: #f7f7f7; font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid #ececec; }
td.part { color: #767676; font-style: italic; }
td.part small { font-style: normal; }
td.best { outline: 2px solid #222; outline-offset: -2px; font-weight: 700; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
summary { cursor: pointer; font-weight: 600; margin: 8px 0; }
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; }
  body { max-width: none; padding: 0; font-size: 11px; }
  nav { display: none; }
  section.task { content-visibility: visible; }
  section.task, figure, .tiles { break-inside: avoid; }
  .scroll { max-height: none; overflow: visible; border: 0; }
  thead th, tbody th { position: static; }
  table { font-size: 9px; }
  th, td { padding: 1px 3px; }
}
"""


def text(value: object) -> str:
    return html.escape(str(value))


def number(value: float, shown: str) -> str:
    """A number as shown, with all its digits for whoever reads the page by program."""
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    return f'<data value="{value!r}">{text(shown)}</data>'


def score(value: float) -> str:
    return number(float(value), f"{value:.4f}")


def count(value: int) -> str:
    return number(int(value), f"{value:,}")


def hours(seconds: float) -> str:
    """A duration, the number in seconds."""
    return number(float(seconds), duration(seconds))


def duration(seconds: float) -> str:
    for size, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            value = seconds / size
            return f"{value:,.0f} {name}" if value >= 1000 else f"{value:.3g} {name}"
    return f"{seconds:.3g} s"


def percent(part: float) -> str:
    return number(float(part), f"{part:.1%}")


def moment(seconds: float) -> str:
    """A point in time; empty for NaN."""
    if not math.isfinite(seconds):
        return ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def tag(name: str, inside: str, **attributes: object) -> str:
    """Attributes are named as Python can: class_ for class, aria_label for aria-label."""
    names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
    pairs = "".join(f' {names[key]}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{pairs}>{inside}</{name}>"


def table(
    head: Sequence[str], rows: Iterable[str], left: Container[int] = (0,), class_: str = "scroll"
) -> str:
    """Rows are whole <tr>; the columns named in `left` have their heads to the left."""
    cells = [tag("th", text(h), class_="t") if i in left else tag("th", text(h))
             for i, h in enumerate(head)]  # fmt: skip
    top = tag("thead", tag("tr", "".join(cells)))
    return tag("div", tag("table", top + tag("tbody", "\n".join(rows))), class_=class_)


def figure(svg: str, alt: str, caption: str = "") -> str:
    """The figure in the page itself, as an image, so that its names and styles stay its own."""
    source = "data:image/svg+xml," + quote(svg.replace('"', "'"), safe="/:=,;()+-.'! *@$?_~")
    below = tag("figcaption", caption) if caption else ""
    image = f'<img src="{source}" alt="{text(alt)}">'
    return f"<figure>{image}{below}</figure>"


def link(path: Path, shown: str, folder: Path) -> str:
    """To a file, from a page in the folder; without a link where there is no such file."""
    if not path.exists():
        return text(shown)
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return tag("a", text(shown), href=quote(os.fsencode(relative)))


def page(title: str, body: str, json_text: str) -> str:
    embedded = json_text.replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="drawn">{embedded}</script>\n</body>\n</html>\n'
    )
