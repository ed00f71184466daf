"""The analyser on recordings, where nobody wrote the form down: called by ``benchmarks.structure --real FOLDER``.

``mixes``     excerpts of 16 to 38 s of the folder's tracks, put together as ABACB and the like with
              cross-fades of 1 s (FUTGA's recipe, arXiv 2407.20445): the joints are known exactly. Half the
              mixes take all excerpts from one track. An excerpt has borders of its own, which count as
              false here, so precision is a lower bound. Seeds 0 and 1 chose constants; other seeds
              make other excerpts and forms of the same tracks.
``whole``     whole tracks without any truth: how long sections are, how much time decoding and
              analysis take, and how many borders stay where they are (F within 3 s) when the track is read
              again without its first 2.7 s, which moves every frame, bar and window.
``librosa``   where it is installed, agreement with its beat tracker, which shares no code with ours.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import mir_eval
import numpy as np
from numpy.typing import NDArray

from data_specs.records import Structure
from data_specs.spec import StructureSettings
from tasks.audio.decode import AudioFile
from tasks.audio.resample import Resampler
from tasks.structure.analyse import analyse
from tasks.structure.spectrum import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

FORMS = ("ABACB", "ABAB", "ABCA", "AABA", "ABACABA", "ABCBAC")
NUM_MIXES = 20
_SHORTEST_S = 60.0
_LONG_S = 200.0
"""A track must be this long to give all excerpts of a mix."""
_EXCERPT_S = (16, 38)
_MOVED_S = 2.7
_USUAL_S = (10.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Excerpts in a row and where they meet."""

    samples: Samples
    borders_s: tuple[float, ...]
    letters: tuple[str, ...]


def report(folder: Path, seed: int) -> None:
    """Print all figures for the audio files below ``folder``."""
    tracks, decode_s = _decoded(folder)
    if not tracks:
        raise SystemExit(f"no audio file of at least {_SHORTEST_S:.0f} s below {folder}")
    minutes = sum(len(samples) for samples in tracks.values()) / SAMPLE_RATE_HZ / 60
    print(f"{folder.name}: {len(tracks)} tracks of {_SHORTEST_S:.0f} s or more, {minutes:.1f} minutes")
    _report_mixes([mix(tracks, seed, index) for index in range(NUM_MIXES)], seed)
    began = time.process_time()
    found = {name: analyse(samples, name, StructureSettings()) for name, samples in tracks.items()}
    analyse_s = time.process_time() - began
    _report_whole(tracks, found)
    print(f"  CPU seconds per minute: decoding {decode_s / minutes:.3f}, analysis {analyse_s / minutes:.3f}")
    if importlib.util.find_spec("librosa") is None:
        print("librosa is not installed: no second opinion on tempo and beats")
    else:
        _report_librosa(tracks, found)


def mix(tracks: dict[str, Samples], seed: int, index: int) -> Mix:
    """Mix number ``index``: even ones take their excerpts from one track, odd ones from one track per letter."""
    rng = np.random.default_rng([seed, index, 99])
    form = FORMS[rng.integers(len(FORMS))]
    usable = sorted(tracks)[seed % 2 :: 2]
    names = [usable[place] for place in rng.permutation(len(usable))]
    excerpts: dict[str, Samples] = {}
    single: str | None = None
    for place, letter in enumerate(sorted(set(form))):
        length = int(rng.uniform(*_EXCERPT_S) * SAMPLE_RATE_HZ)
        from_one = index % 2 == 0
        name = single if single is not None and from_one else _next_name(names, tracks, from_one)
        single = name
        samples = tracks[name]
        start = int(rng.integers(0, len(samples) - length))
        if from_one:
            third = len(samples) // 3
            start = place * third + int(rng.integers(0, max(third - length, 1)))
        excerpts[letter] = samples[start : start + length]
    return _joined(form, excerpts)


def _next_name(names: list[str], tracks: dict[str, Samples], is_long: bool) -> str:
    shortest = (_LONG_S if is_long else _SHORTEST_S) * SAMPLE_RATE_HZ
    while names:
        name = names.pop()
        if len(tracks[name]) > shortest:
            return name
    raise SystemExit(f"too few tracks of {shortest / SAMPLE_RATE_HZ:.0f} s for mixes")


def _joined(form: str, excerpts: dict[str, Samples]) -> Mix:
    fade = SAMPLE_RATE_HZ
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    whole = excerpts[form[0]].copy()
    borders = [0.0]
    for letter in form[1:]:
        part = excerpts[letter]
        whole[-fade:] = whole[-fade:] * np.sqrt(1 - ramp) + part[:fade] * np.sqrt(ramp)
        borders.append((len(whole) - fade / 2) / SAMPLE_RATE_HZ)
        whole = np.concatenate([whole, part[fade:]])
    return Mix(samples=whole, borders_s=(*borders, len(whole) / SAMPLE_RATE_HZ), letters=tuple(form))


