"""The circuit breaker of one identity at one site: what answers make of it, as a pure state machine.

A block concerns whom a site sees, not the track that met it. So a bot check or rate limit *opens*
the breaker, and nobody asks until a cool-down has passed; then one *probe* finds out whether the
block has ended: the site's canary, an address known to be there, or where it has none the track in
hand. M. Nygard, "Release It!", 2007, gives the pattern; new here is what the memory of a failure
survives. A canary that comes through closes the breaker, but only a track that comes through makes
the next cool-down short again: a site can serve its most famous page and refuse all others.

A site may also turn away in disguise: YouTube says "Video unavailable" to a session it has blocked.
After ``DOUBTED_AFTER`` such answers in a row the breaker opens *in doubt*, without a cool-down: the
next answer is believed if the canary comes through. An outage of the network is found the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from data_specs.network import NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest.outcomes import Fault

DOUBTED_AFTER = 5

FIRST_COOLDOWN_S = 60.0
"""After a bot check where a canary can tell at once whether it was one odd track."""
SHORT_COOLDOWN_S = 120.0
"""After a probe that said nothing of a block: the network is down, say."""

CANARY_LEASE_S = 600.0
TRACK_LEASE_S = 2400.0
"""Longer than the slowest extraction and the longest download: then the prober was killed, and another may ask."""
POLL_S = 5.0
"""How often those who wait for the answer of a probe look for it."""

BLOCKS = frozenset({Reason.BOT_CHECK, Reason.RATE_LIMITED})
_GONE = {
    Reason.REMOVED,
    Reason.PRIVATE,
    Reason.ACCOUNT_TERMINATED,
    Reason.COPYRIGHT,
    Reason.EXTRACTION_FAILED,
    Reason.FORBIDDEN,
    Reason.LOGIN_REQUIRED,
}
DOUBTFUL = frozenset(_GONE | {Reason.NETWORK, Reason.TIMEOUT, Reason.SERVER_ERROR})
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
    """0 in doubt."""
    why: str = ""
    """For people."""
    num_blocks: int = 0
    """Since a track last came through."""
    num_doubtful: int = 0
    """Believed answers in a row that could be a block in disguise."""
    probe: str | None = None
    """Who asks, while somebody does."""
    probe_at: float = 0.0
    lease_s: float = 0.0

    @property
    def in_doubt(self) -> bool:
        return self.is_open and self.cooldown_s == 0.0

    @property
    def until(self) -> float:
        """The end of the cool-down."""
        return self.changed_at + self.cooldown_s

    def next_look(self, now: float) -> float:
        """When a request may begin, as far as is known now."""
        if not self.is_open:
            return float("-inf")
        if self.probe is not None and now < self.probe_at + self.lease_s:
            return min(self.probe_at + self.lease_s, now + POLL_S)
        return self.until

    def probed_by(self, probe: str, now: float, *, has_canary: bool) -> Breaker:
        """With the one probe taken."""
        return replace(self, probe=probe, probe_at=now, lease_s=CANARY_LEASE_S if has_canary else TRACK_LEASE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request."""

    begun_at: float
    fault: Fault | None
    probe: str | None
    """As in ``Breaker.probe``; None for an ordinary request."""
    is_canary: bool


def after(breaker: Breaker, answer: Answer, now: float, settings: NetworkSettings, *, has_canary: bool) -> Breaker:
    """The breaker after an answer."""
    is_probe = answer.probe is not None and answer.probe == breaker.probe
    if not is_probe and answer.begun_at < breaker.changed_at:
        return breaker  # news from before the last change
    fault = answer.fault
    if fault is None or (fault.reason in _DESCRIBED and not answer.is_canary):
        return Breaker(
            changed_at=now if breaker.is_open else breaker.changed_at,
            num_blocks=breaker.num_blocks if answer.is_canary else 0,
        )
    if fault.reason in BLOCKS or (answer.is_canary and fault.reason in _GONE):
        if breaker.is_open and not is_probe:
            return breaker  # counted already, by the one whose turn it was
        return _blocked(breaker, fault, now, settings, has_canary=has_canary, is_canary=answer.is_canary)
    if is_probe:
        return _opened(breaker, fault, now, SHORT_COOLDOWN_S)
    return breaker


def doubted(breaker: Breaker, fault: Fault, begun_at: float, now: float) -> Breaker:
    """The breaker after an answer of ``DOUBTFUL`` that nothing speaks against but their number."""
    if breaker.is_open or begun_at < breaker.changed_at:
        return breaker
    if breaker.num_doubtful < DOUBTED_AFTER:
        return replace(breaker, num_doubtful=breaker.num_doubtful + 1)
    return _opened(breaker, fault, now, 0.0)


def _blocked(
    breaker: Breaker, fault: Fault, now: float, settings: NetworkSettings, *, has_canary: bool, is_canary: bool
) -> Breaker:
    can_be_the_track = has_canary and fault.reason is Reason.BOT_CHECK
    if can_be_the_track and not is_canary and breaker.num_blocks == 0:
        cooldown_s = FIRST_COOLDOWN_S
    else:
        doublings = max(0, breaker.num_blocks - (1 if can_be_the_track else 0))
        cooldown_s = settings.cooldown_s * 2.0 ** min(doublings, 30)
    cooldown_s = min(max(cooldown_s, fault.retry_after_s or 0.0), settings.longest_cooldown_s)
    return replace(_opened(breaker, fault, now, cooldown_s), num_blocks=breaker.num_blocks + 1)


def _opened(breaker: Breaker, fault: Fault, now: float, cooldown_s: float) -> Breaker:
    return Breaker(
        is_open=True,
        changed_at=now,
        cooldown_s=cooldown_s,
        why=f"{fault.reason}: {fault.detail}",
        num_blocks=breaker.num_blocks,
        num_doubtful=breaker.num_doubtful,
    )
