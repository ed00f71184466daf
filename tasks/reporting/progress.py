"""How far a running build is: tracks settled per stage, and when the harvest will be through."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from data_specs.records import Track
from data_specs.sites import site_of
from tasks.build import Build
from tasks.engine.parts import PartInfo
from tasks.harvest.network import Network

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0


class Progress:
    """Counts what a build reports. Called from several threads."""

    def __init__(self, build: Build) -> None:
        self.num_tracks = len(build.selection.tracks)
        self.settled: Counter[str] = Counter()
        """Tracks by stage: computed now, or found in parts that were there; dropped ones included."""
        self.seen: Counter[str] = Counter()
        """Tracks by stage that came so far: without those that were dropped before it."""
        self.dropped: Counter[str] = Counter()
        """By stage, in this run."""
        self._build = build
        self._sizes = {partition.name: len(partition.tracks) for partition in build.selection.partitions}
        self._sites = sites_of(build.selection.tracks)
        self._guard = threading.Lock()

    def row(self, stage: str, result: str) -> None:
        """One track was computed in a stage."""
        with self._guard:
            self.dropped[stage] += result != "ok"
            self.seen[stage] += 1
            self._settle(stage, 1)

    def part(self, info: PartInfo) -> None:
        """One partition left a stage; its tracks that were dropped before count as settled too."""
        with self._guard:
            self.seen[info.stage] += info.num_tracks - info.num_new
            self._settle(info.stage, self._sizes[info.partition] - info.num_new)

    def _settle(self, stage: str, num_tracks: int) -> None:
        self.settled[stage] = min(self.settled[stage] + num_tracks, self.num_tracks)

    def harvest_eta_s(self) -> float | None:
        """Seconds until the last track is fetched at the pace that the network allows; None where nothing bounds it."""
        return harvest_eta_s(self._build.network, self._sites, 1.0 - self.settled["harvest"] / max(1, self.num_tracks))

    def line(self) -> str:
        """One line for a terminal."""
        stages = (stage.name for stage in self._build.stages)
        return "   ".join([*self._stage_texts(stages), *self._eta_text()])

    def describe(self, stage: str) -> str:
        """One stage, for the caption of a progress bar."""
        return "   ".join([f"{stage}: {self.settled[stage]} of {self.num_tracks}", *self._eta_text(stage)])

    def _stage_texts(self, stages: Iterable[str]) -> Iterable[str]:
        for stage in stages:
            if self.seen[stage]:
                dropped = f" ({self.dropped[stage]} dropped)" if self.dropped[stage] else ""
                yield f"{stage} {self.seen[stage]}{dropped}"

    def _eta_text(self, stage: str = "harvest") -> list[str]:
        eta_s = self.harvest_eta_s() if stage == "harvest" and self.settled[stage] < self.num_tracks else None
        return [] if eta_s is None else [f"harvest through in about {duration(eta_s)}"]


def sites_of(tracks: Iterable[Track]) -> Counter[str]:
    """How many tracks lie at each site; files of this machine at none."""
    return Counter(site_of(track.url) for track in tracks if track.url.startswith(("http://", "https://")))


def harvest_eta_s(network: Network, sites: Mapping[str, int], share_left: float) -> float | None:
    """Seconds until a share of every site's tracks is fetched; None where nothing is paced."""
    etas = [network.eta_s(round(count * share_left), site) for site, count in sites.items()]
    return max((eta for eta in etas if eta is not None), default=None)


def duration(seconds: float) -> str:
    """Two units at most: ``11 d 19 h``, ``3 h 5 min``, ``12 min``, ``40 s``."""
    if seconds >= DAY_S:
        return f"{seconds // DAY_S:.0f} d {seconds % DAY_S // HOUR_S:.0f} h"
    if seconds >= HOUR_S:
        return f"{seconds // HOUR_S:.0f} h {seconds % HOUR_S // MINUTE_S:.0f} min"
    return f"{seconds // MINUTE_S:.0f} min" if seconds >= MINUTE_S else f"{seconds:.0f} s"
