"""A dry run: what a build would fetch and how long that takes, for a person to read before starting one."""

from __future__ import annotations

from urllib.parse import urlsplit

from data_specs.network import Identity, NetworkSettings
from data_specs.sites import is_loopback
from data_specs.spec import DatasetSpec
from tasks.harvest.pace import mean_rate
from tasks.select.selection import select

# What an unknown song is assumed to be: 288 s, about 128 kbit/s as a site delivers it, half the bytes of PCM as FLAC.
SONG_S = 288
MEDIA_BYTES, AUDIO_BYTES, SHARD_BYTES = 4_700_000, 6_200_000, 6_200_000
"""Of a song: the media file as it is downloaded, its 16 kHz FLAC file, and its sample in a shard."""

_MINUTES_PER_DAY = 24 * 60


def plan(spec: DatasetSpec, network: NetworkSettings) -> str:
    """Exact counts of the selection, then estimates of time and space. Nothing is fetched.

    Raises:
        BuildError: as ``select``.
    """
    selection = select(spec)
    tracks = selection.tracks
    hosts = [urlsplit(track.url).hostname for track in tracks]
    num_media = sum(host is not None for host in hosts)  # the others are files, read where they lie
    num_paced = sum(host is not None and not is_loopback(host) for host in hosts)
    media, audio, shards = num_media * MEDIA_BYTES, len(tracks) * AUDIO_BYTES, len(tracks) * SHARD_BYTES
    width = max(map(len, selection.counts))
    numbers = [f"  {what:{width}}  {count:>9,}" for what, count in selection.counts.items()]
    return "\n".join(
        [
            f"{spec.name}: {_number(len(tracks), 'track')} in {_number(len(selection.partitions), 'partition')}",
            *numbers,
            "",
            f"Estimates, for songs of {SONG_S} s that are all still there and all accepted:",
            f"  download  {_download(num_paced, network)}",
            f"  media     {_size(media)} to fetch, at {MEDIA_BYTES / 1e6:g} MB a song",
            f"  audio     {_size(audio)} of 16 kHz mono FLAC, at {AUDIO_BYTES / 1e6:g} MB a song",
            f"  shards    {_size(shards)} with that FLAC again, at {SHARD_BYTES / 1e6:g} MB a song",
            f"  disk      {_size(media + audio + shards)} in all",
            f"  sound     {_number(round(len(tracks) * SONG_S / 3600), 'hour')}",
        ]
    )


def requests_per_hour(network: NetworkSettings) -> float:
    """Tracks begun per hour over all identities, averaged over a day and over the jitter."""
    return sum(mean_rate(identity.requests_per_hour) * _share_of_day(identity) for identity in network.identities)


def _share_of_day(identity: Identity) -> float:
    if identity.window_minutes is None:
        return 1.0
    first, after = identity.window_minutes
    return (after - first) % _MINUTES_PER_DAY / _MINUTES_PER_DAY


def _download(num_paced: int, network: NetworkSettings) -> str:
    if not num_paced:
        return "nothing: every track is on this machine"
    per_hour = requests_per_hour(network)
    hours = num_paced / per_hour
    return (
        f"{hours:,.1f} hours ({hours / 24:,.1f} days) at {per_hour:,.1f} requests an hour to one site, "
        f"averaged over the day ({', '.join(map(_budget, network.identities))})"
    )


def _budget(identity: Identity) -> str:
    when = f" at {identity.window} UTC" if identity.window else ""
    return f"{identity.name} up to {identity.requests_per_hour:g} an hour{when}"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
