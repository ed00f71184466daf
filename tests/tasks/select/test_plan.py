from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.records import Track
from tasks.doctor.machine import disk_finding
from tasks.engine.stage import Partition
from tasks.select import Selection
from tasks.select import plan as plan_module
from tasks.select.plan import plan, requests_per_hour
from tests.tasks.select.test_audioset import spec


def table(folder: Path, addresses: list[str]) -> dict[str, str]:
    (folder / "urls.csv").write_text("\n".join(["url", *addresses]))
    return {"type": "urls", "table": str(folder / "urls.csv")}


def identity(name: str, per_hour: float, window: str | None = None) -> Identity:
    return Identity(name=name, requests_per_hour=per_hour, window=window, proxy=f"http://{name}:1")


@pytest.mark.parametrize(
    ("identities", "per_hour"),
    [
        ([identity("a", 180)], 180),
        ([identity("a", 180), identity("b", 60)], 240),
        ([identity("a", 240, "08:00-14:00")], 60),
        ([identity("a", 240, "22:00-04:00")], 60),
        ([identity("a", 100), identity("b", 288, "23:55-00:00")], 101),
    ],
)
def test_the_pace_is_the_sum_over_identities_and_their_hours(identities: list[Identity], per_hour: float) -> None:
    network = NetworkSettings(identities=tuple(identities))
    assert requests_per_hour(network) == pytest.approx(per_hour / 1.05)  # the mean of the jitter


def test_a_plan(tmp_path: Path) -> None:
    source = table(tmp_path, [f"https://example.org/{number}" for number in range(1000)])
    network = NetworkSettings(identities=(identity("a", 90), identity("b", 20, "22:00-10:00")))
    lines = plan(spec(source, limit=900, partition_size=400, split={"test_percent": 0}), network).splitlines()
    assert lines[0] == "x: 900 tracks in 3 partitions"
    assert [line.split() for line in lines[1:4]] == [
        ["tracks", "listed", "1,000"],
        ["beyond", "the", "limit", "100"],
        ["selected", "900"],
    ]
    assert (
        "  download  9.5 hours (0.4 days) at 95.2 requests an hour to one site, averaged over the day "
        "(a up to 90 an hour, b up to 20 an hour at 22:00-10:00 UTC)"
    ) in lines
    assert lines[-5:] == [
        "  media     4.2 GB to fetch, at 4.7 MB a song",
        "  audio     5.6 GB of 16 kHz mono FLAC, at 6.2 MB a song",
        "  shards    5.6 GB with that FLAC again, at 6.2 MB a song",
        "  disk      15.4 GB in all",
        "  sound     72 hours",
    ]


def test_plan_and_doctor_count_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "select", lambda spec: Selection(partitions=(MANY,), counts={"selected": 51_300}))
    (line,) = (line for line in plan(spec(table(tmp_path, [])), NetworkSettings()).splitlines() if "disk" in line)
    assert "877.2 GB" in line
    assert "about 817.0 GiB more needed" in disk_finding(51_300, tmp_path, copies_media=True).text


SONG = Track(track_id="a", source="urls", url="https://example.org/a", split="train")
MANY = Partition(name="train-00000", split="train", tracks=(SONG,) * 51_300)


def test_what_lies_on_this_machine_is_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    here = plan(spec({"type": "local", "folder": str(tmp_path)}), NetworkSettings())
    assert "x: 1 track in 1 partition" in here
    assert "download  nothing: every track is on this machine" in here
    hosts = ["127.0.0.1:8437", "[::1]", "localhost", "songs.localhost"]
    served_here = [f"http://{hosts[number % 4]}/{number}" for number in range(1000)]
    found = plan(spec(table(tmp_path, served_here)), NetworkSettings())
    assert "download  nothing: every track is on this machine" in found
    assert "media     4.7 GB" in found  # which a build copies
    found = plan(spec(table(tmp_path, ["http://10.0.0.1/d", *served_here])), NetworkSettings())
    assert "download  0.0 hours" in found
