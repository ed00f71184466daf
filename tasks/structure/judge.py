"""How well an analysis agrees with the truth of a rendered or annotated song, by mir_eval's measures.

mir_eval comes with the ``dev`` extra; nothing that builds a dataset imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mir_eval
import numpy as np

from data_specs.records import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known of a song."""

    borders_s: tuple[float, ...]
    """Section borders from 0 to the end of the song."""
    letters: tuple[str, ...]
    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    tempo_bpm: float
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Agreement of one song, each 0..1."""

    hit_3s: float
    """F of boundaries within 3 s (MIREX HR3F); the two ends of the song do not count."""
    hit_half_s: float
    """The same within 0.5 s."""
    pairwise: float
    """F of pairs of frames that share a letter."""
    v_measure: float
    key: float
    """1 where tonic and mode are right."""
    key_weighted: float
    """MIREX: a fifth off earns .5, relative .3, parallel .2."""
    tempo: float
    """Within 4 % of the truth."""
    tempo_octave: float
    """Within 4 % of the truth, its half, double, third or triple."""
    beats: float
    """F of beats within 70 ms."""
    downbeats: float


def judge(structure: Structure, truth: Truth) -> Scores:
    """Compare an analysis with the truth."""
    end_s = truth.borders_s[-1]
    reference = np.array(list(zip(truth.borders_s[:-1], truth.borders_s[1:], strict=True)))
    found = np.array([(section.start_s, section.end_s) for section in structure.sections])
    found[-1, 1] = end_s  # stored to 0.01 s; mir_eval wants equal ends
    labels = [section.letter for section in structure.sections]
    _, _, pairwise = mir_eval.segment.pairwise(reference, list(truth.letters), found, labels)
    _, _, v_measure = mir_eval.segment.vmeasure(reference, list(truth.letters), found, labels)
    ratios = {ratio: abs(structure.tempo_bpm / truth.tempo_bpm - ratio) <= 0.04 * ratio for ratio in (1, 0.5, 2)}
    ratios |= {ratio: abs(structure.tempo_bpm / truth.tempo_bpm - ratio) <= 0.04 * ratio for ratio in (1 / 3, 3)}
    return Scores(
        hit_3s=_hits(reference, found, 3.0),
        hit_half_s=_hits(reference, found, 0.5),
        pairwise=float(pairwise),
        v_measure=float(v_measure),
        key=float(structure.key == truth.key),
        key_weighted=float(mir_eval.key.weighted_score(truth.key, structure.key)),
        tempo=float(ratios[1]),
        tempo_octave=float(any(ratios.values())),
        beats=_beats(truth.beats_s, structure.beats_s),
        downbeats=_beats(truth.downbeats_s, structure.downbeats_s),
    )


def _hits(reference: np.ndarray, found: np.ndarray, window_s: float) -> float:
    # A song of one section has no boundary to find: right where none was claimed.
    if len(reference) == 1 or len(found) == 1:
        return float(len(reference) == len(found))
    return float(mir_eval.segment.detection(reference, found, window=window_s, trim=True)[2])


def _beats(reference_s: Sequence[float], found_s: Sequence[float]) -> float:
    return float(mir_eval.beat.f_measure(np.array(reference_s), np.array(found_s))) if len(found_s) else 0.0
