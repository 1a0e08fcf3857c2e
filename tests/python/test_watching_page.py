"""What docs/watching.md promises of progress.csv and status.json.

Usage: test_watching_page.py EVALSWEEP FAKE_EVALUATOR [unittest options].
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import pandas

EVALSWEEP, FAKE = (os.path.abspath(path) for path in (sys.argv.pop(1) for _ in range(2)))
with open(os.path.join(os.path.dirname(__file__), "../../docs/watching.md")) as file:
    PAGE = file.read()
TASKS = ['A, "quoted"', "B", "C"]


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def keys(text):
    """Those in the first column of the table."""
    rows = re.findall(r"^\| (`.*?) \|", text, re.M)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def keys_of(text, key):
    """What an item has, as the row of its list tells."""
    row = re.search(rf"^\| `{key}` \| (.*) \|$", text, re.M)[1]
    return set(re.findall(r"`(\w+)`", row))


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        job = {
            "run": {"root": os.getcwd(), "id": "demo"},
            "grid": {"checkpoints": ["step0", "step1", "step2"], "layers": "1-4", "tasks": TASKS},
            "evaluator": {
                "mode": "persistent",
                "retries": 0,
                "command": [FAKE, "--persistent", "--error", "--fail-unit", "/2/B"],
            },
            "limits": {"max_consecutive_failures": 100},
        }
        with open("job.json", "w") as file:
            json.dump(job, file)
        done = subprocess.run(
            [EVALSWEEP, "run", "--quiet", "job.json"],
            capture_output=True,
            env={**os.environ, "SLURM_JOB_ID": "7"},
        )
        assert done.returncode == 1, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_progress_loads_as_it_is(self):
        text = section("progress.csv")
        lines = re.search(r"```python\n(.*?)```", text, re.S)[1]
        os.chdir("demo")
        self.addCleanup(os.chdir, "..")
        variables = {}
        exec(lines, variables)
        progress = variables["progress"]
        self.assertEqual(set(progress.columns), keys(text))
        self.assertEqual(len(progress), 36)
        self.assertEqual(str(progress.finished.dtype), "datetime64[ns, UTC]")
        self.assertLess(
            abs((pandas.Timestamp.now("UTC") - progress.finished.max()).total_seconds()), 600
        )
        for column in ("main_score", "evaluation_time_s"):
            self.assertEqual(progress[column].dtype, float)
        for column in ("layer", "attempt"):
            self.assertEqual(progress[column].dtype, int)
        self.assertEqual(set(progress.task), set(TASKS))
        self.assertEqual(dict(progress.groupby("status").size()), {"done": 33, "failed": 3})
        self.assertTrue((progress.main_score.isna() == (progress.status == "failed")).all())
        exported = subprocess.run([EVALSWEEP, "export", "."], capture_output=True, check=True)
        with open("export.csv", "wb") as file:
            file.write(exported.stdout)
        scores = pandas.read_csv("export.csv").groupby(["checkpoint", "layer", "task"]).size()
        done = progress[progress.status == "done"].set_index(["checkpoint", "layer", "task"])
        self.assertEqual(set(scores.index), set(done.index))

    def test_keys_of_status(self):
        """The last word of a driver has all keys that are always there; no other has been added."""
        text = section("status.json")
        with open("demo/status.json") as file:
            status = json.load(file)
        self.assertEqual(set(status) | {"ended"}, keys(text))
        self.assertEqual(set(status["checkpoints"][0]), keys_of(text, "checkpoints"))
        self.assertEqual(set(status["failures"][0]), keys_of(text, "failures"))
        self.assertLessEqual(set(status["workers"][0]), keys_of(text, "workers"))
        told = json.loads(subprocess.check_output([EVALSWEEP, "status", "--json", "demo"]))
        for key in (
            "total",
            "done",
            "pending",
            "failed",
            "excluded",
            "checkpoints",
            "failures",
            "updated_s",
        ):
            self.assertEqual(told[key], status[key], key)
        for key in told:
            self.assertIn(f"`{key}`", text)
        self.assertEqual(status["total"], sum(status[key] for key in ("done", "pending", "failed")))

    def test_metrics(self):
        text = section("Prometheus and Grafana")
        metrics = subprocess.check_output([EVALSWEEP, "status", "--prometheus", "demo"], text=True)
        for name in re.findall(r"# TYPE (\w+)", metrics):
            self.assertIn(name, keys(text))


if __name__ == "__main__":
    unittest.main()
