"""The batches a training step sees, each a pure function of its number.

The order of epoch e is ``permutation(seed, e)`` and a sample's augmentation is drawn from
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

from collap_model.pairs import Pairs
from collap_model.training.augment import crop_seconds, sample_caption
from collap_model.training.config import TrainConfig
from collap_model.training.distributed import World
from collap_model.training.negatives import Swaps

__all__ = ["TextsAndClips", "TrainingData", "pad_clips"]


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
