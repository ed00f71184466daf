"""How long the statistics over the captions of a whole dataset take, and how much memory.

    python -m benchmarks.caption_statistics [--captions 51300]

Captions are made up with the size of real ones: a global paragraph and 8 to 13 sections of about 24 words, words
drawn by Zipf's law from 12,000, one sentence in ten from a stock that all songs share. They are written as parts of
256 rows first, in a process of its own, so that the peak is that of the statistics alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from data_specs.outcomes import ok
from data_specs.records import LABELS, Attributes, Caption, SectionCaption
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.engine.parts import Row, write_part
from tasks.reporting.captions.statistics import caption_statistics

PART_ROWS = 256
_STEMS = [a + b + c for a in "bcdfghjklm" for b in "aeiouy" for c in "nprstvwlbdfghjkmxzcq"]
_VOCABULARY = np.array([stem + end for stem in _STEMS for end in "a e i o u y en er ing ly".split()])
_SHARES = 1 / np.arange(10, len(_VOCABULARY) + 10)
_SHARES /= _SHARES.sum()


def made_up(number: int, stock: list[str]) -> Caption:
    """One caption; the number decides all of it."""
    rng = np.random.default_rng(number)

    def text(num_sentences: int) -> str:
        own = rng.choice(_VOCABULARY, (num_sentences, 12), p=_SHARES)
        return " ".join(
            stock[int(rng.integers(len(stock)))] if rng.random() < 0.1 else f"{' '.join(line).capitalize()}."
            for line in own
        )

    bounds_s = np.cumsum(rng.uniform(8, 40, int(rng.integers(9, 15)))).round(2)
    sections = tuple(
        SectionCaption(
            start_s=float(start_s),
            end_s=float(end_s),
            label=LABELS[int(rng.integers(len(LABELS)))],
            letter="ABCDE"[int(rng.integers(5))],
            description=text(2),
            writer="model",
        )
        for start_s, end_s in zip(bounds_s - bounds_s[0], bounds_s[1:] - bounds_s[0], strict=False)
    )
    draft = Draft(
        global_text=text(5),
        attributes=Attributes(genres=("rock",), moods=("calm", "warm"), instruments=("guitar", "drums")),
        sections=sections,
        anchored=True,
    )
    name = f"track-{number:06d}"
    return assemble(name, draft, captioner="model-1", model="made-up", prompt="v1/both/one", version=0, seed=0)


def write_parts(folder: Path, num_captions: int) -> None:
    rng = np.random.default_rng(0)
    stock = [f"{' '.join(line).capitalize()}." for line in rng.choice(_VOCABULARY, (2000, 12), p=_SHARES)]
    for first in range(0, num_captions, PART_ROWS):
        captions = [made_up(number, stock) for number in range(first, min(first + PART_ROWS, num_captions))]
        rows = [Row(track_id=caption.track_id, row_key="k", outcome=ok(caption)) for caption in captions]
        name = f"train-{first // PART_ROWS:05d}"
        write_part(folder / f"{name}-0.parquet", "caption", name, "0", Caption, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=51_300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        writer = multiprocessing.get_context("spawn").Process(target=write_parts, args=(Path(name), options.captions))
        writer.start()
        writer.join()
        if writer.exitcode:
            raise SystemExit(f"the captions could not be written (exit status {writer.exitcode})")
        wall, cpu = time.monotonic(), time.process_time()
        statistics = caption_statistics(sorted(Path(name).iterdir()))
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mean = statistics.words.mean
    print(
        f"{statistics.accepted} captions of {mean:.0f} words: {wall:.1f} s wall, {cpu:.1f} CPU s, peak {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
