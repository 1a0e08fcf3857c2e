"""The tasks: from a file of your own, from a benchmark of mteb, or from mteb's registry.

One task stays loaded, as the layers of a bundle come one after the other.
"""

import importlib.util
import random
import sys
from pathlib import Path

import mteb
import numpy as np
import torch
from evalsweep_evaluator import UnitError
from mteb_errors import unit_error


class Tasks:
    def __init__(self, tasks_file: Path | None = None, benchmark: str | None = None):
        self._known = {}
        if benchmark:
            self._known.update(_by_name(_open_benchmark(benchmark)))
        if tasks_file:
            self._known.update(_by_name(_import_tasks(tasks_file)))
        self._name: str | None = None
        self._task = None
        self._random_state = None

    def open(self, name: str):
        """The task with its data set loaded, in the state in which it was when just loaded.

        Tasks draw from random generators of their own (which documents to cluster, for example):
        without that the scores of a layer would depend on which layers came before it, and the
        layers would be asked for different texts.
        """
        if name != self._name:
            self.close()
            self._task = self._load(name)
            self._random_state = _get_random_state(self._task)
            self._name = name
        _set_random_state(self._task, self._random_state)
        return self._task

    def close(self) -> None:
        if self._task is not None and self._task.data_loaded:
            self._task.unload_data()
        self._name = self._task = None

    def find(self, name: str):
        """Without its data set."""
        if name in self._known:
            return self._known[name]
        try:
            return mteb.get_task(name)
        except KeyError as error:
            raise UnitError(f"unknown task: {error.args[0]}", retry=False) from None

    def _load(self, name: str):
        task = self.find(name)
        # Again what its constructor does: it may have been loaded before.
        task.rng_state, task.np_rng = random.Random(task.seed), np.random.default_rng(task.seed)
        try:
            task.load_data()
        except Exception as error:
            missing = (
                "it is not in the cache of Hugging Face's data sets, and HF_HUB_OFFLINE forbids"
                " to fetch it: run tools/prefetch.py JOB.json where there is a network"
            )
            raise unit_error(error, f"loading the data set of {name}", missing) from error
        return task


def _by_name(tasks) -> dict:
    return {task.metadata.name: task for task in tasks}


def _open_benchmark(name: str):
    try:
        return mteb.get_benchmark(name).tasks
    except KeyError as error:
        raise SystemExit(f"mteb_evaluator: --benchmark {name}: {error.args[0]}") from None


def _import_tasks(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not path.is_file():
        raise SystemExit(f"mteb_evaluator: --tasks-file {path}: no such Python file")
    sys.path.append(str(path.resolve().parent))  # for what the file imports from beside it
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tasks()


def _get_random_state(task) -> tuple:
    return (
        task.rng_state.getstate(),
        task.np_rng.bit_generator.state,
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
    )


def _set_random_state(task, state: tuple) -> None:
    task.rng_state.setstate(state[0])
    task.np_rng.bit_generator.state = state[1]
    random.setstate(state[2])
    np.random.set_state(state[3])
    torch.set_rng_state(state[4])
