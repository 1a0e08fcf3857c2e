"""`status --prometheus` against the rules of the text format, and what it says against status.json.

Usage: test_prometheus.py EVALSWEEP FAKE_EVALUATOR [unittest options].
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

EVALSWEEP, FAKE = (os.path.abspath(path) for path in (sys.argv.pop(1) for _ in range(2)))
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (\S+)")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
UNITS = (
    "_seconds",
    "_total",
    "_units",
    "_per_second",
    "_alive",
    "_workers",
    "_drivers",
    "_checkpoints",
    "_suspects",
)


def unescape(value):
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def parse(text):
    """{(name, labels): value}; an AssertionError for anything that a strict reader might refuse."""
    samples, kinds, helps = {}, {}, set()
    current = None
    assert text.endswith("\n") and "\n\n" not in text and "\r" not in text
    for line in text[:-1].split("\n"):
        head = HEAD.fullmatch(line)
        if head:
            kind, name, rest = head.groups()
            if kind == "HELP":
                assert name not in helps, f"{name}: a second time"
                helps.add(name)
                current = name
            else:
                assert name == current and name not in kinds, line
                assert rest in ("gauge", "counter"), line
                assert (rest == "counter") == name.endswith("_total"), line
                assert name.startswith("evalsweep_") and name.endswith(UNITS), line
                kinds[name] = rest
            continue
        found = SAMPLE.fullmatch(line)
        assert found, f"not of the format: {line!r}"
        name, value = found[1], found.groups()[-1]
        assert name == current and name in kinds, f"{line}: not below its head"
        assert NUMBER.fullmatch(value), line
        pairs = [(key, unescape(text)) for key, text in re.findall(LABEL, found[2])]
        labels = tuple(sorted(pairs))
        assert len(dict(pairs)) == len(pairs) and (name, labels) not in samples, line
        samples[name, labels] = float(value)
    assert set(kinds) == helps == {name for name, _ in samples}
    return samples


def write_status(folder, **changes):
    document = {
        "alive": True,
        "updated_s": time.time(),
        "host": "h",
        "done": 7,
        "pending": 5,
        "failed": 2,
        "excluded": 1,
        "running": 3,
        "rate_per_s": 0.25,
        "eta_s": 20,
        "evaluated": 6,
        "retries": 4,
        "workers": [{"worker": i, "host": "h", "device": "0", "out": i == 4} for i in range(5)],
        "checkpoints": [
            {"checkpoint": f"step{i}", "done": i, "pending": 3 - i, "failed": i // 3}
            for i in range(4)
        ],
    }
    for worker in document["workers"][:3]:
        worker.update(checkpoint="step1", layer=1, task="A", running_s=1000 * worker["worker"])
    document.update(changes)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "status.json"), "w") as file:
        json.dump(document, file)


class Prometheus(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chdir(self.folder.name)
        self.run_id = "demo"

    def read(self, path="demo"):
        done = subprocess.run([EVALSWEEP, "status", "--prometheus", path], capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return parse(done.stdout.decode())

    def value(self, samples, name, **labels):
        return samples.get(
            ("evalsweep_" + name, tuple(sorted({"run": self.run_id, **labels}.items())))
        )

    def assert_values(self, samples, expected):
        for key, value in expected.items():
            name, _, label = key.partition(" ")
            labels = dict([label.split("=")]) if label else {}
            self.assertEqual(self.value(samples, name, **labels), value, key)

    def test_driver_at_work(self):
        write_status("demo")
        samples = self.read()
        self.assert_values(
            samples,
            {
                "units status=done": 7,
                "units status=pending": 5,
                "units status=failed": 2,
                "units status=excluded": 1,
                "checkpoints status=done": 0,
                "checkpoints status=begun": 3,
                "checkpoints status=pending": 1,
                "running_units": 3,
                "rate_units_per_second": 0.25,
                "eta_seconds": 20,
                "driver_alive": 1,
                "drivers": 0,
                "workers state=running": 3,
                "workers state=idle": 1,
                "workers state=out": 1,
                "evaluated_units_total": 6,
                "retries_total": 4,
            },
        )
        self.assertAlmostEqual(self.value(samples, "longest_running_unit_seconds"), 2000, delta=20)
        self.assertAlmostEqual(
            self.value(samples, "last_update_timestamp_seconds"), time.time(), delta=60
        )

    def test_what_is_not_known_is_not_there(self):
        """A dead driver has no rate, a young one no ETA."""
        write_status("demo", updated_s=1e9)
        samples = self.read()
        self.assert_values(
            samples,
            {"driver_alive": 0, "units status=done": 7, "last_update_timestamp_seconds": 1e9},
        )
        for name in (
            "rate_units_per_second",
            "eta_seconds",
            "running_units",
            "longest_running_unit_seconds",
        ):
            self.assertIsNone(self.value(samples, name), name)
        write_status("demo", rate_per_s=None, eta_s=1e400)
        samples = self.read()
        self.assert_values(
            samples,
            {
                "driver_alive": 1,
                "running_units": 3,
                "eta_seconds": None,
                "rate_units_per_second": None,
            },
        )

    def test_as_many_series_however_large_the_run(self):
        write_status("demo")
        n = len(self.read())
        workers = [{"worker": i, "host": f"h{i}", "device": "0", "out": False} for i in range(500)]
        failures = [{"reason": f"r{i}", "units": 1, "log": None} for i in range(5)]
        write_status(
            "demo",
            workers=workers,
            failures=failures,
            checkpoints=[{"checkpoint": str(i)} for i in range(500)],
        )
        self.assertEqual(len(self.read()), n)

    def test_names_are_escaped(self):
        for self.run_id in ('a"b\\c d', '日本語 {x="y"},', "\\", "\\n"):
            write_status(self.run_id)
            self.assert_values(self.read(self.run_id), {"units status=done": 7})
        write_status("tab\tand\nline")
        self.run_id = "tab?and?line"
        self.assert_values(self.read("tab\tand\nline"), {"units status=done": 7})

    def test_a_real_run_and_one_without_a_driver(self):
        job = {
            "run": {"root": os.getcwd(), "id": "demo"},
            "grid": {"checkpoints": ["a", "b"], "layers": "1-4", "tasks": ["A"]},
            "evaluator": {"mode": "persistent", "command": [FAKE, "--persistent"]},
        }
        with open("job.json", "w") as file:
            json.dump(job, file)
        expected = {"units status=done": 0, "units status=pending": 8, "driver_alive": 0}
        self.assert_values(self.read("job.json"), expected)
        subprocess.run([EVALSWEEP, "run", "--quiet", "job.json"], check=True, capture_output=True)
        expected = {
            "units status=done": 8,
            "units status=pending": 0,
            "driver_alive": 0,
            "checkpoints status=done": 2,
        }
        self.assert_values(self.read("job.json"), {**expected, "evaluated_units_total": 8})
        os.unlink("demo/status.json")
        self.assert_values(self.read(), expected)


if __name__ == "__main__":
    unittest.main()
