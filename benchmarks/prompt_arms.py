"""What the prompt's facts do to captions: the arms none, facts, boundaries, both and shuffled, side by side.

    python -m benchmarks.prompt_arms --songs 8
    python -m benchmarks.prompt_arms --songs 50 --serving serving.yaml --model moss-music-8b-instruct

The songs are rendered, so their borders are known. Without a serving file three built-in writers are measured
that do not listen, see ``caption_readers``: they say what the columns mean. Claims are read from the first answer,
before anything is mended, since mending drops what the analysis denies.

``follows`` is the leak test. Of the claims on which the told analysis and the true one disagree, one calling it
right and the other wrong, it is the share that sides with what was told: 1 for a writer that reads the prompt
instead of listening, 0 for one that listens, and about a half for one that does neither. Where nothing wrong is
told there is no such claim.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import mir_eval
import numpy as np
import soundfile

from benchmarks.caption_readers import Blind, Honest, Obedient
from benchmarks.structure import sound_of
from data_specs.hashing import file_sha256
from data_specs.outcomes import Outcome, Status
from data_specs.records import AudioFacts, Caption, Harvest, Structure
from data_specs.serving import ServingSettings, load_serving
from data_specs.spec import AudioSettings, ModelCaptions, StructureSettings
from tasks.audio.accept import accept_audio
from tasks.caption.claims import Checked, Verdict, check, check_text
from tasks.caption.generate.process import VllmProcess
from tasks.caption.generate.request import Answer, Generator, Request
from tasks.caption.generate.server import ServerGenerator
from tasks.caption.model.captioner import ModelCaptioner
from tasks.caption.model.parse import Parsed, Wanted, parse_answer
from tasks.caption.model.shuffle import shuffled
from tasks.demo.song import compose
from tasks.structure.analyse import analyse
from tasks.structure.spectrum import SAMPLE_RATE_HZ

ARMS = ("none", "facts", "boundaries", "both", "shuffled")
_ANCHORED = ("boundaries", "both", "shuffled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """One song with what was measured in it, and its true borders from 0 to the end."""

    audio: AudioFacts
    structure: Structure
    borders_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm. A column is None where it says nothing."""

    accepted: float
    flaws: float | None
    """Per caption, of the first answer."""
    words: float | None
    """Median."""
    repetition: float | None
    claims: float
    """Per song, that can be checked."""
    supported: float | None
    contradicted: float | None
    follows: float | None
    hit_3s: float | None
    """F of the borders that the model chose."""


