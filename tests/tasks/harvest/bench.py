"""The real ledger and breaker on a fake clock, without a site."""

from __future__ import annotations

import random
from pathlib import Path

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest.network import Network, Turn
from tasks.harvest.outcomes import Fault
from tests.tasks.harvest.clocks import Clock

URL = "https://www.youtube.com/watch?v=a"
PLAIN = "https://example.org/a"
HOUR_S = 3600.0
ONE = NetworkSettings(identities=(Identity(requests_per_hour=60),))
TWO = NetworkSettings(
    identities=(
        Identity(name="a", requests_per_hour=60),
        Identity(name="b", requests_per_hour=60, proxy="http://[::1]:9"),
    )
)
BOT = Fault(reason=Reason.BOT_CHECK, detail="not a bot")
LIMITED = Fault(reason=Reason.RATE_LIMITED, detail="try again later")
GONE = Fault(reason=Reason.REMOVED, detail="Video unavailable")
DENIED = Fault(reason=Reason.FORBIDDEN, detail="HTTP Error 403", http_status=403)
LIVE = Fault(reason=Reason.LIVE, detail="live_status is is_live")
NONE = Fault(reason=Reason.NOT_FOUND, detail="HTTP Error 404", http_status=404)
DOWN = Fault(reason=Reason.NETWORK, detail="no route")


class Bench:
    """A network on a fake clock; ``canary`` is what the next canaries find, None once the list is empty."""

    def __init__(self, settings: NetworkSettings, state: Path, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.state = state
        self.events: list[str] = []
        self.canary: list[Fault | None] = []
        self.canaries: list[tuple[float, str]] = []
        self.asked: list[str] = []
        self.network = Network(settings, state=state, clock=self.clock, sleep=self.clock.sleep, rng=random.Random(0))
        self.network.on_event = self.events.append

    def probe(self, url: str, settings: NetworkSettings, identity: Identity) -> Fault | None:
        self.canaries.append((self.clock.now, identity.name))
        self.asked.append(url)
        return self.canary.pop(0) if self.canary else None

    def answer(self, fault: Fault | None, url: str = URL) -> Turn:
        """Take a turn and report its answer."""
        turn = self.network.take(url)
        self.network.report(turn, fault)
        return turn
