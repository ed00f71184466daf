"""The batches a training step sees, each a pure function of its number.

The order of epoch e is ``permutation(seed, e)`` and what a sample looks like is drawn from
``(seed, e, row)``: a resumed run needs nothing but its step to see what it would have seen.

Shapes: J tracks, K clips, H hard negatives, E width of all encoders, X keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collap_model.pairs import Pair, Pairs
from collap_model.training.augment import View, draw_view
from collap_model.training.captions import CAPTIONS_FILE, captions_sha256, read_captions
from collap_model.training.config import TrainConfig
from collap_model.training.distributed import World
from collap_model.training.negatives import Swaps
from collap_model.training.section_negatives import OtherSections

__all__ = ["TextsAndClips", "TrainingData", "pad_clips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsAndClips:
    """A batch before tokenisation: text i describes track i."""

    texts: list[str]
    swapped: list[str]
    """Hard negatives: false of their track by the order of two sections alone."""
    owners_H: Tensor
    """The track of each hard negative; no track has two."""
    clips_JKE: Tensor
    mask_JK: Tensor
    keys_JX: Tensor
    """Two pairs that share a key (recording, caption, or text as it is read) are no negatives of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    text: str
    swapped: str | None
    clips_KE: npt.NDArray[np.float32]
    keys: tuple[int, ...]


class TrainingData:
    """Batch number -> batch, for one process of a world."""

    def __init__(self, pairs: Pairs, config: TrainConfig, world: World) -> None:
        """Raises ``ValueError`` for a split that cannot fill a batch, an uneven batch, or nothing to exchange."""
        self.clusters = pairs.recordings()
        num_recordings, size = len(set(self.clusters.values())), config.batch_size
        if num_recordings < 2:
            raise ValueError(
                f"split {pairs.split!r} has {num_recordings} recording, {len(self.clusters)} track(s) of it; "
                "training needs at least 2: select more songs"
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
        self.captions = read_captions(pairs.store.workspace, pairs.pairs)
        """Of the pairs whose sections are known."""
        if config.swap_negatives + config.section_negatives > 0:
            self._check_captions()
        self.swaps = Swaps(self.captions, config.max_track_seconds) if config.swap_negatives > 0 else None
        self.others = OtherSections(self.captions, config.max_track_seconds) if config.section_negatives > 0 else None

    def fingerprint(self) -> str:
        """Hash of everything a batch is made of beside the config."""
        parts = [self.pairs.fingerprint(), captions_sha256(self.captions), *self.clusters.values()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

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
        pair = self.pairs.pairs[row]
        view = self._view(np.random.default_rng((self.config.seed, epoch, row)), pair)
        return _Sample(
            text=view.text,
            swapped=view.false,
            clips_KE=self.pairs.store.clips(pair.track_id, self.config.clip_seconds, view.seconds),
            keys=(_key(self.clusters[pair.track_id]), _key(pair.caption), _key(view.text)),
        )

    def _view(self, rng: np.random.Generator, pair: Pair) -> View:
        num_seconds = self.pairs.store.rows[pair.track_id].num_seconds
        hard = self._hard_negative(rng, pair, num_seconds)
        if hard is not None:
            return hard
        return draw_view(rng, pair.caption, self.captions.get(pair), num_seconds, self.config)

    def _hard_negative(self, rng: np.random.Generator, pair: Pair, num_seconds: int) -> View | None:
        if self.swaps is None and self.others is None:
            return None
        kind, swaps = rng.random(), self.config.swap_negatives
        if self.swaps is not None and kind < swaps:
            return self.swaps.draw(rng, pair, num_seconds)
        if self.others is not None and swaps <= kind < swaps + self.config.section_negatives:
            return self.others.draw(rng, pair, num_seconds)
        return None

    def _check_captions(self) -> None:
        path = self.pairs.store.workspace / CAPTIONS_FILE
        if not path.is_file():
            raise ValueError(
                f"swap_negatives and section_negatives need the captions with their sections, and there is no {path}: "
                "build the dataset again, or set both to 0"
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
