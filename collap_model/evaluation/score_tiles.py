"""A model's scores of texts against tracks, tile by tile, from embeddings that wait on disk.

Each text and each track is embedded once. Of the texts their vectors stay in memory; their parts, which the
fusions ``token`` and ``ordered`` read, and the clips of tracks go to a temporary folder and come back a tile at a
time, so memory does not grow with clips or tokens. The folder takes ``4 K D`` bytes a track (614 MB for 10,000 tracks
of 30 clips in 512 numbers) and as much for a text of ``K`` parts, and lies where ``TMPDIR`` says.

Shapes: I texts, J tracks, K clips, P parts, D joint dim, E encoder dim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from collap_model.metrics import TiledScores
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.score import FUSIONS_OF_PARTS, Score
from collap_model.text.texts import Texts
from collap_model.training.data import pad_clips

__all__ = ["TEXTS_AT_ONCE", "TRACKS_AT_ONCE", "Embedded", "Shelf", "embedded", "score_matrix"]

TEXTS_READ_AT_ONCE = 64
"""By the text tower."""
TEXTS_AT_ONCE, TRACKS_AT_ONCE = 1024, 256
"""Of a tile. Texts with parts are so large that a tile takes ``TEXTS_READ_AT_ONCE`` of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What a split looks like to a model."""

    scores: TiledScores
    num_truncated: int
    """Texts that the text tower did not read whole."""


class Shelf:
    """Embeddings in tiles on disk, and the scores between them. The last texts read stay at hand."""

    def __init__(self, folder: Path, scorer: Score, device: torch.device) -> None:
        self.folder = folder
        self.scorer = scorer
        self.device = device
        self._row: tuple[int, Texts] | None = None

    def put_texts(self, row: int, texts: Texts) -> None:
        """Texts of one row of tiles."""
        held = {"text_ID": texts.text_ID, "parts_IPD": texts.parts_IPD, "parts_mask_IP": texts.parts_mask_IP}
        torch.save({name: value for name, value in held.items() if value is not None}, self.folder / f"texts-{row}.pt")

    def put_tracks(self, column: int, clips_JKD: Tensor, mask_JK: Tensor) -> None:
        """Tracks of one column of tiles."""
        torch.save((clips_JKD, mask_JK), self.folder / f"tracks-{column}.pt")

    @torch.inference_mode()
    def tile(self, row: int, column: int) -> Tensor:
        """``scores_IJ`` of a row of texts and a column of tracks, on the CPU."""
        if self._row is None or self._row[0] != row:
            held = torch.load(self.folder / f"texts-{row}.pt", map_location=self.device, weights_only=True)
            self._row = row, Texts(**held)
        clips_JKD, mask_JK = torch.load(
            self.folder / f"tracks-{column}.pt", map_location=self.device, weights_only=True
        )
        return self.scorer(self._row[1], clips_JKD, mask_JK).cpu()


@contextmanager
def embedded(model: CoLLAP, texts: Sequence[str], pairs: Pairs, tracks: Sequence[str]) -> Iterator[Embedded]:
    """Embed everything once; scores can be had as long as the context lasts.

    Raises:
        OSError: the temporary folder is full or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="collap-scores-") as folder:
        shelf = Shelf(Path(folder), model.scorer, model.device)
        texts_at_once = TEXTS_READ_AT_ONCE if model.form.fusion in FUSIONS_OF_PARTS else TEXTS_AT_ONCE
        _put_tracks(shelf, model, pairs, tracks)
        num_truncated = _put_texts(shelf, model, texts, texts_at_once)
        scores = TiledScores(
            num_texts=len(texts),
            num_tracks=len(tracks),
            texts_at_once=texts_at_once,
            tracks_at_once=TRACKS_AT_ONCE,
            tile=shelf.tile,
        )
        yield Embedded(scores=scores, num_truncated=num_truncated)


@torch.inference_mode()
def _put_tracks(shelf: Shelf, model: CoLLAP, pairs: Pairs, tracks: Sequence[str]) -> None:
    for column, first in enumerate(range(0, len(tracks), TRACKS_AT_ONCE)):
        clips_JKE, mask_JK = pad_clips(
            [
                pairs.clips(track_id, clip_seconds=model.form.clip_seconds, longest=model.form.max_track_seconds)
                for track_id in tracks[first : first + TRACKS_AT_ONCE]
            ]
        )
        clips_JKE, mask_JK = clips_JKE.to(model.device), mask_JK.to(model.device)
        shelf.put_tracks(column, model.embed_clips(clips_JKE, mask_JK), mask_JK)


@torch.inference_mode()
def _put_texts(shelf: Shelf, model: CoLLAP, texts: Sequence[str], texts_at_once: int) -> int:
    """Returns how many texts were shortened."""
    num_truncated = 0
    for row, first in enumerate(range(0, len(texts), texts_at_once)):
        of_row = texts[first : first + texts_at_once]
        read = []
        for start in range(0, len(of_row), TEXTS_READ_AT_ONCE):
            tokens = model.tower.tokenize(of_row[start : start + TEXTS_READ_AT_ONCE])
            num_truncated += tokens.num_truncated
            read.append(model.embed_texts(tokens.to(model.device)))
        shelf.put_texts(row, Texts.join(read))
    return num_truncated


def score_matrix(model: CoLLAP, texts: Sequence[str], pairs: Pairs, tracks: Sequence[str]) -> tuple[Tensor, int]:
    """The whole ``scores_IJ``, where it is small enough to hold, and how many texts were shortened."""
    with embedded(model, texts, pairs, tracks) as split:
        scores = split.scores
        rows = [
            torch.cat([scores.tile(row, column) for column in range(-(-len(tracks) // scores.tracks_at_once))], dim=1)
            for row in range(-(-len(texts) // scores.texts_at_once))
        ]
        return torch.cat(rows), split.num_truncated
