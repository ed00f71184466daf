"""A model's scores of texts against tracks, tile by tile, from embeddings that wait on disk.

Each text and each track is embedded once. Of the texts their vectors stay in memory; their parts, which the
fusions ``token`` and ``ordered`` read, and the clips of tracks go to a temporary folder and come back a tile at a
time, so memory does not grow with clips or tokens. The folder takes ``4 K D`` bytes a track (614 MB for 10,000 tracks
of 30 clips in 512 numbers) and as much for a text of ``K`` parts, and lies where ``TMPDIR`` says.

Texts and tracks lie apart, so that either side is kept while the other is read or heard in another way.

Shapes: I texts, J tracks, K clips, P parts, D joint dim, E encoder dim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collap_model.metrics import TiledScores
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.score import FUSIONS_OF_PARTS, Score
from collap_model.text.texts import Texts
from collap_model.training.data import pad_clips

__all__ = [
    "TEXTS_AT_ONCE",
    "TEXTS_READ_AT_ONCE",
    "TRACKS_AT_ONCE",
    "Embedded",
    "TextTiles",
    "TrackTiles",
    "embedded",
    "heard",
    "read",
    "score_matrix",
    "tiled",
]

TEXTS_READ_AT_ONCE = 64
"""By the text tower."""
TEXTS_AT_ONCE, TRACKS_AT_ONCE = 1024, 256
"""Of a tile. Texts with parts are so large that a tile takes ``TEXTS_READ_AT_ONCE`` of them."""


class TextTiles:
    """Texts on disk, a row of tiles after the other. The last row read stays at hand."""

    def __init__(self, folder: Path, device: torch.device, *, at_once: int) -> None:
        self.folder = folder
        self.device = device
        self.at_once = at_once
        self.num_texts = 0
        self.num_truncated = 0
        """Texts that the text tower did not read whole."""
        self._row: tuple[int, Texts] | None = None

    def append(self, texts: Texts) -> None:
        """The next row: ``at_once`` texts, or fewer in the last."""
        held = {"text_ID": texts.text_ID, "parts_IPD": texts.parts_IPD, "parts_mask_IP": texts.parts_mask_IP}
        path = self._path(self.num_texts // self.at_once)
        torch.save({name: value for name, value in held.items() if value is not None}, path)
        self.num_texts += len(texts)

    def row(self, number: int) -> Texts:
        if self._row is None or self._row[0] != number:
            held = torch.load(self._path(number), map_location=self.device, weights_only=True)
            self._row = number, Texts(**held)
        return self._row[1]

    def _path(self, number: int) -> Path:
        return self.folder / f"texts-{number}.pt"


class TrackTiles:
    """Tracks on disk, a column of tiles after the other."""

    def __init__(self, folder: Path, device: torch.device, *, at_once: int) -> None:
        self.folder = folder
        self.device = device
        self.at_once = at_once
        self.num_tracks = 0

    def append(self, clips_JKD: Tensor, mask_JK: Tensor) -> None:
        """The next column: ``at_once`` tracks, or fewer in the last."""
        torch.save((clips_JKD, mask_JK), self._path(self.num_tracks // self.at_once))
        self.num_tracks += len(clips_JKD)

    def column(self, number: int) -> tuple[Tensor, Tensor]:
        """``clips_JKD`` and ``mask_JK``."""
        clips_JKD, mask_JK = torch.load(self._path(number), map_location=self.device, weights_only=True)
        return clips_JKD, mask_JK

    def columns(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All of them, in order."""
        return map(self.column, range(-(-self.num_tracks // self.at_once)))

    def _path(self, number: int) -> Path:
        return self.folder / f"tracks-{number}.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What a split looks like to a model."""

    texts: TextTiles
    tracks: TrackTiles
    scores: TiledScores


def tiled(scorer: Score, texts: TextTiles, tracks: TrackTiles) -> TiledScores:
    """The scores between all texts and all tracks; every tile comes to the CPU."""

    @torch.inference_mode()
    def tile(row: int, column: int) -> Tensor:
        return scorer(texts.row(row), *tracks.column(column)).cpu()

    return TiledScores(
        num_texts=texts.num_texts,
        num_tracks=tracks.num_tracks,
        texts_at_once=texts.at_once,
        tracks_at_once=tracks.at_once,
        tile=tile,
    )


@contextmanager
def read(model: CoLLAP, texts: Sequence[str]) -> Iterator[TextTiles]:
    """Texts as the model reads them, as long as the context lasts.

    Raises:
        ValueError: no text, or one without a word.
        OSError: the temporary folder is full or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="collap-texts-") as folder:
        at_once = TEXTS_READ_AT_ONCE if model.form.fusion in FUSIONS_OF_PARTS else TEXTS_AT_ONCE
        tiles = TextTiles(Path(folder), model.device, at_once=at_once)
        for first in range(0, len(texts), at_once):
            _put_row(model, texts[first : first + at_once], tiles)
        yield tiles


@torch.inference_mode()
def _put_row(model: CoLLAP, texts: Sequence[str], tiles: TextTiles) -> None:
    in_row = []
    for start in range(0, len(texts), TEXTS_READ_AT_ONCE):
        tokens = model.tower.tokenize(texts[start : start + TEXTS_READ_AT_ONCE])
        tiles.num_truncated += tokens.num_truncated
        in_row.append(model.embed_texts(tokens.to(model.device)))
    tiles.append(Texts.join(in_row))


@contextmanager
def heard(
    model: CoLLAP, tracks: Sequence[str], clips: Callable[[str], npt.NDArray[np.float32]]
) -> Iterator[TrackTiles]:
    """Tracks as the model hears them, as long as the context lasts; ``clips(track_id)`` gives features ``[K, E]``.

    Raises:
        OSError: the temporary folder is full or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="collap-tracks-") as folder:
        tiles = TrackTiles(Path(folder), model.device, at_once=TRACKS_AT_ONCE)
        for first in range(0, len(tracks), TRACKS_AT_ONCE):
            clips_JKE, mask_JK = pad_clips([clips(track_id) for track_id in tracks[first : first + TRACKS_AT_ONCE]])
            clips_JKE, mask_JK = clips_JKE.to(model.device), mask_JK.to(model.device)
            with torch.inference_mode():
                tiles.append(model.embed_clips(clips_JKE, mask_JK), mask_JK)
        yield tiles


@contextmanager
def embedded(model: CoLLAP, texts: Sequence[str], pairs: Pairs, tracks: Sequence[str]) -> Iterator[Embedded]:
    """Embed everything once; scores can be had as long as the context lasts. Raises as ``read`` and ``heard``."""

    def clips(track_id: str) -> npt.NDArray[np.float32]:
        return pairs.clips(track_id, clip_seconds=model.form.clip_seconds, longest=model.form.max_track_seconds)

    with heard(model, tracks, clips) as track_tiles, read(model, texts) as text_tiles:
        yield Embedded(texts=text_tiles, tracks=track_tiles, scores=tiled(model.scorer, text_tiles, track_tiles))


def score_matrix(model: CoLLAP, texts: Sequence[str], pairs: Pairs, tracks: Sequence[str]) -> tuple[Tensor, int]:
    """The whole ``scores_IJ``, where it is small enough to hold, and how many texts were shortened."""
    with embedded(model, texts, pairs, tracks) as split:
        scores = split.scores
        rows = [
            torch.cat([scores.tile(row, column) for column in range(-(-len(tracks) // scores.tracks_at_once))], dim=1)
            for row in range(-(-len(texts) // scores.texts_at_once))
        ]
        return torch.cat(rows), split.texts.num_truncated
