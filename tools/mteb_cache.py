"""Pooled embeddings of every layer that one forward pass gave, until the layers have been scored.

Up to a limit they stay in memory, oldest bundles making room first; the rest of the running bundle
goes to memory-mapped files. These have no name from the start: whatever ends the process, kill -9
too, also frees the disk, and there are no left-overs to look for.
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
    """What one batch gave: array[row, i] is the embedding of keys[row] at layers[i]."""

    keys: list[bytes]
    layers: tuple[int, ...]
    array: np.ndarray
    bundle: int
    memory_bytes: int  # 0: in a file


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
    """A bundle is a (checkpoint, task): begin() says which; put() and find() are about it.

    Texts of earlier tasks of the same checkpoint are found too, as long as they are in memory.
    """

    def __init__(self, limit_bytes: int, folder: str | None = None):
        self.limit_bytes = limit_bytes
        self.folder = folder
        self.memory_bytes = 0
        self.spilled_bytes = 0
        self._checkpoint: str | None = None
        self._task: str | None = None
        self._bundle = 0
        self._blocks: list[_Block] = []  # oldest first
        self._at: dict[bytes, tuple[_Block, int]] = {}
        self._segment: _Segment | None = None
        self._disk_is_full = False

    def begin(self, checkpoint: str, task: str) -> None:
        if checkpoint != self._checkpoint:
            self.clear()
        elif task != self._task:
            for block in [block for block in self._blocks if block.memory_bytes == 0]:
                self._drop(block)
            self._close_files()
        else:
            return
        self._checkpoint, self._task = checkpoint, task
        self._bundle += 1

    def find(self, key: bytes, layer: int) -> np.ndarray | None:
        block, row = self._at.get(key, (None, 0))
        if block is None or layer not in block.layers:
            return None
        return block.array[row, block.layers.index(layer)]

    def put(self, keys: list[bytes], layers: tuple[int, ...], pooled: np.ndarray) -> None:
        """pooled: float32 [texts, layers, width]. Where there is no room it is not kept."""
        memory_bytes = pooled.nbytes + len(keys) * ROW_OVERHEAD_BYTES
        self._make_room(memory_bytes)
        if self.memory_bytes + memory_bytes > self.limit_bytes:
            memory_bytes = 0
            # With one layer nobody will come for it.
            array = self._spill(pooled) if len(layers) > 1 else None
            if array is None:
                return
            pooled = array
        block = _Block(keys, layers, pooled, self._bundle, memory_bytes)
        self.memory_bytes += memory_bytes
        self._blocks.append(block)
        self._at.update((key, (block, row)) for row, key in enumerate(keys))

    def clear(self) -> None:
        self._blocks.clear()
        self._at.clear()
        self.memory_bytes = 0
        self._close_files()

    def _make_room(self, n_bytes: int) -> None:
        while self._blocks and self.memory_bytes + n_bytes > self.limit_bytes:
            oldest = self._blocks[0]
            if oldest.bundle == self._bundle:
                return
            self._drop(oldest)

    def _drop(self, block: _Block) -> None:
        self._blocks.remove(block)
        self.memory_bytes -= block.memory_bytes
        for key in block.keys:
            if self._at.get(key, (None,))[0] is block:
                del self._at[key]

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

    def _close_files(self) -> None:
        """The mappings go with the last reference to them, and with these the files."""
        self._segment = None
        self._disk_is_full = False
        self.spilled_bytes = 0
