"""Audio-text pairs of a workspace and the batches a step sees, each a pure function of its number.

The order of epoch e is ``permutation(seed, e)`` and a sample's augmentation is drawn from
``(seed, e, row)``: a resumed run needs nothing but its step to see what it would have seen.

Shapes: J tracks, K clips, H hard negatives, E width of all encoders, X keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from collap_model.augment import crop_seconds, sample_caption
from collap_model.config import TrainConfig
from collap_model.distributed import World
from collap_model.feature_store import FeatureStore
from collap_model.negatives import Swaps
from data_specs.spec import FeatureSettings

__all__ = ["MANIFEST_FILE", "Pair", "Pairs", "TextsAndClips", "TrainingData", "pad_clips"]

MANIFEST_FILE = "manifest.parquet"
_BUILD_FILE = "build.json"


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption and the track it describes; a track with several captions makes several pairs."""

    track_id: str
    caption: str


class Pairs:
    """The pairs of one split with their features."""

    def __init__(self, pairs: Sequence[Pair], store: FeatureStore, split: str) -> None:
        self.pairs = list(pairs)
        self.store = store
        self.split = split

    @classmethod
    def open(cls, workspace: Path, split: str) -> Pairs:
        """The rows of ``workspace/manifest.parquet`` of one split, in the manifest's order.

        Raises:
            ValueError: manifest or features missing, no pair in the split, an empty caption, a track
                without features.
        """
        path = Path(workspace) / MANIFEST_FILE
        if not path.is_file():
            raise ValueError(f"no manifest at {path}; build the dataset first")
        store = FeatureStore.open(Path(workspace))
        rows = pq.read_table(path, columns=["track_id", "split", "caption"]).to_pylist()
        pairs = [Pair(row["track_id"], row["caption"]) for row in rows if row["split"] == split]
        if not pairs:
            found = sorted({row["split"] for row in rows})
            raise ValueError(f"{path} has no pair in split {split!r}; its splits are {found}")
        lacking = sorted({pair.track_id for pair in pairs if pair.track_id not in store})
        if len(lacking) == len({pair.track_id for pair in pairs}):
            raise ValueError(f"no track of split {split!r} has features, e.g. {lacking[0]!r}; run the features stage")
        if lacking:  # an encoder failed on them; one bad track must not block all training
            print(f"note: {len(lacking)} tracks of split {split!r} have no features and are left out: {lacking[:5]}")
            pairs = [pair for pair in pairs if pair.track_id in store]
        wordless = [pair.track_id for pair in pairs if not (pair.caption or "").strip()]
        if wordless:
            raise ValueError(f"{len(wordless)} captions of split {split!r} are empty, the first of {wordless[0]!r}")
        return cls(pairs, store, split)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def captions(self) -> list[str]:
        return [pair.caption for pair in self.pairs]

    @property
    def track_ids(self) -> list[str]:
        """Distinct, in order of first appearance."""
        return list(dict.fromkeys(pair.track_id for pair in self.pairs))

    def clips(self, track_id: str, *, clip_seconds: int, longest: int) -> npt.NDArray[np.float32]:
        """Clip features ``[K, E]`` of the first ``longest`` seconds of a track."""
        return self.store.clips(track_id, clip_seconds, slice(0, longest))

    def feature_settings(self) -> FeatureSettings | None:
        """How the build opened the encoders; None for a workspace whose features were made elsewhere.

        Raises:
            ValueError: ``build.json`` does not say it, or names other encoders than the features.
        """
        path = self.store.workspace / _BUILD_FILE
        if not path.is_file():
            return None
        try:
            settings = FeatureSettings.model_validate(json.loads(path.read_bytes())["spec"]["features"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not say how the features were made; build the dataset again") from error
        named = [item.encoder for item in settings.encoders]
        if named != [identity.split("-")[0] for identity in self.store.encoders]:
            raise ValueError(
                f"{path} names the encoders {named}, the features are of {list(self.store.encoders)}; "
                "build the dataset again"
            )
        return settings

    def feature_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[E]`` over all seconds of all tracks of the split, in float64 inside."""
        count, total, squares = 0, 0.0, 0.0
        for track_id in self.track_ids:
            vectors = self.store.vectors(track_id).astype(np.float64)
            count, total, squares = count + len(vectors), total + vectors.sum(0), squares + (vectors**2).sum(0)
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        return torch.from_numpy(np.float32(mean)), torch.from_numpy(np.float32(np.sqrt(variance)))

    def fingerprint(self) -> str:
        """Hash of the captions and of where their features lie (feature files are named by their content)."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            row = self.store.rows[pair.track_id]
            entry = [pair.track_id, pair.caption, asdict(row)]
            digest.update(json.dumps(entry).encode() + b"\n")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsAndClips:
    """A batch before tokenisation: text i describes track i."""

    texts: list[str]
    swapped: list[str]
    """Hard negatives: the text of a track with two sections exchanged."""
    owners_H: Tensor
    """The track of each hard negative; no track has two."""
    clips_JKE: Tensor
    mask_JK: Tensor
    keys_JX: Tensor
    """Two pairs that share a key (track, caption, or text as it is read) are no negatives of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    text: str
    swapped: str | None
    clips_KE: npt.NDArray[np.float32]
    keys: tuple[int, ...]


class TrainingData:
    """Batch number -> batch, for one process of a world."""

    def __init__(self, pairs: Pairs, config: TrainConfig, world: World) -> None:
        """Raises ``ValueError`` for a split that cannot fill a batch or has nothing to exchange, or an uneven batch."""
        num_tracks, size = len(pairs.track_ids), config.batch_size
        if num_tracks < 2:
            raise ValueError(
                f"split {pairs.split!r} has {num_tracks} track; training needs at least 2: select more songs"
            )
        if size > len(pairs):
            raise ValueError(
                f"batch_size {size} exceeds the {len(pairs)} pairs of split {pairs.split!r}; "
                f"set batch_size to {len(pairs)} or less"
            )
        if size % world.size:
            raise ValueError(f"batch_size {size} is no multiple of the {world.size} processes; choose one that is")
        self.pairs = pairs
        self.config = config
        self.world = world
        self.batches_per_epoch = len(pairs) // size
        self.swaps: Swaps | None = None
        if config.swap_negatives > 0:
            used = {(pair.track_id, pair.caption) for pair in pairs.pairs}
            self.swaps = Swaps.open(pairs.store.workspace, used, config.max_track_seconds)

    def fingerprint(self) -> str:
        """Hash of everything a batch is made of beside the config."""
        if self.swaps is None:
            return self.pairs.fingerprint()
        return hashlib.sha256(f"{self.pairs.fingerprint()} {self.swaps.fingerprint()}".encode()).hexdigest()

    def batch(self, step: int) -> TextsAndClips:
        """This process's part of the batch of ``step``; the last incomplete batch of an epoch is left out."""
        epoch, number = divmod(step, self.batches_per_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(self.pairs))
        share = self.config.batch_size // self.world.size
        first = number * self.config.batch_size + self.world.rank * share
        samples = [self._sample(int(row), epoch) for row in order[first : first + share]]
        clips_JKE, mask_JK = pad_clips([sample.clips_KE for sample in samples])
        swapped = {owner: sample.swapped for owner, sample in enumerate(samples) if sample.swapped is not None}
        return TextsAndClips(
            texts=[sample.text for sample in samples],
            swapped=list(swapped.values()),
            owners_H=torch.tensor(list(swapped), dtype=torch.int64),
            clips_JKE=clips_JKE,
            mask_JK=mask_JK,
            keys_JX=torch.tensor([sample.keys for sample in samples]),
        )

    def _sample(self, row: int, epoch: int) -> _Sample:
        config, pair, store = self.config, self.pairs.pairs[row], self.pairs.store
        rng = np.random.default_rng((config.seed, epoch, row))
        swap = None
        if self.swaps is not None and rng.random() < config.swap_negatives:
            swap = self.swaps.draw(rng, pair.track_id)
        if swap is not None:
            # Heard and read whole: who hears one of the two sections only cannot tell that they were exchanged.
            heard, text = slice(config.max_track_seconds), swap.true
        else:
            heard = crop_seconds(
                rng,
                store.rows[pair.track_id].num_seconds,
                chance=config.crop_chance,
                min_share=config.min_crop,
                longest=config.max_track_seconds,
            )
            text = sample_caption(
                rng, pair.caption, sentences_chance=config.sentences_chance, global_chance=config.global_chance
            )
        return _Sample(
            text=text,
            swapped=None if swap is None else swap.false,
            clips_KE=store.clips(pair.track_id, config.clip_seconds, heard),
            keys=(_key(pair.track_id), _key(pair.caption), _key(text)),
        )


def pad_clips(clips: Sequence[npt.NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Tracks ``[K, E]`` of different lengths as ``clips_JKE``, zeros after the last clip, and ``mask_JK``."""
    longest = max(map(len, clips))
    clips_JKE = torch.zeros(len(clips), longest, clips[0].shape[1])
    mask_JK = torch.zeros(len(clips), longest, dtype=torch.bool)
    for row, values in enumerate(clips):
        clips_JKE[row, : len(values)] = torch.from_numpy(values)
        mask_JK[row, : len(values)] = True
    return clips_JKE, mask_JK


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
