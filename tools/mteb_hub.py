"""Where checkpoints lie: in a local folder of them, or as revisions of a repository of the Hugging
Face hub, that is in its cache. What the sweep has left can be deleted from that cache."""

import json
import sys
from pathlib import Path

from evalsweep_evaluator import UnitError
from mteb_errors import is_offline, unit_error

# All that loading takes; repositories also hold the weights in other formats, gigabytes of them.
SMALL_FILES = ["*.json", "*.txt", "*.model"]
WEIGHT_FORMATS = ["*.safetensors", "*.bin"]  # the first that is there


class LocalCheckpoints:
    """A folder with a folder for each checkpoint."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.model_name = f"local/{folder.resolve().name}"

    def find(self, checkpoint: str) -> Path:
        path = self.folder / checkpoint
        if not (path / "config.json").is_file():
            raise UnitError(f"there is no checkpoint in {path}", retry=False)
        return path


class HubCheckpoints:
    """The revisions of a repository; each is a branch or tag that has the checkpoint's name."""

    def __init__(self, repository: str):
        self.model_name = repository

    def find(self, checkpoint: str) -> Path:
        """Its folder in the cache, fetched first if it is not there whole."""
        try:
            return self._fetch(checkpoint)
        except Exception as error:
            from huggingface_hub import constants

            what = f"{self.model_name}, revision {checkpoint}"
            missing = (
                f"it is not (or not whole) in {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE forbids"
                " to fetch it: run tools/prefetch.py JOB.json where there is a network"
            )
            raise unit_error(error, f"fetching {what}", missing) from error

    def _fetch(self, checkpoint: str) -> Path:
        from huggingface_hub import snapshot_download

        for weights in WEIGHT_FORMATS:
            folder = Path(
                snapshot_download(
                    self.model_name, revision=checkpoint, allow_patterns=[*SMALL_FILES, weights]
                )
            )
            if any(folder.glob(weights)):
                return folder
        raise FileNotFoundError(f"no weights in {folder}")

    def evict(self, checkpoint: str) -> None:
        """Deletes the checkpoint from the cache, unless another name stands for the same commit."""
        from huggingface_hub import constants, scan_cache_dir

        cache = scan_cache_dir(constants.HF_HUB_CACHE)
        commits = [
            revision.commit_hash
            for repository in cache.repos
            if repository.repo_id == self.model_name and repository.repo_type == "model"
            for revision in repository.revisions
            if revision.refs == {checkpoint}
        ]
        if commits:
            cache.delete_revisions(*commits).execute()


def open_checkpoints(model: str) -> LocalCheckpoints | HubCheckpoints:
    if Path(model).is_dir():
        return LocalCheckpoints(Path(model))
    if model.count("/") != 1 or model.startswith((".", "/")):
        raise SystemExit(f"mteb_evaluator: {model} is neither a folder nor a repository ORG/NAME")
    return HubCheckpoints(model)


class Evictor:
    """Deletes checkpoints that neither this process nor any other still needs for the sweep.

    Others may be at work on the same checkpoint, and share the cache; so what counts is whether
    every unit of it is done or has failed. One that is not yet is looked at again later.
    """

    def __init__(self, checkpoints: HubCheckpoints, run_dir: Path | None):
        if is_offline():
            raise SystemExit("mteb_evaluator: --evict would delete what cannot be fetched again")
        self._checkpoints = checkpoints
        self._run_dir = run_dir
        self._fetched: set[str] = set()

    def look(self, needed: set[str]) -> None:
        """This process uses the checkpoints `needed`, and has left all that it used before."""
        for name in self._fetched - needed:
            if self._is_finished(name):
                self._fetched.discard(name)
                self._evict(name)
        self._fetched |= needed

    def _evict(self, name: str) -> None:
        try:
            self._checkpoints.evict(name)
        except OSError as error:  # two processes at once; the scores are not at stake
            print(f"evicting {name}: {error}", file=sys.stderr)

    def _is_finished(self, checkpoint: str) -> bool:
        if self._run_dir is None:
            return True
        job = json.loads((self._run_dir / ".evalsweep" / "job.json").read_text())
        excluded = job["grid"].get("exclude", [])
        for layer in job["grid"]["layers"]:
            for task in job["grid"]["tasks"]:
                unit = {"checkpoint": checkpoint, "layer": layer, "task": task}
                if any(_matches(unit, rule) for rule in excluded):
                    continue
                folder = job["layout"]
                for axis, value in unit.items():
                    folder = folder.replace("{" + axis + "}", str(value))
                markers = (self._run_dir / folder / name for name in ("done.json", "failed.json"))
                if not any(marker.exists() for marker in markers):
                    return False
        return True


def _matches(unit: dict, rule: dict) -> bool:
    return all(
        unit[axis] in (value if isinstance(value, list) else [value])
        for axis, value in rule.items()
    )