class Recorder:
    """A ``Generator`` that keeps the first answer on each track."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._lock = threading.Lock()
        self.first: dict[str, str] = {}

    def generate(self, request: Request) -> Answer:
        answer = self._generator.generate(request)
        with self._lock:
            self.first.setdefault(request.track_id, answer.text)
        return answer


def measure(
    songs: Sequence[Song], arm: str, generator: Generator, settings: ModelCaptions, workspace: Path, threads: int = 1
) -> Row:
    """Caption all songs under one arm, in one pass, and score the captions."""
    settings = settings.model_copy(update={"facts": arm, "passes": "one"})
    recorder = Recorder(generator)
    captioner = ModelCaptioner(settings, recorder)
    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(pool.map(lambda song: captioner.caption(song.audio, song.structure, 0, workspace), songs))
    anchored = arm in _ANCHORED
    answers = [read(recorder.first.get(song.audio.track_id, ""), song, anchored) for song in songs]
    checked = [_checked(answer, song, anchored) for answer, song in zip(answers, songs, strict=True)]
    told = [shuffled(song.structure, settings.seed) if arm == "shuffled" else song.structure for song in songs]
    sides = [side for one, song, lie in zip(checked, songs, told, strict=True) for side in _sides(one, song, lie)]
    verdicts = [c.verdict for one in checked for c in one if c.verdict is not Verdict.UNCHECKED]
    borders = [] if anchored else [hits(answer, song) for answer, song in zip(answers, songs, strict=True)]
    return _row(outcomes, verdicts, sides, borders)


def _row(
    outcomes: Sequence[Outcome[Caption]], verdicts: Sequence[Verdict], sides: Sequence[bool], borders: Sequence[float]
) -> Row:
    captions = [outcome.record for outcome in outcomes if outcome.record is not None]
    return Row(
        accepted=fmean(outcome.status is Status.OK for outcome in outcomes),
        flaws=fmean(len(caption.flaws) for caption in captions) if captions else None,
        words=median(caption.num_words for caption in captions) if captions else None,
        repetition=fmean(caption.repetition for caption in captions) if captions else None,
        claims=len(verdicts) / len(outcomes),
        supported=fmean(v is Verdict.SUPPORTED for v in verdicts) if verdicts else None,
        contradicted=fmean(v is Verdict.CONTRADICTED for v in verdicts) if verdicts else None,
        follows=fmean(sides) if sides else None,
        hit_3s=fmean(borders) if borders else None,
    )


def read(text: str, song: Song, anchored: bool) -> Parsed:
    """An answer on a whole song, before it is mended."""
    sections = song.structure.sections if anchored else ()
    wanted = Wanted(
        indices=tuple(range(len(sections))),
        wants_global=True,
        anchored=anchored,
        duration_s=song.structure.duration_s,
        spans=tuple((s.start_s, s.end_s) for s in sections),
    )
    return parse_answer(text, wanted)


def _checked(answer: Parsed, song: Song, anchored: bool) -> list[Checked]:
    found = check_text(answer.global_text, None, song.structure)
    for index, text in answer.descriptions.items():
        found += check_text(text, index if anchored else None, song.structure)
    return found


def _sides(checked: Sequence[Checked], song: Song, told: Structure) -> list[bool]:
    """Per claim on which told and true analysis disagree: whether it sides with what was told."""
    sides = []
    for item in checked:
        verdicts = {item.verdict, of_told := check(item.claim, item.index, told)}
        if verdicts == {Verdict.SUPPORTED, Verdict.CONTRADICTED}:
            sides.append(of_told is Verdict.SUPPORTED)
    return sides


def hits(answer: Parsed, song: Song) -> float:
    """F of borders within 3 s (MIREX HR3F), the ends of the song not counted; 0 for an answer without sections."""
    end_s = song.borders_s[-1]
    inner = sorted({start_s for start_s, _, _ in answer.spans if 0 < start_s < end_s})
    if not answer.spans or len(song.borders_s) < 3:
        return float(bool(answer.spans) and not inner and len(song.borders_s) < 3)
    reference, found = (np.array(list(pairwise(b))) for b in (song.borders_s, (0.0, *inner, end_s)))
    return float(mir_eval.segment.detection(reference, found, window=3.0, trim=True)[2]) if inner else 0.0


def rendered(seed: int, num_songs: int, workspace: Path) -> list[Song]:
    """Composed, rendered, accepted and analysed as in a build."""
    songs = []
    for index in range(num_songs):
        song = compose(seed, index)
        samples_T = sound_of(song)
        path = workspace / f"{song.song_id}.wav"
        soundfile.write(path, samples_T, SAMPLE_RATE_HZ)
        harvest = Harvest(
            track_id=song.song_id,
            file=path.name,
            sha256=file_sha256(str(path)),
            num_bytes=path.stat().st_size,
            container="wav",
        )
        audio = accept_audio(song.song_id, harvest, AudioSettings(min_duration_s=0), workspace).record
        assert audio is not None
        structure = replace(analyse(samples_T, song.song_id, StructureSettings()), duration_s=audio.duration_s)
        borders_s = (*(section.start_s for section in song.sections), song.duration_s)
        songs.append(Song(audio=audio, structure=structure, borders_s=borders_s))
    return songs


def print_table(name: str, rows: Mapping[str, Row]) -> None:
    names = [field.name for field in fields(Row)]
    print(f"\n{name}")
    print(f"{'arm':<12}" + "".join(f"{column:>13}" for column in names))
    for arm, row in rows.items():
        values = [getattr(row, column) for column in names]
        print(f"{arm:<12}" + "".join(f"{'-' if value is None else f'{value:.2f}':>13}" for value in values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--serving", type=Path, help="serving file of a model; without it the built-in writers")
    parser.add_argument("--captioner", choices=("server", "vllm"), default="server")
    parser.add_argument("--model", default="moss-music-8b-instruct", help="preset that the serving file serves")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        workspace = Path(folder)
        songs = rendered(options.seed, options.songs, workspace)
        if options.serving is None:
            settings = ModelCaptions(captioner="server", min_words=0, max_refills=0)
            records = {song.audio.track_id: (song.audio, song.structure) for song in songs}
            writers: dict[str, Generator] = {"obedient": Obedient(), "honest": Honest(records), "blind": Blind()}
            threads = 1
        else:
            settings = ModelCaptions(captioner=options.captioner, model=options.model)
            serving = load_serving(options.serving)
            writers = {options.model: _opened(settings, serving, workspace, stack)}
            threads = serving.requests
        for name, writer in writers.items():
            rows = {arm: measure(songs, arm, writer, settings, workspace, threads) for arm in options.arms}
            print_table(f"{name}, {len(songs)} songs of seed {options.seed}", rows)


def _opened(settings: ModelCaptions, serving: ServingSettings, workspace: Path, stack: ExitStack) -> Generator:
    model, stopped = settings.music_llm, threading.Event()
    if settings.captioner == "server":
        return stack.enter_context(ServerGenerator(serving, model, stopped, print))
    return stack.enter_context(VllmProcess(serving, model, stopped, print, workspace / "vllm.log"))


if __name__ == "__main__":
    main()
