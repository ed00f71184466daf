"""The circuit breaker of one identity at one site: what answers make of it, as a pure state machine.

A block concerns whom a site sees, not the track that met it. So a bot check or rate limit *opens*
the breaker, and nobody asks until a cool-down has passed; then one *probe* finds out whether the
block has ended: the last track of the site that came through, until there is one the site's canary
(an address known to be there), or where it has none the track in hand. M. Nygard, "Release It!",
2007, gives the pattern; new here is what the memory of a failure survives. A canary that comes
through closes the breaker, but only a track that comes through makes the next cool-down short
again: a site can serve its most famous page and refuse all others.

A site may also turn away in disguise: YouTube says "Video unavailable" to a session it has blocked.
Such an answer is *in doubt* until a request that began later was served. Where no track brings that,
a probe does, while the breaker is closed. An outage of the network is found the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from data_specs.network import NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest.outcomes import Fault

FIRST_COOLDOWN_S = 60.0
"""After a bot check where a known address can tell at once whether it was one odd track."""
SHORT_COOLDOWN_S = 120.0
"""After a probe that said nothing of a block: the network is down, say."""

PROBE_LEASE_S = 600.0
TRACK_LEASE_S = 2400.0
"""Longer than the slowest extraction and the longest download: then the prober was killed, and another may ask."""
POLL_S = 5.0
"""How often those who wait for the answer of a probe look for it."""

BLOCKS = frozenset({Reason.BOT_CHECK, Reason.RATE_LIMITED})
GONE = {
    Reason.REMOVED,
    Reason.PRIVATE,
    Reason.ACCOUNT_TERMINATED,
    Reason.COPYRIGHT,
    Reason.EXTRACTION_FAILED,
    Reason.FORBIDDEN,
    Reason.LOGIN_REQUIRED,
}
DOUBTFUL = frozenset(GONE | {Reason.NETWORK, Reason.TIMEOUT, Reason.SERVER_ERROR})
"""What can be said of a track and mean us, or the way to the site."""
_DESCRIBED = {
    Reason.DURATION_OUT_OF_RANGE,
    Reason.LICENSE_REFUSED,
    Reason.LIVE,
    Reason.NO_AUDIO,
    Reason.DRM,
    Reason.NOT_FOUND,
}
"""What only a site says that serves us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """State of one identity at one site; as new, it lets everything through."""

    is_open: bool = False
    changed_at: float = 0.0
    """When it was opened or closed last."""
    cooldown_s: float = 0.0
    why: str = ""
    """For people."""
    num_blocks: int = 0
    """Since a track last came through."""
    served_at: float = 0.0
    """When the latest request began that was answered as only a site answers that serves us."""
    track_at: float = 0.0
    """The same without canaries."""
    probe: str | None = None
    """Who asks, while somebody does; nobody else may then."""
    probe_at: float = 0.0
    lease_s: float = 0.0

    @property
    def until(self) -> float:
        """The end of the cool-down."""
        return self.changed_at + self.cooldown_s

    def is_probed(self, now: float) -> bool:
        """Whether somebody is asking, and was not killed."""
        return self.probe is not None and now < self.probe_at + self.lease_s

    def next_look(self, now: float) -> float:
        """When a request may begin, as far as is known now."""
        if self.is_probed(now):
            return min(self.probe_at + self.lease_s, now + POLL_S)
        return self.until if self.is_open else float("-inf")

    def probed_by(self, probe: str, now: float, *, is_known: bool) -> Breaker:
        """With the one probe taken; ``is_known``: it asks for an address that was there, else for the track in hand."""
        return replace(self, probe=probe, probe_at=now, lease_s=PROBE_LEASE_S if is_known else TRACK_LEASE_S)

    def released_by(self, probe: str) -> Breaker:
        """With the probe free again, if it was this one."""
        return replace(self, probe=None) if self.probe == probe else self

    def settles(self, begun_at: float) -> bool | None:
        """Whether a doubtful answer to a request of that moment is to be believed; None: nobody knows yet."""
        if self.is_open or begun_at < self.changed_at:
            return False
        return True if self.served_at > begun_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request."""

    begun_at: float
    fault: Fault | None
    probe: str | None = None
    """As in ``Breaker.probe``; None for an ordinary request."""
    is_known: bool = False
    """An address was asked that was there before."""
    is_canary: bool = False
    """It was the site's canary: famous, so no evidence that tracks come through."""


def after(breaker: Breaker, answer: Answer, now: float, settings: NetworkSettings, *, can_probe: bool) -> Breaker:
    """The breaker after an answer; ``can_probe``: an address is known that can tell a block from an odd track."""
    is_probe = answer.probe is not None and answer.probe == breaker.probe
    if not is_probe and answer.begun_at < breaker.changed_at:
        return breaker  # news from before the last change
    fault = answer.fault
    if fault is None or fault.reason in _DESCRIBED:
        return _served(breaker, answer, now, is_probe=is_probe)
    if fault.reason in BLOCKS or (answer.is_known and fault.reason in GONE):
        if breaker.is_open and not is_probe:
            return breaker  # counted already, by the one whose turn it was
        return _blocked(breaker, fault, now, settings, can_probe=can_probe, is_known=answer.is_known)
    if is_probe:
        return _opened(breaker, fault, now, SHORT_COOLDOWN_S)
    return breaker


def _served(breaker: Breaker, answer: Answer, now: float, *, is_probe: bool) -> Breaker:
    return replace(
        breaker,
        is_open=False,
        changed_at=now if breaker.is_open else breaker.changed_at,
        cooldown_s=0.0,
        why="",
        num_blocks=breaker.num_blocks if answer.is_canary else 0,
        served_at=max(breaker.served_at, answer.begun_at),
        track_at=breaker.track_at if answer.is_canary else max(breaker.track_at, answer.begun_at),
        probe=None if is_probe or breaker.is_open else breaker.probe,
    )


def _blocked(
    breaker: Breaker, fault: Fault, now: float, settings: NetworkSettings, *, can_probe: bool, is_known: bool
) -> Breaker:
    can_be_the_track = can_probe and fault.reason is Reason.BOT_CHECK
    if can_be_the_track and not is_known and breaker.num_blocks == 0:
        cooldown_s = FIRST_COOLDOWN_S
    else:
        doublings = max(0, breaker.num_blocks - (1 if can_be_the_track else 0))
        cooldown_s = settings.cooldown_s * 2.0 ** min(doublings, 30)
    cooldown_s = min(max(cooldown_s, fault.retry_after_s or 0.0), settings.longest_cooldown_s)
    return replace(_opened(breaker, fault, now, cooldown_s), num_blocks=breaker.num_blocks + 1)


def _opened(breaker: Breaker, fault: Fault, now: float, cooldown_s: float) -> Breaker:
    return replace(
        breaker,
        is_open=True,
        changed_at=now,
        cooldown_s=cooldown_s,
        why=f"{fault.reason}: {fault.detail}",
        probe=None,
    )
