"""What a site says of a work, out of yt-dlp's information dictionary."""

from __future__ import annotations

import json
import math
from typing import Any

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
