"""Scores of every text against every track, computed tile by tile and computed again where gradients are needed.

A fusion is written as plain torch over one small tile of queries and tracks. Only the inputs outlive the
forward pass: the backward pass runs each tile once more, with autograd inside it, and adds up its gradients,
as gradient checkpointing does (Chen et al. 2016, arXiv:1604.06174), but without a graph per tile.
Memory beside inputs and gradients is a few times ``elements`` numbers, however many texts and tracks there are.

Tracks are taken in order of length and cut to the longest of their tile, so padding is hardly computed.
Cutting also cleans: padding is replaced by selection (0 * NaN is NaN), so nothing in it can poison a result.

Shapes: I texts, Q queries (vectors of texts: one each, or its parts), J tracks, K clips, D joint dim;
small letters are those of a tile. Queries come last, ``[j, K, q]``: reductions over clips then run along
contiguous queries, and the product with a Gram matrix needs no transposition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Fuse", "Queries", "Tile", "Tracks", "in_tiles", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """The vectors that look at clips, text after text."""

    vectors_QD: Tensor
    at_Q: Tensor
    """Where in the track a query expects its music, in 0..1; NaN where anywhere will do."""
    counts: list[int]
    """Queries per text, each at least 1. A text's score is the mean over its queries."""

    def share_QI(self, first: int = 0, last: int | None = None) -> Tensor:
        """What each query counts in each of the texts ``first..last``: 1 / count in its own, 0 elsewhere."""
        counts_I = torch.tensor(self.counts[first:last], device=self.vectors_QD.device)
        return torch.diag(1.0 / counts_I.to(self.vectors_QD.dtype)).repeat_interleave(counts_I, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Clips as they come, padding and what it may hold included."""

    clips_JKD: Tensor
    mask_JK: Tensor
    at_JK: Tensor
    """Where in its track a real clip stands, in 0..1."""
    extents: list[int]
    """Index of each track's last real clip + 1, so at least 1."""


@dataclass(frozen=True, slots=True)
class Tile:
    """What a fusion sees: some queries and some tracks. Clips are zero where masked."""

    queries_QD: Tensor
    queries_at_Q: Tensor
    clips_JKD: Tensor
    clips_at_JK: Tensor
    mask_JK: Tensor

    def products_JKQ(self) -> Tensor:
        """Every clip against every query, as one matrix product."""
        return (self.clips_JKD.flatten(0, 1) @ self.queries_QD.T).unflatten(0, self.mask_JK.shape)

    def softmax_JKQ(self, logits_JKQ: Tensor) -> Tensor:
        """Weights over real clips."""
        return logits_JKQ.masked_fill(~self.mask_JK.unsqueeze(-1), -torch.inf).softmax(1)


Fuse = Callable[..., Tensor]
"""``fuse(tile, *numbers) -> scores_JQ`` with the learned numbers of a fusion."""


def whole(queries: Queries, tracks: Tracks) -> Tile:
    """Everything as one tile."""
    return Tile(
        queries.vectors_QD,
        queries.at_Q,
        tracks.clips_JKD.masked_fill(~tracks.mask_JK.unsqueeze(-1), 0.0),
        tracks.at_JK,
        tracks.mask_JK,
    )


def in_tiles(fuse: Fuse, queries: Queries, tracks: Tracks, *numbers: Tensor, elements: int) -> Tensor:
    """``scores_IJ``, differentiable once in query vectors, clips and ``numbers``.

    ``elements`` bounds ``j * K * q`` of a tile, but a tile has at least one text and one track.
    It changes results by no more than the order of float sums does.
    """
    scores: Tensor = _InTiles.apply(fuse, queries, tracks, elements, queries.vectors_QD, tracks.clips_JKD, *numbers)
    return scores


@dataclass(frozen=True, slots=True)
class _TextRange:
    """Texts of a tile and their queries."""

    texts: slice
    queries: slice
    share_QI: Tensor | None
    """None where each text has one query."""

    @property
    def num_queries(self) -> int:
        return int(self.queries.stop - self.queries.start)


def _text_ranges(queries: Queries, elements: int) -> list[_TextRange]:
    """Runs of whole texts with about the square root of ``elements`` queries: square tiles multiply fastest."""
    side, ranges, first, start, stop = isqrt(elements), [], 0, 0, 0
    plain = all(count == 1 for count in queries.counts)
    for text, count in enumerate(queries.counts):
        stop += count
        last = text + 1 == len(queries.counts)
        if last or stop + queries.counts[text + 1] - start > side:
            share_QI = None if plain else queries.share_QI(first, text + 1)
            ranges.append(_TextRange(slice(first, text + 1), slice(start, stop), share_QI))
            first, start = text + 1, stop
    return ranges


def _track_groups(lengths: list[int], num_queries: int, elements: int) -> Iterator[tuple[slice, int]]:
    """Runs of tracks that rise in length, and the longest of each."""
    start = 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or (stop + 1 - start) * lengths[stop] * num_queries > elements:
            yield slice(start, stop), lengths[stop - 1]
            start = stop


def _tiles(queries: Queries, tracks: Tracks, elements: int) -> Iterator[tuple[Tensor, list[_TextRange], Tile]]:
    """Per group of tracks: their indices, the ranges of texts, and a tile of these tracks with all queries."""
    ranges = _text_ranges(queries, elements)
    most = max((run.num_queries for run in ranges), default=1)
    order = sorted(range(len(tracks.extents)), key=tracks.extents.__getitem__)
    order_J = torch.tensor(order, dtype=torch.long, device=tracks.mask_JK.device)
    for group, longest in _track_groups([tracks.extents[track] for track in order], most, elements):
        index_J = order_J[group]
        mask_JK = tracks.mask_JK[index_J, :longest]
        clips_JKD = tracks.clips_JKD[:, :longest].index_select(0, index_J)
        clips_JKD.masked_fill_(~mask_JK.unsqueeze(-1), 0.0)
        at_JK = tracks.at_JK[index_J, :longest]
        yield index_J, ranges, Tile(queries.vectors_QD, queries.at_Q, clips_JKD, at_JK, mask_JK)


def _scores_JI(fuse: Fuse, tile: Tile, run: _TextRange, numbers: tuple[Tensor, ...]) -> Tensor:
    scores_JQ = fuse(tile, *numbers)
    return scores_JQ if run.share_QI is None else scores_JQ @ run.share_QI


class _InTiles(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        fuse: Fuse,
        queries: Queries,
        tracks: Tracks,
        elements: int,
        vectors_QD: Tensor,
        clips_JKD: Tensor,
        *numbers: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(vectors_QD, clips_JKD, *numbers)
        # Without the tensors that autograd watches: a context that holds its own inputs never dies.
        none = vectors_QD.new_empty(0)
        ctx.plan = fuse, replace(queries, vectors_QD=none), replace(tracks, clips_JKD=none), elements
        scores_IJ = vectors_QD.new_empty(len(queries.counts), len(clips_JKD))
        for index_J, ranges, group in _tiles(queries, tracks, elements):
            for run in ranges:
                tile = replace(group, queries_QD=vectors_QD[run.queries], queries_at_Q=group.queries_at_Q[run.queries])
                scores_IJ[run.texts, index_J] = _scores_JI(fuse, tile, run, numbers).T
        return scores_IJ

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_IJ: Tensor) -> tuple[Tensor | None, ...]:
        vectors_QD, clips_JKD, *numbers = (tensor.detach() for tensor in ctx.saved_tensors)
        fuse, queries, tracks, elements = ctx.plan
        queries, tracks = replace(queries, vectors_QD=vectors_QD), replace(tracks, clips_JKD=clips_JKD)
        totals = [torch.zeros_like(tensor) for tensor in (vectors_QD, clips_JKD, *numbers)]
        learned = tuple(number.requires_grad_() for number in numbers)
        with torch.enable_grad(), torch.autocast(grad_IJ.device.type, enabled=False):
            for index_J, ranges, group in _tiles(queries, tracks, elements):
                clips = group.clips_JKD.requires_grad_()
                total_JKD = torch.zeros_like(clips)
                for run in ranges:
                    part = vectors_QD[run.queries].requires_grad_()
                    tile = replace(group, queries_QD=part, queries_at_Q=group.queries_at_Q[run.queries])
                    scores_JI = _scores_JI(fuse, tile, run, learned)
                    grads = torch.autograd.grad(scores_JI, [part, clips, *learned], grad_IJ[run.texts, index_J].T)
                    totals[0][run.queries] += grads[0]
                    total_JKD += grads[1]
                    for total, grad in zip(totals[2:], grads[2:], strict=True):
                        total += grad
                totals[1][index_J, : total_JKD.shape[1]] = total_JKD
        return None, None, None, None, *totals
