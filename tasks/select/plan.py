"""A dry run: what a build would fetch and how long that takes, for a person to read before starting one."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from data_specs.network import Identity, NetworkSettings
from data_specs.spec import DatasetSpec
from tasks.select.selection import select

# What an unknown song is assumed to be: 288 s, about 128 kbit/s as a site delivers it, half the bytes of PCM as FLAC.
SONG_S = 288
MEDIA_MB = 4.7
FLAC_MB = 6.2

_MINUTES_PER_DAY = 24 * 60


def plan(spec: DatasetSpec, network: NetworkSettings) -> str:
    """Exact counts of the selection, then estimates of time and space. Nothing is fetched.

    Raises:
        BuildError: as ``select``.
    """
    selection = select(spec)
    tracks = selection.tracks
    num_fetched = sum(_is_fetched(track.url) for track in tracks)
    width = max(map(len, selection.counts))
    numbers = [f"  {what:{width}}  {count:>9,}" for what, count in selection.counts.items()]
    return "\n".join(
        [
            f"{spec.name}: {_number(len(tracks), 'track')} in {_number(len(selection.partitions), 'partition')}",
            *numbers,
            "",
            f"Estimates, for songs of {SONG_S} s that are all still there and all accepted:",
            f"  download  {_download(num_fetched, network)}",
            f"  media     {_size(num_fetched * MEDIA_MB)} to fetch, at {MEDIA_MB} MB a song",
            f"  flac      {_size(len(tracks) * FLAC_MB)} of 16 kHz mono FLAC in the shards, at {FLAC_MB} MB a song",
            f"  sound     {_number(round(len(tracks) * SONG_S / 3600), 'hour')}",
        ]
    )


def requests_per_hour(network: NetworkSettings) -> float:
    """Tracks begun per hour over all identities, averaged over a day."""
    return sum(identity.requests_per_hour * _share_of_day(identity) for identity in network.identities)


def _share_of_day(identity: Identity) -> float:
    if identity.window_minutes is None:
        return 1.0
    first, after = identity.window_minutes
    return (after - first) % _MINUTES_PER_DAY / _MINUTES_PER_DAY


def _download(num_fetched: int, network: NetworkSettings) -> str:
    if not num_fetched:
        return "nothing: every track is on this machine"
    per_hour = requests_per_hour(network)
    hours = num_fetched / per_hour
    return (
        f"{hours:,.1f} hours ({hours / 24:,.1f} days) at {per_hour:,.1f} requests an hour to one site, "
        f"averaged over the day ({', '.join(map(_budget, network.identities))})"
    )


def _budget(identity: Identity) -> str:
    when = f" at {identity.window} UTC" if identity.window else ""
    return f"{identity.name} {identity.requests_per_hour:g} an hour{when}"


def _is_fetched(url: str) -> bool:
    """Over the network, and so at its pace: neither a file nor the loopback site of the rendered songs."""
    address = urlsplit(url)
    if address.scheme == "file":
        return False
    host = address.hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host != "localhost"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:,.1f} GB"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