def _report_mixes(mixes: list[Mix], seed: int) -> None:
    rows = []
    right: list[float] = []
    wrong: list[float] = []
    for made in mixes:
        structure = analyse(made.samples, "mix", StructureSettings())
        true, found = _spans(made.borders_s), _borders(structure, made.borders_s[-1])
        wide = mir_eval.segment.detection(true, _spans(found), window=3.0, trim=True) if len(found) > 2 else (0.0,) * 3
        narrow = mir_eval.segment.detection(true, _spans(found), window=0.5, trim=True)[2] if len(found) > 2 else 0.0
        letters = [section.letter for section in structure.sections]
        pairs = mir_eval.segment.pairwise(true, list(made.letters), _spans(found), letters)[2]
        rows.append((*wide, narrow, pairs, len(letters), len(made.letters)))
        for section in structure.sections[1:]:
            near = min(abs(section.start_s - border) for border in made.borders_s[1:-1]) <= 3
            (right if near else wrong).append(section.boundary_confidence)
    means = np.mean(rows, axis=0)
    print(f"mixes of seed {seed}: HR@3s {means[2]:.3f} (precision {means[0]:.3f}, recall {means[1]:.3f}), ", end="")
    print(f"HR@0.5s {means[3]:.3f}, pairwise {means[4]:.3f}, {means[5]:.1f} sections for {means[6]:.1f}")
    print(f"  boundary confidence {np.mean(right):.2f} at joints, {np.mean(wrong):.2f} elsewhere")


def _report_whole(tracks: dict[str, Samples], found: dict[str, Structure]) -> None:
    medians, stays, most = [], [], 0
    for name, samples in tracks.items():
        borders = np.array(_borders(found[name], len(samples) / SAMPLE_RATE_HZ))
        medians.append(float(np.median(np.diff(borders))))
        most = max(most, len(borders) - 1)
        again = analyse(samples[round(_MOVED_S * SAMPLE_RATE_HZ) :], name, StructureSettings())
        moved = [border + _MOVED_S for border in _borders(again, borders[-1] - _MOVED_S)[1:-1]]
        stays.append(_agreement(borders[1:-1].tolist(), moved))
    usual = np.mean([_USUAL_S[0] <= median <= _USUAL_S[1] for median in medians])
    print(f"whole tracks: median section {np.median(medians):.1f} s, a track's median ", end="")
    print(f"{min(medians):.1f} to {max(medians):.1f} s, within 10 to 30 s in {usual:.2f}; at most {most} sections")
    print(f"  borders that stay when the track is read again 2.7 s later: F {np.mean(stays):.3f}")


def _report_librosa(tracks: dict[str, Samples], found: dict[str, Structure]) -> None:
    import librosa  # type: ignore[import-not-found]  # not a dependency

    rows = []
    for name, samples in tracks.items():
        tempo, beats = librosa.beat.beat_track(y=samples, sr=SAMPLE_RATE_HZ, units="time")
        ratio = found[name].tempo_bpm / float(np.atleast_1d(tempo)[0])
        octave = any(abs(ratio / whole - 1) <= 0.04 for whole in (1, 2, 0.5, 3, 1 / 3))
        measure = mir_eval.beat.f_measure(beats, np.array(found[name].beats_s))
        rows.append((abs(ratio - 1) <= 0.04, octave, measure, found[name].tempo_confidence >= 0.5))
    for title, kept in (("all tracks", rows), ("tempo confidence .5 and up", [row for row in rows if row[3]])):
        means = np.mean(kept, axis=0) if kept else np.full(4, np.nan)
        print(f"librosa {librosa.__version__}, {title} ({len(kept)}): same tempo {means[0]:.2f}, ", end="")
        print(f"up to the octave {means[1]:.2f}, beat F {means[2]:.2f}")


def _agreement(first_s: list[float], second_s: list[float]) -> float:
    """F of two sets of borders within 3 s; 1 where neither has any."""
    if not first_s or not second_s:
        return float(first_s == second_s)
    hits = len(mir_eval.util.match_events(np.array(first_s), np.array(second_s), 3.0))
    return 2 * hits / (len(first_s) + len(second_s))


def _borders(structure: Structure, end_s: float) -> list[float]:
    return [*(section.start_s for section in structure.sections), end_s]


def _spans(borders_s: list[float] | tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(list(pairwise(borders_s)))


def _decoded(folder: Path) -> tuple[dict[str, Samples], float]:
    """The folder's tracks as the audio stage leaves them, 16 kHz mono, and the CPU seconds it took."""
    began = time.process_time()
    tracks = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".ogg", ".mp3", ".m4a", ".flac", ".wav"}):
        with AudioFile(path) as audio:
            resampler = Resampler(audio.sample_rate_hz)
            blocks = [resampler.add(block.mean(axis=0)) for block in audio.blocks()]
        samples = np.concatenate([*blocks, resampler.end()]).astype(np.float32) * np.float32(1 / 32768)
        if len(samples) >= _SHORTEST_S * SAMPLE_RATE_HZ:
            tracks[path.stem] = samples
    return tracks, time.process_time() - began
