"""Pooled embeddings of every layer that one forward pass gave, until the layers have been scored.

Up to a limit they stay in memory, the rest goes to memory-mapped files. These have no name from
the start: whatever ends the process, kill -9 too, also frees the disk, and there are no left-overs
to look for. Nothing outlives its bundle: a text is rounded a little differently in another batch,
so a score would depend on which tasks came before, that is on the schedule.
"""

import os
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

SEGMENT_BYTES = 256 << 20  # of a file; one file a batch would be thousands
ROW_OVERHEAD_BYTES = 250  # key and index entry of a text, as measured with CPython 3.11


@dataclass(eq=False)
class _Block:
    """What one batch gave: array[row, i] is the embedding of its text `row` at layers[i]."""

    layers: tuple[int, ...]
    array: np.ndarray


class _Segment:
    """A file without a name, mapped whole and filled from its beginning."""

    def __init__(self, folder: str | None, size_bytes: int):
        with tempfile.TemporaryFile(dir=folder, prefix="evalsweep-mteb-") as file:
            # Reserved at once: a full disk is an error here, and no SIGBUS when a page is written.
            os.posix_fallocate(file.fileno(), 0, size_bytes)
            self._floats = np.memmap(file, np.float32, "r+", shape=(size_bytes // 4,))
        self._n_used = 0

    def take(self, shape: tuple[int, ...]) -> np.ndarray | None:
        n = int(np.prod(shape))
        if self._n_used + n > len(self._floats):
            return None
        part = self._floats[self._n_used : self._n_used + n].reshape(shape)
        self._n_used += n
        return part


class EmbeddingCache:
    """A bundle is a (checkpoint, task): begin() says which; put() and find() are about it."""

    def __init__(self, limit_bytes: int, folder: str | None = None):
        self.limit_bytes = limit_bytes
        self.folder = folder
        self._bundle: tuple[str, str] | None = None
        self.clear()

    def begin(self, checkpoint: str, task: str) -> None:
        if (checkpoint, task) != self._bundle:
            self.clear()
            self._bundle = checkpoint, task

    def find(self, key: bytes, layer: int) -> np.ndarray | None:
        block, row = self._at.get(key, (None, 0))
        if block is None or layer not in block.layers:
            return None
        return block.array[row, block.layers.index(layer)]

    def put(self, keys: list[bytes], layers: tuple[int, ...], pooled: np.ndarray) -> None:
        """pooled: float32 [texts, layers, width]. Where there is no room it is not kept."""
        memory_bytes = pooled.nbytes + len(keys) * ROW_OVERHEAD_BYTES
        if self.memory_bytes + memory_bytes <= self.limit_bytes:
            self.memory_bytes += memory_bytes
        elif len(layers) > 1:  # with one layer nobody will come for it
            pooled = self._spill(pooled)
            if pooled is None:
                return
        else:
            return
        block = _Block(layers, pooled)
        self._at.update((key, (block, row)) for row, key in enumerate(keys))

    def clear(self) -> None:
        """The mappings go with the last reference to them, and with these the files."""
        self.memory_bytes = 0
        self.spilled_bytes = 0
        self._at: dict[bytes, tuple[_Block, int]] = {}
        self._segment: _Segment | None = None
        self._disk_is_full = False

    def _spill(self, pooled: np.ndarray) -> np.ndarray | None:
        """A copy in a file, or None if the disk is full: then each layer is its own pass."""
        part = self._segment.take(pooled.shape) if self._segment else None
        if part is None and not self._disk_is_full:
            try:
                self._segment = _Segment(self.folder, max(SEGMENT_BYTES, pooled.nbytes))
            except OSError as error:
                self._disk_is_full = True
                folder = self.folder or tempfile.gettempdir()
                print(f"no room for embeddings in {folder}: {error.strerror}", file=sys.stderr)
                return None
            part = self._segment.take(pooled.shape)
        if part is not None:
            part[:] = pooled
            self.spilled_bytes += pooled.nbytes
        return part
