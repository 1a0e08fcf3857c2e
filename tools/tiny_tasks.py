"""Small MTEB tasks over text that every Debian machine has, for tests without a hub.

They are subclasses of mteb's own task classes over the descriptions of the installed packages; all
labels are Debian's own. `tasks()` returns the task objects. Their data is what
build/tiny-pythia/packages.json has (another folder: TINY_PYTHIA in the environment), which is made
when it is not there; its hash is the tasks' dataset revision.
"""

import functools
import hashlib
import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import debian_packages
from datasets import Dataset, DatasetDict
from debian_packages import Package
from mteb.abstasks import AbsTaskClassification, AbsTaskClustering, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata

FOLDER = Path(
    os.environ.get("TINY_PYTHIA")
    or Path(__file__).resolve().parent.parent / "build" / "tiny-pythia"
)

SECTIONS = 6  # at most: the largest
LEAST_OF_SECTION = 20  # packages: else it is left out
MOST_OF_SECTION = 64
CHARACTERS = 400  # of each description: the time of a pass
STS_PACKAGES = 120
QUERIES = 150


@functools.cache
def packages() -> tuple[Package, ...]:
    """One package for each description, shuffled, long descriptions cut: the same every time."""
    distinct = {}
    for package in debian_packages.load(FOLDER / "packages.json"):
        text = package.description[:CHARACTERS]
        distinct.setdefault(text, package._replace(description=text))
    ordered = sorted(distinct.values())
    random.Random(0).shuffle(ordered)
    return tuple(ordered)


@functools.cache
def by_section() -> dict[str, list[Package]]:
    """The packages of the largest sections, no section with many more than another."""
    sections = defaultdict(list)
    for package in packages():
        sections[package.section].append(package)
    largest = sorted(sections, key=lambda name: (-len(sections[name]), name))[:SECTIONS]
    chosen = {
        name: sections[name][:MOST_OF_SECTION]
        for name in largest
        if len(sections[name]) >= LEAST_OF_SECTION
    }
    if len(chosen) < 2:
        raise RuntimeError("too few packages are installed to make tasks of their descriptions")
    return chosen


def describe(name: str, description: str, **more: Any) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description=description,
        dataset={"path": "local/debian-packages", "revision": "none"},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        domains=["Programming", "Written"],
        annotations_creators="derived",
        sample_creation="found",
        **more,
    )


class OfPackages:
    """What the tasks have in common: no hub, and a revision that tells the data's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        packages()  # makes the file
        content = (FOLDER / "packages.json").read_bytes()
        dataset = {
            **self.metadata.dataset,
            "revision": hashlib.sha256(content).hexdigest()[:16],
        }
        self.metadata = self.metadata.model_copy(update={"dataset": dataset})

    def load_data(self, *_: Any, **__: Any) -> None:
        if not self.data_loaded:
            self.dataset = self.make_data()
            self.data_loaded = True


class DebianSectionClassification(OfPackages, AbsTaskClassification):
    """Training and test packages come from different source packages."""

    metadata = describe(
        "DebianSectionClassification",
        "Which section of Debian a package is in, by its description.",
        type="Classification",
        category="t2c",
        main_score="accuracy",
    )

    def make_data(self) -> DatasetDict:
        chosen = by_section()
        sources = sorted({package.source for group in chosen.values() for package in group})
        in_training = set(random.Random(1).sample(sources, len(sources) // 2))
        rows: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
        for label, group in enumerate(chosen.values()):
            for package in group:
                split = "train" if package.source in in_training else "test"
                rows[split].append({"text": package.description, "label": label})
        return DatasetDict({split: Dataset.from_list(rows[split]) for split in rows})


class DebianSectionClustering(OfPackages, AbsTaskClustering):
    max_fraction_of_documents_to_embed = None  # all of them
    max_documents_per_cluster = 256
    metadata = describe(
        "DebianSectionClustering",
        "The sections of Debian, found again as clusters of the packages' descriptions.",
        type="Clustering",
        category="t2c",
        main_score="v_measure",
    )

    def make_data(self) -> DatasetDict:
        rows = [
            {"sentences": package.description, "labels": section}
            for section, group in by_section().items()
            for package in group
        ]
        return DatasetDict({"test": Dataset.from_list(rows)})


class DebianSynopsisSTS(OfPackages, AbsTaskSTS):
    min_score = 0
    max_score = 2
    metadata = describe(
        "DebianSynopsisSTS",
        "How closely a package's short description and a long one belong together: of the "
        "same package (2), of another in the same section (1), of one in another section (0).",
        type="STS",
        category="t2t",
        main_score="cosine_spearman",
    )

    def make_data(self) -> DatasetDict:
        chosen = [package for group in by_section().values() for package in group]
        dice = random.Random(2)
        rows = []
        for package in dice.sample(chosen, min(STS_PACKAGES, len(chosen))):
            others = [other for other in chosen if other.source != package.source]
            near = dice.choice([other for other in others if other.section == package.section])
            far = dice.choice([other for other in others if other.section != package.section])
            for score, partner in ((2.0, package), (1.0, near), (0.0, far)):
                pair = {"sentence1": package.synopsis, "sentence2": partner.description}
                rows.append({**pair, "score": score})
        return DatasetDict({"test": Dataset.from_list(rows)})


class DebianDescriptionRetrieval(OfPackages, AbsTaskRetrieval):
    k_values = (1, 3, 5, 10, 20, 100)
    metadata = describe(
        "DebianDescriptionRetrieval",
        "A package's long description, found by its short one.",
        type="Retrieval",
        category="t2t",
        main_score="ndcg_at_10",
    )

    def make_data(self) -> dict[str, dict[str, dict[str, Any]]]:
        corpus = [package for group in by_section().values() for package in group]
        relevant: dict[str, dict[str, int]] = {}  # a synopsis that several share finds them all
        for package in corpus:
            relevant.setdefault(package.synopsis, {})[package.name] = 1
        queries = random.Random(3).sample(sorted(relevant), min(QUERIES, len(relevant)))
        documents = [{"id": package.name, "text": package.description} for package in corpus]
        split = {
            "corpus": Dataset.from_list(documents),
            "queries": Dataset.from_list([{"id": text, "text": text} for text in queries]),
            "relevant_docs": {text: relevant[text] for text in queries},
            "top_ranked": None,
        }
        return {"default": {"test": split}}


def tasks() -> list[Any]:
    return [
        DebianSectionClassification(),
        DebianSectionClustering(),
        DebianSynopsisSTS(),
        DebianDescriptionRetrieval(),
    ]
