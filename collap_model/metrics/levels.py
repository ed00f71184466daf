"""Where the positives of every query stand, from scores that pass by in tiles and are never held together.

A rank needs no sorting: it needs the number of items that score higher and of those that score the same.
Both are counted tile by tile, for texts along its rows and for tracks along its columns. To compare with a
positive its score must be known first, and a track's texts may lie in any row of tiles. So tiles that hold a
positive are computed twice, once to read it and once to count: where texts and tracks come in the same
order that is the diagonal, at worst it is every tile. Counting costs a comparison or two per positive and item.

Shapes: I texts, J tracks; E pairs of a text and a track that belong together; Q queries (the texts, or the
tracks) against a gallery of N; L levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Levels", "Pairing", "TiledScores", "count_levels"]

Ints = npt.NDArray[np.int64]

_COMPARED_AT_ONCE = 2**22
"""Scores times positives of a tile; bounds memory, not results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledScores:
    """The matrix of all scores as a function.

    Two scores tie where their bits are equal; identical texts or tracks tie for certain only within a tile,
    as matrix products of different shapes may sum in different orders.
    """

    num_texts: int
    num_tracks: int
    texts_at_once: int
    tracks_at_once: int
    tile: Callable[[int, int], Tensor]
    """``tile(a, b) -> scores_IJ`` of the a-th ``texts_at_once`` texts and the b-th ``tracks_at_once`` tracks.
    Called row by row, and twice where a positive lies: the same bits each time."""

    @classmethod
    def of(cls, scores_IJ: Tensor) -> TiledScores:
        """A matrix that is there already, as one tile."""
        num_texts, num_tracks = scores_IJ.shape
        return cls(
            num_texts=num_texts,
            num_tracks=num_tracks,
            texts_at_once=max(1, num_texts),
            tracks_at_once=max(1, num_tracks),
            tile=lambda _row, _column: scores_IJ,
        )


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which texts and tracks belong together, each pair once, in order of texts and then of tracks."""

    text_E: Ints
    track_E: Ints
    num_texts: int
    num_tracks: int

    @classmethod
    def of(cls, relevant: Sequence[Sequence[int]], num_tracks: int) -> Pairing:
        """From the tracks of each text.

        Raises:
            ValueError: a text without a track, a track without a text, or a track that is not there.
        """
        tracks = [sorted(set(few)) for few in relevant]
        text_E = np.repeat(np.arange(len(tracks)), [len(few) for few in tracks])
        track_E = np.array([track for few in tracks for track in few], dtype=np.int64)
        if len(track_E) and not 0 <= track_E.min() <= track_E.max() < num_tracks:
            raise ValueError(f"relevant tracks are {track_E.min()} to {track_E.max()}, there are {num_tracks} from 0")
        if not tracks or not all(tracks) or len(np.unique(track_E)) != num_tracks:
            raise ValueError("every text needs at least one relevant track, and every track a text")
        return cls(text_E, track_E, len(tracks), num_tracks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Equal scores of a query that hold at least one of its positives, queries in order, best level first."""

    query_L: Ints
    before_L: Ints
    """Items of the gallery that score higher, positives among them."""
    found_L: Ints
    """Positives that score higher."""
    positives_L: Ints
    size_L: Ints
    """Items that score the same, positives included."""


