#!/usr/bin/env python3
"""Trains a language model like Pythia, but small enough for a CPU, and saves it as training goes.

A GPT-NeoX model of 6 layers and width 96 with a byte-level BPE tokenizer, both trained on the
English that comes with Python and Debian (tiny_text.py). Checkpoints as transformers saves them go
to FOLDER/step0, step1, step2, step4 ... step256, and what the tasks of tiny_tasks.py are made of to
FOLDER/packages.json. The same seed gives the same weights on the same machine. What is there
already, from the same recipe, is kept as it is. Takes about a minute on one core.
"""

import argparse
import sys
from pathlib import Path

import debian_packages
from tiny_recipe import Recipe

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "build" / "tiny-pythia"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument(
        "--last-step",
        type=int,
        default=Recipe.last_step,
        help="stop early, with the same weights so far",
    )
    arguments = parser.parse_args()
    recipe = Recipe(seed=arguments.seed)
    if not 0 <= arguments.last_step <= recipe.last_step:
        parser.error(f"--last-step: 0 to {recipe.last_step}")
    debian_packages.load(arguments.folder / "packages.json")
    wanted = [arguments.folder / f"step{step}" for step in recipe.steps(arguments.last_step)]
    if all(map(recipe.is_of, wanted)):
        print(
            f"tiny_pythia: {len(wanted)} checkpoints are in {arguments.folder} already",
            file=sys.stderr,
        )
        return
    from tiny_training import train_and_save  # not above: torch takes seconds to load

    train_and_save(arguments.folder, recipe, arguments.last_step)


if __name__ == "__main__":
    main()
