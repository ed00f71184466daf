"""Cookie files: read strictly, never written, and never quoted: a line of one is a login."""

from __future__ import annotations

import io
import logging
import re
from http.cookiejar import Cookie, LoadError
from pathlib import Path

from yt_dlp.cookies import YoutubeDLCookieJar

from data_specs.network import Identity
from tasks.engine.errors import BuildError

logger = logging.getLogger(__name__)

_NUM_FIELDS = 7
_AGAIN = "export it again in Netscape format"

# By path: what was last read whole, for the moment in which the user exports the file anew.
_last_good: dict[str, str] = {}


def read_cookies(identity: Identity) -> list[Cookie]:
    """The cookies in the file of an identity that has one; those without ``expires`` end with a session.

    yt-dlp prints each line that it cannot read and goes on without; here such a file is refused.

    Raises:
        BuildError: the file is missing, cannot be read or is not in Netscape's format
            (https://curl.se/docs/http-cookies.html).
    """
    text = _text(identity)
    cookies = _loaded(identity, text)
    _last_good[identity.cookies or ""] = text
    return cookies


def copy_cookies(identity: Identity, folder: Path) -> Path:
    """A copy for one download: yt-dlp rewrites its cookie file when it ends.

    Where the file cannot be used now but could be before in this process, the copy is of what it held then.

    Raises:
        BuildError: as ``read_cookies``, where the file could never be used.
    """
    path, copy = identity.cookies or "", folder / "cookies.txt"
    try:
        read_cookies(identity)
    except BuildError as error:
        if path not in _last_good:
            raise
        logger.warning("%s; until then as it was read last", error)
    copy.touch(mode=0o600)
    copy.write_text(_last_good[path], encoding="utf-8")
    return copy


def _text(identity: Identity) -> str:
    where = _where(identity)
    try:
        text = Path(identity.cookies or "").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BuildError(f"{where}: no file there; export one or remove the setting") from error
    except OSError as error:
        raise BuildError(f"{where}: {error.strerror}; make it a file that this user can read") from error
    except UnicodeDecodeError:
        raise BuildError(f"{where}: not text in UTF-8; {_AGAIN}") from None  # that error quotes the file
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.removeprefix("#HttpOnly_")
        if entry.strip() and not entry.startswith("#"):
            mistake = _mistake_in(entry.split("\t"))
            if mistake is not None:
                raise BuildError(f"{where}: line {number} {mistake}; {_AGAIN}")
    return text


def _mistake_in(fields: list[str]) -> str | None:
    """What is wrong with a line, without its words."""
    if len(fields) != _NUM_FIELDS:
        return f"is not a cookie: it has {len(fields)} fields between tabs, expected {_NUM_FIELDS}"
    domain, with_subdomains, _, secure, expires, _, _ = fields
    if not {with_subdomains, secure} <= {"TRUE", "FALSE"}:
        return "is not a cookie: expected TRUE or FALSE in its second and fourth field"
    if (with_subdomains == "TRUE") != domain.startswith("."):
        return "is not a cookie: its second field must be TRUE where the domain begins with a dot, else FALSE"
    if not re.fullmatch(r"([0-9]{1,20}(\.[0-9]{1,20})?)?", expires):
        return "does not say when it expires: expected seconds since 1970 in its fifth field"
    return None


def _loaded(identity: Identity, text: str) -> list[Cookie]:
    jar = YoutubeDLCookieJar(io.StringIO(text))
    try:
        jar.load()
    except LoadError:  # its words quote the file; all that is left to be wrong is the first line
        raise BuildError(f"{_where(identity)}: does not begin as a Netscape cookie file; {_AGAIN}") from None
    return list(jar)


def _where(identity: Identity) -> str:
    return f"identities.{identity.name}.cookies = {identity.cookies}"
