#!/usr/bin/env python3
"""Fetches from the Hugging Face hub what a sweep with mteb_evaluator.py needs: the checkpoints
of the job's grid and the data sets of its tasks. For a login node; the job then runs with
HF_HUB_OFFLINE=1. Interrupted or failed in part, it goes on where it was when it is started again.

The cache is where HF_HOME says, in the environment or in evaluator.env of the job.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mteb_evaluator

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def read_job(path: str, evalsweep: str) -> dict:
    """As evalsweep understands it: names expanded, files of names read."""
    done = subprocess.run([evalsweep, "check", path, "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why
    return json.loads(done.stdout)


def evaluator_options(command: list[str]) -> argparse.Namespace:
    for i, argument in enumerate(command):
        if Path(argument).name == "mteb_evaluator.py":
            return mteb_evaluator.options().parse_args(command[i + 1 :])
    raise SystemExit("prefetch: the job's evaluator is not mteb_evaluator.py")


def use_environment(job: dict) -> None:
    """The evaluator's, before any library of the hub reads it."""
    os.environ.update(job["evaluator"].get("env", {}))
    for name in OFFLINE_VARIABLES:
        os.environ.pop(name, None)


def list_work(job: dict, args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], object]]]:
    """What to call for each checkpoint and each task."""
    import mteb_hub
    import mteb_tasks

    checkpoints = mteb_hub.open_checkpoints(args.model)
    for name in job["grid"]["checkpoints"]:
        yield f"{args.model} {name}", lambda name=name: checkpoints.find(name)
    tasks = mteb_tasks.Tasks(args.tasks_file, args.benchmark)
    for name in job["grid"]["tasks"]:
        yield name, lambda name=name: tasks.open(name)


def fetch(work: list[tuple[str, Callable[[], object]]]) -> int:
    """The number of things that could not be fetched."""
    from tqdm import tqdm

    n_failed = 0
    bar = tqdm(work, unit="", file=sys.stderr)
    for label, call in bar:
        bar.set_description(label)
        try:
            call()
        except Exception as error:  # the others can still be fetched
            n_failed += 1
            bar.write(f"prefetch: {label}: {error}", file=sys.stderr)
    return n_failed


def find_evalsweep() -> str:
    built = Path(__file__).resolve().parent.parent / "build" / "evalsweep"
    return str(built) if built.is_file() else shutil.which("evalsweep") or "evalsweep"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", metavar="JOB.json")
    parser.add_argument("--evalsweep", default=find_evalsweep(), help="the program (%(default)s)")
    args = parser.parse_args(arguments)
    job = read_job(args.job, args.evalsweep)
    options = evaluator_options(job["evaluator"]["command"])
    use_environment(job)
    work = list(list_work(job, options))
    n_failed = fetch(work)
    if n_failed:
        again = "start it again: what is there is kept"
        print(f"prefetch: {n_failed} of {len(work)} failed; {again}", file=sys.stderr)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
