#!/usr/bin/python3
"""Trains the small networks of the digits job and saves their weights as training goes.

One multilayer perceptron with four hidden layers for each of scikit-learn's bundled data sets
(digits, wine, breast cancer), in plain NumPy. Their weights at steps 0, 1, 2, 4 ... 512 go to
FOLDER/step<N>.npz. The same seed gives the same bytes. Checkpoints that are there already, from the
same recipe, are kept as they are.
"""

import argparse
import itertools
import os
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_FOLDER = PROJECT / "runs" / "digits-checkpoints"

STEPS = [0] + [2**i for i in range(10)]
LAYERS = [1, 2, 3, 4]  # the hidden ones; 0 is the input
WIDTH = 32
BATCH = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9
LOADERS = {"Digits": load_digits, "Wine": load_wine, "BreastCancer": load_breast_cancer}

DataSet = namedtuple("DataSet", "x y is_train n_classes")


def load_data(name):
    """A data set with standardised columns; one half, the same every time, is for training."""
    x, y = LOADERS[name](return_X_y=True)
    is_train = np.zeros(len(y), dtype=bool)
    is_train[np.random.default_rng(1).permutation(len(y))[: len(y) // 2]] = True
    mean, deviation = x[is_train].mean(axis=0), x[is_train].std(axis=0)
    x = (x - mean) / np.where(deviation > 0, deviation, 1)
    return DataSet(x, y, is_train, int(y.max()) + 1)


def init_weights(rng, n_inputs, n_classes):
    """A list of (matrix, bias), one for each layer after the input."""
    sizes = [n_inputs] + [WIDTH] * len(LAYERS) + [n_classes]
    return [
        (rng.normal(0, 1 / np.sqrt(n), (n, m)), np.zeros(m)) for n, m in itertools.pairwise(sizes)
    ]


def activations(weights, x):
    """The input, what each hidden layer makes of it, and the logits: index = layer."""
    outputs = [x]
    for i, (matrix, bias) in enumerate(weights):
        z = outputs[-1] @ matrix + bias
        outputs.append(z if i == len(weights) - 1 else np.tanh(z))
    return outputs


def gradients(weights, x, y):
    """Of the mean cross-entropy of a softmax over the logits."""
    outputs = activations(weights, x)
    logits = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)
    delta = np.exp(logits)
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    delta /= len(y)
    result = []
    for i in reversed(range(len(weights))):
        result.append((outputs[i].T @ delta, delta.sum(axis=0)))
        delta = delta @ weights[i][0].T * (1 - outputs[i] ** 2)
    return result[::-1]


def train(name, seed):
    """Yields the weights at each of STEPS."""
    data = load_data(name)
    x, y = data.x[data.is_train], data.y[data.is_train]
    rng = np.random.default_rng([seed, sorted(LOADERS).index(name)])
    weights = init_weights(rng, x.shape[1], data.n_classes)
    velocity = [(np.zeros_like(m), np.zeros_like(b)) for m, b in weights]
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            yield weights
        batch = rng.choice(len(y), min(BATCH, len(y)), replace=False)
        steps = gradients(weights, x[batch], y[batch])
        velocity = [
            (MOMENTUM * vm - LEARNING_RATE * gm, MOMENTUM * vb - LEARNING_RATE * gb)
            for (vm, vb), (gm, gb) in zip(velocity, steps, strict=True)
        ]
        weights = [(m + vm, b + vb) for (m, b), (vm, vb) in zip(weights, velocity, strict=True)]


def checkpoint_path(folder, checkpoint):
    return Path(folder) / f"{checkpoint}.npz"


def save_checkpoint(path, arrays):
    """Whole or not at all: a run may be reading the folder."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_checkpoint(path):
    """The weights of every network in a checkpoint, by data set."""
    with np.load(path, allow_pickle=False) as file:
        n_layers = len(LAYERS) + 1
        return {
            name: [(file[f"{name}/matrix{i}"], file[f"{name}/bias{i}"]) for i in range(n_layers)]
            for name in LOADERS
        }


def recipe(seed):
    """What the weights follow from: kept in each checkpoint, to tell whether it is up to date."""
    return f"seed {seed}, width {WIDTH}, batch {BATCH}, rate {LEARNING_RATE}, momentum {MOMENTUM}"


def is_up_to_date(path, seed):
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["recipe"]) == recipe(seed)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def train_all(folder, seed):
    """The networks train side by side, so that each checkpoint is saved once, whole."""
    for step, *networks in zip(STEPS, *(train(name, seed) for name in LOADERS), strict=True):
        arrays = {"recipe": np.array(recipe(seed))}
        for name, weights in zip(LOADERS, networks, strict=True):
            for i, (matrix, bias) in enumerate(weights):
                arrays[f"{name}/matrix{i}"] = matrix
                arrays[f"{name}/bias{i}"] = bias
        save_checkpoint(checkpoint_path(folder, f"step{step}"), arrays)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default=DEFAULT_FOLDER, help="runs/digits-checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    paths = [checkpoint_path(arguments.folder, f"step{step}") for step in STEPS]
    if all(is_up_to_date(path, arguments.seed) for path in paths):
        print(f"{len(STEPS)} checkpoints are in {arguments.folder} already", file=sys.stderr)
        return
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    train_all(arguments.folder, arguments.seed)
    print(f"{len(STEPS)} checkpoints saved in {arguments.folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
