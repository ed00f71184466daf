"""When each identity asked each site, and its breakers: one small SQLite file for the whole machine.

Every process of the machine writes to it, so a budget is shared whatever is built, and a cool-down
outlasts the process and a reboot. A transaction takes the whole file (``BEGIN IMMEDIATE``), and the
time is read inside it: no two processes can believe that the same moment is theirs. A process that
is killed in the middle leaves SQLite's journal, which the next one rolls back. No secret is stored:
an identity is a digest here.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from tasks.engine.errors import BuildError
from tasks.harvest.breaker import Breaker
from tasks.harvest.pace import SECONDS_PER_DAY

LOCKED_WITHIN_S = 2.0
"""After that it is tried again: a disk that stalls must not end a harvest of weeks."""
KEPT_S = 2 * SECONDS_PER_DAY

RATE_KEPT_S = 3600.0
_RATE_RENEWED_S = 60.0

# The version is in the name: an older program goes on with its own file instead of failing over columns.
FILE = "requests-2.sqlite"

_COLUMNS = [field.name for field in fields(Breaker)]
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS grants (identity TEXT, site TEXT, at REAL, jitter REAL)",
    "CREATE INDEX IF NOT EXISTS grants_by_time ON grants (identity, site, at)",
    "CREATE TABLE IF NOT EXISTS rates (identity TEXT, site TEXT, per_hour REAL, named_at REAL, "
    "PRIMARY KEY (identity, site, per_hour))",
    f"CREATE TABLE IF NOT EXISTS breakers (identity TEXT, site TEXT, {', '.join(_COLUMNS)}, "
    "PRIMARY KEY (identity, site))",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """One request that was begun."""

    at: float
    jitter: float
    """0..1, drawn when it began: how far the next one keeps away. See ``pace.gap_s``."""


def state_folder() -> Path:
    """``$COLLAP_STATE``, else ``collap`` in the user's state folder (XDG Base Directory Specification 0.8).

    Raises:
        BuildError: the user has no home folder.
    """
    chosen = os.environ.get("COLLAP_STATE")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "collap"
    except RuntimeError as error:
        raise BuildError(f"{error}; set COLLAP_STATE to a folder for the record of requests") from error


class Ledger:
    """The open file. Threads may share it.

    Args:
        must_exist: do not create a file; for those who only look.
        on_locked: told, each ``LOCKED_WITHIN_S`` that another process keeps the file, for how many seconds; what it
            raises ends the waiting.

    Raises:
        BuildError: the file cannot be created or used.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float],
        *,
        must_exist: bool = False,
        on_locked: Callable[[float], None] = lambda waited_s: None,
    ) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._on_locked = on_locked
        self._guard = threading.Lock()
        try:
            if not must_exist:
                folder.mkdir(parents=True, exist_ok=True)
            # A look needs "rw" too: it may have to roll back what a killed process left.
            address = f"{self._path.absolute().as_uri()}?mode={'rw' if must_exist else 'rwc'}"
            self._connection = sqlite3.connect(
                address, uri=True, timeout=LOCKED_WITHIN_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        if not must_exist:
            with self.transaction():
                for statement in _SCHEMA:
                    self._connection.execute(statement)

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[float]:
        """All or nothing, and unless only ``reading`` alone on this machine. Yields the time."""
        with self._guard:
            try:
                self._patiently("BEGIN" if reading else "BEGIN IMMEDIATE")
                if reading:  # only now it has the file
                    self._patiently("SELECT 1 FROM sqlite_master")
                yield self._clock()
                self._patiently("COMMIT")
            except sqlite3.Error as error:
                raise self._unusable(error) from error
            finally:
                if self._connection.in_transaction:
                    self._connection.rollback()

    def _patiently(self, statement: str) -> None:
        for tries in itertools.count(1):
            try:
                self._connection.execute(statement).fetchall()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the low byte: there are kinds of it
                    raise
                self._on_locked(tries * LOCKED_WITHIN_S)

    def last_grant(self, identity: str, site: str) -> Grant | None:
        row = self._connection.execute(
            "SELECT at, jitter FROM grants WHERE identity = ? AND site = ? ORDER BY at DESC LIMIT 1", (identity, site)
        ).fetchone()
        return None if row is None else Grant(*row)

    def forget_future(self, identity: str, site: str, now: float) -> None:
        """After the clock was set back, what it recorded later counts as of now: nothing waits for it to catch up."""
        where = (identity, site)
        self._connection.execute(
            "UPDATE grants SET at = ? WHERE identity = ? AND site = ? AND at > ?", (now, *where, now)
        )
        moments = ("changed_at", "probe_at", "served_at", "track_at")
        self._connection.execute(
            f"UPDATE breakers SET {', '.join(f'{moment} = min({moment}, ?)' for moment in moments)} "
            f"WHERE identity = ? AND site = ? AND max({', '.join(moments)}) > ?",
            (*[now] * len(moments), *where, now),
        )

    def add_grant(self, identity: str, site: str, grant: Grant) -> None:
        self._connection.execute("INSERT INTO grants VALUES (?, ?, ?, ?)", (identity, site, grant.at, grant.jitter))
        self._connection.execute(
            "DELETE FROM grants WHERE identity = ? AND site = ? AND at < ?", (identity, site, grant.at - KEPT_S)
        )

    def name_rate(self, identity: str, site: str, per_hour: float, now: float) -> None:
        """Let others know the rate that this build keeps to, also before its first request."""
        self._connection.execute(
            "INSERT INTO rates VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET named_at = excluded.named_at "
            "WHERE abs(named_at - excluded.named_at) > ?",
            (identity, site, per_hour, now, _RATE_RENEWED_S),
        )

    def lowest_rate(self, identity: str, site: str, own: float, now: float) -> float:
        """Of one's ``own`` and those that were named within ``RATE_KEPT_S``: all builds keep to it."""
        (lowest,) = self._connection.execute(
            "SELECT min(per_hour) FROM rates WHERE identity = ? AND site = ? AND abs(named_at - ?) < ?",
            (identity, site, now, RATE_KEPT_S),
        ).fetchone()
        return own if lowest is None else min(own, lowest)

    def num_grants(self, identity: str, site: str, since: float) -> int:
        row = self._connection.execute(
            "SELECT count(*) FROM grants WHERE identity = ? AND site = ? AND at > ?", (identity, site, since)
        ).fetchone()
        return int(row[0])

    def breaker(self, identity: str, site: str) -> Breaker:
        row = self._connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM breakers WHERE identity = ? AND site = ?", (identity, site)
        ).fetchone()
        if row is None:
            return Breaker()
        state = dict(zip(_COLUMNS, row, strict=True))
        return Breaker(**state | {"is_open": bool(state["is_open"])})

    def put_breaker(self, identity: str, site: str, breaker: Breaker) -> None:
        values = [getattr(breaker, name) for name in _COLUMNS]
        marks = ", ".join("?" * (2 + len(values)))
        self._connection.execute(f"INSERT OR REPLACE INTO breakers VALUES ({marks})", (identity, site, *values))

    def sites(self, since: float) -> list[str]:
        """Every site that was asked since then, or where an identity is still blocked."""
        rows = self._connection.execute(
            "SELECT site FROM grants WHERE at > ? UNION SELECT site FROM breakers WHERE is_open", (since,)
        )
        return sorted(site for (site,) in rows)

    def close(self) -> None:
        with self._guard:
            self._connection.close()

    def _unusable(self, error: Exception) -> BuildError:
        return BuildError(
            f"cannot use the record of requests {self._path}: {error}. Set COLLAP_STATE to a folder that this user can "
            "write, or remove the file if it is damaged: it holds only when each identity asked, and its pauses"
        )
