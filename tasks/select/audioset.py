"""AudioSet's published segment lists as a source (research.google.com/audioset, CC BY 4.0).

A list has three ``#`` header lines and rows ``YTID, start, end, "label,label"``: a comma and a space
between fields, quotes around the labels. Ids may begin with ``-`` and contain ``_``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from data_specs.records import Track
from data_specs.spec import AudioSetSource
from tasks.engine.errors import BuildError


def audioset_tracks(source: AudioSetSource) -> list[Track]:
    """One track per video with a label at or below ``source.root``, in the order of the lists.

    Labels of a video that stands in several rows are united. A list whose file name begins with
    ``eval`` gives the split ``test``, for good: AudioSet's evaluation videos never train a model.

    Raises:
        BuildError: a file is missing or not of the published format; a label id is unknown.
    """
    ontology = read_ontology(Path(source.ontology))
    for mid in (source.root, *source.require, *source.forbid):
        if mid not in ontology:
            raise BuildError(f"label {mid!r} is not in {source.ontology}; ids look like /m/04rlf (Music)")
    wanted = subtree(ontology, source.root)
    required, forbidden = set(source.require), set(source.forbid)
    labels: dict[str, list[str]] = {}
    evaluation: set[str] = set()
    for name in source.segments:
        path = Path(name)
        for video, row_labels in read_segments(path):
            labels.setdefault(video, []).extend(row_labels)
            if path.name.startswith("eval"):
                evaluation.add(video)
    return [
        Track(
            track_id=video,
            source="audioset",
            url=source.url_template.format(track_id=video),
            split="test" if video in evaluation else "",
            labels=tuple(ontology[mid]["name"] if mid in ontology else mid for mid in dict.fromkeys(mids)),
        )
        for video, mids in labels.items()
        if not wanted.isdisjoint(mids)
        and (not required or not required.isdisjoint(mids))
        and forbidden.isdisjoint(mids)
    ]


def read_segments(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield ``(video id, label ids)`` for every row of a segment list."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.startswith("#") or not line.strip():
                    continue
                fields = line.rstrip("\n").split(", ", 3)
                if len(fields) != 4:
                    raise BuildError(f"{path}, line {number}: expected 'YTID, start, end, \"labels\"', got {line!r}")
                yield fields[0], fields[3].strip().strip('"').split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"cannot read segment list {path}: {error}; set source.segments") from error


def read_ontology(path: Path) -> dict[str, dict]:
    """The ontology's nodes by label id."""
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
        return {node["id"]: node for node in nodes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"cannot read {path}: {error}; set source.ontology to AudioSet's ontology.json") from error


def subtree(ontology: dict[str, dict], root: str) -> set[str]:
    """The label ids at or below a node."""
    found: set[str] = set()
    open_ids = [root]
    while open_ids:
        mid = open_ids.pop()
        if mid not in found:
            found.add(mid)
            open_ids += ontology[mid]["child_ids"]
    return found
