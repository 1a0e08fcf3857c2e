"""One layer of a checkpoint as mteb sees a model: its encoder protocol and its metadata."""

import hashlib
from time import perf_counter

import numpy as np
from evalsweep_evaluator import UnitError
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb_cache import EmbeddingCache
from mteb_model import Runner

COSINE = "cosine"


class LayerEncoder(AbsEncoder):
    """Embeddings of one layer; a text that the cache lacks is run for all layers of the bundle."""

    def __init__(
        self,
        runner: Runner,
        cache: EmbeddingCache,
        layer: int,
        bundle: tuple[int, ...],
        meta: ModelMeta,
    ):
        self.mteb_model_meta = meta
        self.pass_s = 0.0  # exactly 0 where no text went through: the schedule learns from it
        self._runner = runner
        self._cache = cache
        self._layer = layer
        self._bundle = bundle

    def encode(self, inputs, **_) -> np.ndarray:
        """mteb's keywords do not matter: base models have no prompts, and the batches are ours."""
        embeddings = self._embed([text for batch in inputs for text in batch["text"]])
        if not np.isfinite(embeddings).all():
            message = f"embeddings of layer {self._layer} are not finite: try --dtype float32"
            raise UnitError(message, retry=False)
        return embeddings

    def _embed(self, texts: list[str]) -> np.ndarray:
        rows: dict[bytes, list[int]] = {}  # of the result; texts recur
        for row, text in enumerate(texts):
            digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
            rows.setdefault(digest, []).append(row)
        width = self._runner.loaded.model.config.hidden_size
        embeddings = np.empty((len(texts), width), np.float32)
        misses = []
        for key, at in rows.items():
            found = self._cache.find(key, self._layer)
            if found is None:
                misses.append(key)
            else:
                embeddings[at] = found
        if misses:
            started = perf_counter()
            self._run([texts[rows[key][0]] for key in misses], misses, rows, embeddings)
            self.pass_s += perf_counter() - started
        return embeddings

    def _run(
        self,
        texts: list[str],
        keys: list[bytes],
        rows: dict[bytes, list[int]],
        embeddings: np.ndarray,
    ) -> None:
        mine = self._bundle.index(self._layer)
        for indices, pooled in self._runner.run(texts, self._bundle):
            batch_keys = [keys[i] for i in indices]
            for key, vectors in zip(batch_keys, pooled, strict=True):
                embeddings[rows[key]] = vectors[mine]
            self._cache.put(batch_keys, self._bundle, pooled)


def model_meta(name: str, revision: str, n_dimensions: int, experiment: dict) -> ModelMeta:
    """mteb tells the layers of a checkpoint apart as experiments of the same model."""
    return ModelMeta(
        loader=None,
        name=name,
        revision=revision,
        experiment_kwargs=experiment,
        embed_dim=n_dimensions,
        similarity_fn_name=COSINE,
        framework=["PyTorch", "Transformers"],
        modalities=["text"],
        use_instructions=False,
        release_date=None,
        languages=None,
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=None,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        training_datasets=None,
    )
