"""What the doctor finds on a machine that is sound, and on one that is not."""

from __future__ import annotations

import shutil
import stat
import time
from datetime import date
from pathlib import Path

import pytest
import yt_dlp
from yt_dlp.globals import supported_js_runtimes

from data_specs.network import Identity, NetworkSettings
from data_specs.serving import ServingSettings
from data_specs.spec import DatasetSpec, LocalSource, RenderedSource
from tasks.doctor import Finding, doctor, report
from tasks.doctor.machine import clock_finding, disk_finding
from tasks.doctor.programs import age_finding, solver_finding

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAP_STATE", str(tmp_path / "state"))


def found(network: NetworkSettings | None = None, workspace: Path | None = None, **spec: object) -> dict[str, Finding]:
    dataset = DatasetSpec(name="d", **spec) if spec else None  # type: ignore[arg-type]
    findings = doctor(network or NetworkSettings(), ServingSettings(), dataset, workspace)
    assert len({(finding.name, finding.text) for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def test_this_machine_can_harvest(tmp_path: Path) -> None:
    findings = found(workspace=tmp_path, source=RenderedSource(), limit=1)
    assert [f for f in findings.values() if f.level == "problem"] == []
    named = {"python", "yt-dlp", "yt-dlp-ejs", "ffmpeg", "network file", "workspace", "disk", "state folder", "clock"}
    assert named <= findings.keys()
    assert yt_dlp.version.__version__ in findings["yt-dlp"].text
    assert list(tmp_path.iterdir()) == [], "looking left something behind"


def test_the_report_ends_with_the_worst() -> None:
    findings = [Finding("a", "problem", "broken; mend it"), Finding("b", "ok", "fine"), Finding("c", "warning", "old")]
    lines = report(findings).splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["ok", "b"], ["warning", "c"], ["problem", "a"]]
    assert lines[-1].endswith("broken; mend it")


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("2026.10.26", "ok"),
        ("2026.10.26.232910.dev0", "ok"),
        ("2026.09.24", "ok"),
        ("2026.09.23", "warning"),
        ("2024.01.01", "warning"),
        ("unknown", "warning"),
        ("2026.13.40", "warning"),
    ],
)
def test_a_yt_dlp_grows_old_in_two_months(version: str, level: str) -> None:
    finding = age_finding(version, date(2026, 11, 23))
    assert finding.level == level
    assert ("pip install -U" in finding.text) == (level == "warning")


@pytest.mark.parametrize(
    ("installed", "level"),
    [("0.8.0", "ok"), ("0.8.3", "ok"), ("0.7.9", "warning"), ("1.8.0", "warning"), (None, "warning")],
)
def test_the_solver_must_fit_yt_dlp(installed: str | None, level: str) -> None:
    finding = solver_finding(installed, "0.8.0")
    assert finding.level == level
    assert ("yt-dlp-ejs==0.8.0" in finding.text) == (level == "warning")


def program(folder: Path, name: str, says: str) -> None:
    """An executable that prints its version and nothing else."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are found in."""
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "no-scripts"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_no_javascript_runtime(bin_folder: Path) -> None:
    findings = found()
    assert not findings.keys() & supported_js_runtimes.value.keys()
    assert (findings["javascript"].level, "deno>=2.3" in findings["javascript"].text) == ("warning", True)


def test_a_runtime_that_is_new_enough(bin_folder: Path) -> None:
    program(bin_folder, "deno", "deno 2.9.0 (stable, release)")
    findings = found()
    assert (findings["deno"].level, findings["deno"].text) == ("ok", f"2.9.0 at {bin_folder / 'deno'}")
    assert "javascript" not in findings


def test_a_runtime_that_is_there_but_not_in_use(bin_folder: Path) -> None:
    program(bin_folder, "node", "v24.1.0")
    findings = found()
    assert findings["node"].text.endswith("not in js_runtimes")
    assert "js_runtimes: [node]" in findings["javascript"].text
    assert "javascript" not in found(NetworkSettings(js_runtimes=("node",)))


def test_a_runtime_that_was_asked_for_and_does_not_do(bin_folder: Path) -> None:
    program(bin_folder, "node", "v20.20.2")
    unasked = found()
    assert "node" not in unasked, "nobody asked for it"
    assert "node 20.20.2" in unasked["javascript"].text
    findings = found(NetworkSettings(js_runtimes=("node", "bun")))
    assert (findings["node"].level, "it needs 22.0.0" in findings["node"].text) == ("problem", True)
    assert (findings["bun"].level, "not found" in findings["bun"].text) == ("problem", True)
    assert findings["javascript"].level == "warning"


def test_an_ffmpeg_without_chromaprint_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "ffmpeg", "  E  mp3   MP3")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "ffmpeg"))
    assert (found()["ffmpeg"].level, "no chromaprint" in found()["ffmpeg"].text) == ("problem", True)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "gone"))
    assert found()["ffmpeg"].level == "problem"


