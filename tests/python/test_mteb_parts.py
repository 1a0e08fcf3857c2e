"""The parts of the MTEB evaluator by themselves: pooling, batches, cache, hub, errors."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import mteb_errors
import mteb_hub
import mteb_model
import mteb_world
import numpy as np
import pytest
import torch
from evalsweep_evaluator import UnitError
from mteb_cache import EmbeddingCache
from mteb_pooling import pool

TOOLS = Path(__file__).resolve().parents[2] / "tools"

# ---- pooling ----

STATES = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
EXPECTED = {
    "mean": [3.0, 30.0],
    "last": [6.0, 60.0],
    "weighted-mean": [(1 + 2 * 2 + 3 * 6) / 6, (10 + 2 * 20 + 3 * 60) / 6],
}


@pytest.mark.parametrize("pooling", EXPECTED)
@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("filling", [0.0, 1e30, float("nan"), float("inf")])
def test_pooling_ignores_padding(pooling, side, filling):
    padding = torch.full((2, 2), filling)
    parts = {"none": [STATES], "left": [padding, STATES], "right": [STATES, padding]}[side]
    ones, zeros = torch.ones(3), torch.zeros(2)
    masks = {"none": [ones], "left": [zeros, ones], "right": [ones, zeros]}[side]
    pooled = pool(torch.cat(parts)[None], torch.cat(masks)[None], pooling)
    assert pooled.tolist() == [pytest.approx(EXPECTED[pooling])]


@pytest.mark.parametrize("pooling", EXPECTED)
def test_texts_of_a_batch_do_not_mix(pooling):
    states, mask = torch.randn(4, 6, 8), torch.ones(4, 6)
    mask[0, 2:], mask[1, 5:], mask[2, 1:] = 0, 0, 0
    together = pool(states, mask, pooling)
    for i in range(4):
        n = int(mask[i].sum())
        alone = pool(states[i : i + 1, :n], torch.ones(1, n), pooling)
        assert torch.allclose(together[i], alone[0], atol=1e-6)


def test_sums_are_float32_whatever_the_model_is():
    states = torch.full((1, 1000, 1), 1.0, dtype=torch.bfloat16)
    states[0, -1] = 3.0
    pooled = pool(states, torch.ones(1, 1000), "mean")
    assert pooled.dtype == torch.float32 and pooled.item() == pytest.approx(1.002, abs=1e-6)


# ---- batches ----


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    mteb_world.make_checkpoints(folder, ["step0"])
    return mteb_model.load(folder / "step0", "step0", torch.float32)


def make_runner(loaded, **settings):
    runner = mteb_model.Runner(mteb_model.Settings(device="cpu", **settings))
    runner.swap(loaded)
    return runner


def run_all(runner, texts, layers=(0, 1, 2)):
    result = np.full((len(texts), len(layers), mteb_world.WIDTH), np.nan, np.float32)
    for indices, pooled in runner.run(texts, layers):
        assert np.isnan(result[indices]).all()
        result[indices] = pooled
    assert np.isfinite(result).all()
    return result


def test_batches_do_not_change_the_embeddings(loaded):
    texts = mteb_world.sentences(50, 7)[0]
    expected = run_all(make_runner(loaded, batch_size=1), texts)
    for options in ({}, {"batch_size": 8}, {"batch_size": 1000}):
        assert np.allclose(run_all(make_runner(loaded, **options), texts), expected, atol=1e-5)
    runner = make_runner(loaded)
    assert np.allclose(run_all(runner, texts, (2,))[:, 0], expected[:, 2], atol=1e-5)
    assert runner.n_passed == len(texts)


def test_like_lengths_share_a_batch(loaded, monkeypatch):
    batches = []
    runner = make_runner(loaded, batch_size=5)
    run = runner._pass
    monkeypatch.setattr(
        runner, "_pass", lambda tokens, layers: batches.append(tokens) or run(tokens, layers)
    )
    run_all(runner, mteb_world.sentences(48, 8)[0])
    assert [len(batch) for batch in batches] == [5] * 9 + [3]
    lengths = [len(tokens) for batch in batches for tokens in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_texts_are_cut_and_empty_ones_have_a_token(loaded):
    text = "cat dog " * 100
    runner = make_runner(loaded, max_length=10)
    assert [len(ids) for ids in runner._tokenize([text, ""])] == [10, 1]
    assert runner._tokenize([""]) == [[0]]
    assert len(make_runner(loaded)._tokenize([text])[0]) == 64  # max_position_embeddings
    run_all(runner, [text, ""])


def test_no_cpu_where_there_should_be_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert mteb_model.choose_device("auto").type == "cpu"
    with pytest.raises(SystemExit, match="no CUDA device"):
        mteb_model.choose_device("cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1234")
    with pytest.raises(SystemExit, match=r"'GPU-1234'.*--device cpu does without"):
        mteb_model.choose_device("auto")
    assert mteb_model.choose_device("cpu").type == "cpu"


def test_normalize(loaded):
    lengths = np.linalg.norm(
        run_all(make_runner(loaded, normalize=True), ["cat", "a dog"]), axis=-1
    )
    assert np.allclose(lengths, 1, atol=1e-6)


def refuse_beyond(monkeypatch, runner, n_tokens):
    run, refused = runner._pass, []

    def small_device(tokens, layers):
        if len(tokens) * max(map(len, tokens)) > n_tokens:
            refused.append(len(tokens))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return run(tokens, layers)

    monkeypatch.setattr(runner, "_pass", small_device)
    return refused


def test_batches_are_halved_when_memory_runs_out_and_stay_so(loaded, monkeypatch):
    texts = mteb_world.sentences(100, 9)[0]
    expected = run_all(make_runner(loaded), texts)
    runner = make_runner(loaded)
    refused = refuse_beyond(monkeypatch, runner, 200)
    assert np.allclose(run_all(runner, texts), expected, atol=1e-5)
    n_refused = len(refused)
    assert n_refused > 1
    run_all(runner, texts)
    assert len(refused) == n_refused


@pytest.mark.parametrize("settings", [{}, {"batch_size": 4}])
def test_too_little_memory_for_one_text_is_an_error(loaded, monkeypatch, settings):
    runner = make_runner(loaded, **settings)
    refuse_beyond(monkeypatch, runner, 0)
    with pytest.raises(UnitError, match="ran out of memory with a batch of") as caught:
        list(runner.run(["a cat", "a dog", "b", "c", "d"], (1,)))
    assert caught.value.retry is True


def test_reading_ahead_leaves_the_default_type_alone(loaded, tmp_path, monkeypatch):
    mteb_world.make_checkpoints(tmp_path, ["step0"])
    types = []
    monkeypatch.setattr(torch, "set_default_dtype", types.append)
    model = mteb_model.load(tmp_path / "step0", "step0", torch.bfloat16).model
    assert set(types) <= {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}


# ---- the cache ----


def keys(*names):
    return [name.encode() for name in names]


def block(n, value, n_layers=2, width=8):
    return np.full((n, n_layers, width), value, np.float32)


def test_cache_finds_what_was_put(tmp_path):
    for limit in (1 << 20, 0):
        cache = EmbeddingCache(limit, str(tmp_path))
        cache.begin("step0", "A")
        values = np.arange(2 * 2 * 8, dtype=np.float32).reshape(2, 2, 8)
        cache.put(keys("x", "y"), (3, 7), values)
        assert (cache.memory_bytes == 0) is (limit == 0)
        assert cache.find(b"x", 3).tolist() == values[0, 0].tolist()
        assert cache.find(b"y", 7).tolist() == values[1, 1].tolist()
        assert cache.find(b"y", 5) is None and cache.find(b"z", 3) is None


def test_cache_keeps_nothing_of_other_bundles():
    cache = EmbeddingCache(1 << 20)
    for bundle in (("step0", "A"), ("step0", "B"), ("step1", "B")):
        cache.begin(*bundle)
        assert cache.find(b"x", 0) is None and cache.memory_bytes == 0
        cache.put(keys("x"), (0, 1), block(1, 1))
        cache.begin(*bundle)
        assert cache.find(b"x", 0)[0] == 1


def mapped_files(folder):
    return [
        line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line
    ]


def test_cache_spills_and_frees_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("mteb_cache.SEGMENT_BYTES", 3 * block(4, 0).nbytes)
    cache = EmbeddingCache(block(4, 0).nbytes + 4 * 250, str(tmp_path))
    cache.begin("step0", "A")
    for i in range(8):
        cache.put(keys(*(f"{i}.{j}" for j in range(4))), (0, 1), block(4, i))
    assert cache.spilled_bytes == 7 * block(4, 0).nbytes
    assert [cache.find(f"{i}.2".encode(), 1)[0] for i in range(8)] == list(range(8))
    assert not list(tmp_path.iterdir()) and len(mapped_files(tmp_path)) == 3
    cache.begin("step0", "A")
    assert len(mapped_files(tmp_path)) == 3
    cache.begin("step0", "B")
    assert not mapped_files(tmp_path)


def test_cache_spills_nothing_that_nobody_comes_for(tmp_path):
    cache = EmbeddingCache(0, str(tmp_path))
    cache.begin("step0", "A")
    cache.put(keys("x"), (5,), block(1, 1, n_layers=1))
    assert cache.spilled_bytes == 0 and cache.find(b"x", 5) is None


def test_a_full_disk_only_costs_passes(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    cache = EmbeddingCache(0, str(tmp_path))
    cache.begin("step0", "A")
    cache.put(keys("x"), (0, 1), block(1, 1))
    cache.put(keys("y"), (0, 1), block(1, 1))
    assert cache.find(b"x", 0) is None
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_killed_process_leaves_no_files(tmp_path):
    script = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(TOOLS)!r})
        import numpy as np
        from mteb_cache import EmbeddingCache
        cache = EmbeddingCache(0, {str(tmp_path)!r})
        cache.begin("step0", "A")
        cache.put([b"x"], (0, 1), np.ones((1, 2, 8), np.float32))
        print(cache.spilled_bytes, flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert int(process.stdout.readline()) > 0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.iterdir())


# ---- the hub ----


def make_hub_cache(root, revisions):
    """As huggingface_hub lays it out: revisions {name: commit}, a weights file for each commit."""
    repository = root / "models--org--tiny"
    for part in ("refs", "blobs", "snapshots"):
        (repository / part).mkdir(parents=True)
    (repository / "blobs" / "shared").write_text("{}")
    for name, commit in revisions.items():
        (repository / "refs" / name).write_text(commit)
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(exist_ok=True)
        weights = repository / "blobs" / f"weights-{commit[0]}"
        weights.write_text(commit)
        for file, blob in (("model.safetensors", weights.name), ("config.json", "shared")):
            if not (snapshot / file).exists():
                (snapshot / file).symlink_to(Path("../../blobs") / blob)
    return repository


@pytest.fixture
def hub(tmp_path, monkeypatch):
    revisions = {"step1": "a" * 40, "step2": "b" * 40, "main": "c" * 40, "step3": "c" * 40}
    repository = make_hub_cache(tmp_path, revisions)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return repository


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_evict_deletes_what_only_the_checkpoint_refers_to(hub):
    checkpoints = mteb_hub.HubCheckpoints("org/tiny")
    checkpoints.evict("step1")
    assert names(hub / "refs") == ["main", "step2", "step3"]
    assert names(hub / "blobs") == ["shared", "weights-b", "weights-c"]
    for kept in ("step3", "step1", "step9"):  # the same commit as main; gone; never there
        checkpoints.evict(kept)
    assert names(hub / "refs") == ["main", "step2", "step3"]
    checkpoints.evict("step2")
    assert names(hub / "blobs") == ["shared", "weights-c"]


def test_a_checkpoint_stays_until_the_sweep_has_left_it(tmp_path):
    evicted = []
    (tmp_path / ".evalsweep").mkdir()
    job = {
        "layout": "out/{checkpoint}/{layer}/{task}",
        "grid": {
            "checkpoints": ["step1", "step2"], "layers": [1, 2], "tasks": ["A", "B"],
            "exclude": [{"checkpoint": "step1", "layer": [2], "task": ["B", "C"]}],
        },
    }  # fmt: skip
    (tmp_path / ".evalsweep" / "job.json").write_text(json.dumps(job))
    evictor = mteb_hub.Evictor(SimpleNamespace(evict=evicted.append), tmp_path)

    def mark(layer, task, name="done.json"):
        folder = tmp_path / "out" / "step1" / str(layer) / task
        folder.mkdir(parents=True)
        (folder / name).touch()

    evictor.look({"step1", "step2"})
    mark(1, "A")
    mark(1, "B", "failed.json")
    evictor.look({"step2", "step3"})
    assert not evicted  # another worker still has step1, layer 2 of A
    mark(2, "A")
    evictor.look({"step2", "step1"})
    assert not evicted  # it comes back
    evictor.look({"step2"})
    assert evicted == ["step1"]
    evictor.look({"step2"})
    assert evicted == ["step1"]


def test_evict_is_refused_offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit, match="cannot be fetched again"):
        mteb_hub.Evictor(mteb_hub.HubCheckpoints("a/b"), None)


def test_model_is_a_folder_or_a_repository(tmp_path):
    assert mteb_hub.open_checkpoints(str(tmp_path)).model_name == f"local/{tmp_path.name}"
    assert (
        mteb_hub.open_checkpoints("EleutherAI/pythia-410m").model_name == "EleutherAI/pythia-410m"
    )
    for bad in ("pythia-410m", "./nowhere", "/no/where", "a/b/c"):
        with pytest.raises(SystemExit, match="neither a folder nor a repository"):
            mteb_hub.open_checkpoints(bad)


# ---- errors ----


class HTTPStatusError(Exception):
    def __init__(self, status):
        super().__init__(f"{status} for url")
        self.response = SimpleNamespace(status_code=status)


class ReadTimeout(TimeoutError):
    pass


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_temporary"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (ConnectionError("reset"), True),
        (ReadTimeout(), True),
        (HTTPStatusError(503), True),
        (HTTPStatusError(429), True),
        (HTTPStatusError(404), False),
        (HTTPStatusError(401), False),
        (caused(FileNotFoundError("no snapshot"), ConnectionError("no route")), True),
        (caused(ValueError("no data set"), HTTPStatusError(404)), False),
        (ValueError("column 'label' is missing"), False),
        (KeyError("test"), False),
        (OSError(24, "Too many open files"), True),
        (RuntimeError("who knows"), True),
    ],
)
def test_which_errors_are_tried_again(error, is_temporary):
    assert mteb_errors.unit_error(error, "testing").retry is is_temporary


def test_a_broken_data_set_is_not_tried_again_unless_the_network_broke_it():
    from datasets.exceptions import DatasetGenerationError

    broken = DatasetGenerationError("An error occurred while generating the dataset")
    assert mteb_errors.unit_error(caused(broken, ValueError()), "loading").retry is False
    assert mteb_errors.unit_error(caused(broken, ConnectionError()), "loading").retry is True


def test_a_lost_device_ends_the_process():
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(TOOLS)!r})
        import mteb_errors, torch
        error = torch.AcceleratorError("CUDA error: device-side assert triggered", 710)
        mteb_errors.unit_error(error, "testing")
        print("still here")
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 70 and "still here" not in done.stdout
    assert "device-side assert" in done.stderr
