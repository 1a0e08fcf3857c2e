"""A reader that polls the store during a run: every open sees one whole file, also one that is held
open while it is replaced again and again.

Usage: test_polling.py REWRITE_STORE [unittest options].
"""

import os
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

REWRITE_STORE = sys.argv.pop(1) if len(sys.argv) > 1 else "rewrite_store"
DONE = 1
OPENS, ROUNDS = 3000, 40  # at least
DEADLINE_S = 60.0
HELD = 8  # stores held open at a time, each for as many opens of others


class Writer:
    """Rewrites the store of a run folder until the end of the with."""

    def __init__(self, folder, *how):
        self.folder, self.how = folder, how

    def __enter__(self):
        os.makedirs(os.path.join(self.folder, ".evalsweep"), exist_ok=True)
        self.process = subprocess.Popen(
            [REWRITE_STORE, self.folder, *self.how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.process.stdout.readline()  # the first one is written
        return os.path.join(self.folder, "results.h5")

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.status = self.process.wait(timeout=60)
        self.process.stdout.close()


def check(file):
    """The round of a store all of whose variables are of that round."""
    number = int(file.attrs["round"])
    done = file["status"][:] == DONE
    scores = file["main_score"][:]
    if not (done.any() and np.array_equal(scores[done], np.full(done.sum(), float(number)))):
        raise ValueError(f"a torn store: round {number}, scores {np.unique(scores[done])}")
    if np.sum(file["tries/outcome"][:] == DONE) != done.sum():
        raise ValueError(f"a torn store: round {number} has other tries than done units")
    return number


def poll(path):
    """Opens the store so often, until it was seen in so many rounds."""
    held, rounds, n_opens = [], set(), 0
    deadline = time.monotonic() + DEADLINE_S
    try:
        while n_opens < OPENS or len(rounds) < ROUNDS:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{n_opens} opens, {len(rounds)} rounds")
            file = h5py.File(path, "r")
            n_opens += 1
            held.append((file, int(file.attrs["round"])))
            if len(held) > HELD:
                oldest, number = held.pop(0)  # nothing but the attribute was read so far
                if check(oldest) != number:
                    raise ValueError("a store that is held open has changed")
                oldest.close()
                rounds.add(number)
    finally:
        for file, _ in held:
            file.close()


class PollingTest(unittest.TestCase):
    def test_every_open_sees_one_whole_store(self):
        with tempfile.TemporaryDirectory() as folder:
            writer = Writer(folder)
            with writer as path:
                poll(path)
            self.assertEqual(writer.status, 0)

    def test_writing_in_place_would_be_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            errors = (OSError, ValueError, KeyError, RuntimeError)
            with Writer(folder, "in-place") as path, self.assertRaises(errors) as found:
                poll(path)
            self.assertNotIsInstance(found.exception, TimeoutError)


if __name__ == "__main__":
    unittest.main()
