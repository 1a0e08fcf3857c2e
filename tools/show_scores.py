#!/usr/bin/python3
"""Prints a run's main scores, read from its results.h5: a line a checkpoint, a column a layer.

With several tasks each number is their mean; units without a score are left out of it.
"""

import argparse
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import xarray as xr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", help="folder of the run, such as runs/digits")
    parser.add_argument(
        "--task", action="append", help="a task, or a pattern such as 'Digits*'; may be repeated"
    )
    arguments = parser.parse_args()
    patterns = arguments.task or ["*"]
    with xr.open_dataset(Path(arguments.run_dir) / "results.h5") as store:
        tasks = [
            task
            for task in store["task"].values
            if any(fnmatchcase(task, pattern) for pattern in patterns)
        ]
        if not tasks:
            parser.error(f"no task of this run matches: it has {', '.join(store['task'].values)}")
        scores = store["main_score"].sel(task=tasks).load()
    if np.isfinite(scores["step"]).all():
        scores["step"] = scores["step"].astype(int)
        scores = scores.swap_dims(checkpoint="step")
    what = f"mean of {len(tasks)} tasks" if len(tasks) > 1 else tasks[0]
    print(f"main score, {what}; {int(scores.notnull().sum())} of {scores.size} units have one")
    table = scores.mean("task").to_pandas().rename_axis(columns="layer")
    print(table.to_string(float_format="%.3f", na_rep="-"))


if __name__ == "__main__":
    main()
