"""Tracks of the ``local`` source: the file stays where it is and is only looked at."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mutagen

from data_specs.outcomes import Outcome, failed, ok
from data_specs.reasons import Reason
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.harvest.licenses import license_refusal


def harvest_file(track: Track, settings: HarvestSettings) -> Outcome[Harvest]:
    """Describe the file that ``track.url`` (``file://``) names, without copying it.

    Fails with ``FILE_MISSING`` (also for a folder or a pipe), ``PERMISSION_DENIED``, ``FILE_EMPTY``,
    ``LICENSE_REFUSED`` (by its tag) or ``UNSUPPORTED_URL`` (a file on another host).
    """
    address = urlsplit(track.url)
    if address.netloc not in ("", "localhost"):
        return failed(Reason.UNSUPPORTED_URL, f"{track.url}: host {address.netloc!r} is not this machine")
    path = Path(url2pathname(address.path))
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would be waited on for ever
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
            return failed(Reason.FILE_MISSING, f"{path} is {what}, not a file")
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            num_bytes = file.tell()
    except (FileNotFoundError, NotADirectoryError):
        return failed(Reason.FILE_MISSING, f"{path} does not exist")
    except PermissionError:
        return failed(Reason.PERMISSION_DENIED, f"{path} cannot be read by this user")
    if num_bytes == 0:
        return failed(Reason.FILE_EMPTY, f"{path} has 0 bytes")
    tags = _tags(path)
    refusal = license_refusal(tags.get("license"), settings.licenses)
    if refusal is not None:
        return failed(Reason.LICENSE_REFUSED, refusal)
    return ok(
        Harvest(
            track_id=track.track_id,
            file=str(path.absolute()),
            sha256=sha256,
            num_bytes=num_bytes,
            container=path.suffix.lstrip(".").lower(),
            title=tags.get("title") or path.stem,
            artist=tags.get("artist"),
            album=tags.get("album"),
            license=tags.get("license"),
            webpage_url=None,
        )
    )


def _tags(path: Path) -> dict[str, str]:
    """Title, artist, album and licence that the file carries; empty where it has none to read."""
    try:
        file = mutagen.File(path, easy=True)
    except (mutagen.MutagenError, ValueError, IndexError, KeyError, EOFError, OverflowError):
        return {}  # a broken file has no tags; whether it has sound is the audio stage's question
    if file is None or file.tags is None:
        return {}
    found = {name: file.tags.get(name) for name in ("title", "artist", "album", "license")}
    return {name: "; ".join(map(str, values)) for name, values in found.items() if isinstance(values, list) and values}
