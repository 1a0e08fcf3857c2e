"""What the tests of the MTEB evaluator evaluate: tiny GPT-NeoX checkpoints with random weights and
small tasks of mteb's own kinds over made-up sentences. No hub, no files but the tests' own."""

import random
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification, AbsTaskClustering, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.aggregate_task_metadata import AggregateTaskMetadata
from mteb.abstasks.aggregated_task import AbsTaskAggregate
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXModel, PreTrainedTokenizerFast

N_LAYERS = 2
WIDTH = 32
TOPICS = {
    "animals": "cat dog horse cow sheep goat barks runs eats sleeps barn field tail paw".split(),
    "music": "violin piano drum song choir tune plays sings loud soft note chord band".split(),
    "ships": "boat sail anchor harbour mast crew wave tide deck captain rope storm".split(),
}


def sentences(n: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    labels = [rng.choice(list(TOPICS)) for _ in range(n)]
    return [
        f"{i} " + " ".join(rng.choice(TOPICS[label]) for _ in range(rng.randint(1, 12)))
        for i, label in enumerate(labels)
    ], labels


def make_checkpoints(folder: Path, names: list[str]) -> None:
    tokenizer = _make_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        model = GPTNeoXModel(config)
        with torch.no_grad():  # else the final norm is the identity on nearly normal states
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def _make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(sentences(200, 0)[0], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def _metadata(name: str, kind: str, main_score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="made up",
        reference=None,
        type=kind,
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score=main_score,
        dataset={"path": "none", "revision": "1"},
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation=None,
    )


class Topics(AbsTaskClassification):
    metadata = _metadata("Topics", "Classification", "accuracy")
    n_experiments = 2
    samples_per_label = 6

    def load_data(self, **_):
        parts = {"train": sentences(60, 1), "test": sentences(30, 2)}
        codes = list(TOPICS)
        self.dataset = DatasetDict(
            {
                split: Dataset.from_dict(
                    {"text": text, "label": [codes.index(one) for one in labels]}
                )
                for split, (text, labels) in parts.items()
            }
        )
        self.data_loaded = True


class TopicClusters(AbsTaskClustering):
    """Draws the documents from the task's own generator, as mteb's clustering tasks do."""

    metadata = _metadata("TopicClusters", "Clustering", "v_measure")
    max_fraction_of_documents_to_embed = 0.5
    n_clusters = 2
    max_documents_per_cluster = 30

    def load_data(self, **_):
        text, labels = sentences(80, 3)
        self.dataset = DatasetDict(
            {"test": Dataset.from_dict({"sentences": text, "labels": labels})}
        )
        self.data_loaded = True


class Likeness(AbsTaskSTS):
    metadata = _metadata("Likeness", "STS", "cosine_spearman")
    min_score = 0
    max_score = 1

    def load_data(self, **_):
        (first, a), (second, b) = sentences(40, 2), sentences(40, 4)
        columns = {
            "sentence1": first,
            "sentence2": second,
            "score": [float(x == y) + i / 1000 for i, (x, y) in enumerate(zip(a, b, strict=True))],
        }
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True


class Finding(AbsTaskRetrieval):
    metadata = _metadata("Finding", "Retrieval", "ndcg_at_10")

    def load_data(self, **_):
        text = sentences(40, 5)[0]
        half = {i: " ".join(one.split()[::2]) for i, one in enumerate(text[:15])}
        self.dataset = {
            "default": {
                "test": RetrievalSplitData(
                    corpus=Dataset.from_dict(
                        {
                            "id": [f"d{i}" for i in range(len(text))],
                            "text": text,
                            "title": [""] * len(text),
                        }
                    ),
                    queries=Dataset.from_dict(
                        {"id": [f"q{i}" for i in half], "text": list(half.values())}
                    ),
                    relevant_docs={f"q{i}": {f"d{i}": 1} for i in half},
                    top_ranked=None,
                )
            }
        }
        self.data_loaded = True


class Both(AbsTaskAggregate):
    """Has no data set itself, but tasks that do."""

    metadata = AggregateTaskMetadata(
        name="Both",
        description="made up",
        tasks=[Likeness(), TopicClusters()],
        main_score="mean",
        type="STS",
        eval_splits=["test"],
    )


class Broken(AbsTaskSTS):
    metadata = _metadata("Broken", "STS", "cosine_spearman")

    def load_data(self, **_):
        raise ValueError("the column 'score' is missing")


class Unreachable(AbsTaskSTS):
    metadata = _metadata("Unreachable", "STS", "cosine_spearman")

    def load_data(self, **_):
        raise ConnectionError("Couldn't reach 'mteb/unreachable' on the Hub")


TASKS = (Topics, TopicClusters, Likeness, Finding)


def tasks():
    return [kind() for kind in (*TASKS, Both, Broken, Unreachable)]
