"""What a site says of a work, out of yt-dlp's information dictionary."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import yt_dlp

MAX_BYTES = 64_000

# The rest of the dictionary is how to get at the work (formats, addresses that expire, headers with
# cookies), how it looks, and where this machine put it. So names are taken by list, not left out by list.
# They are those of yt-dlp's InfoExtractor documentation.
_KEPT = frozenset(
    (
        "id display_id title fulltitle alt_title description media_type language location webpage_url "
        "extractor extractor_key duration tags categories chapters heatmap age_limit availability live_status license "
        "track track_id track_number disc_number artists album album_type album_artists composers genres cast creators "
        "artist album_artist composer genre creator "
        "release_date release_timestamp release_year upload_date timestamp modified_date modified_timestamp "
        "channel channel_id channel_url channel_is_verified channel_follower_count uploader uploader_id uploader_url "
        "view_count like_count dislike_count repost_count comment_count average_rating playable_in_embed "
        "series series_id season season_number episode episode_id episode_number "
        "format_id format_note ext container acodec abr asr audio_channels filesize epoch"
    ).split()
)


_ADDRESSES = ("webpage_url", "channel_url", "uploader_url")
_IDS = ("id", "display_id")


def info_text(info: dict[str, Any], max_bytes: int = MAX_BYTES) -> str:
    """The dictionary of one medium as JSON with sorted names, at most ``max_bytes`` long in UTF-8.

    Where it would be longer, the longest texts and lists are cut; ``_cut`` then names them.
    """
    sane: dict[str, Any] = yt_dlp.YoutubeDL.sanitize_info(info, remove_private_keys=True)
    kept = {name: value for name in _KEPT & sane.keys() if (value := _finite(sane[name])) not in (None, "", [], {})}
    cut: set[str] = set()
    while len((text := _json(kept, cut)).encode()) > max_bytes:
        longest = max(sorted(kept), key=lambda name: len(_json(kept[name])))
        kept[longest] = kept[longest][: len(kept[longest]) // 2] if isinstance(kept[longest], (str, list)) else None
        cut.add(longest)
    return text


def without_secrets(info: dict[str, Any]) -> dict[str, Any]:
    """The dictionary with the addresses of its pages as ``page_address`` leaves them, and its ids without a query."""
    plain = {name: page_address(info[name]) for name in _ADDRESSES if isinstance(info.get(name), str)}
    if info.get("extractor") == "generic":  # which makes an id of the end of the address
        plain |= {name: info[name].partition("?")[0] for name in _IDS if isinstance(info.get(name), str)}
    return {**info, **plain}


def page_address(url: str) -> str:
    """An address without login, query and fragment, which can hold a token; YouTube keeps its ``v``."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half a bracket
        return ""
    is_video = (parts.hostname or "").removeprefix("www.") == "youtube.com" and parts.path == "/watch"
    query = urlencode({"v": parse_qs(parts.query).get("v", [""])[0]}) if is_video else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _json(value: Any, cut: set[str] | None = None) -> str:
    if cut:
        value = {**value, "_cut": sorted(cut)}
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return storable(text)


def storable(text: str) -> str:
    """The text without halves of UTF-16 pairs, which sites do send and no file format takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _finite(value: Any) -> Any:
    """The value with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
