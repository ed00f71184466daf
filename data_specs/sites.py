"""Who is asked: the site that counts our requests, whatever name of it an address uses."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_PREFIXES = ("www.", "m.", "music.")
_ALIASES = {"youtu.be": "youtube.com", "youtube-nocookie.com": "youtube.com"}


def site_of(url: str) -> str:
    """The site of an address: its host without port and without ``www.``, ``m.`` or ``music.``.

    A loopback host keeps its port: every server on this machine is a site of its own.

    Raises:
        ValueError: the address names no host.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")  # lower case already; the full name of a host ends in a dot
    if not host:
        raise ValueError(f"{url}: expected an address with a host, such as https://example.org/song")
    if is_loopback(host):
        return parts.netloc.lower().rpartition("@")[2]
    for prefix in _PREFIXES:
        if host.startswith(prefix):
            host = host.removeprefix(prefix)
            break
    return _ALIASES.get(host, host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, not an address
