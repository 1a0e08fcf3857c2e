"""Runs for the tests of tools/report.py: markers by hand, the store by evalsweep."""

import io
import json
import math
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import report

DEVICES = ["cuda:0", "</script><script>window.hacked = 1</script>"]
LAYOUT = "outputs/{checkpoint}/layer_{layer}/{task}"


def stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def make_report(run_dir: Path, *options: object, code: int = 0) -> str:
    """What it says on stderr. In this process: most of the time of another goes into imports."""
    with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()):
        assert report.main([str(word) for word in (run_dir, *options)]) == code, said.getvalue()
    return said.getvalue()


class Sweep:
    """A run's folder."""

    def __init__(
        self, folder: Path, checkpoints: list, layers: list, tasks: list, **grid: Any
    ) -> None:
        self.run_dir = folder / "sweep"
        self.checkpoints, self.layers, self.tasks = checkpoints, layers, tasks
        self.job = folder / "sweep.json"
        self.run_dir.mkdir(parents=True)
        axes = {"checkpoints": checkpoints, "layers": layers, "tasks": tasks}
        document = {
            "run": {"root": str(folder), "id": "sweep"},
            "layout": LAYOUT,
            "grid": {**axes, **grid},
            "evaluator": {"mode": "null"},
        }
        self.job.write_text(json.dumps(document), encoding="utf-8")

    def unit_dir(self, checkpoint: str, layer: int, task: str) -> Path:
        return self.run_dir / LAYOUT.format(checkpoint=checkpoint, layer=layer, task=task)

    def mark(
        self,
        checkpoint: str,
        layer: int,
        task: str,
        start_s: float,
        took_s: float,
        worker: int,
        score: float | None = None,
        reason: str | None = None,
        **more: Any,
    ) -> None:
        """A marker; with a reason, one of a failed unit, with its log."""
        folder = self.unit_dir(checkpoint, layer, task)
        folder.mkdir(parents=True)
        marker = {
            "schema": 1, "checkpoint": checkpoint, "layer": layer, "task": task,
            "status": "failed" if reason else "done", "main_score": score, "metrics": [],
            "evaluation_time_s": took_s, "started": stamp(start_s),
            "finished": stamp(start_s + took_s), "host": f"node{worker // 2}",
            "device": DEVICES[worker % 2], "rank": worker, "attempt": 1, **more,
        }  # fmt: skip
        if reason:
            marker |= {"reason": reason, "exit": "exit code 1", "log_tail": ""}
            (folder / "log.txt").write_text("what it printed\n")
        name = "failed.json" if reason else "done.json"
        (folder / name).write_text(json.dumps(marker), encoding="utf-8")

    def consolidate(self) -> Path:
        command = [os.environ["EVALSWEEP"], "consolidate", self.job]
        subprocess.run(command, check=True, capture_output=True)
        return self.run_dir

    def status(self) -> dict[str, Any]:
        """What `evalsweep status` makes of it."""
        command = [os.environ["EVALSWEEP"], "status", "--json", self.job]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def markers(self, name: str = "done.json") -> dict[tuple[str, int, str], dict]:
        """What is on disk, by (checkpoint, layer, task), and nothing else."""
        found = [json.loads(path.read_text()) for path in self.run_dir.rglob(name)]
        return {(each["checkpoint"], each["layer"], each["task"]): each for each in found}

    def score(self, checkpoint: str, layer: int, task: str) -> float:
        value = self.markers().get((checkpoint, layer, task), {}).get("main_score")
        return math.nan if value is None else value


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]


class Page(HTMLParser):
    """A page taken to pieces: its elements, its tables as rows of cells, and the JSON in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[Element] = []
        self.tables: list[list[list[Cell]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()

    @property
    def drawn(self) -> dict:
        return json.loads(self._script)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def table(self, *heads: str) -> list[list["Cell"]]:
        """The rows of the one table whose head has all of these, without the head."""
        (found,) = (t for t in self.tables if {*heads} <= {cell.text for cell in t[0]})
        return found[1:]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        attributes = dict(attrs)
        self.elements.append(Element(tag, attributes))
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(Cell(attributes.get("class") or ""))
        elif tag == "data":
            number = float(attributes["value"])
            if "td" in self._open:
                self.tables[-1][-1][-1].numbers.append(number)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag  # whatever is opened is closed, in order

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self._script = data
            return
        if self._open and self._open[-1] != "style":
            self.texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1].text += data


class Cell:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.text = ""
        self.numbers: list[float] = []
