"""The tasks: from a file of your own, from a benchmark of mteb, or from mteb's registry.

One task stays loaded, as the layers of a bundle come one after the other.
"""

import importlib.util
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

import mteb
import numpy as np
import torch
from evalsweep_evaluator import UnitError
from mteb.abstasks import AbsTask
from mteb.abstasks.aggregated_task import AbsTaskAggregate
from mteb_errors import unit_error


class Tasks:
    def __init__(self, tasks_file: Path | None = None, benchmark: str | None = None):
        self._known: dict[str, AbsTask] = {}
        if benchmark:
            self._known.update(_by_name(_open_benchmark(benchmark)))
        if tasks_file:
            self._known.update(_by_name(_import_tasks(tasks_file)))
        self._name: str | None = None
        self._task: AbsTask | None = None
        self._random_states: list[tuple] = []

    def open(self, name: str) -> tuple[AbsTask, float]:
        """The task with its data set loaded, in the state in which it was when just loaded; and the
        seconds that loading took, 0 if it was there.

        Tasks draw from random generators of their own (which documents to cluster, for example):
        without that the scores of a layer would depend on which layers came before it, and the
        layers would be asked for different texts.
        """
        seconds, started = 0.0, perf_counter()
        if name != self._name:
            self.close()
            self._task = self.find(name)
            self._load(name)
            self._random_states = [_get_random_state(part) for part in _parts(self._task)]
            self._name = name
            seconds = perf_counter() - started
        for part, state in zip(_parts(self._task), self._random_states, strict=True):
            _set_random_state(part, state)
        return self._task, seconds

    def close(self) -> None:
        for part in _parts(self._task) if self._task else ():
            if part.data_loaded:
                part.unload_data()
        self._name = self._task = None

    def find(self, name: str) -> AbsTask:
        """Without its data set."""
        if name in self._known:
            return self._known[name]
        try:
            return mteb.get_task(name)
        except KeyError as error:
            raise UnitError(f"unknown task: {error.args[0]}", retry=False) from None

    def _load(self, name: str) -> None:
        try:
            for part in _parts(self._task):
                # Again what its constructor does: it may have been loaded before.
                part.rng_state, part.np_rng = _seeded(part.seed)
                part.load_data()
        except Exception as error:
            missing = (
                "it is not in the cache of Hugging Face's data sets, and HF_HUB_OFFLINE forbids"
                " to fetch it: run tools/prefetch.py JOB.json where there is a network"
            )
            raise unit_error(error, f"loading the data set of {name}", missing) from error


def _parts(task: AbsTask) -> list[AbsTask]:
    """What has a data set: mteb's aggregates have none, but tasks that do."""
    return task.metadata.tasks if isinstance(task, AbsTaskAggregate) else [task]


def _seeded(seed: int) -> tuple[random.Random, np.random.Generator]:
    return random.Random(seed), np.random.default_rng(seed)


def _by_name(tasks: Iterable[AbsTask]) -> dict[str, AbsTask]:
    return {task.metadata.name: task for task in tasks}


def _open_benchmark(name: str) -> Iterable[AbsTask]:
    try:
        return mteb.get_benchmark(name).tasks
    except KeyError as error:
        raise SystemExit(f"mteb_evaluator: --benchmark {name}: {error.args[0]}") from None


def _import_tasks(path: Path) -> Iterable[AbsTask]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not path.is_file():
        raise SystemExit(f"mteb_evaluator: --tasks-file {path}: no such Python file")
    sys.path.append(str(path.resolve().parent))  # for what the file imports from beside it
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tasks()


def _get_random_state(task: AbsTask) -> tuple:
    return (
        task.rng_state.getstate(),
        task.np_rng.bit_generator.state,
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
    )


def _set_random_state(task: AbsTask, state: tuple) -> None:
    task.rng_state.setstate(state[0])
    task.np_rng.bit_generator.state = state[1]
    random.setstate(state[2])
    np.random.set_state(state[3])
    torch.set_rng_state(state[4])
