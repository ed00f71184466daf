"""Beats of beat_this (Foscarin, Schlueter and Widmer, "Beat this! Accurate beat tracking without DBN
postprocessing", ISMIR 2024; https://github.com/CPJKU/beat_this).

Its ``.beats`` files hold a line per beat: time in seconds, a tab, the number of the beat in its bar;
1 begins a bar, and an upbeat begins with a higher number.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tasks.structure.engines.given import GivenBeats, broken, file_text, seconds

_AGAIN = "run beat_this again"


class BeatThis:
    """Reader of ``.beats`` files."""

    name: ClassVar[str] = "beat_this"
    suffixes: ClassVar[tuple[str, ...]] = (".beats",)

    def read(self, path: Path, duration_s: float) -> GivenBeats:
        times: list[float] = []
        downbeats: list[float] = []
        previous = 0
        for number, line in enumerate(file_text(path).splitlines(), 1):
            where = f"{path}:{number}"
            time_s, in_bar = _beat(line, where, duration_s)
            if times and time_s <= times[-1]:
                raise broken(where, f"beat at {time_s:g} s does not come after the one at {times[-1]:g} s", _AGAIN)
            if times and in_bar not in (1, previous + 1):
                raise broken(where, f"beat {in_bar} of a bar follows beat {previous}, not 1 or {previous + 1}", _AGAIN)
            times.append(time_s)
            if in_bar == 1:
                downbeats.append(time_s)
            previous = in_bar
        if not times:
            # Its option --touch-first leaves an empty file where a run was cut off.
            raise broken(str(path), "no beats in it", f"{_AGAIN}, or leave structure.beats out for music without beats")
        return GivenBeats(beats_s=tuple(times), downbeats_s=tuple(downbeats))


def _beat(line: str, where: str, duration_s: float) -> tuple[float, int]:
    fields = line.split("\t")
    if len(fields) != 2:
        raise broken(where, f"expected time, tab, beat in the bar; got {line[:60]!r}", _AGAIN)
    time_s = seconds(fields[0], where, duration_s)
    if not fields[1].strip().isdecimal() or int(fields[1]) < 1:
        raise broken(where, f"beat in the bar {fields[1][:20]!r} is not a whole number from 1", _AGAIN)
    return time_s, int(fields[1])
