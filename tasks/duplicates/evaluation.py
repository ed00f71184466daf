"""The gate: no track that a model learns from may be among what it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.hashing import digest, file_sha256
from data_specs.publish import publish
from data_specs.spec import DuplicateSettings, EvaluationSettings, LocalSource
from tasks.duplicates.clusters import Leak, Song
from tasks.duplicates.fingerprint import ALGORITHM, fingerprint_file
from tasks.duplicates.match import Fingerprints, find_matches
from tasks.duplicates.passage import FEWEST_VALUES, Values, span_s, values_within
from tasks.engine.errors import BuildError
from tasks.engine.pools import Pools
from tasks.engine.workspace import Workspace
from tasks.select.evaluation import read_evaluation_ids

SUFFIXES = frozenset((*LocalSource.model_fields["suffixes"].default, ".au", ".aif", ".wma", ".oga", ".mka"))

_SLACK_S = 1.0
"""A clip counts as contained if all but this much of it is found."""

_SHORTEST_S = span_s(FEWEST_VALUES) + _SLACK_S
_LISTED = 10

_CACHE = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("values", pa.list_(pa.uint32()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, order=True)
class _File:
    path: str
    num_bytes: int
    mtime_ns: int


def evaluation_identity(settings: EvaluationSettings) -> list[object]:
    """What the evaluation data are, as plain data: hashes of the lists; path, size and time of the audio.

    Raises:
        BuildError: a list or folder is missing, or a folder holds no audio.
    """
    try:
        lists = [[path, file_sha256(path)] for path in settings.ids]
    except OSError as error:
        raise BuildError(
            f"cannot read evaluation ids {error.filename}: {error.strerror}; correct evaluation.ids"
        ) from None
    return [lists, [[file.path, file.num_bytes, file.mtime_ns] for file in _audio_files(settings.audio)]]


def id_leaks(songs: Sequence[Song], settings: EvaluationSettings) -> dict[int, Leak]:
    """Training and validation songs that the source knows by an evaluation id, by their place."""
    if not settings.ids:
        return {}
    wanted = read_evaluation_ids(settings.ids)
    leaks = {}
    for place, song in enumerate(songs):
        found = sorted(wanted & song.site_ids)
        if found and song.split != "test":
            leaks[place] = Leak(matched=found[0], how="id")
    return leaks


def audio_leaks(
    songs: Sequence[Song],
    prints: Fingerprints,
    clips: Mapping[str, Values],
    bounds: DuplicateSettings,
    check: Callable[[], None] = lambda: None,
) -> dict[int, Leak]:
    """Training and validation songs that contain evaluation audio, by their place; the surest match each.

    A clip shorter than ``bounds.min_overlap_s`` must be contained all but a second. ``check`` as for ``find_matches``.
    """
    places = [place for place, song in enumerate(songs) if song.split != "test"]
    if not clips or not places:
        return {}
    paths = list(clips)
    items = Fingerprints.of([*clips.values(), *(prints[place] for place in places)])
    shortest = [values_within(min(bounds.min_overlap_s, span_s(len(clips[path])) - _SLACK_S)) for path in paths]
    found = find_matches(
        items, bounds.max_error_rate, [*shortest, *[0] * len(places)], num_queries=len(paths), check=check
    )
    leaks: dict[int, Leak] = {}
    for match in sorted(found, key=lambda match: -match.passage.gain):
        passage = match.passage
        leak = Leak(
            matched=paths[match.first],
            how="audio",
            error_rate=passage.error_rate,
            overlap_s=passage.overlap_s,
            offset_s=passage.offset_s,
        )
        leaks.setdefault(places[match.second - len(paths)], leak)
    return leaks


def evaluation_fingerprints(settings: EvaluationSettings, workspace: Workspace, pools: Pools) -> dict[str, Values]:
    """The fingerprint of every audio file in the evaluation folders, by path.

    Those of an earlier build are taken from the workspace where path, size and time are unchanged.

    Raises:
        BuildError: a folder is missing or empty, or a file cannot be compared (no sound that can be
            decoded, or too short): what is not compared must not count as clean.
    """
    files = _audio_files(settings.audio)
    if not files:
        return {}
    path = workspace.root / "duplicates" / f"evaluation-{digest(ALGORITHM, sorted(settings.audio))}.parquet"
    cached = _read_cache(path)
    new = [file for file in files if file not in cached]
    trouble = []
    for file, result in pools.map("processes", _fingerprint, new):
        if isinstance(result, BuildError):
            raise result
        if isinstance(result, Exception):
            trouble.append(f"{file.path}: {result}")
        else:
            cached[file] = result
    current = {file: cached[file] for file in files if file in cached}
    if new:
        _write_cache(path, current)
    trouble += [
        f"{file.path}: {span_s(len(values)) if len(values) else 0:.1f} s of sound, at least {_SHORTEST_S:.1f} s needed"
        for file, values in current.items()
        if span_s(len(values)) < _SHORTEST_S
    ]
    if trouble:
        raise BuildError(
            f"{len(trouble)} of {len(files)} evaluation files cannot be compared; repair them or take them out of "
            f"evaluation.audio:\n" + _listed(sorted(trouble))
        )
    return {file.path: values for file, values in current.items()}


def settle_leaks(
    songs: Sequence[Song], leaks: Mapping[int, Leak], settings: EvaluationSettings, workspace: Workspace
) -> None:
    """Write ``leakage.parquet``, one row per leak; none, no file.

    Raises:
        BuildError: there are leaks and ``on_match`` is ``fail``. What was published before is withdrawn:
            the same tracks would be learned from.
    """
    report = workspace.root / "leakage.parquet"
    if not leaks:
        report.unlink(missing_ok=True)
        return
    table = pa.Table.from_pylist(
        [
            {
                "track_id": songs[place].track_id,
                "split": songs[place].split,
                "matched": leak.matched,
                "how": leak.how,
                "error_rate": leak.error_rate,
                "overlap_s": leak.overlap_s,
                "offset_s": leak.offset_s,
            }
            for place, leak in sorted(leaks.items())
        ],
        schema=_LEAKS,
    )
    with publish(report) as (file, _):
        pq.write_table(table, file, compression="zstd")
    if settings.on_match == "fail":
        workspace.withdraw()
        lines = [
            f"{songs[place].track_id} ({songs[place].split}) matches {leak}" for place, leak in sorted(leaks.items())
        ]
        raise BuildError(
            f"tracks to learn from are among the evaluation data: {len(leaks)}, see {report}. Leave them out "
            f"(evaluation.on_match: drop) or forget them (collap forget). Nothing is published:\n" + _listed(lines)
        )


_LEAKS = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("track_id", "split", "matched", "how")),
        *(pa.field(name, pa.float64()) for name in ("error_rate", "overlap_s", "offset_s")),
    ]
)


def _audio_files(folders: Iterable[str]) -> list[_File]:
    files = set()
    for folder in folders:
        if not Path(folder).is_dir():
            what = "is not a folder" if Path(folder).exists() else "does not exist"
            raise BuildError(f"the evaluation folder {folder} {what}; correct evaluation.audio")
        found = [p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        if not found:
            raise BuildError(f"no audio files in the evaluation folder {folder}; correct evaluation.audio")
        for path in found:
            stat = path.stat()
            files.add(_File(str(path), stat.st_size, stat.st_mtime_ns))
    return sorted(files)


def _fingerprint(file: _File) -> Values:
    return fingerprint_file(Path(file.path))


def _read_cache(path: Path) -> dict[_File, Values]:
    try:
        table = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid):  # never written, or damaged: made again
        return {}
    files = map(_File, *(table[name].to_pylist() for name in ("path", "num_bytes", "mtime_ns")))
    return {file: values.values.to_numpy() for file, values in zip(files, table["values"], strict=True)}


def _write_cache(path: Path, cached: Mapping[_File, Values]) -> None:
    columns = [
        [file.path for file in cached],
        [file.num_bytes for file in cached],
        [file.mtime_ns for file in cached],
        [np.asarray(values, np.uint32) for values in cached.values()],
    ]
    with publish(path) as (file, _):
        pq.write_table(pa.table(columns, schema=_CACHE), file, compression="zstd")


def _listed(lines: Sequence[str]) -> str:
    more = [f"... and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n".join(f"  {line}" for line in [*lines[:_LISTED], *more])
