from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from data_specs.network import NetworkSettings
from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.demo.encode import encode
from tasks.harvest.fetch import harvest_track
from tasks.harvest.network import Network


def harvested(url: str, workspace: Path, settings: HarvestSettings | None = None) -> Outcome[Harvest]:
    track = Track(track_id="t", source="local", url=url, split="train")
    # a folder that cannot be made: one's own files must not come to need it
    with Network(NetworkSettings(), state=Path("/dev/null/state")) as network:
        return harvest_track(track, settings or HarvestSettings(), network, workspace)


@pytest.mark.parametrize("name", ["song.mp3", "ein Lied & 100% ä.FLAC", "#1?.m4a"])
def test_a_file_stays_where_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "music" / name
    path.parent.mkdir()
    path.write_bytes(encode(np.zeros((8000, 2), np.float32), 8000, "flac"))
    outcome = harvested(path.as_uri(), tmp_path / "workspace")
    harvest = outcome.record
    assert harvest is not None
    assert (harvest.file, harvest.num_bytes) == (str(path), path.stat().st_size)
    assert harvest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert harvest.container == path.suffix[1:].lower()
    assert harvest.tool is None
    assert not (tmp_path / "workspace").exists(), "nothing is copied"
    assert harvested(path.as_uri(), tmp_path) == outcome, "a repeated call is the same record"


def test_tags_of_the_file_are_read(tmp_path: Path) -> None:
    import mutagen

    path = tmp_path / "tagged.flac"
    path.write_bytes(encode(np.zeros((8000, 2), np.float32), 8000, "flac"))
    tags = mutagen.File(path, easy=True)
    tags.update({"title": ["Battle Music"], "artist": ["A", "B"], "album": ["Music"], "license": ["GPL"]})
    tags.save()
    harvest = harvested(path.as_uri(), tmp_path).record
    assert harvest is not None
    assert (harvest.title, harvest.artist, harvest.album, harvest.license) == ("Battle Music", "A; B", "Music", "GPL")
    # The record says what the file says; whoever packs it puts a title from the user's own table first.
    assert harvested(path.as_uri(), tmp_path, HarvestSettings(licenses=("CC*", "gpl"))).record == harvest
    refused = harvested(path.as_uri(), tmp_path, HarvestSettings(licenses=("Creative Commons*", "not stated")))
    assert refused.reason is Reason.LICENSE_REFUSED
    assert refused.detail == "licence 'GPL': harvest.licenses takes 'Creative Commons*', 'not stated'"
    plain = tmp_path / "Plain name.flac"
    plain.write_bytes(encode(np.zeros((8000, 2), np.float32), 8000, "flac"))
    untagged = harvested(plain.as_uri(), tmp_path).record
    assert untagged is not None
    assert untagged.title == "Plain name"


@pytest.mark.parametrize("content", [b"\0", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"fLaC\0\0\0\x22", b"OggS\0", b"RIFF\xff"])
def test_broken_tags_are_no_tags(tmp_path: Path, content: bytes) -> None:
    for name in ("x.mp3", "x.flac", "x.ogg", "x.m4a", "x.wav", "x"):
        path = tmp_path / name
        path.write_bytes(content * 3)
        assert harvested(path.as_uri(), tmp_path).record is not None


def test_what_is_no_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "folder.mp3").mkdir()
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "dangling.mp3").symlink_to(tmp_path / "gone")
    reasons = {
        name: harvested((tmp_path / name).as_uri(), tmp_path).reason
        for name in ("missing.mp3", "empty.mp3", "folder.mp3", "pipe.mp3", "dangling.mp3", "empty.mp3/x.mp3")
    }
    assert reasons == {
        "missing.mp3": Reason.FILE_MISSING,
        "empty.mp3": Reason.FILE_EMPTY,
        "folder.mp3": Reason.FILE_MISSING,
        "pipe.mp3": Reason.FILE_MISSING,
        "dangling.mp3": Reason.FILE_MISSING,
        "empty.mp3/x.mp3": Reason.FILE_MISSING,
    }


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.mp3"
    path.write_bytes(b"x")
    path.chmod(0)
    return path


def test_an_unreadable_file_has_its_reason(secret: Path, tmp_path: Path, unprivileged: None) -> None:
    assert harvested(secret.as_uri(), tmp_path).reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("url", ["file://other-host/a.mp3", "ftp://x/a.mp3", "data:audio/mpeg;base64,AA", "a.mp3", ""])
def test_addresses_that_nothing_can_be_fetched_from(tmp_path: Path, url: str) -> None:
    assert harvested(url, tmp_path).reason is Reason.UNSUPPORTED_URL
