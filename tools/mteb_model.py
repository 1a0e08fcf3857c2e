"""A checkpoint as a function from texts to the pooled hidden states of many layers, in one pass.

Layer N is `hidden_states[N]` of transformers: 0 the embeddings, then the output of each block. The
last one is `last_hidden_state` in transformers' language models: it went through the final norm
(GPT-NeoX: `final_layer_norm`), the others did not. Each model is asked whether that holds for it.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from evalsweep_evaluator import UnitError
from mteb_pooling import pool
from transformers import AutoModel, AutoTokenizer

CHUNK_TEXTS = 16384  # tokenized and sorted at a time: more would only cost memory
MAX_BATCH_TEXTS = 1024
AUTO_BATCH_TOKENS = {"cuda": 65536, "cpu": 8192}  # a CPU likes what fits its caches
NO_DEVICES = ("", "-1", "NoDevFiles")  # in CUDA_VISIBLE_DEVICES; the last is Slurm's
UNLIMITED_TOKENS = 1 << 20  # tokenizers say 10^30 where they know no limit


@dataclass(frozen=True)
class Settings:
    """What decides the embeddings; the batch size only decides how fast they come."""

    pooling: str = "mean"
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | None = None  # None: as many tokens as the device takes
    max_length: int | None = None  # None: what the model takes
    normalize: bool = False


def choose_device(name: str) -> torch.device:
    """Not silently a CPU where there should be a GPU: a torch built without CUDA sees none."""
    has_cuda = torch.cuda.is_available()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    given = name.startswith("cuda") or (name == "auto" and visible not in NO_DEVICES)
    if given and not has_cuda:
        why = f"torch {torch.__version__} sees no CUDA device (CUDA_VISIBLE_DEVICES={visible!r})"
        raise SystemExit(f"mteb_evaluator: {why}; --device cpu does without")
    if name == "auto":
        name = "cuda" if has_cuda else "cpu"
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        name = "bfloat16" if has_bfloat16 else "float32"
    return getattr(torch, name)


@dataclass(eq=False)
class Loaded:
    """A checkpoint on the CPU, in the type that it will run in."""

    name: str
    model: torch.nn.Module
    tokenizer: object
    last_is_normed: bool

    @property
    def n_layers(self) -> int:
        return self.model.config.num_hidden_layers


def load(folder: Path, name: str, dtype: torch.dtype) -> Loaded:
    """Reads a checkpoint's folder. May run beside a pass and beside scoring, in another thread.

    transformers sets torch's default type, which is the whole process's, while it loads; so the
    weights are loaded as float32 (what the default is) and converted after that. Only weights:
    buffers such as the frequencies of rotary embeddings have to stay float32.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError) as error:
        raise UnitError(f"{folder} is no checkpoint that transformers can load: {error}") from error
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(dtype)
    return Loaded(name, model, tokenizer, _last_is_normed(model, folder))


@torch.inference_mode()
def _last_is_normed(model: torch.nn.Module, folder: Path) -> bool:
    """Whether the last layer's states are what leaves the model, behind its final norm."""
    output = model(torch.zeros((1, 1), dtype=torch.long), output_hidden_states=True)
    n_states = len(output.hidden_states)
    if n_states != model.config.num_hidden_layers + 1:
        raise UnitError(
            f"{folder}: {n_states} hidden states of {model.config.num_hidden_layers} layers",
            retry=False,
        )
    return torch.equal(output.hidden_states[-1], output.last_hidden_state)


