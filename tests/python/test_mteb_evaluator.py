"""The MTEB evaluator as a whole, against mteb itself with the plainest encoder there can be."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import mteb
import mteb_evaluator
import mteb_results
import mteb_world
import numpy as np
import pytest
import torch
from evalsweep_evaluator import UnitError
from mteb.models.abs_encoder import AbsEncoder
from mteb.results import TaskResult
from mteb_encoder import model_meta
from transformers import AutoTokenizer, GPTNeoXModel

PROJECT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ["step0", "step1"]
LAYERS = list(range(mteb_world.N_LAYERS + 1))
TASKS = [kind.metadata.name for kind in mteb_world.TASKS]
WORLD = Path(mteb_world.__file__)
CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    mteb_world.make_checkpoints(folder, CHECKPOINTS)
    return folder


def make(folder, *options):
    arguments = ["--model", str(folder), "--tasks-file", str(WORLD), *options]
    return mteb_evaluator.Evaluator(mteb_evaluator.options().parse_args(arguments))


def unit(checkpoint="step0", layer=1, task="Likeness", bundle=None, **more):
    bundle = LAYERS if bundle is None else bundle
    return {
        "unit": 0,
        "checkpoint": checkpoint,
        "layer": layer,
        "task": task,
        "bundle": bundle,
        **more,
    }


class PlainEncoder(AbsEncoder):
    """One layer, one text after the other, the whole model for each."""

    def __init__(self, path, layer, pooling, device, dtype):
        self.mteb_model_meta = model_meta("a/b", "c", mteb_world.WIDTH, {"layer": layer})
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = GPTNeoXModel.from_pretrained(path, dtype=dtype).eval().to(device)
        self.layer, self.pooling, self.device = layer, pooling, device
        self.known = {}

    def encode(self, inputs, **_):
        return np.stack([self.embed(text) for batch in inputs for text in batch["text"]])

    def embed(self, text):
        if text not in self.known:
            self.known[text] = self.compute(text)
        return self.known[text]

    def compute(self, text):
        ids = torch.tensor([self.tokenizer(text)["input_ids"][:64]]).to(self.device)
        with torch.no_grad():
            states = self.model(ids, output_hidden_states=True).hidden_states
        states = states[self.layer][0].float().cpu().numpy().astype(np.float64)
        if self.pooling == "last":
            return states[-1].astype(np.float32)
        weights = np.ones(len(states)) if self.pooling == "mean" else np.arange(len(states)) + 1.0
        return (weights @ states / weights.sum()).astype(np.float32)


def plain_scores(path, layer, kind, pooling, device="cpu", dtype=torch.float32):
    encoder = PlainEncoder(path, layer, pooling, device, dtype)
    return mteb.evaluate(encoder, kind(), cache=None, show_progress_bar=False).task_results[0]


# ---- the scores ----


@pytest.mark.parametrize("kind", mteb_world.TASKS)
def test_equal_to_mteb_with_a_plain_encoder(folder, kind):
    evaluator = make(folder)
    name = kind.metadata.name
    for checkpoint in CHECKPOINTS:
        for layer in LAYERS:
            reply = evaluator.score(unit(checkpoint, layer, name))
            plain = plain_scores(folder / checkpoint, layer, kind, "mean")
            assert reply["main_score"] == pytest.approx(plain.get_score(), abs=1e-6)


@pytest.mark.parametrize("pooling", ["last", "weighted-mean"])
def test_equal_with_every_pooling(folder, pooling):
    evaluator = make(folder, "--pooling", pooling, "--batch-size", "7")
    for layer in LAYERS:
        reply = evaluator.score(unit(layer=layer))
        plain = plain_scores(folder / "step0", layer, mteb_world.Likeness, pooling)
        assert reply["main_score"] == pytest.approx(plain.get_score(), abs=1e-6)


def test_equal_for_an_aggregate(folder):
    evaluator = make(folder)
    for layer in (*LAYERS, 0):
        reply = evaluator.score(unit(layer=layer, task="Both"))
        plain = [
            plain_scores(folder / "step0", layer, kind, "mean").get_score()
            for kind in (mteb_world.Likeness, mteb_world.TopicClusters)
        ]
        assert reply["main_score"] == pytest.approx(np.mean(plain), abs=1e-6)


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.05)])
def test_equal_on_a_gpu(folder, device, dtype, tolerance):
    """Tolerances of rank correlations over 40 pairs, where a single swap is 1e-4 to 1e-3."""
    evaluator = make(folder, "--device", device, "--dtype", dtype)
    for layer in LAYERS:
        reply = evaluator.score(unit(layer=layer))
        plain = plain_scores(folder / "step0", layer, mteb_world.Likeness, "mean")
        assert reply["main_score"] == pytest.approx(plain.get_score(), abs=tolerance)


def test_the_order_of_layers_and_bundles_does_not_matter(folder):
    names = ["TopicClusters", "Topics"]
    units = [unit(layer=layer, task=name) for name in names for layer in LAYERS]
    forwards, backwards, alone = make(folder), make(folder), make(folder)
    expected = [forwards.score(one)["main_score"] for one in units]
    assert [backwards.score(one)["main_score"] for one in units[::-1]] == expected[::-1]
    single = [alone.score({**one, "bundle": [one["layer"]]})["main_score"] for one in units]
    assert single == pytest.approx(expected, abs=1e-6)


def test_the_last_layer_went_through_the_final_norm_and_no_other(folder, tmp_path):
    model = GPTNeoXModel.from_pretrained(folder / "step0").eval()
    raw = []
    model.layers[-1].register_forward_hook(lambda _, __, output: raw.append(output))
    with torch.no_grad():
        states = model(torch.arange(5)[None], output_hidden_states=True).hidden_states
        normed = model.final_layer_norm(raw[0])
    assert len(states) == mteb_world.N_LAYERS + 1
    assert torch.equal(states[-1], normed) and not torch.allclose(states[-1], raw[0])
    evaluator = make(folder)
    for layer in LAYERS:
        evaluator.score(unit(layer=layer, output_dir=str(tmp_path)))
        about = json.loads((tmp_path / "Likeness.json").read_text())["evalsweep"]
        assert about["final_norm"] is (layer == mteb_world.N_LAYERS)


def test_attributes_say_what_holds_of_every_unit(folder):
    evaluator = make(folder, "--pooling", "last", "--normalize", "--max-length", "9")
    replies = [evaluator.score(one) for one in (unit(), unit("step1", 2, "Topics"))]
    attributes = replies[0]["attributes"]
    assert replies[1]["attributes"] == attributes
    assert {type(value) for value in attributes.values()} <= {str, int, bool}
    assert attributes == {
        "model": evaluator.checkpoints.model_name,
        "n_layers": mteb_world.N_LAYERS,
        "width": mteb_world.WIDTH,
        "pooling": "last",
        "dtype": str(evaluator.runner.dtype).removeprefix("torch."),
        "device": evaluator.runner.device.type,
        "max_length": 9,
        "normalize": True,
        "layer_rule": "layer N is hidden_states[N], 0 the embeddings; "
        "the last one after the final norm",
        "mteb_version": version("mteb"),
        "torch_version": version("torch"),
        "transformers_version": version("transformers"),
        "scikit_learn_version": version("scikit-learn"),
    }
    evaluator.runner.loaded.last_is_normed = False
    rule = evaluator.score(unit("step1"))["attributes"]["layer_rule"]
    assert rule.endswith("the last one before the final norm")


# ---- passes ----


def texts_of(task):
    seen = set()

    class Counting(AbsEncoder):
        mteb_model_meta = model_meta("a/b", "c", 8, {"layer": 0})

        def encode(self, inputs, **_):
            texts = [text for batch in inputs for text in batch["text"]]
            seen.update(texts)
            return np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)

    mteb.evaluate(Counting(), task, cache=None, show_progress_bar=False)
    return seen


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_one_pass_for_each_text_however_many_layers(folder, tmp_path, where):
    evaluator = make(folder, "--cache-dir", str(tmp_path))
    if where == "disk":
        evaluator.cache.limit_bytes = 0
    texts = {kind.metadata.name: texts_of(kind()) for kind in mteb_world.TASKS}
    for checkpoint in CHECKPOINTS:
        for name in TASKS:
            before = evaluator.runner.n_passed
            for layer in LAYERS:
                reply = evaluator.score(unit(checkpoint, layer, name))
                # The schedule takes any pass_s but 0 for what a pass costs.
                assert (reply["pass_s"] > 0) is (layer == 0) and reply["score_s"] > 0
                assert (reply["load_s"] > 0) is (layer == 0 and name == TASKS[0])
                assert evaluator.runner.n_passed - before == len(texts[name])
            assert (evaluator.cache.spilled_bytes > 0) is (where == "disk")
    assert not list(tmp_path.iterdir())  # files without names


def test_the_next_checkpoint_is_read_ahead(folder):
    evaluator = make(folder)
    loads = []
    find = evaluator.checkpoints.find
    evaluator.checkpoints.find = lambda name: loads.append(name) or find(name)
    first = evaluator.score(unit("step0", next_checkpoint="step1"))
    evaluator.ahead._thread.join()
    assert loads == ["step0", "step1"]
    second = evaluator.score(unit("step1", next_checkpoint="step0"))
    evaluator.ahead._thread.join()
    again = evaluator.score(unit("step0", next_checkpoint=None))
    assert loads == ["step0", "step1", "step0"]
    assert again["main_score"] == first["main_score"] != second["main_score"]


def test_the_evictor_hears_of_every_change_of_checkpoint(folder):
    with pytest.raises(SystemExit, match="--evict is for checkpoints of the hub"):
        make(folder, "--evict")
    evaluator, heard = make(folder), []
    evaluator._evictor = SimpleNamespace(look=heard.append)
    evaluator.score(unit("step0", 1, next_checkpoint="step1"))
    evaluator.score(unit("step0", 2, next_checkpoint="step1"))
    evaluator.score(unit("step1", 1, next_checkpoint=None))
    evaluator.close()
    assert heard == [{"step0", "step1"}, {"step1"}, set()]


def test_a_checkpoint_that_cannot_be_read_ahead_fails_its_own_units_only(folder):
    evaluator = make(folder)
    for _ in range(2):
        assert evaluator.score(unit("step0", next_checkpoint="step7"))["main_score"] is not None
    with pytest.raises(UnitError, match=r"no checkpoint in .*step7") as caught:
        evaluator.score(unit("step7"))
    assert caught.value.retry is False
    assert evaluator.score(unit("step0"))["load_s"] > 0


# ---- the reply and the result file ----


def test_result_file_is_mtebs(folder, tmp_path):
    evaluator = make(folder)
    for name in TASKS:
        reply = evaluator.score(unit(task=name, output_dir=str(tmp_path)))
        result = TaskResult.from_disk(tmp_path / f"{name}.json")
        assert result.task_name == name
        assert result.get_score() == pytest.approx(reply["main_score"], abs=1e-6)
        rows = {
            (row["split"], row["subset"], row["metric"]): row["value"] for row in reply["metrics"]
        }
        assert len(rows) == len(reply["metrics"]) > 3
        for metric, value in result.scores["test"][0].items():
            if isinstance(value, float):
                row = rows["test", "default", metric]
                assert row == pytest.approx(value, abs=1e-6, nan_ok=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.json" for name in TASKS
    )
    about = json.loads((tmp_path / "Likeness.json").read_text())["evalsweep"]
    assert (about["checkpoint"], about["layer"], about["pooling"]) == ("step0", 1, "mean")
    assert (about["dtype"], about["max_length"]) == ("float32", 64)


def test_a_run_becomes_a_folder_of_mtebs(folder, tmp_path):
    evaluator = make(folder)
    scores = {}
    for checkpoint in CHECKPOINTS:
        for layer in LAYERS:
            path = tmp_path / "run" / checkpoint / str(layer) / "Likeness"
            path.mkdir(parents=True)
            reply = evaluator.score(unit(checkpoint, layer, output_dir=str(path)))
            scores[checkpoint, f"layer_{layer}__pooling_mean"] = reply["main_score"]
            (path / "done.json").write_text(json.dumps(reply))
    (path / "done.json").unlink()  # not done
    scores.popitem()
    for _ in range(2):
        assert mteb_results.lay_out(tmp_path / "run", tmp_path / "mteb") == len(scores)
    cache = mteb.ResultCache(tmp_path / "mteb")
    results = cache.load_results(load_experiments="match_name")
    found = {
        (one.model_revision, one.experiment_name): one.task_results[0].get_score()
        for one in results.model_results
    }
    assert found == pytest.approx(scores, abs=1e-6)
    assert results.model_results[0].model_name == f"local/{folder.name}"
    assert not results.to_dataframe().empty


def test_nan_is_a_score(folder, tmp_path, monkeypatch):
    """Constant embeddings have no rank correlation."""
    evaluator = make(folder)
    constant = np.ones((1, len(LAYERS), mteb_world.WIDTH), np.float32)
    monkeypatch.setattr(
        evaluator.runner, "_pass", lambda tokens, layers: constant.repeat(len(tokens), 0)
    )
    reply = evaluator.score(unit(output_dir=str(tmp_path)))
    assert np.isnan(reply["main_score"])
    assert np.isnan(TaskResult.from_disk(tmp_path / "Likeness.json").get_score())


# ---- errors ----


@pytest.mark.parametrize(
    ("request_", "part", "retry"),
    [
        ({"task": "Likenes"}, "unknown task", False),
        ({"task": "Broken"}, "the column 'score' is missing", False),
        ({"task": "Unreachable"}, "Couldn't reach", True),
        ({"layer": 4}, "there is no layer 4: 0 to 2", False),
        ({"layer": -1}, "there is no layer -1", False),
        ({"checkpoint": "step9"}, "there is no checkpoint in", False),
    ],
)
def test_errors_are_told_apart(folder, request_, part, retry):
    evaluator = make(folder)
    with pytest.raises(UnitError, match=part) as caught:
        evaluator.score(unit(**request_))
    assert caught.value.retry is retry
    assert evaluator.score(unit())["main_score"] is not None


def test_a_torn_checkpoint_is_worth_another_try(folder, tmp_path):
    mteb_world.make_checkpoints(tmp_path, ["step0"])
    weights = tmp_path / "step0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UnitError) as caught:
        make(tmp_path).score(unit())
    assert caught.value.retry is True


# ---- as a process, and under evalsweep ----


def run_process(*options, requests=(), **environment):
    command = [sys.executable, PROJECT / "tools" / "mteb_evaluator.py", *options]
    return subprocess.run(
        command,
        input="".join(json.dumps(one) + "\n" for one in requests),
        text=True,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


def test_offline_it_takes_what_is_there_and_says_what_is_missing(folder, tmp_path):
    repository = tmp_path / "hub" / "models--EleutherAI--pythia-14m"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / "0123").symlink_to(folder / "step0")
    (repository / "refs").mkdir()
    (repository / "refs" / "step0").write_text("0123")
    done = run_process(
        "--model", "EleutherAI/pythia-14m", "--tasks-file", WORLD,
        requests=[unit("step0"), unit("step1000"), unit(task="STS12")],
        HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path),
    )  # fmt: skip
    there, model, data = map(json.loads, done.stdout.splitlines())
    expected = make(folder).score(unit("step0"))
    assert there["main_score"] == pytest.approx(expected["main_score"], abs=1e-6)
    assert model["status"] == data["status"] == "error"
    assert model["retry"] is data["retry"] is False
    assert "EleutherAI/pythia-14m, revision step1000" in model["error"]
    assert str(tmp_path) in model["error"] and "tools/prefetch.py" in model["error"]
    assert "data set of STS12" in data["error"] and "tools/prefetch.py" in data["error"]


def test_its_end_waits_for_nothing_and_is_silent(folder):
    done = run_process(
        *("--model", folder, "--tasks-file", WORLD),
        requests=[unit("step0", task="Topics", next_checkpoint="step1")],
    )
    assert json.loads(done.stdout)["status"] == "ok"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_whole_run(folder, tmp_path):
    if "EVALSWEEP" not in os.environ:
        pytest.skip("EVALSWEEP names no program to test")
    job = {
        "run": {"root": str(tmp_path), "id": "tiny"},
        "grid": {"checkpoints": CHECKPOINTS, "layers": LAYERS, "tasks": ["Topics", "Finding"]},
        "evaluator": {
            "mode": "persistent", "retries": 0,
            "command": [
                sys.executable, str(PROJECT / "tools" / "mteb_evaluator.py"),
                "--model", str(folder), "--tasks-file", str(WORLD),
            ],
        },
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    subprocess.run(
        [PROJECT / "tools" / "mpirun.sh", "2", os.environ["EVALSWEEP"], "run", "--quiet",
         tmp_path / "job.json"],
        check=True, timeout=300,
    )  # fmt: skip
    evaluator = make(folder)
    outputs = tmp_path / "tiny" / "outputs"
    assert len(list(outputs.rglob("done.json"))) == 2 * len(LAYERS) * 2
    assert not list(outputs.rglob("log.txt"))  # nothing was printed
    for path in outputs.rglob("done.json"):
        done = json.loads(path.read_text())
        expected = evaluator.score(unit(done["checkpoint"], done["layer"], done["task"]))
        assert done["main_score"] == pytest.approx(expected["main_score"], abs=1e-6)
        assert (path.parent / f"{done['task']}.json").is_file()
