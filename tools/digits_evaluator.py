#!/usr/bin/python3
"""The persistent evaluator of the digits job: how good are a layer's activations?

Tasks are a data set (Digits, Wine, BreastCancer) and a way to score: LinearProbe (logistic
regression on the activations), KNN (5 nearest neighbours) and Clustering (k-means, compared with
the true classes), as in WineKNN. Layers: 1 to 4, and 0 for the input itself. The same checkpoint
always gets the same scores.
"""

import argparse
import zipfile
from time import perf_counter

import sklearn
from digits_train import (
    DEFAULT_FOLDER,
    LAYERS,
    LOADERS,
    activations,
    checkpoint_path,
    load_checkpoint,
    load_data,
)
from evalsweep_evaluator import UnitError, metric, serve
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    balanced_accuracy_score,
    f1_score,
    homogeneity_completeness_v_measure,
)
from sklearn.neighbors import KNeighborsClassifier


def classify(classifier, data, x):
    """Fitted on the training half, scored on the other; the main score comes first."""
    classifier.fit(x[data.is_train], data.y[data.is_train])
    truth, guess = data.y[~data.is_train], classifier.predict(x[~data.is_train])
    return {
        "accuracy": accuracy_score(truth, guess),
        "balanced_accuracy": balanced_accuracy_score(truth, guess),
        "f1": f1_score(truth, guess, average="macro"),
    }


def linear_probe(data, x):
    return classify(LogisticRegression(max_iter=1000), data, x)


def knn(data, x):
    return classify(KNeighborsClassifier(n_neighbors=5, algorithm="brute"), data, x)


def clustering(data, x):
    truth = data.y[~data.is_train]
    kmeans = KMeans(n_clusters=data.n_classes, n_init=10, random_state=0)
    guess = kmeans.fit_predict(x[~data.is_train])
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(truth, guess)
    return {
        "v_measure": v_measure,
        "homogeneity": homogeneity,
        "completeness": completeness,
        "adjusted_rand": adjusted_rand_score(truth, guess),
    }


SCORERS = {"LinearProbe": linear_probe, "KNN": knn, "Clustering": clustering}
TASKS = {data + scorer: (data, scorer) for data in LOADERS for scorer in SCORERS}


class Evaluator:
    """Keeps the last checkpoint, and its activations: the layers of a bundle share one pass."""

    def __init__(self, folder):
        self.folder = folder
        self.data = {name: load_data(name) for name in LOADERS}
        self.checkpoint = None
        self.weights = None
        self.passes = {}

    def load(self, checkpoint):
        """Seconds that it took: 0 if the checkpoint is the one at hand."""
        if checkpoint == self.checkpoint:
            return 0
        started = perf_counter()
        path = checkpoint_path(self.folder, checkpoint)
        try:
            self.weights = load_checkpoint(path)
        except FileNotFoundError:
            message = f"{path} is not there: run tools/digits_train.py"
            raise UnitError(message, retry=False) from None
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UnitError(f"{path} is no checkpoint of digits_train.py: {error}") from None
        self.checkpoint = checkpoint
        self.passes = {}
        return perf_counter() - started

    def forward(self, name):
        """Seconds that it took: 0 if this data set went through this checkpoint already."""
        if name in self.passes:
            return 0
        started = perf_counter()
        self.passes[name] = activations(self.weights[name], self.data[name].x)
        return perf_counter() - started

    def score(self, unit):
        task, layer = unit["task"], unit["layer"]
        if task not in TASKS:
            raise UnitError(f"unknown task {task}: known are {', '.join(TASKS)}", retry=False)
        if layer not in (0, *LAYERS):
            raise UnitError(f"there is no layer {layer}: 0 to {LAYERS[-1]}", retry=False)
        data_name, scorer_name = TASKS[task]
        load_s = self.load(unit["checkpoint"])
        pass_s = self.forward(data_name)
        started = perf_counter()
        scores = SCORERS[scorer_name](self.data[data_name], self.passes[data_name][layer])
        return {
            "main_score": next(iter(scores.values())),
            "metrics": [metric(name, value) for name, value in scores.items()],
            "load_s": load_s,
            "pass_s": pass_s,
            "score_s": perf_counter() - started,
            "attributes": {"n_layers": LAYERS[-1], "scikit_learn_version": sklearn.__version__},
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoints", default=DEFAULT_FOLDER, help="folder of step<N>.npz")
    serve(Evaluator(parser.parse_args().checkpoints).score)


if __name__ == "__main__":
    main()
