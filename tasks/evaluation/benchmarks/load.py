"""From a benchmark's spec to its list."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from data_specs.benchmark import (
    BenchmarkSpec,
    CaptionTable,
    GtzanLists,
    JamendoLists,
    MagnaTagATuneList,
    MusicCapsList,
    SongDescriberList,
)
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.caption_table import read_caption_table
from tasks.evaluation.benchmarks.gtzan import read_gtzan
from tasks.evaluation.benchmarks.jamendo import read_jamendo
from tasks.evaluation.benchmarks.listed import Listed
from tasks.evaluation.benchmarks.magnatagatune import read_magnatagatune
from tasks.evaluation.benchmarks.musiccaps import read_musiccaps
from tasks.evaluation.benchmarks.song_describer import read_song_describer
from tasks.select.order import TRACK_ID


def load_list(spec: BenchmarkSpec, folder: Path) -> Listed:
    """Read the published lists of a benchmark from the folder they were downloaded to.

    Raises:
        BuildError: a list is missing or of another form, an id cannot name a file, a caption is empty.
    """
    listed = _read(spec, folder)
    repeated = [track_id for track_id, n in Counter(r.track_id for r in listed.recordings).items() if n > 1]
    if repeated:
        raise BuildError(f"benchmark {spec.name}: {repeated[0]!r} is the id of two tracks; correct the list")
    for recording in listed.recordings:
        if not re.fullmatch(TRACK_ID, recording.track_id):
            raise BuildError(
                f"benchmark {spec.name}: id {recording.track_id!r} is unusable: 1 to 80 letters, digits, '-' and '_'"
            )
        if not all(recording.texts):
            raise BuildError(f"benchmark {spec.name}: an empty caption of {recording.track_id}; correct the list")
    return listed


def _read(spec: BenchmarkSpec, folder: Path) -> Listed:
    match spec.list:
        case SongDescriberList():
            return read_song_describer(spec.list, folder)
        case MusicCapsList():
            return read_musiccaps(spec.list, folder)
        case CaptionTable():
            return read_caption_table(spec.list, folder)
        case GtzanLists():
            return read_gtzan(spec.list, folder)
        case MagnaTagATuneList():
            return read_magnatagatune(spec.list, folder)
        case JamendoLists():
            return read_jamendo(spec.list, folder)
