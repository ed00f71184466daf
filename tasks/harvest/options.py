"""What a network file and an identity mean in options of yt-dlp."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from yt_dlp.networking.impersonate import ImpersonateTarget

from data_specs.network import Identity, NetworkSettings
from data_specs.sites import is_loopback

# Between the requests of one extraction, as in yt-dlp's own preset ``-t sleep``.
REQUEST_SLEEP_S = 0.75


def network_options(network: NetworkSettings, identity: Identity, url: str) -> dict[str, Any]:
    """Options of ``yt_dlp.YoutubeDL`` for one address, without the identity's cookies."""
    options: dict[str, Any] = {
        "socket_timeout": network.timeout_s,
        "proxy": identity.proxy or "",  # empty: no proxy, whatever the environment says
        "sleep_interval_requests": 0.0 if is_loopback(urlsplit(url).hostname or "") else REQUEST_SLEEP_S,
    }
    options |= network.options
    if isinstance(options.get("impersonate"), str):
        options["impersonate"] = ImpersonateTarget.from_str(options["impersonate"])
    youtube = {"youtube": {name: list(values) for name, values in network.youtube.items()}}
    options["extractor_args"] = {**options.get("extractor_args", {}), **youtube}
    if network.js_runtimes:
        options["js_runtimes"] = {name: {} for name in network.js_runtimes}
    return options
