"""The file that all processes of a machine share: where it lies, what it holds, and what it does not."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from yt_dlp.utils import DownloadError

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.engine.errors import BuildError
from tasks.harvest import ledger
from tasks.harvest.ledger import FILE, state_folder
from tasks.harvest.network import Network
from tasks.harvest.outcomes import classify
from tests.tasks.harvest.bench import HOUR_S, LIMITED, ONE, URL, Bench


def test_the_ledger_stays_where_it_was_put_and_small(
    one: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAP_STATE", "/a")
    assert state_folder() == Path("/a")
    monkeypatch.delenv("COLLAP_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", "/b")
    assert state_folder() == Path("/b/collap")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert state_folder() == Path("/c/.local/state/collap")
    for _ in range(50):
        one.answer(None)
        one.clock.now += 3 * HOUR_S
    books = one.network._books()
    with books.transaction():
        assert books.num_grants(ONE.identities[0].key, "youtube.com", 0.0) <= 17
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_ledger_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(BuildError, match="remove the file if it is damaged"):
        Network(ONE, state=tmp_path).take(URL)
    with pytest.raises(BuildError, match="Set COLLAP_STATE to a folder"):
        Network(ONE, state=tmp_path / FILE / "below").take(URL)


def test_no_secret_is_written(tmp_path: Path) -> None:
    secret = Identity(name="s", proxy="http://user:hunter2@proxy:1", cookies="/home/me/hunter3.txt")
    bench = Bench(NetworkSettings(identities=(secret,)), tmp_path)
    bench.answer(LIMITED)
    bench.network.close()
    assert b"hunter" not in (tmp_path / FILE).read_bytes()


def test_no_password_of_a_proxy_is_written_with_a_fault(one: Bench) -> None:
    words = "Unable to connect to proxy http://user:hunter2@proxy.example:8080/ (HTTP Error 429: Too Many Requests)"
    fault = classify(DownloadError(words))
    assert fault.reason is Reason.RATE_LIMITED
    one.answer(fault)
    (status,) = one.network.status()
    assert "proxy.example:8080" in status.why
    one.network.close()
    assert b"hunter" not in (one.state / FILE).read_bytes()


def test_a_file_that_is_locked_is_waited_for(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "LOCKED_WITHIN_S", 0.05)
    one.answer(None)
    one.network.close()
    other = sqlite3.connect(one.state / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.5, other.rollback)
    timer.start()
    one.answer(None)
    assert timer.finished.is_set()
    timer.join()
    other.execute("BEGIN EXCLUSIVE")
    one.network._stopped.set()
    with pytest.raises(CancelledError, match="being stopped"):
        one.network._begin(URL, "youtube.com", ONE.identities)
    other.close()
