"""Evaluation of as many texts as tracks, from embeddings to intervals: time and peak memory.

    python -m benchmarks.evaluation --size 10000 --clips 30 --dim 512 --threads 2
    python -m benchmarks.evaluation --size 50000 --clips 4 --dim 32 --fusion mean

Vectors are random, with each text near some clip of its track. Everything else is what ``collap_model.evaluate``
does after the towers: embeddings go to disk, scores come back in tiles, ranks are counted, intervals drawn. Peak memory
is the kernel's high-water mark of this whole process (VmHWM, so Linux only), interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.score import memory_mib
from collap_model.evaluation.score_tiles import TEXTS_AT_ONCE, TRACKS_AT_ONCE, TextTiles, TrackTiles, tiled
from collap_model.metrics import measure
from collap_model.score import Score
from collap_model.text.texts import Texts


def fill(texts: TextTiles, tracks: TrackTiles, options: argparse.Namespace) -> None:
    """Random tracks, and for each a text that is near one of its clips."""
    near_JD = torch.empty(options.size, options.dim)
    for column, first in enumerate(range(0, options.size, TRACKS_AT_ONCE)):
        num_tracks = min(TRACKS_AT_ONCE, options.size - first)
        clips_JKD = normalize(torch.randn(num_tracks, options.clips, options.dim), dim=-1)
        near_JD[first : first + num_tracks] = clips_JKD[:, column % options.clips]
        tracks.append(clips_JKD, torch.ones(clips_JKD.shape[:2], dtype=torch.bool))
    text_ID = normalize(near_JD + options.noise * torch.randn_like(near_JD) * options.dim**-0.5, dim=-1)
    for text_iD in text_ID.split(TEXTS_AT_ONCE):
        texts.append(Texts(text_ID=text_iD.clone()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2000, help="texts, and tracks")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--fusion", choices=("attention", "mean", "max"), default="attention")
    parser.add_argument("--noise", type=float, default=3.0, help="of texts, in lengths of a clip")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    times: list[float] = []

    with tempfile.TemporaryDirectory() as folder:
        texts = TextTiles(Path(folder), torch.device("cpu"), at_once=TEXTS_AT_ONCE)
        tracks = TrackTiles(Path(folder), torch.device("cpu"), at_once=TRACKS_AT_ONCE)
        fill(texts, tracks, options)
        scores = tiled(Score(options.fusion), texts, tracks)

        def timed(row: int, column: int) -> Tensor:
            started = time.perf_counter()
            tile_IJ = scores.tile(row, column)
            times.append(time.perf_counter() - started)
            return tile_IJ

        started = time.perf_counter()
        measured = measure(replace(scores, tile=timed), [[number] for number in range(options.size)])
        seconds = time.perf_counter() - started
    found = measured.metrics.text_to_track.recall_at_10
    size = f"{options.size} x {options.size} x {options.clips} clips x {options.dim}"
    print(f"{options.fusion}, {size}, {options.threads} threads")
    print(f"{seconds:.1f} s, of them {sum(times):.1f} s in {len(times)} tiles of scores; rest: ranks and intervals")
    print(f"peak {memory_mib('VmHWM'):.0f} MiB; R@10 {found.value:.3f} [{found.low:.3f} .. {found.high:.3f}]")


if __name__ == "__main__":
    main()
