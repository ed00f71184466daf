"""How a harvest stands, for people: what each identity may do at each site, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from data_specs.network import Identity
from tasks.harvest.breaker import Breaker
from tasks.harvest.ledger import Ledger
from tasks.harvest.pace import SECONDS_PER_DAY, SECONDS_PER_HOUR, gap_s, mean_rate, open_s, opens_at


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityStatus:
    """One identity at one site."""

    name: str
    site: str
    num_last_hour: int
    """Requests begun."""
    num_last_day: int
    requests_per_hour: float
    window: str | None
    breaker: str
    """``closed``; ``open`` until the probe of ``next_at``; ``probing`` while that is asked."""
    why: str
    """What opened it; empty where it is closed."""
    next_at: float
    """When the next request may begin, Unix seconds; in the past: at once."""


def standing(identity: Identity, site: str, ledger: Ledger, now: float) -> IdentityStatus:
    """Read inside a transaction of the ledger."""
    breaker = ledger.breaker(identity.key, site)
    last = ledger.last_grant(identity.key, site)
    rate = ledger.lowest_rate(identity.key, site, identity.requests_per_hour, now)
    next_at = now if last is None else last.at + gap_s(rate, last.jitter)
    if breaker.is_open:
        next_at = max(next_at, breaker.until)
    return IdentityStatus(
        name=identity.name,
        site=site,
        num_last_hour=ledger.num_grants(identity.key, site, now - SECONDS_PER_HOUR),
        num_last_day=ledger.num_grants(identity.key, site, now - SECONDS_PER_DAY),
        requests_per_hour=identity.requests_per_hour,
        window=identity.window,
        breaker=_word(breaker, now),
        why=breaker.why if breaker.is_open else "",
        next_at=opens_at(max(next_at, now), identity.window_minutes),
    )


def _word(breaker: Breaker, now: float) -> str:
    if not breaker.is_open:
        return "closed"
    return "probing" if breaker.is_probed(now) else "open"


def describe(statuses: Iterable[IdentityStatus]) -> list[str]:
    """One line per identity and site."""
    lines = []
    for status in statuses:
        line = (
            f"{status.name} at {status.site}: {status.num_last_hour} of {status.requests_per_hour:g} requests in the "
            f"last hour, {status.num_last_day} in the last day"
        )
        if status.window:
            line += f", only {status.window} UTC"
        if status.breaker == "open":
            line += f"; no requests before {clock_time(status.next_at)}. {status.why}"
        elif status.breaker == "probing":
            line += f"; asking whether it may go on. {status.why}"
        else:
            line += f"; next from {clock_time(status.next_at)}"
        lines.append(line)
    return lines


def seconds_for(num_tracks: int, identities: Sequence[tuple[Identity, float]], now: float) -> float:
    """Seconds from ``now`` until the identities, each from its own moment on, have begun ``num_tracks`` requests."""

    def begun_by(end_s: float) -> float:
        return sum(
            mean_rate(identity.requests_per_hour) / SECONDS_PER_HOUR * open_s(start, end_s, identity.window_minutes)
            for identity, start in identities
        )

    if num_tracks <= 0:
        return 0.0
    low_s, high_s = 0.0, SECONDS_PER_HOUR
    while begun_by(now + high_s) < num_tracks:
        low_s, high_s = high_s, high_s * 2.0
    while high_s - low_s > 1.0:
        middle_s = (low_s + high_s) / 2.0
        low_s, high_s = (middle_s, high_s) if begun_by(now + middle_s) < num_tracks else (low_s, middle_s)
    return high_s


def clock_time(time_s: float) -> str:
    """``2026-11-23 14:05 UTC``."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
