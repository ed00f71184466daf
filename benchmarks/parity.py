"""How far what we compute is from its originals and its definitions: the largest difference of any value, seeded.

    python -m benchmarks.parity

A row is a function that computes both and returns the largest difference; add it to ``rows``. The command fails
where one exceeds its bound. Weights are small and random; BEATs' originals are numbers kept by ``beats_golden``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import get_args

from benchmarks import parity_encoders, parity_frontends, parity_scores
from benchmarks.beats_golden import CASES
from collap_model.choices import FusionName

__all__ = ["Row", "rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """``difference`` is what is measured; ``bound`` what it may be at most."""

    what: str
    against: str
    bound: float
    difference: Callable[[], float]


def rows() -> Iterator[Row]:
    """Frontends, encoders, store, scores, saved models."""
    extractor = "transformers.WhisperFeatureExtractor"
    yield Row("filter bank, 8 x 10 s", "torchaudio.compliance.kaldi, each alone", 1e-5, parity_frontends.filter_bank)
    yield Row("BEATs' input, 8 x 10 s", "torchaudio, official scaling", 1e-5, parity_frontends.filter_bank_of_beats)
    yield Row("filter bank, 4 lengths", "torchaudio, each alone", 1e-5, parity_frontends.filter_bank_in_a_batch)
    for num_mels in (80, 128):
        log_mel = partial(parity_frontends.whisper_mel, num_mels)
        yield Row(f"log-mel, {num_mels} mels, 2 x 30 s", extractor, 1e-5, log_mel)
    for case in CASES:
        yield Row(f"BEATs, {case.name}", "the official code", 1e-5, partial(parity_encoders.beats, case.name))
    yield Row("Whisper's frames, 30 and 7.3 s", "transformers, each alone", 1e-5, parity_encoders.whisper)
    yield Row("MERT's frames, 5 and 3.3 s", "transformers, each alone", 1e-5, parity_encoders.mert)
    for name in ("beats", "whisper", "mert"):
        in_company = partial(parity_encoders.company, name)
        yield Row(f"{name}, 6 tracks together", "each alone", 1e-5, in_company)
        for is_stored, bound in ((False, 1e-5), (True, 2e-3)):
            pooled = partial(parity_encoders.re_pooling, name, is_stored=is_stored)
            yield Row(f"{name}, clips{' of the store' * is_stored}, 1 to 60 s", "means of frames", bound, pooled)
    for fusion in get_args(FusionName):
        yield Row(f"{fusion} scores", "materialised", 2e-6, partial(parity_scores.values, fusion))
        yield Row(f"{fusion} gradients", "materialised", 1e-5, partial(parity_scores.gradients, fusion))
        yield Row(f"{fusion} scores, padded with NaN", "each pair alone", 2e-6, partial(parity_scores.padding, fusion))
        yield Row(f"{fusion} model, saved and loaded", "itself", 0.0, partial(parity_scores.saved, fusion))


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from transformers.utils import logging

    logging.disable_progress_bar()  # of loading: it would stand between the rows
    num_beyond = 0
    print(f"{'what':40} {'against':39} {'difference':>10} {'bound':>8}")
    for row in rows():
        difference = row.difference()
        is_beyond = not difference <= row.bound  # NaN too
        num_beyond += is_beyond
        print(f"{row.what:40} {row.against:39} {difference:10.1e} {row.bound:8.0e}{'  BEYOND' if is_beyond else ''}")
    return 1 if num_beyond else 0


if __name__ == "__main__":
    sys.exit(main())