class Runner:
    """Runs the checkpoint that it was last given. n_passed counts texts that went through one."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self.n_passed = 0
        self.loaded: Loaded | None = None
        self._batch_tokens = AUTO_BATCH_TOKENS["cuda" if self.device.type == "cuda" else "cpu"]

    @property
    def checkpoint(self) -> str | None:
        return self.loaded.name if self.loaded else None

    def swap(self, loaded: Loaded) -> None:
        self.drop()  # first: the device need not have room for two
        loaded.model.to(self.device)
        self.loaded = loaded

    def drop(self) -> None:
        self.loaded = None

    @property
    def max_length(self) -> int:
        config, tokenizer = self.loaded.model.config, self.loaded.tokenizer
        limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
        known = [limit for limit in limits if limit and limit < UNLIMITED_TOKENS]
        return min([*known, self.settings.max_length or UNLIMITED_TOKENS])

    def run(
        self, texts: Sequence[str], layers: tuple[int, ...]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Batches of (indices of texts, float32 [texts, layers, width]), each text once."""
        for start in range(0, len(texts), CHUNK_TEXTS):
            tokens = self._tokenize(texts[start : start + CHUNK_TEXTS])
            # Alike lengths together: less padding. The longest first: memory runs out at once.
            order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
            at = 0
            while at < len(order):
                batch = order[at : at + self._batch_texts(len(tokens[order[at]]))]
                pooled = self._try_batch([tokens[i] for i in batch], layers)
                if pooled is None:
                    self._halve(len(batch))
                    continue
                at += len(batch)
                self.n_passed += len(batch)
                yield [start + i for i in batch], pooled

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        tokenizer = self.loaded.tokenizer
        options = {"truncation": True, "max_length": self.max_length, "padding": False}
        tokens = tokenizer(list(texts), return_attention_mask=False, **options)["input_ids"]
        # A text without a token has the end-of-text token: something has to go through the model.
        empty = next(
            (i for i in (tokenizer.eos_token_id, tokenizer.pad_token_id) if i is not None), 0
        )
        return [ids or [empty] for ids in tokens]

    def _batch_texts(self, longest: int) -> int:
        if self.settings.batch_size:
            return self.settings.batch_size
        return max(1, min(MAX_BATCH_TEXTS, self._batch_tokens // longest))

    def _halve(self, n_texts: int) -> None:
        """Out of memory: smaller batches from now on, for the process's whole life."""
        if self.settings.batch_size or n_texts == 1:
            raise UnitError(f"{self.device} ran out of memory with a batch of {n_texts}")
        self._batch_tokens //= 2
        print(f"out of memory: batches of {self._batch_tokens} tokens now", file=sys.stderr)

    def _try_batch(self, tokens: list[list[int]], layers: tuple[int, ...]) -> np.ndarray | None:
        """None: out of memory. (Once the handler is left, nothing holds the batch any more.)"""
        try:
            return self._pass(tokens, layers)
        except torch.OutOfMemoryError:
            pass
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @torch.inference_mode()
    def _pass(self, tokens: list[list[int]], layers: tuple[int, ...]) -> np.ndarray:
        """Padded on the right, where a causal model's tokens do not see it."""
        longest = max(map(len, tokens))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in tokens])
        mask = torch.arange(longest) < torch.tensor([[len(row)] for row in tokens])
        ids, mask = ids.to(self.device), mask.to(self.device)
        states = self.loaded.model(
            input_ids=ids,
            attention_mask=mask.long(),
            output_hidden_states=list(layers),  # keeps only these (before 5.x: all)
            use_cache=False,
        ).hidden_states
        pooled = torch.stack(
            [pool(states[layer], mask, self.settings.pooling) for layer in layers], dim=1
        )
        if self.settings.normalize:
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        return pooled.cpu().numpy()


class ReadAhead:
    """Loads the checkpoint that comes next in a thread, while the present one is evaluated."""

    def __init__(self, load_checkpoint):
        self._load = load_checkpoint
        self._name: str | None = None
        self._thread: threading.Thread | None = None
        self._loaded: Loaded | None = None

    def begin(self, name: str | None) -> None:
        """Nothing happens while another one is still being read: that cannot be stopped."""
        if name is None or name == self._name or (self._thread and self._thread.is_alive()):
            return
        self._name, self._loaded = name, None
        self._thread = threading.Thread(target=self._run, args=(name,), daemon=True)
        self._thread.start()

    def take(self, name: str) -> Loaded:
        """The checkpoint; loaded here and now unless it was read ahead."""
        if self._thread and name == self._name:
            self._thread.join()
        ahead, wanted = self._loaded, name == self._name
        self._name, self._loaded = None, None
        return ahead if ahead is not None and wanted else self._load(name)

    def _run(self, name: str) -> None:
        try:
            loaded = self._load(name)
        except Exception as error:  # its unit will meet it again, and tell
            print(f"reading {name} ahead failed: {error}", file=sys.stderr)
            return
        if self._name == name:
            self._loaded = loaded
