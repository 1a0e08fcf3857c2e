#!/usr/bin/env python3
"""The persistent evaluator of MTEB sweeps: scores one layer of a checkpoint on one task of mteb.

The layers of a bundle share one forward pass. docs/mteb.md says how layers are counted, what stays
in memory and what on disk, and how to run without a network.
"""

import argparse
import functools
import json
import logging
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

POOLINGS = ("mean", "last", "weighted-mean")
PACKAGES = ("mteb", "torch", "transformers", "scikit-learn")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", required=True, help="ORG/NAME, or a folder of checkpoints")
    parser.add_argument("--pooling", choices=POOLINGS, default="mean")
    parser.add_argument(
        "--dtype",
        choices=("auto", "bfloat16", "float16", "float32"),
        default="auto",
        help="auto: bfloat16 on a GPU that has it, else float32",
    )
    parser.add_argument("--device", default="auto", help="auto: cuda if there is one, else cpu")
    parser.add_argument(
        "--batch-size",
        type=_auto_or_positive,
        default="auto",
        metavar="auto|N",
        help="texts in a batch; auto: as many tokens as go, half after running out of memory",
    )
    parser.add_argument("--max-length", type=_positive, help="tokens; none: what the model takes")
    parser.add_argument("--normalize", action="store_true", help="embeddings of length 1")
    parser.add_argument("--benchmark", help="tasks with the splits and languages that it has")
    parser.add_argument("--tasks-file", type=Path, help="Python file whose tasks() gives tasks")
    parser.add_argument("--cache-mib", type=_positive, default=2048, help="embeddings in memory")
    parser.add_argument("--cache-dir", help="folder of those beyond that; none: TMPDIR")
    parser.add_argument(
        "--evict",
        action="store_true",
        help="delete a checkpoint from the hub's cache when the sweep has no more use for it",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be positive")
    return number


def _auto_or_positive(text: str) -> int | None:
    return None if text == "auto" else _positive(text)


def use_own_cpus() -> None:
    """Numeric libraries take the threads that this rank was given, not all that the node has.

    They look at these variables when they are loaded, so this comes before any import of them.
    """
    n_cpus = str(len(os.sched_getaffinity(0)))
    n_threads = os.environ.setdefault("OMP_NUM_THREADS", n_cpus)
    for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, n_threads)
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", n_cpus)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def be_quiet() -> None:
    """What is printed becomes the unit's log.txt: no progress bars, and no warnings that come with
    every unit (a classifier stopped at mteb's limit of iterations, a task has a successor)."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module=r"(sklearn|scipy|mteb)\b")
    logging.getLogger("mteb").setLevel(logging.ERROR)


class Evaluator:
    """Keeps a checkpoint, a task and the embeddings of a bundle from one unit to the next."""

    def __init__(self, args: argparse.Namespace, run_dir: Path | None = None):
        # Here and not above: they take seconds, and read what use_own_cpus() has set.
        import mteb_cache
        import mteb_hub
        import mteb_model
        import mteb_tasks

        self.settings = mteb_model.Settings(
            args.pooling, args.dtype, args.device, args.batch_size, args.max_length, args.normalize
        )
        self.runner = mteb_model.Runner(self.settings)
        self.cache = mteb_cache.EmbeddingCache(args.cache_mib << 20, args.cache_dir)
        self.tasks = mteb_tasks.Tasks(args.tasks_file, args.benchmark)
        self.checkpoints = mteb_hub.open_checkpoints(args.model)
        self.ahead = mteb_model.ReadAhead(
            lambda name: mteb_model.load(self.checkpoints.find(name), name, self.runner.dtype)
        )
        self._evictor = None
        if args.evict:
            if not isinstance(self.checkpoints, mteb_hub.HubCheckpoints):
                raise SystemExit("mteb_evaluator: --evict is for checkpoints of the hub")
            self._evictor = mteb_hub.Evictor(self.checkpoints, run_dir)

    def close(self) -> None:
        """No unit comes any more."""
        if self._evictor:
            self._evictor.look(set())

    def score(self, unit: dict) -> dict:
        from mteb_errors import unit_error

        try:
            return self._score(unit)
        except Exception as error:
            doing = f"evaluating layer {unit['layer']} on {unit['task']}"
            raise unit_error(error, doing) from error

    def _score(self, unit: dict) -> dict:
        task, task_s = self.tasks.open(unit["task"])
        load_s = self._use(unit["checkpoint"], unit.get("next_checkpoint"))
        self.cache.begin(unit["checkpoint"], unit["task"])
        started = perf_counter()
        encoder = self._encoder(unit)
        result = self._evaluate(encoder, task)
        elapsed_s = perf_counter() - started
        self._write(result, unit, encoder)
        return {
            "main_score": result.get_score(),
            "metrics": list(_metrics(result.scores)),
            "load_s": load_s,
            # Reading the data set is shared by the layers, as the pass is.
            "pass_s": task_s + encoder.pass_s,
            "score_s": elapsed_s - encoder.pass_s,
            "attributes": self._attributes(),
        }

    def _use(self, checkpoint: str, next_checkpoint: str | None) -> float:
        """Seconds that it took to have the checkpoint on the device: 0 if it was there."""
        seconds, started = 0.0, perf_counter()
        if self.runner.checkpoint != checkpoint:
            self.cache.clear()
            self.runner.drop()
            self.runner.swap(self.ahead.take(checkpoint))
            if self._evictor:
                self._evictor.look({checkpoint, next_checkpoint} - {None})
            seconds = perf_counter() - started
        if next_checkpoint != checkpoint:
            self.ahead.begin(next_checkpoint)
        return seconds

    def _encoder(self, unit: dict):
        from evalsweep_evaluator import UnitError
        from mteb_encoder import LayerEncoder, model_meta

        layer, last = unit["layer"], self.runner.loaded.n_layers
        if not 0 <= layer <= last:
            raise UnitError(f"there is no layer {layer}: 0 to {last}", retry=False)
        bundle = tuple(sorted({n for n in unit.get("bundle") or () if 0 <= n <= last} | {layer}))
        experiment = {"layer": layer, "pooling": self.settings.pooling}
        if self.settings.normalize:
            experiment["normalize"] = True
        if self.settings.max_length:
            experiment["max_length"] = self.settings.max_length
        width = self.runner.loaded.model.config.hidden_size
        meta = model_meta(self.checkpoints.model_name, unit["checkpoint"], width, experiment)
        return LayerEncoder(self.runner, self.cache, layer, bundle, meta)

    def _evaluate(self, encoder, task):
        """mteb's own folder of results is left out (cache=None): it knows no layers, and its files
        are written in place and by all who evaluate the same revision."""
        import mteb

        return mteb.evaluate(
            encoder,
            task,
            cache=None,
            overwrite_strategy="always",
            co2_tracker=False,
            show_progress_bar=False,
            encode_kwargs={"batch_size": 1024, "show_progress_bar": False},
        ).task_results[0]

    def _write(self, result, unit: dict, encoder) -> None:
        """mteb's result file, whole or not at all, with one key more that mteb passes over."""
        if not unit.get("output_dir"):
            return
        path = Path(unit["output_dir"]) / f"{unit['task']}.json"
        temporary = path.with_name(".result.tmp")  # the layout allows a task 255 bytes, no more
        result.to_disk(temporary)
        document = json.loads(temporary.read_text(encoding="utf-8"))
        document["evalsweep"] = self._circumstances(unit, encoder)
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        os.replace(temporary, path)

    def _circumstances(self, unit: dict, encoder) -> dict:
        loaded = self.runner.loaded
        is_last = unit["layer"] == loaded.n_layers
        return {
            "checkpoint": unit["checkpoint"],
            "layer": unit["layer"],
            "final_norm": is_last and loaded.last_is_normed,
            "experiment": encoder.mteb_model_meta.experiment_kwargs,
            "versions": _versions(),
            **self._in_common(),
        }

    def _attributes(self) -> dict:
        """What holds of all units: it becomes attributes of the store, which know no objects."""
        norm = "after" if self.runner.loaded.last_is_normed else "before"
        versions = {f"{name.replace('-', '_')}_version": is_ for name, is_ in _versions().items()}
        rule = f"layer N is hidden_states[N], 0 the embeddings; the last one {norm} the final norm"
        return {**self._in_common(), "layer_rule": rule, **versions}

    def _in_common(self) -> dict:
        loaded = self.runner.loaded
        return {
            "model": self.checkpoints.model_name,
            "n_layers": loaded.n_layers,
            "width": loaded.model.config.hidden_size,
            "pooling": self.settings.pooling,
            "dtype": str(self.runner.dtype).removeprefix("torch."),
            "device": self.runner.device.type,
            "max_length": self.runner.max_length,
            "normalize": self.settings.normalize,
        }


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def _metrics(scores: dict):
    """Every number of mteb's result, nested ones under joined names, as src/run/mteb.c has them."""
    from evalsweep_evaluator import metric

    for split, subsets in scores.items():
        for entry in subsets:
            for name, value in _numbers(entry):
                yield metric(name, value, split, entry["hf_subset"])


def _numbers(entry: dict, prefix: str = ""):
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}_")
        elif value is None or (hasattr(value, "__float__") and not isinstance(value, bool)):
            yield prefix + str(name), value


def main() -> None:
    args = options().parse_args()
    use_own_cpus()
    be_quiet()
    from evalsweep_evaluator import serve

    run_dir = os.environ.get("EVALSWEEP_RUN_DIR")
    evaluator = Evaluator(args, Path(run_dir) if run_dir else None)
    serve(evaluator.score)
    evaluator.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a checkpoint that is still being read ahead is not waited for


if __name__ == "__main__":
    main()
