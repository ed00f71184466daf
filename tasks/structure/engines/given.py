"""What engines of others give, and the protocol that a reader of their files follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from data_specs.reasons import Reason

END_TOLERANCE_S = 2.0
"""How far a file may end before or after its track: engines count in frames of their own and pad the last one."""

G = TypeVar("G", covariant=True)


class EngineFileError(Exception):
    """A file of an engine is missing or cannot be believed; the message names file, line, value, bound and fix."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBeats:
    """Beats of one track, rising."""

    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    """Those of the beats that begin a bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSections:
    """Sections of one track."""

    borders_s: tuple[float, ...]
    """Rising, from 0 to the end of the track: one more than labels."""
    labels: tuple[str, ...]
    """Of ``data_specs.records.LABELS``."""


class Reader(Protocol[G]):
    """Reads the files of one engine. A new engine is one class like this and a line in ``choose``."""

    name: ClassVar[str]
    """As it stands in ``Structure.engine``."""
    suffixes: ClassVar[tuple[str, ...]]
    """Of its files, the preferred one first."""

    def read(self, path: Path, duration_s: float) -> G:
        """The file's content, checked against the duration of the track.

        Raises:
            EngineFileError: the file cannot be read or believed.
        """
        ...


def file_text(path: Path) -> str:
    """Content of an engine's file.

    Raises:
        EngineFileError: there is none, or it is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise EngineFileError(Reason.FILE_MISSING, f"{path}: no such file; run the engine on this track") from error
    except PermissionError as error:
        raise EngineFileError(Reason.PERMISSION_DENIED, f"{path}: not readable; let this user read it") from error
    except UnicodeDecodeError as error:
        raise broken(str(path), f"byte {error.start} is not UTF-8 text", "run the engine again") from error


def broken(where: str, what: str, fix: str) -> EngineFileError:
    """The error for a file that is there and cannot be believed."""
    return EngineFileError(Reason.ANALYSIS_FAILED, f"{where}: {what}; {fix}")


def seconds(text: object, where: str, duration_s: float) -> float:
    """A time of a file as a number within its track.

    Raises:
        EngineFileError: it is not a number, or not between 0 and the end of the track, give or take 2 s.
    """
    try:
        time_s = float("bool" if isinstance(text, bool) else text)  # type: ignore[arg-type]  # whatever a JSON file held
    except (TypeError, ValueError) as error:
        raise broken(where, f"{text!r} is not a time in seconds", "run the engine again") from error
    if not math.isfinite(time_s) or not 0 <= time_s <= duration_s + END_TOLERANCE_S:
        what = f"time {time_s:g} s is not within 0 and {duration_s:.2f} s, the length of the track"
        raise broken(where, what, "run the engine on the accepted audio of this track")
    return time_s
