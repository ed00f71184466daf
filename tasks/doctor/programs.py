"""What is installed: yt-dlp, what it needs for YouTube, and ffmpeg."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime

import imageio_ffmpeg
import yt_dlp
from yt_dlp.extractor.youtube.jsc._builtin import vendor
from yt_dlp.globals import supported_js_runtimes
from yt_dlp.utils import version_tuple
from yt_dlp.utils._jsruntime import JsRuntimeInfo

from data_specs.network import NetworkSettings
from tasks.doctor.finding import Finding

YT_DLP_GROWS_OLD_DAYS = 60
"""YouTube breaks yt-dlp every few weeks, and a fix is out within days; yt-dlp itself warns after 90."""

_UPDATE = 'pip install -U "yt-dlp[default]"'


def program_findings(network: NetworkSettings) -> Iterator[Finding]:
    """Python, yt-dlp and its age, its solver for YouTube's JavaScript with a runtime, and ffmpeg."""
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield age_finding(yt_dlp.version.__version__, datetime.now(UTC).date())
    yield solver_finding(_solver_version(), vendor.VERSION)
    yield from _runtime_findings(network)
    yield _ffmpeg_finding()


def age_finding(version: str, today: date) -> Finding:
    """How old a yt-dlp is whose version is its date, such as ``2026.10.26`` or, nightly, ``2026.10.26.232910``."""
    released = release_date(version)
    if released is None:
        return Finding("yt-dlp", "warning", f"version {version} is not a date; {_UPDATE}")
    days = (today - released).days
    if days > YT_DLP_GROWS_OLD_DAYS:
        return Finding("yt-dlp", "warning", f"{version}, {days} days old: YouTube has changed since; {_UPDATE}")
    return Finding("yt-dlp", "ok", f"{version}, {days} days old")


def release_date(version: str) -> date | None:
    """The date in a version of yt-dlp, None where there is none."""
    try:
        year, month, day = map(int, version.split(".")[:3])
        return date(year, month, day)
    except ValueError:
        return None


def solver_finding(installed: str | None, wanted: str) -> Finding:
    """Whether the yt-dlp-ejs that is installed is one that this yt-dlp takes: equal but for the patch level."""
    fix = f'pip install "yt-dlp-ejs=={wanted}"'
    if installed is None:
        return Finding("yt-dlp-ejs", "warning", f"not installed: most formats of YouTube are out of reach; {fix}")
    if version_tuple(installed, lenient=True)[:2] != version_tuple(wanted, lenient=True)[:2]:
        return Finding("yt-dlp-ejs", "warning", f"{installed} is not what this yt-dlp takes; {fix}")
    return Finding("yt-dlp-ejs", "ok", installed)


def _solver_version() -> str | None:
    package = yt_dlp.dependencies.yt_dlp_ejs
    return None if package is None else str(package.version)


def _runtime_findings(network: NetworkSettings) -> Iterator[Finding]:
    enabled = network.js_runtimes or tuple(yt_dlp.parse_options([]).ydl_opts["js_runtimes"])
    usable, unusable = [], []
    for name, kind in supported_js_runtimes.value.items():
        info = kind().info
        needed = ".".join(map(str, kind.MIN_SUPPORTED_VERSION))
        if info is None:
            if name in network.js_runtimes:
                yield Finding(name, "problem", f"in js_runtimes but not found; install version {needed} or later")
        elif not info.supported:
            text = f"{_where(info)} is too old for yt-dlp, it needs {needed}"
            unusable.append(f"{name} {text}")
            if name in network.js_runtimes:
                yield Finding(name, "problem", text)
        else:
            usable.append(name)
            yield Finding(name, "ok", _where(info) + ("" if name in enabled else ", not in js_runtimes"))
    if not set(usable) & set(enabled):
        deno = ".".join(map(str, supported_js_runtimes.value["deno"].MIN_SUPPORTED_VERSION))
        fix = f"js_runtimes: [{usable[0]}] in the network file" if usable else f'pip install "deno>={deno}"'
        why = f"no runtime to use ({'; '.join(unusable)})" if unusable else "no runtime to use"
        yield Finding("javascript", "warning", f"{why}: YouTube then shows yt-dlp one client and few formats; {fix}")


def _where(info: JsRuntimeInfo) -> str:
    return f"{info.version} at {shutil.which(info.path) or info.path}"


def _ffmpeg_finding() -> Finding:
    fix = "pip install --force-reinstall imageio-ffmpeg"
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        done = subprocess.run([path, "-hide_banner", "-muxers"], capture_output=True, text=True, timeout=60, check=True)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return Finding("ffmpeg", "problem", f"{error}; {fix}")
    if "chromaprint" not in done.stdout.split():
        return Finding("ffmpeg", "problem", f"{path} has no chromaprint muxer, so nothing can be fingerprinted; {fix}")
    return Finding("ffmpeg", "ok", f"{path}, with chromaprint")