def count_levels(scores: TiledScores, pairing: Pairing) -> tuple[Levels, Levels]:
    """Levels of the texts as queries, and of the tracks.

    Raises:
        ValueError: a score that is not finite, a tile of another shape, or one that is not the same the second time.
    """
    if (pairing.num_texts, pairing.num_tracks) != (scores.num_texts, scores.num_tracks):
        raise ValueError(
            f"{pairing.num_texts} lists of positives for {pairing.num_tracks} tracks do not fit scores of "
            f"{scores.num_texts} texts and {scores.num_tracks} tracks"
        )
    lines = _Line(pairing.text_E, scores.texts_at_once), _Line(pairing.track_E, scores.tracks_at_once)
    score_E = _positives(scores, pairing)
    for row in range(-(-scores.num_texts // scores.texts_at_once)):
        for column in range(-(-scores.num_tracks // scores.tracks_at_once)):
            tile_IJ = _tile(scores, row, column)
            lines[0].count(tile_IJ, row, score_E)
            lines[1].count(tile_IJ.T.contiguous(), column, score_E)
            inside_E = _inside(scores, pairing, row, column)
            if len(inside_E) and not torch.equal(_read(scores, pairing, tile_IJ, inside_E), score_E[inside_E]):
                raise ValueError(f"tile ({row}, {column}) of scores changed between two calls; it must be a function")
    return lines[0].levels(), lines[1].levels()


class _Line:
    """One direction: positives in the order of its queries, and what has been counted for each."""

    def __init__(self, query_E: Ints, at_once: int) -> None:
        self.order_E = np.argsort(query_E, kind="stable")
        self.query_E = query_E[self.order_E]
        self.at_once = at_once
        self.greater_E = torch.zeros(len(query_E), dtype=torch.int64)
        self.equal_E = torch.zeros(len(query_E), dtype=torch.int64)

    def count(self, tile_XN: Tensor, number: int, score_E: Tensor) -> None:
        """Compare the positives of the ``number``-th queries with a part of the gallery."""
        first, last = np.searchsorted(self.query_E, [number * self.at_once, (number + 1) * self.at_once])
        step = max(1, _COMPARED_AT_ONCE // tile_XN.shape[1])
        for start in range(int(first), int(last), step):
            few = slice(start, min(start + step, int(last)))
            own_E1 = score_E[self.order_E[few]].to(tile_XN.device).unsqueeze(1)
            row_E = torch.from_numpy(self.query_E[few] - number * self.at_once).to(tile_XN.device)
            others_EN = tile_XN[row_E]
            self.greater_E[few] += (others_EN > own_E1).sum(1).cpu()
            self.equal_E[few] += (others_EN == own_E1).sum(1).cpu()

    def levels(self) -> Levels:
        order_E = np.lexsort((self.greater_E.numpy(), self.query_E))
        query_E, greater_E = self.query_E[order_E], self.greater_E.numpy()[order_E]
        new_E = np.ones(len(query_E), dtype=bool)
        new_E[1:] = (query_E[1:] != query_E[:-1]) | (greater_E[1:] != greater_E[:-1])
        first_L = np.flatnonzero(new_E)
        query_L = query_E[first_L]
        return Levels(
            query_L=query_L,
            before_L=greater_E[first_L],
            found_L=first_L - np.searchsorted(query_E, query_L),
            positives_L=np.diff(np.append(first_L, len(query_E))),
            size_L=self.equal_E.numpy()[order_E][first_L],
        )


def _positives(scores: TiledScores, pairing: Pairing) -> Tensor:
    """``score_E``, in the type that the tiles have."""
    score_E: Tensor | None = None
    for row, column in _tiles_of(scores, pairing):
        tile_IJ = _tile(scores, row, column)
        if score_E is None:
            score_E = torch.zeros(len(pairing.text_E), dtype=tile_IJ.dtype)
        inside_E = _inside(scores, pairing, row, column)
        score_E[inside_E] = _read(scores, pairing, tile_IJ, inside_E)
    assert score_E is not None
    return score_E


def _tiles_of(scores: TiledScores, pairing: Pairing) -> list[list[int]]:
    """The tiles that hold a positive, row by row."""
    rows_E, columns_E = pairing.text_E // scores.texts_at_once, pairing.track_E // scores.tracks_at_once
    tiles: list[list[int]] = np.unique(np.stack([rows_E, columns_E], axis=1), axis=0).tolist()
    return tiles


def _inside(scores: TiledScores, pairing: Pairing, row: int, column: int) -> Ints:
    """Which positives lie in a tile."""
    first, last = np.searchsorted(pairing.text_E, [row * scores.texts_at_once, (row + 1) * scores.texts_at_once])
    in_column_E = pairing.track_E[first:last] // scores.tracks_at_once == column
    return first + np.flatnonzero(in_column_E)


def _read(scores: TiledScores, pairing: Pairing, tile_IJ: Tensor, inside_E: Ints) -> Tensor:
    rows_E = torch.from_numpy(pairing.text_E[inside_E] % scores.texts_at_once)
    columns_E = torch.from_numpy(pairing.track_E[inside_E] % scores.tracks_at_once)
    return tile_IJ[rows_E.to(tile_IJ.device), columns_E.to(tile_IJ.device)].cpu()


def _tile(scores: TiledScores, row: int, column: int) -> Tensor:
    tile_IJ = scores.tile(row, column)
    text, track = row * scores.texts_at_once, column * scores.tracks_at_once
    expected = min(scores.texts_at_once, scores.num_texts - text), min(scores.tracks_at_once, scores.num_tracks - track)
    if tuple(tile_IJ.shape) != expected:
        raise ValueError(f"tile ({row}, {column}) of scores is {list(tile_IJ.shape)}, expected {list(expected)}")
    finite_IJ = tile_IJ.isfinite()
    if not finite_IJ.all():
        in_text, in_track = (~finite_IJ).nonzero()[0].tolist()
        raise ValueError(
            f"scores hold NaN or infinity, first for text {text + in_text} and track {track + in_track}; "
            "look at that track's features and at the model's weights"
        )
    return tile_IJ
