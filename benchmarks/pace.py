"""What pacing costs, and whether two processes keep to one budget.

    python -m benchmarks.pace [--turns 2000] [--seconds 10] [--per-hour 36000] [--state FOLDER]

First one process takes turns as fast as the ledger gives them (a clock of its own steps over every pause), each
with its report: turns per second of wall time, CPU milliseconds per turn, and their share of the 20 s that lie
between two requests at the default pace. Then two processes share one identity in real time: their common rate
against the budget, and the shortest distance between any two of their requests against the least allowed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data_specs.network import YOUTUBE_REQUESTS_PER_HOUR, Identity, NetworkSettings
from tasks.harvest.network import Network
from tasks.harvest.pace import gap_s, mean_rate

URL = "https://example.org/song"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the two processes run")
    parser.add_argument("--per-hour", type=float, default=36_000.0, help="their budget, high enough to be measured")
    parser.add_argument("--state", type=Path, help="folder on the disk to be measured; a temporary one by default")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        print(json.dumps(_real_turns(arguments.worker, arguments.seconds, arguments.per_hour)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.state) as folder:
        _measure_cost(Path(folder, "cost"), arguments.turns)
        _measure_rate(Path(folder, "rate"), arguments.seconds, arguments.per_hour)


def _measure_cost(state: Path, num_turns: int) -> None:
    now = [time.time()]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    network = Network(NetworkSettings(), state=state, clock=lambda: now[0], sleep=sleep, rng=random.Random(0))
    network.take(URL)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(num_turns):
        network.report(network.take(URL), None)
    wall_s, cpu_s = (time.perf_counter() - wall_s) / num_turns, (time.process_time() - cpu_s) / num_turns
    share = cpu_s / gap_s(YOUTUBE_REQUESTS_PER_HOUR, 0.0)
    print(f"{1 / wall_s:.0f} turns a second, {cpu_s * 1e3:.2f} CPU ms each: {share:.1e} of a 20 s interval")


def _measure_rate(state: Path, seconds: float, per_hour: float) -> None:
    command = [sys.executable, "-m", "benchmarks.pace", "--seconds", str(seconds), "--per-hour", str(per_hour)]
    processes = [
        subprocess.Popen([*command, "--worker", str(state)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    begun = [json.loads(process.communicate()[0]) for process in processes]
    together = sorted(itertools.chain(*begun))
    both_from, both_until = max(turns[0] for turns in begun), min(turns[-1] for turns in begun)
    num_shared = sum(both_from <= at < both_until for at in together)
    rate = num_shared / (both_until - both_from) * 3600.0
    least_s = min(later - earlier for earlier, later in itertools.pairwise(together))
    print(
        f"two processes, {len(begun[0])} and {len(begun[1])} turns: {rate:.0f} an hour together of {per_hour:g} "
        f"allowed ({mean_rate(per_hour):.0f} with mean jitter); shortest distance {least_s * 1e3:.1f} ms, "
        f"least allowed {gap_s(per_hour, 0.0) * 1e3:.1f} ms"
    )


def _real_turns(state: Path, seconds: float, per_hour: float) -> list[float]:
    """Unix times of the turns that this process gets."""
    network = Network(NetworkSettings(identities=(Identity(requests_per_hour=per_hour),)), state=state)
    begun = [network.take(URL).at]
    while begun[-1] < begun[0] + seconds:
        begun.append(network.take(URL).at)
    return begun


if __name__ == "__main__":
    main()
