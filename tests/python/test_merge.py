"""Several runs in one file, as people read it: xarray with both its engines, and netCDF4.

Each value is compared with what the runs' own stores say.

Usage: test_merge.py EVALSWEEP FAKE_EVALUATOR STORE_MD [unittest options]
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import warnings

import netCDF4
import numpy as np
import xarray as xr

EVALSWEEP, FAKE, STORE_MD = sys.argv[1:4]
del sys.argv[1:4]

ENGINES = ("netcdf4", "h5netcdf")
AXES = ("checkpoint", "layer", "task")
RUNS = {
    "410m": (["step0", "step1000", "final"], [21, 22, 23, 24], ["STS12", "B"]),
    "1b": (["step1000", "step8"], [3, 24], ["C", "STS12"]),
    "tiny": (["step0"], [3], ["B"]),
}
COLUMNS = ("main_score", "status", "evaluation_time", "finished_at", "attempts", "worker")


class MergeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "sweep.h5")
        folders = [cls.run_one(name, *grid) for name, grid in RUNS.items()]
        subprocess.run(
            [EVALSWEEP, "consolidate", "--into", cls.path, *folders],
            check=True,
            stderr=subprocess.DEVNULL,
        )

    @classmethod
    def run_one(cls, name, checkpoints, layers, tasks):
        job = {
            "run": {"root": cls.folder.name, "id": name},
            "grid": {"checkpoints": checkpoints, "layers": layers, "tasks": tasks},
            "evaluator": {
                "mode": "persistent",
                "retries": 1,
                "command": [
                    FAKE,
                    "--persistent",
                    "--error",
                    "--retry",
                    "--fail-unit",
                    "step1000/24",
                    "--fail-attempts",
                    "1",
                ],
            },
        }
        path = os.path.join(cls.folder.name, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(job, file)
        subprocess.run([EVALSWEEP, "run", "--quiet", path], check=True, stderr=subprocess.DEVNULL)
        return os.path.join(cls.folder.name, name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def open_run(self, name, **options):
        return xr.open_dataset(os.path.join(self.folder.name, name, "results.h5"), **options)

    def test_axes(self):
        for engine in ENGINES:
            with xr.open_dataset(self.path, engine=engine) as data:
                self.assertEqual(data.main_score.dims, ("run", *AXES))
                self.assertEqual(data.run.values.tolist(), list(RUNS))
                self.assertEqual(
                    data.checkpoint.values.tolist(), ["step0", "step8", "step1000", "final"]
                )
                self.assertEqual(data.layer.values.tolist(), [3, 21, 22, 23, 24])
                self.assertEqual(data.task.values.tolist(), ["STS12", "B", "C"])
                np.testing.assert_array_equal(data.step, [0, 8, 1000, np.nan])
                self.assertIn("step", data.main_score.coords)

    def test_every_value_is_the_runs_own(self):
        for engine in ENGINES:
            with xr.open_dataset(self.path, engine=engine) as data:
                for name, (checkpoints, layers, tasks) in RUNS.items():
                    part = data.sel(run=name, checkpoint=checkpoints, layer=layers, task=tasks)
                    with self.open_run(name, engine=engine) as own:
                        for column in COLUMNS:
                            np.testing.assert_array_equal(part[column], own[column], column)
                        self.assertTrue((own.status == 1).all())
                        rest = data.sel(run=name).status
                        self.assertEqual((rest == 1).sum(), own.status.size)
                        self.assertEqual((rest == 3).sum(), rest.size - own.status.size)
                        self.assertEqual(
                            np.isfinite(data.main_score.sel(run=name)).sum(), own.status.size
                        )

    def test_selection(self):
        for engine in ENGINES:
            with xr.open_dataset(self.path, engine=engine) as data, self.open_run("410m") as own:
                at = {"checkpoint": "step1000", "layer": 24, "task": "STS12"}
                score = data.main_score.sel(run="410m", **at).item()
                self.assertEqual(score, own.main_score.sel(**at).item())
                both = data.main_score.sel(run=["410m", "1b"], **at)
                self.assertTrue(np.isfinite(both).all())
                curve = data.main_score.sel(task="STS12").dropna("checkpoint", how="all")
                curve = curve.swap_dims(checkpoint="step").sortby("step")
                self.assertEqual(curve.sizes["run"], 3)
                self.assertEqual(json.loads(data.job.sel(run="1b").item())["run"]["id"], "1b")

    def test_the_recipe_runs(self):
        with open(STORE_MD, encoding="utf-8") as page:
            code = re.search(r"^## Several runs.*?```python\n(.*?)```", page.read(), re.M | re.S)[1]
        code = code.replace("step143000", "step1000")
        for engine in ENGINES:
            subprocess.run(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-c",
                    code.replace('"sweep.h5"', f'"sweep.h5", engine="{engine}"'),
                ],
                cwd=self.folder.name,
                check=True,
                stdout=subprocess.DEVNULL,
            )

    @staticmethod
    def table(data, rows, kinds):
        """The rows of a long table, by name."""
        columns = [data[axis].values[rows[axis]] for axis in ("run", *AXES) if axis in rows]
        columns += [rows[kind + "_name"].values[rows[kind]] for kind in kinds]
        rest = sorted(set(rows.data_vars) - {"run", *AXES, *kinds})
        columns += [rows[name].values for name in rest]
        return [tuple(row) for row in zip(*(c.astype(str) for c in columns), strict=True)]

    def check_long_table(self, group, kinds):
        for engine in ENGINES:
            with (
                xr.open_dataset(self.path, engine=engine) as data,
                xr.open_dataset(self.path, engine=engine, group=group) as rows,
            ):
                found = self.table(data, rows, kinds)
                self.assertEqual(found, sorted(found, key=lambda row: list(RUNS).index(row[0])))
            expected = []
            for name in RUNS:
                with (
                    self.open_run(name, engine=engine) as data,
                    self.open_run(name, engine=engine, group=group) as rows,
                ):
                    expected += [(name, *row) for row in self.table(data, rows, kinds)]
            self.assertEqual(sorted(found), sorted(expected))
            self.assertTrue(expected)

    def test_metrics(self):
        self.check_long_table("metrics", ("split", "subset", "metric"))

    def test_tries(self):
        self.check_long_table("tries", ("host", "device", "reason"))

    def test_netcdf4(self):
        with netCDF4.Dataset(self.path) as file:
            self.assertEqual(file["main_score"].dimensions, ("run", *AXES))
            self.assertEqual(file["run"][:].tolist(), list(RUNS))
            self.assertEqual(file["metrics"].dimensions["row"].size, 24 + 8 + 1)
            self.assertEqual(file.evalsweep_kind, "merge")

    def test_command_line_tools(self):
        for command in (
            ["ncdump", "-h"],
            ["ncdump", "-v", "run,main_score"],
            ["ncdump"],
            ["h5dump"],
        ):
            done = subprocess.run([*command, self.path], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        self.assertIn(
            'run = "410m", "1b", "tiny"',
            subprocess.run(
                ["ncdump", "-v", "run", self.path], capture_output=True, text=True
            ).stdout,
        )


if __name__ == "__main__":
    unittest.main()
