"""The training of tiny_pythia.py: tokenizer, model, and the checkpoints of some of the steps."""

import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import tiny_text
import torch
from tiny_recipe import Recipe
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

END_OF_TEXT = "<|endoftext|>"


def train_and_save(folder: Path, recipe: Recipe, last_step: int) -> None:
    """The checkpoints that are there already are kept."""
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)  # enough for so small a model, and the order of all sums is fixed
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    texts = tiny_text.documents()
    tokenizer = train_tokenizer(texts, recipe)
    stream = torch.tensor(tokenizer(END_OF_TEXT.join(texts))["input_ids"])
    print(f"tiny_pythia: training on {len(stream)} tokens, {last_step} steps", file=sys.stderr)
    for step, model, loss in train(stream, recipe, last_step):
        print(f"tiny_pythia: step {step}" + (f", loss {loss:.3f}" if step else ""), file=sys.stderr)
        checkpoint = folder / f"step{step}"
        if not recipe.is_of(checkpoint):
            save(checkpoint, model, tokenizer, recipe)


def train_tokenizer(texts: list[str], recipe: Recipe) -> PreTrainedTokenizerFast:
    """As Pythia's: byte-level, one special token, none to pad with."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
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


def new_model(recipe: Recipe) -> GPTNeoXForCausalLM:
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=recipe.vocabulary,
            hidden_size=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=4 * recipe.width,
            max_position_embeddings=recipe.context,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def train(
    stream: torch.Tensor, recipe: Recipe, last_step: int
) -> Iterator[tuple[int, GPTNeoXForCausalLM, float]]:
    """Yields (step, model, loss of the batch before it) at each of the steps to save."""

    def rate(step: int) -> float:
        """By the peak's: a short warm-up, then half a cosine down to a tenth."""
        cosine = math.cos(math.pi * step / recipe.last_step)
        return min(1.0, (step + 1) / recipe.warm_up) * (0.55 + 0.45 * cosine)

    model = new_model(recipe)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    loss_before = math.nan
    for step in range(last_step + 1):
        if step in recipe.steps(last_step):
            yield step, model, loss_before
        if step == last_step:
            return
        starts = torch.randint(len(stream) - recipe.window, (recipe.batch,))
        batch = torch.stack([stream[start : start + recipe.window] for start in starts])
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        loss_before = loss.item()


def save(
    checkpoint: Path,
    model: GPTNeoXForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
) -> None:
    """Whole or not at all: a run may be reading the folders beside this one."""
    temporary = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}.tmp")
    old = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}.old")
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        recipe.write_to(temporary)
        if checkpoint.exists():
            checkpoint.rename(old)
        temporary.rename(checkpoint)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
