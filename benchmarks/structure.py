"""Accuracy and speed of the structure analyser on rendered songs, whose form, beats and key are known.

    python -m benchmarks.structure --seed 7 --songs 30
    python -m benchmarks.structure --seed 7 --real FOLDER

Prints one row per song with ``--verbose``, then means and CPU-seconds per minute of music. Songs of
seeds 0 and 1 were used to choose the analyser's constants; judge it by others.
``--real`` reads the audio files of a folder instead, see ``structure_real``.
Set OMP_NUM_THREADS=1: the time is CPU time of the whole process.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from benchmarks import structure_real
from data_specs.records import Structure
from data_specs.spec import StructureSettings
from tasks.demo.score import Song
from tasks.demo.song import compose
from tasks.demo.synth import render
from tasks.structure.analyse import analyse
from tasks.structure.judge import Scores, Truth, judge
from tasks.structure.spectrum import SAMPLE_RATE_HZ

_RENDER_RATE_HZ = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One analysed song."""

    song: Song
    structure: Structure
    scores: Scores
    cpu_s_per_min: float


def truth_of(song: Song) -> Truth:
    """What the composer knows of a song."""
    return Truth(
        borders_s=(*(section.start_s for section in song.sections), song.duration_s),
        letters=tuple(section.letter for section in song.sections),
        beats_s=song.beats_s,
        downbeats_s=song.downbeats_s,
        tempo_bpm=song.tempo_bpm,
        key=str(song.key),
    )


def sound_of(song: Song) -> NDArray[np.float32]:
    """The song as the analyser hears it: 16 kHz mono ``[T]``."""
    mono = render(song, _RENDER_RATE_HZ).mean(axis=1)
    return soxr.resample(mono, _RENDER_RATE_HZ, SAMPLE_RATE_HZ).astype(np.float32)


def results(seed: int, num_songs: int, repeats: int = 1) -> Iterator[Result]:
    """Compose, render, analyse and judge songs; the time is the best of ``repeats``."""
    for index in range(num_songs):
        song = compose(seed, index)
        samples = sound_of(song)
        cpu_s = []
        for _ in range(repeats):
            began = time.process_time()
            structure = analyse(samples, song.song_id, StructureSettings())
            cpu_s.append(time.process_time() - began)
        yield Result(
            song=song,
            structure=structure,
            scores=judge(structure, truth_of(song)),
            cpu_s_per_min=min(cpu_s) / (song.duration_s / 60),
        )


def mean_scores(found: list[Result]) -> dict[str, float]:
    """Mean of every score."""
    means = np.mean([astuple(result.scores) for result in found], axis=0)
    return {field.name: float(mean) for field, mean in zip(fields(Scores), means, strict=True)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--songs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3, help="analyses per song, the fastest counts")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="read these recordings instead of rendered songs")
    options = parser.parse_args()
    if options.real:
        structure_real.report(options.real, options.seed)
        return
    found = []
    for result in results(options.seed, options.songs, options.repeats):
        found.append(result)
        if options.verbose:
            _print_song(result)
    print(f"seed {options.seed}, {len(found)} songs, {sum(r.song.duration_s for r in found) / 60:.1f} minutes of music")
    for name, mean in mean_scores(found).items():
        print(f"  {name:<14}{mean:6.3f}")
    for name, (right, wrong) in _confidences(found).items():
        print(f"  {name:<14}confidence {right} where right, {wrong} where wrong")
    seconds = [result.cpu_s_per_min for result in found]
    print(f"  CPU seconds per minute of music: median {np.median(seconds):.3f}, largest {np.max(seconds):.3f}")


def _print_song(result: Result) -> None:
    song, structure = result.song, result.structure
    scores = " ".join(f"{field.name} {getattr(result.scores, field.name):.2f}" for field in fields(Scores))
    print(f"{song.song_id} {song.labels[0]:<14}{song.tempo_bpm:4.0f} {song.key!s:<9}", end="")
    print(f"-> {structure.tempo_bpm:4.0f} {structure.key:<9}", scores)
    print("    true ", " ".join(f"{s.letter}{s.num_bars}@{s.start_s:.1f}" for s in song.sections))
    print("    found", " ".join(f"{s.letter}{s.num_bars}@{s.start_s:.1f}" for s in structure.sections))


def _confidences(found: list[Result]) -> dict[str, tuple[str, str]]:
    """Mean confidence where the answer was right and where it was wrong."""
    groups: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for result in found:
        structure, scores = result.structure, result.scores
        groups["key", scores.key == 1].append(structure.key_confidence)
        groups["tempo", scores.tempo_octave == 1].append(structure.tempo_confidence)
        groups["sections", scores.hit_3s >= 0.75].append(structure.sections_confidence)

    def mean(name: str, right: bool) -> str:
        values = groups[name, right]
        return f"{np.mean(values):.2f} (n={len(values)})" if values else "- (n=0)"

    return {name: (mean(name, True), mean(name, False)) for name in ("key", "tempo", "sections")}


if __name__ == "__main__":
    main()
