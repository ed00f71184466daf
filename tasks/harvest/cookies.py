"""Cookie files: read strictly, and never written."""

from __future__ import annotations

import re
from http.cookiejar import Cookie, LoadError
from pathlib import Path

from yt_dlp.cookies import YoutubeDLCookieJar

from data_specs.network import Identity
from tasks.engine.errors import BuildError

_NUM_FIELDS, _EXPIRES = 7, 4


def read_cookies(identity: Identity) -> list[Cookie]:
    """The cookies in the file of an identity that has one; those without ``expires`` end with a session.

    yt-dlp prints each line that it cannot read and goes on without; here such a file is refused.

    Raises:
        BuildError: the file is missing, cannot be read or is not in Netscape's format
            (https://curl.se/docs/http-cookies.html).
    """
    _text(identity)
    jar = YoutubeDLCookieJar(identity.cookies)
    try:
        jar.load()
    except LoadError as error:
        raise BuildError(f"{_where(identity)}: {error}; export it again in Netscape format") from error
    return list(jar)


def copy_cookies(identity: Identity, folder: Path) -> Path:
    """A copy for one download: yt-dlp rewrites its cookie file when it ends.

    Raises:
        BuildError: as ``read_cookies``.
    """
    copy = folder / "cookies.txt"
    read_cookies(identity)
    copy.touch(mode=0o600)
    copy.write_text(_text(identity), encoding="utf-8")
    return copy


def _text(identity: Identity) -> str:
    where, again = _where(identity), "export it again in Netscape format"
    try:
        text = Path(identity.cookies or "").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BuildError(f"{where}: no file there; export one or remove the setting") from error
    except OSError as error:
        raise BuildError(f"{where}: {error.strerror}; make it a file that this user can read") from error
    except UnicodeDecodeError as error:
        raise BuildError(f"{where}: not text in UTF-8; {again}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.removeprefix("#HttpOnly_")
        if not entry.strip() or entry.startswith("#"):
            continue
        fields = entry.split("\t")
        if len(fields) != _NUM_FIELDS:
            raise BuildError(f"{where}: line {number} is not a cookie; {again}")
        if not re.fullmatch(r"([0-9]+(\.[0-9]+)?)?", fields[_EXPIRES]):
            raise BuildError(
                f"{where}: line {number} expires at {fields[_EXPIRES]!r}, expected seconds since 1970; {again}"
            )
    return text


def _where(identity: Identity) -> str:
    return f"identities.{identity.name}.cookies = {identity.cookies}"
