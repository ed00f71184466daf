"""GTZAN with the fault-filtered split of Kereliuk et al. (arXiv 1507.04761): no artist stands in two parts."""

from __future__ import annotations

from pathlib import Path

from data_specs.benchmark import GtzanLists
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Listed, Recording, stem_of
from tasks.evaluation.benchmarks.tables import read_lines


def read_gtzan(settings: GtzanLists, folder: Path) -> Listed:
    """Lines ``blues/blues.00029.wav``; the folder is the class.

    Raises:
        BuildError: a list is missing, a line is of another form, or a file is on two lines.
    """
    found: dict[str, Recording] = {}
    for split in ("train", "valid", "test"):
        path = folder / getattr(settings, split)
        for line in read_lines(path):
            genre, slash, name = line.partition("/")
            if not slash or not genre or "/" in name or not name:
                raise BuildError(f"{path}: {line[:60]!r} is not <genre>/<file>; take the fault-filtered lists")
            stem = stem_of(name)
            if stem in found:
                raise BuildError(f"{path}: {line} stands in {found[stem].split} already; download the lists again")
            found[stem] = Recording(track_id=stem.replace(".", "-"), stems=(stem,), split=split, labels=(genre,))
    classes = sorted({recording.labels[0] for recording in found.values()})
    return Listed(recordings=tuple(found.values()), num_rows=len(found), classes=tuple(classes))
