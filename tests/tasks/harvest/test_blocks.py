"""Blocks as they arrive over HTTP: yt-dlp and its YouTube extractor, the network, the ledger; only time is made up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.demo.encode import encode
from tasks.harvest import ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S
from tasks.harvest.fetch import harvest_track
from tasks.harvest.network import Network
from tests.tasks.harvest.clocks import MONDAY, Clock
from tests.tasks.harvest.site import Site
from tests.tasks.harvest.youtube_site import Video, YouTubeSite

HOUR_S = 3600.0
SETTINGS = HarvestSettings(min_duration_s=1, max_duration_s=20)
SOUND = encode((0.2 * np.random.default_rng(0).standard_normal((4 * 44_100, 2))).astype(np.float32), 44_100, "webm")
CANARY = "jNQXAC9IVRw"
NOT_A_BOT = ("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot")
SLOW_DOWN = (
    "UNPLAYABLE",
    "This content isn't available, try again later. Your account has been rate-limited by YouTube",
)
UNAVAILABLE = ("ERROR", "Video unavailable")


class Guard(YouTubeSite):
    """Turns everybody away until a moment, from the canary too unless it ``serves_canary``, and one video always."""

    def __init__(self, clock: Clock, folder: Path) -> None:
        super().__init__(folder)
        names = [CANARY, *(letter * 11 for letter in "abcdefghij")]
        self.videos = {name: Video(formats={251: SOUND}) for name in names}
        self.clock = clock
        self.blocked_until = 0.0
        self.odd: str | None = None
        self.serves_canary = False
        self.words = NOT_A_BOT
        self.asked: list[tuple[float, str]] = []

    def player(self, video_id: str) -> dict[str, Any]:
        self.asked.append((self.clock.now, video_id))
        answer = super().player(video_id)
        is_blocked = self.clock.now < self.blocked_until and not (self.serves_canary and video_id == CANARY)
        if is_blocked or video_id == self.odd:
            del answer["streamingData"]
            answer["playabilityStatus"] = {"status": self.words[0], "reason": self.words[1]}
        return answer


class Harvester:
    def __init__(self, settings: NetworkSettings, clock: Clock, workspace: Path, **options: Any) -> None:
        self.network = Network(
            settings, state=workspace / "state", clock=clock, sleep=clock.sleep, rng=random.Random(0), **options
        )
        self.events: list[str] = []
        self.network.on_event = self.events.append
        self.workspace = workspace

    def fetch(self, url: str) -> Outcome[Harvest]:
        track = Track(track_id="t", source="urls", url=url, split="train")
        return harvest_track(track, SETTINGS, self.network, self.workspace)

    def watch(self, letter: str) -> Outcome[Harvest]:
        return self.fetch(f"https://www.youtube.com/watch?v={letter * 11}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock, tmp_path: Path) -> Iterator[Guard]:
    with Guard(clock, tmp_path) as site:
        yield site


@pytest.fixture
def harvester(site: Guard, clock: Clock, tmp_path: Path) -> Harvester:
    skip = ("webpage", "configs", "js", "initial_data")
    youtube = {"innertube_host": (site.host,), "player_client": ("visionos",), "player_skip": skip}
    settings = NetworkSettings(
        identities=(Identity(requests_per_hour=60),),
        youtube=youtube | {"visitor_data": ("x",), "fetch_pot": ("never",)},
        options={"nocheckcertificate": True},
    )
    return Harvester(settings, clock, tmp_path)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ytdlp, "_RETRY_SLEEP_S", 0.01)


def test_a_bot_check_is_waited_out(site: Guard, harvester: Harvester, clock: Clock) -> None:
    site.blocked_until = MONDAY + 2 * HOUR_S
    outcome = harvester.watch("a")
    assert outcome.record is not None, outcome.detail
    assert (outcome.record.attempts, outcome.record.identity) == (2, "direct")
    assert [name for _, name in site.asked] == ["a" * 11, CANARY, CANARY, CANARY, "a" * 11]
    minutes = [round((at - MONDAY) / 60) for at, _ in site.asked]
    assert minutes == [0, 1, 61, 181, 182], "first look, one hour, two hours"
    assert [event.partition(". ")[0] for event in harvester.events] == [
        "direct at youtube.com: no requests before 2026-11-30 00:01 UTC",
        "direct at youtube.com: asking whether it may go on",
        "direct at youtube.com: no requests before 2026-11-30 01:01 UTC",
        "direct at youtube.com: asking whether it may go on",
        "direct at youtube.com: no requests before 2026-11-30 03:01 UTC",
        "direct at youtube.com: asking whether it may go on",
        "direct at youtube.com: goes on",
    ]
    assert "bot_check: " in harvester.events[0]


def test_the_words_of_a_rate_limit_pause_for_an_hour_at_once(site: Guard, harvester: Harvester, clock: Clock) -> None:
    site.words, site.blocked_until = SLOW_DOWN, MONDAY + HOUR_S / 2
    assert harvester.watch("a").record is not None
    assert [round((at - MONDAY) / 60) for at, _ in site.asked] == [0, 60, 61]


def test_one_odd_video_costs_a_minute_and_not_the_harvest(site: Guard, harvester: Harvester, clock: Clock) -> None:
    site.odd = "b" * 11
    assert harvester.watch("a").record is not None
    outcome = harvester.watch("b")
    assert outcome.reason is Reason.BOT_CHECK
    assert [name for _, name in site.asked] == ["a" * 11, "b" * 11, "a" * 11, "b" * 11], "the probe is the last track"
    assert harvester.watch("c").record is not None
    assert clock.now - MONDAY < 2 * FIRST_COOLDOWN_S + 6 * 66


def test_a_video_that_met_a_block_is_not_given_up_for_a_famous_one(
    site: Guard, harvester: Harvester, clock: Clock
) -> None:
    site.serves_canary, site.blocked_until = True, MONDAY + 2 * HOUR_S
    assert harvester.watch("a").record is not None
    assert clock.now > site.blocked_until


@pytest.mark.parametrize("serves_canary", [True, False])
def test_a_block_in_disguise_costs_no_track(
    site: Guard, harvester: Harvester, clock: Clock, serves_canary: bool
) -> None:
    assert harvester.watch("a").record is not None
    site.serves_canary = serves_canary
    site.words, site.blocked_until = UNAVAILABLE, MONDAY + 2 * HOUR_S
    assert [harvester.watch(letter).reason for letter in "bcdefghij"] == [None] * 9
    assert len(site.asked) == 10 + 1 + 3, "one video was asked twice, and three probes"


@pytest.fixture(scope="module")
def plain() -> Iterator[Site]:
    with Site({"song.webm": SOUND}) as site:
        yield site


@pytest.fixture
def harvester_of_plain(plain: Site, clock: Clock, tmp_path: Path) -> Iterator[Harvester]:
    plain.requests.clear()
    yield Harvester(NetworkSettings(identities=(Identity(requests_per_hour=60),)), clock, tmp_path, own_hosts=())
    plain.retry_after = "0"


def test_a_rate_limit_that_stays_is_waited_out_by_the_track_itself(
    plain: Site, harvester_of_plain: Harvester, clock: Clock
) -> None:
    outcome = harvester_of_plain.fetch(f"{plain.url}/429-4/song.webm")
    assert outcome.record is not None
    assert outcome.record.attempts == 5
    assert clock.now - MONDAY == pytest.approx(2 * 60 + HOUR_S + 2 * HOUR_S, abs=20)
    begun = harvester_of_plain.network.status()[0]
    assert (begun.num_last_day, begun.breaker) == (5, "closed"), "every attempt takes a turn"


def test_the_server_says_for_how_long(plain: Site, harvester_of_plain: Harvester, clock: Clock) -> None:
    plain.retry_after = str(5 * 3600)
    outcome = harvester_of_plain.fetch(f"{plain.url}/429-1/song.webm")
    assert outcome.record is not None
    assert outcome.record.attempts == 2
    assert clock.now - MONDAY == 5 * HOUR_S


def test_a_fault_of_the_track_is_none_of_the_identity(plain: Site, harvester_of_plain: Harvester) -> None:
    faults = [harvester_of_plain.fetch(f"{plain.url}/{path}/song.webm") for path in ("404", "403", "410", "500")]
    assert [f.reason for f in faults] == [Reason.NOT_FOUND, Reason.FORBIDDEN, Reason.REMOVED, Reason.SERVER_ERROR]
    assert len(harvester_of_plain.events) == 2
    assert all("trying again, server_error: " in event for event in harvester_of_plain.events)


def test_a_wall_drops_nothing_once_a_track_came_through(
    plain: Site, harvester_of_plain: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No canary is known of this site."""
    assert harvester_of_plain.fetch(f"{plain.url}/ok/song.webm").record is not None
    answer, num_walled = Site.answer, 6

    def wall(self: Site, request: Any) -> None:
        if self.requests.total() < num_walled:
            self.requests["wall"] += 1
            request.send_error(403)
        else:
            answer(self, request)

    plain.requests.clear()
    monkeypatch.setattr(Site, "answer", wall)
    assert harvester_of_plain.fetch(f"{plain.url}/redirect/song.webm").record is not None
    assert "forbidden" in " ".join(harvester_of_plain.events)
    assert harvester_of_plain.fetch(f"{plain.url}/403/song.webm").reason is Reason.FORBIDDEN


def test_a_probe_that_meets_a_missing_track_knows_that_it_is_served(plain: Site, harvester_of_plain: Harvester) -> None:
    plain.retry_after = "7200"
    assert harvester_of_plain.fetch(f"{plain.url}/429-1/none.webm").reason is Reason.NOT_FOUND
    assert harvester_of_plain.events[-1].endswith("goes on")