def cookie_file(path: Path, **expires_in_days: float) -> NetworkSettings:
    """A network with one identity whose cookies end after so many days; 0 stands for no end."""
    lines = ["# Netscape HTTP Cookie File"]
    for name, days in expires_in_days.items():
        expires_s = int(time.time() + days * DAY_S) if days else 0
        lines.append(f".youtube.com\tTRUE\t/\tTRUE\t{expires_s}\t{name.replace('Secure_', '__Secure-')}\tsecret-value")
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return NetworkSettings(identities=(Identity(name="me", cookies=str(path)),))


@pytest.mark.parametrize(
    ("cookies", "level", "text"),
    [
        ({"LOGIN_INFO": 300, "SAPISID": 200, "PREF": 1}, "ok", "3 cookies, a YouTube login until"),
        ({"LOGIN_INFO": 300, "Secure_3PAPISID": 0}, "ok", "a YouTube login until"),
        ({"LOGIN_INFO": 0, "Secure_3PAPISID": 0}, "ok", "a YouTube login without an end"),
        ({"LOGIN_INFO": 300, "SAPISID": 3}, "warning", "(SAPISID); export"),
        ({"LOGIN_INFO": -1, "SAPISID": 3}, "problem", "(LOGIN_INFO); export"),
        ({"PREF": -1, "VISITOR_INFO1_LIVE": 3}, "ok", "2 cookies, no YouTube login"),
        ({"LOGIN_INFO": -1}, "ok", "no YouTube login"),
        ({"LOGIN_INFO": 300, "SAPISID": 20_000_000}, "warning", "SAPISID ends after the year 9999"),  # as milliseconds
        ({"LOGIN_INFO": 1e15, "SAPISID": 1e15}, "warning", "ends after the year 9999"),
    ],
)
def test_how_long_a_login_lasts(tmp_path: Path, cookies: dict[str, float], level: str, text: str) -> None:
    findings = found(cookie_file(tmp_path / "cookies.txt", **cookies))
    assert (findings["cookies of me"].level, text in findings["cookies of me"].text) == (level, True)
    assert "secret-value" not in report(list(findings.values()))


def test_cookies_that_others_can_read(tmp_path: Path) -> None:
    network = cookie_file(tmp_path / "cookies.txt", LOGIN_INFO=300, SAPISID=300)
    (tmp_path / "cookies.txt").chmod(0o640)
    texts = [f for f in doctor(network, ServingSettings(), None, None) if f.name == "cookies of me"]
    assert [finding.level for finding in texts] == ["warning", "ok"]
    assert f"chmod 600 {tmp_path / 'cookies.txt'}" in texts[0].text


def test_a_network_file_with_mistakes_tells_each_once(tmp_path: Path) -> None:
    network = NetworkSettings(identities=(Identity(cookies=str(tmp_path / "gone")),), options={"sleep_requests": 1})
    problems = [finding for finding in doctor(network, ServingSettings(), None, None) if finding.level == "problem"]
    assert [finding.name for finding in problems] == ["network file"] * 2
    assert "no file there" in problems[0].text
    assert "sleep_interval_requests" in problems[1].text


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    too_many = int(free * 1.1) // (4_700_000 + 6_200_000 + 6_200_000)
    assert disk_finding(too_many, tmp_path, copies_media=True).level == "problem"
    assert disk_finding(too_many, tmp_path, copies_media=False).level != "problem"
    assert disk_finding(int(too_many * 0.8), tmp_path, copies_media=True).level == "warning"


def test_what_a_build_has_written_is_not_needed_again(tmp_path: Path) -> None:
    with open(tmp_path / "media", "wb") as file:
        file.truncate(171_000_000)  # sparse: ten tracks
    text = found(workspace=tmp_path, source=RenderedSource(), limit=10)["disk"].text
    assert "about 0.0 GiB more needed for 10 tracks" in text


def test_a_source_that_cannot_be_read(tmp_path: Path) -> None:
    findings = found(workspace=tmp_path, source=LocalSource(folder=str(tmp_path / "gone")))
    assert findings["source"].level == "problem"
    assert "set source.folder" in findings["source"].text


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    closed = tmp_path / "closed"
    closed.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    return closed


def test_folders_that_cannot_be_written(closed: Path, unprivileged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAP_STATE", str(closed / "state"))
    findings = found(workspace=closed / "runs" / "d")
    for name in ("workspace", "state folder"):
        assert (findings[name].level, "cannot write" in findings[name].text) == ("problem", True)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    assert "is a file" in found(workspace=tmp_path / "runs")["workspace"].text


def test_a_clock_before_yt_dlp_came_out_is_wrong() -> None:
    assert clock_finding(0.0, "2026.10.26").level == "problem"
    assert clock_finding(time.time(), yt_dlp.version.__version__).level == "ok"


def test_no_network_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the doctor opened a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert found(NetworkSettings(youtube={"player_client": ("web",)}))["network file"].level == "ok"
