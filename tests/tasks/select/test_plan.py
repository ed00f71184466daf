from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
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
    assert requests_per_hour(NetworkSettings(identities=tuple(identities))) == pytest.approx(per_hour)


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
        "  download  9.0 hours (0.4 days) at 100.0 requests an hour to one site, averaged over the day "
        "(a 90 an hour, b 20 an hour at 22:00-10:00 UTC)"
    ) in lines
    assert "  media     4.2 GB to fetch, at 4.7 MB a song" in lines
    assert "  flac      5.6 GB of 16 kHz mono FLAC in the shards, at 6.2 MB a song" in lines
    assert "  sound     72 hours" in lines


def test_what_lies_on_this_machine_is_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    here = plan(spec({"type": "local", "folder": str(tmp_path)}), NetworkSettings())
    assert "x: 1 track in 1 partition" in here
    assert "download  nothing: every track is on this machine" in here
    source = table(tmp_path, ["http://127.0.0.1:8437/a", "http://[::1]/b", "http://localhost/c", "http://10.0.0.1/d"])
    assert "(0.0 days)" in plan(spec(source), NetworkSettings())
    assert f"media     {plan_module.MEDIA_MB / 1000:.1f} GB" in plan(spec(source), NetworkSettings())
