"""Where the CPU time of the audio stage goes: clocks around the steps of the real ``accept_audio``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from tasks.audio import accept, decode, loudness, measure, resample

STEPS: dict[str, list[tuple[Any, str]]] = {
    "decoding": [(decode.AudioFile, "__init__"), (decode.AudioFile, "blocks")],
    "resampling": [(resample.Resampler, "add"), (resample.Resampler, "end")],
    "loudness and its range": [
        (loudness.LoudnessMeter, "add"),
        (loudness.LoudnessMeter, "integrated_lufs"),
        (loudness.LoudnessMeter, "range_lu"),
    ],
    "spectrum": [(measure._Spectrum, "add"), (measure._Spectrum, "bandwidth_hz")],
    "silence": [(measure._Silence, "add")],
    "clipping": [(measure._Clipping, "add")],
    "side level": [(measure._Side, "add")],
    "FLAC and hash of samples": [(accept._FlacWriter, "write")],
    "hash of file": [(accept, "_trouble_with_file")],
    "hash and write of FLAC": [(accept, "_kept")],
}
OTHER = "all else"


def print_shares(accepts: Mapping[str, Callable[[], None]], duration_s: float, rounds: int) -> None:
    """One row per step, one column per file: CPU milliseconds per minute of sound, medians, and its share."""
    columns = {name: _medians(work, rounds) for name, work in accepts.items()}
    print("\nThe whole acceptance: CPU ms per minute of sound, and share")
    print(f"{'':26}" + "".join(f"{name:>14}" for name in columns))
    for step in (*STEPS, OTHER):
        cells = ""
        for spent_s in columns.values():
            per_minute_ms = 60_000 * spent_s[step] / duration_s
            cells += f"{per_minute_ms:9.1f}{spent_s[step] / sum(spent_s.values()):5.0%}"
        print(f"{step:26}{cells}")
    totals = (60_000 * sum(spent_s.values()) / duration_s for spent_s in columns.values())
    print(f"{'sum':26}" + "".join(f"{total:9.1f}     " for total in totals))


def _medians(work: Callable[[], None], rounds: int) -> dict[str, float]:
    runs = []
    for _ in range(rounds):
        spent_s = dict.fromkeys(STEPS, 0.0)
        with ExitStack() as patches:
            for step, places in STEPS.items():
                for owner, name in places:
                    patches.enter_context(patch.object(owner, name, _clocked(getattr(owner, name), spent_s, step)))
            begin_s = time.thread_time()
            work()
            spent_s[OTHER] = time.thread_time() - begin_s - sum(spent_s.values())
        runs.append(spent_s)
    return {step: statistics.median(run[step] for run in runs) for step in runs[0]}


def _clocked(function: Callable[..., Any], spent_s: dict[str, float], step: str) -> Callable[..., Any]:
    def clocked(*arguments: Any) -> Any:
        begin_s = time.thread_time()
        result = function(*arguments)
        spent_s[step] += time.thread_time() - begin_s
        return clocked_items(result) if isinstance(result, Iterator) else result

    def clocked_items(items: Iterator[Any]) -> Iterator[Any]:
        while True:
            begin_s = time.thread_time()
            item = next(items, None)
            spent_s[step] += time.thread_time() - begin_s
            if item is None:
                return
            yield item

    return clocked
