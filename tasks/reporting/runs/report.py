"""Writes the pages: one in the folder of every run that was evaluated, one that compares them in ``models/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_specs.publish import publish_bytes
from tasks.engine.workspace import Workspace
from tasks.reporting.runs.comparison import Comparison, compare_runs
from tasks.reporting.runs.comparison_page import comparison_page
from tasks.reporting.runs.page import run_page
from tasks.reporting.runs.pictures import AttendedTrack, draw_attended
from tasks.reporting.runs.record import RunRecord, evaluation_path, page_name, read_run
from tasks.reporting.runs.tracks import read_tracks

__all__ = ["Reports", "RunReport", "described", "write_reports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The page of a run and what it was made of."""

    path: Path
    run: RunRecord
    attended: tuple[AttendedTrack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What ``write_reports`` wrote."""

    path: Path
    """Of the comparison."""
    comparison: Comparison
    runs: Mapping[str, RunReport]
    """By name."""


def write_reports(workspace: Path | str, split: str) -> Reports:
    """Write the comparison and the page of every run that was evaluated on the split, readable or not.

    ``models/comparison.html`` and ``RUN/report.html`` are of the test split; another split is part of their names.

    Raises:
        BuildError: no run has an evaluation that can be read.
    """
    place = Workspace(Path(workspace).expanduser().resolve())
    comparison = compare_runs(place.root, split)
    names = sorted({*comparison.apart, *(run.name for run in comparison.runs)})
    folders = [place.root / "models" / name for name in names]
    runs = {
        folder.name: _write_run(place, folder, split) for folder in folders if evaluation_path(folder, split).is_file()
    }
    path = place.root / "models" / page_name("comparison", split)
    publish_bytes(path, comparison_page(place.root.name, comparison).encode())
    return Reports(path=path, comparison=comparison, runs=runs)


def described(reports: Reports) -> str:
    """Where the pages are, and what was left apart, for a terminal."""
    lines = [f"comparison  {reports.path}", *(f"run         {report.path}" for report in reports.runs.values())]
    lines += [f"note: {reason}" for reason in reports.comparison.apart.values()]
    return "\n".join(lines)


def _write_run(workspace: Workspace, folder: Path, split: str) -> RunReport:
    run = read_run(folder, split)
    found = run.evaluation or {"confusions": (), "attended": ()}
    wrong = (confusion[name] for confusion in found["confusions"] for name in ("track_id", "taken_for"))
    tracks = read_tracks(workspace, {*wrong, *(item["track_id"] for item in found["attended"])})
    attended = draw_attended(found["attended"], tracks)
    path = folder / page_name("report", split)
    publish_bytes(path, run_page(run, tracks, attended).encode())
    return RunReport(path=path, run=run, attended=attended)
