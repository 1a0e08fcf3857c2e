"""What the weights of tiny_pythia.py's checkpoints follow from. Standard library only."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "recipe.json"  # in each checkpoint, to tell whether it is up to date


@dataclass(frozen=True)
class Recipe:
    seed: int = 0
    last_step: int = 256
    vocabulary: int = 2048
    layers: int = 6
    width: int = 96
    heads: int = 4
    context: int = 512  # tokens that the model can take
    window: int = 128  # tokens of a text that is trained on
    batch: int = 16
    learning_rate: float = 3e-3
    warm_up: int = 16  # steps

    def steps(self, last: int | None = None) -> list[int]:
        """Those that are saved: 0, 1, 2, 4, 8 ... up to the last."""
        last = self.last_step if last is None else last
        return [0] + [2**i for i in range(last.bit_length()) if 2**i <= last]

    def write_to(self, checkpoint: Path) -> None:
        (checkpoint / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def is_of(self, checkpoint: Path) -> bool:
        try:
            return json.loads((checkpoint / FILE).read_text(encoding="utf-8")) == asdict(self)
        except (OSError, ValueError):
            return False
