#!/usr/bin/env python3
"""Trains a language model like Pythia, but small enough for a CPU, and saves it as training goes.

A GPT-NeoX model of 6 layers and width 96 with a byte-level BPE tokenizer, both trained on the
English that comes with Python and Debian (tiny_text.py). Checkpoints as transformers saves them go
to FOLDER/step0, step1, step2, step4 ... step256, and what the tasks of tiny_tasks.py are made of to
FOLDER/packages.json. The same seed gives the same weights on the same machine. What is there
already, from the same recipe, is kept as it is. Takes about a minute on one core.
"""

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import debian_packages
import tiny_text
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "build" / "tiny-pythia"

LAST_STEP = 256
VOCABULARY = 2048
LAYERS = 6
WIDTH = 96
HEADS = 4
BATCH = 16
WINDOW = 128  # tokens
LEARNING_RATE = 3e-3
WARM_UP = 16  # steps
END_OF_TEXT = "<|endoftext|>"
RECIPE_FILE = "recipe.json"


def steps(last_step: int) -> list[int]:
    """0, 1, 2, 4, 8 ... up to the last one."""
    return [0] + [2**i for i in range(last_step.bit_length()) if 2**i <= last_step]


def recipe(seed: int) -> dict[str, float]:
    """What the weights follow from: kept beside them, to tell whether they are up to date."""
    return {
        "seed": seed, "schedule": LAST_STEP, "vocabulary": VOCABULARY, "layers": LAYERS,
        "width": WIDTH, "heads": HEADS, "batch": BATCH, "window": WINDOW,
        "learning_rate": LEARNING_RATE, "warm_up": WARM_UP,
    }  # fmt: skip


def is_up_to_date(folder: Path, seed: int) -> bool:
    try:
        return json.loads((folder / RECIPE_FILE).read_text()) == recipe(seed)
    except (OSError, ValueError):
        return False


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """As Pythia's: byte-level, one special token, none to pad with."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
    )


def new_model() -> GPTNeoXForCausalLM:
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def rate(step: int) -> float:
    """Learning rate of a step, by the peak's: a short warm-up, then half a cosine to a tenth."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (0.55 + 0.45 * math.cos(math.pi * step / LAST_STEP))


def train(stream: torch.Tensor, last_step: int) -> Iterator[tuple[int, GPTNeoXForCausalLM, float]]:
    """Yields (step, model, loss of the last batch) at each of the steps to save."""
    model = new_model()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    loss_of_batch = math.nan
    for step in range(last_step + 1):
        if step in steps(last_step):
            yield step, model, loss_of_batch
        if step == last_step:
            break
        starts = torch.randint(len(stream) - WINDOW, (BATCH,))
        batch = torch.stack([stream[start : start + WINDOW] for start in starts])
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        loss_of_batch = loss.item()


def save(
    folder: Path, model: GPTNeoXForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    """Whole or not at all: a run may be reading the folders beside this one."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / RECIPE_FILE).write_text(json.dumps(recipe(seed)))
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def train_all(folder: Path, last_step: int, seed: int) -> None:
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)  # enough for so small a model, and the order of all sums is fixed
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    texts = tiny_text.documents()
    tokenizer = train_tokenizer(texts)
    stream = torch.tensor(tokenizer(END_OF_TEXT.join(texts))["input_ids"])
    print(f"tiny_pythia: training on {len(stream)} tokens, {last_step} steps", file=sys.stderr)
    for step, model, loss in train(stream, last_step):
        checkpoint = folder / f"step{step}"
        print(f"tiny_pythia: step {step}" + (f", loss {loss:.3f}" if step else ""), file=sys.stderr)
        if not is_up_to_date(checkpoint, seed):
            save(checkpoint, model, tokenizer, seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--last-step", type=int, default=LAST_STEP, help="stop early, with the same weights so far"
    )
    arguments = parser.parse_args()
    if not 0 <= arguments.last_step <= LAST_STEP:
        parser.error(f"--last-step: 0 to {LAST_STEP}")
    folder, seed = arguments.folder, arguments.seed
    debian_packages.load(folder / "packages.json")
    wanted = [folder / f"step{step}" for step in steps(arguments.last_step)]
    if all(is_up_to_date(path, seed) for path in wanted):
        print(f"tiny_pythia: {len(wanted)} checkpoints are in {folder} already", file=sys.stderr)
        return
    train_all(folder, arguments.last_step, seed)


if __name__ == "__main__":
    main()
