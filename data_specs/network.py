"""A network file: through which addresses and cookie jars a harvest goes out, and how fast.

Nothing here decides a byte of the dataset, and some of it is secret, so it does not stand in the spec.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from data_specs.hashing import digest
from data_specs.settings import Settings, SpecError, explain, read_mapping
from data_specs.sites import site_of

__all__ = ["Identity", "NetworkSettings", "load_network"]

YOUTUBE_REQUESTS_PER_HOUR = 180.0
"""yt-dlp's wiki gives about 300 videos an hour for a guest session; its preset ``-t sleep`` makes about 180."""

CANARIES = {"youtube.com": "https://www.youtube.com/watch?v=jNQXAC9IVRw"}

_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Identity(Settings):
    """Whom a site sees: an address (direct or a proxy) with or without a cookie jar."""

    name: str = Field("direct", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")
    requests_per_hour: float = Field(
        YOUTUBE_REQUESTS_PER_HOUR, ge=0.1, le=36_000, description="Upper bound on tracks begun per hour and site"
    )
    window: str | None = Field(None, description="Only at these hours of the day, UTC: 22:00-08:00")
    proxy: str | None = Field(None, description="http(s):// or socks5:// address; direct when empty")
    cookies: str | None = Field(None, description="Netscape cookie file; a copy is used, the file is never written")

    @field_validator("window")
    @classmethod
    def _is_window(cls, window: str | None) -> str | None:
        found = _WINDOW.fullmatch(window) if window is not None else None
        if window is not None and (found is None or window[:5] == window[6:]):
            raise ValueError("expected two different times of day in UTC, e.g. 22:00-08:00")
        return window

    @property
    def window_minutes(self) -> tuple[int, int] | None:
        """First minute of the day and the first one after; the second is smaller where midnight lies between."""
        if self.window is None:
            return None
        hours = [int(text[:2]) * 60 + int(text[3:]) for text in self.window.split("-")]
        return hours[0], hours[1]

    @property
    def key(self) -> str:
        """Equal for equal address and cookie jar, whatever the name: processes that agree on it share one budget."""
        return digest(_one_spelling(self.proxy or ""), self.cookies or "")


class NetworkSettings(Settings):
    """How a harvest reaches its sources."""

    identities: tuple[Identity, ...] = Field((Identity(),), min_length=1, description="Their budgets add up")
    attempts: int = Field(3, ge=1, le=20, description="Tries per track for transient faults")
    timeout_s: float = Field(20.0, gt=0, description="Per socket operation")
    cooldown_s: float = Field(
        3600.0, ge=60, description="Pause of an identity after a bot check or rate limit; doubles while it lasts"
    )
    longest_cooldown_s: float = Field(86_400.0, ge=60, le=30 * 86_400)
    canary: dict[str, str] = Field(
        CANARIES,
        description="By site, an address that is known to be there: tells a block from a deletion until a track "
        "came through. Added to those that are known",
    )
    youtube: dict[str, tuple[str, ...]] = Field(
        {}, description="Arguments of yt-dlp's YouTube extractor, e.g. player_client: [web]"
    )
    js_runtimes: tuple[str, ...] = Field((), description="deno, node, bun or quickjs; yt-dlp's default when empty")
    options: dict[str, Any] = Field({}, description="Further options of yt_dlp.YoutubeDL by their API names")

    @field_validator("canary")
    @classmethod
    def _are_of_their_sites(cls, canary: dict[str, str]) -> dict[str, str]:
        for site, address in canary.items():
            try:
                sites = site_of(f"https://{site}/"), site_of(address)
            except ValueError as error:
                raise ValueError(f"{site}: {error}") from error
            if urlsplit(address).scheme not in ("http", "https"):
                raise ValueError(f"{site}: {address}: expected an address that begins with http:// or https://")
            if sites[0] != site:
                raise ValueError(f"{site}: the site is called {sites[0]} here; name it so")
            if sites[1] != site:
                raise ValueError(f"{site}: {address} is of {sites[1]}, which says nothing about {site}")
        return CANARIES | canary

    @model_validator(mode="after")
    def _are_different(self) -> NetworkSettings:
        for what in ("name", "key"):
            seen: dict[str, str] = {}
            for identity in self.identities:
                value = getattr(identity, what)
                if value in seen:
                    raise ValueError(
                        f"identities '{seen[value]}' and '{identity.name}' have the same "
                        + ("name" if what == "name" else "proxy and cookies: a site sees one identity, list it once")
                    )
                seen[value] = identity.name
        if self.cooldown_s > self.longest_cooldown_s:
            raise ValueError(f"cooldown_s {self.cooldown_s} must not exceed longest_cooldown_s")
        return self


def _one_spelling(proxy: str) -> str:
    """The same text for every way to write one proxy: case, a default port, a slash at the end."""
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        return proxy  # no address; the harvest says so before it begins
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    user, at, _ = parts.netloc.rpartition("@")
    return f"{scheme}://{user}{at}{host}:{port or _PORTS.get(scheme, '')}{parts.path.rstrip('/')}" if host else proxy


def load_network(path: str | Path | None) -> NetworkSettings:
    """Read and validate a network file; None gives one direct identity at the default pace.

    A relative ``cookies`` path is taken from the file's own folder.

    Raises:
        SpecError: file missing, not YAML, or a field unknown or out of bounds.
    """
    if path is None:
        return NetworkSettings()
    path = Path(path)
    raw = read_mapping(path, "network file", field="identities", help="deployments/network.yaml is an example to copy")
    folder = path.resolve().parent

    def absolute(identity: Identity) -> Identity:
        if identity.cookies is None:
            return identity
        return identity.model_copy(update={"cookies": str((folder / Path(identity.cookies).expanduser()).resolve())})

    try:
        settings = NetworkSettings.model_validate(raw)
        identities = [absolute(identity).model_dump() for identity in settings.identities]
        return NetworkSettings.model_validate({**settings.model_dump(), "identities": identities})
    except ValidationError as error:
        raise SpecError(explain(error, str(path))) from None  # its cause quotes what it was given
