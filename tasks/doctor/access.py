"""Identities and options of a network file."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.cookiejar import Cookie
from pathlib import Path

from data_specs.network import Identity, NetworkSettings
from data_specs.settings import SpecError
from tasks.doctor.finding import Finding
from tasks.engine.errors import BuildError
from tasks.harvest.cookies import read_cookies
from tasks.harvest.ytdlp import check_network

SOON_S = 14 * 86_400.0
"""About as long as a large harvest takes."""

_END_OF_CALENDAR_S = datetime.max.replace(tzinfo=UTC).timestamp()

# What yt-dlp takes for a YouTube login: the first of these and one of the others (``_has_auth_cookies``).
_LOGIN = ("LOGIN_INFO", "SAPISID", "__Secure-1PAPISID", "__Secure-3PAPISID")


def access_findings(network: NetworkSettings) -> Iterator[Finding]:
    """Whether yt-dlp takes the options, and how long the cookies last."""
    try:
        check_network(network)
    except SpecError as error:
        yield from (Finding("network file", "problem", line) for line in str(error).splitlines())
    else:
        names = ", ".join(identity.name for identity in network.identities)
        yield Finding("network file", "ok", f"yt-dlp takes it; identities: {names}")
    for identity in network.identities:
        if identity.cookies:
            yield from _cookie_findings(identity, time.time())


def _cookie_findings(identity: Identity, now_s: float) -> Iterator[Finding]:
    name, path = f"cookies of {identity.name}", Path(identity.cookies or "")
    try:
        cookies = read_cookies(identity)
    except BuildError:
        return  # already a problem of the network file
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(name, "warning", f"mode {mode:o} lets other users read the login; chmod 600 {path}")
    yield _login_finding(name, cookies, now_s)


def _login_finding(name: str, cookies: list[Cookie], now_s: float) -> Finding:
    login = [c for c in cookies if c.name in _LOGIN and c.domain.lstrip(".").endswith("youtube.com")]
    found = {cookie.name for cookie in login}
    if _LOGIN[0] not in found or len(found) < 2:
        return Finding(name, "ok", f"{len(cookies)} cookies, no YouTube login among them")
    ends = {float(cookie.expires): cookie.name for cookie in login if cookie.expires}
    if not ends:
        return Finding(name, "ok", f"{len(cookies)} cookies, a YouTube login without an end")
    if max(ends) > _END_OF_CALENDAR_S:
        text = f"{ends[max(ends)]} ends after the year 9999: expected seconds since 1970, not milliseconds"
        return Finding(name, "warning", f"{text}; export the cookies again")
    soonest_s = min(ends)
    when = datetime.fromtimestamp(soonest_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if soonest_s <= now_s:
        return Finding(name, "problem", f"the YouTube login ended {when} ({ends[soonest_s]}); export the cookies again")
    if soonest_s <= now_s + SOON_S:
        return Finding(name, "warning", f"the YouTube login ends {when} ({ends[soonest_s]}); export the cookies again")
    return Finding(name, "ok", f"{len(cookies)} cookies, a YouTube login until {when}")
