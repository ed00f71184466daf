"""Several processes of one machine over one real ledger: what they share, and what a kill leaves."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest.ledger import FILE, Grant, Ledger
from tasks.harvest.network import Network
from tasks.harvest.outcomes import Fault
from tasks.harvest.pace import JITTER

URL = "https://example.org/a"
PER_HOUR = 36_000.0  # ten a second
ONE = NetworkSettings(identities=(Identity(name="a", requests_per_hour=PER_HOUR),))
TWO = NetworkSettings(identities=(*ONE.identities, Identity(name="b", requests_per_hour=PER_HOUR, proxy="http://p:1")))
LASTS_S = 3.0
SPAWN = multiprocessing.get_context("spawn")


def work(settings: NetworkSettings, state: Path, num_threads: int, pipe: Connection) -> None:
    """Take turns until told to stop; send each turn's time and identity, and whether it was a probe."""
    stopped, turns = threading.Event(), []
    network = Network(settings, state=state, stopped=stopped)

    def take() -> None:
        try:
            while True:
                turn = network.take(URL)
                turns.append((turn.at, turn.identity.name, turn.probe is not None))
        except CancelledError:
            return

    pipe.send("ready")
    pipe.recv()
    threads = [threading.Thread(target=take) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    pipe.recv()
    stopped.set()
    for thread in threads:
        thread.join()
    pipe.send(turns)


class Workers:
    """Processes that begin together."""

    def __init__(self, count: int, settings: NetworkSettings, state: Path, num_threads: int = 2) -> None:
        self.pipes, self.processes = [], []
        for _ in range(count):
            ours, theirs = SPAWN.Pipe()
            process = SPAWN.Process(target=work, args=(settings, state, num_threads, theirs), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)
        for pipe in self.pipes:
            assert pipe.recv() == "ready"
        self.tell()

    def tell(self) -> None:
        for pipe in self.pipes:
            pipe.send("go on")

    def end(self) -> list[list[tuple[float, str, bool]]]:
        self.tell()
        turns = [pipe.recv() for pipe in self.pipes]
        for process in self.processes:
            process.join()
        return turns


def recorded(state: Path) -> list[float]:
    with sqlite3.connect(state / FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [at for (at,) in connection.execute("SELECT at FROM grants ORDER BY at")]


@pytest.mark.parametrize("settings", [ONE, TWO], ids=["one identity", "two identities"])
def test_two_processes_share_the_budget_of_each_identity(settings: NetworkSettings, tmp_path: Path) -> None:
    workers = Workers(2, settings, tmp_path)
    time.sleep(LASTS_S)
    turns = workers.end()
    assert all(len(of_process) >= 3 for of_process in turns), "one process got nothing"
    everything = sorted(itertools.chain(*turns))
    assert [at for at, _, _ in everything] == recorded(tmp_path)
    interval_s = 3600.0 / PER_HOUR
    for identity in settings.identities:
        begun = [at for at, name, _ in everything if name == identity.name]
        gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
        assert min(gaps) >= interval_s
        # the machine may be busy: half of what the pace allows is enough to tell two identities from one
        assert len(begun) >= 0.5 * LASTS_S / (interval_s * (1 + JITTER))


def test_a_killed_process_harms_nobody(tmp_path: Path) -> None:
    workers = Workers(3, ONE, tmp_path)
    time.sleep(0.7)
    victim, pipe = workers.processes.pop(), workers.pipes.pop()
    os.kill(victim.pid or 0, signal.SIGKILL)
    victim.join()
    pipe.close()
    killed_at = time.time()
    time.sleep(1.5)
    survivors = list(itertools.chain(*workers.end()))
    assert sum(at > killed_at for at, _, _ in survivors) >= 5
    begun = recorded(tmp_path)
    assert {at for at, _, _ in survivors} <= set(begun)
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) >= 3600.0 / PER_HOUR


def die_inside(state: Path) -> None:
    ledger = Ledger(state, time.time)
    with ledger.transaction() as now:
        for number in range(20_000):  # more than SQLite keeps in memory: half of it is in the file already
            ledger.add_grant("identity", f"site-{number}", Grant(now, 0.5))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_transaction_that_a_kill_cut_off_never_was(tmp_path: Path) -> None:
    Network(ONE, state=tmp_path).take(URL)
    process = SPAWN.Process(target=die_inside, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / f"{FILE}-journal").exists(), "nothing was left to roll back: the test tests nothing"
    (status,) = Network(ONE, state=tmp_path).status()
    assert status.num_last_hour == 1
    assert len(recorded(tmp_path)) == 1
    Network(ONE, state=tmp_path).take(URL)


def test_of_sixteen_threads_in_two_processes_one_gets_the_probe(tmp_path: Path) -> None:
    long_ago = Network(ONE, state=tmp_path, clock=lambda: time.time() - 7200.0)
    long_ago.report(long_ago.take(URL), Fault(reason=Reason.RATE_LIMITED, detail="try again later"))
    workers = Workers(2, ONE, tmp_path, num_threads=8)
    time.sleep(1.5)
    turns = list(itertools.chain(*workers.end()))
    assert [is_probe for _, _, is_probe in turns] == [True]
