"""What a network file may say to yt-dlp, held against the yt-dlp that is installed.

yt-dlp takes an option it does not know in silence, and so did published tools whose pauses and
retries never happened. Here a wrong name stops the build before its first track.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.extractor.youtube._base import INNERTUBE_CLIENTS
from yt_dlp.globals import supported_js_runtimes

from data_specs.network import NetworkSettings
from data_specs.settings import SpecError
from tasks.engine.errors import BuildError
from tasks.harvest.cookies import read_cookies
from tasks.harvest.options import network_options

_VERSION = f"yt-dlp {yt_dlp.version.__version__}"
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")

_RESULT = "remove it, the project sets it and relies on it"
_SELECTION = (
    "it decides which tracks are taken; harvest.min_duration_s, max_duration_s and licenses in the spec do that"
)

# Options that are not a network file's to set, as patterns of names, and where to set them instead.
_OWNED: tuple[tuple[str, str], ...] = (
    ("format format_sort format_sort_force prefer_free_formats allow_multiple_*", "set harvest.format in the spec"),
    ("allow_unplayable_formats ignore_no_formats_error merge_output_format", "set harvest.format in the spec"),
    ("retries *_retries retry_sleep_functions", "set attempts in the network file"),
    ("socket_timeout", "set timeout_s in the network file"),
    ("proxy", "set proxy of an identity"),
    ("cookiefile cookiesfrombrowser", "export the cookies to a file and set cookies of an identity"),
    ("sleep_interval max_sleep_interval", "set requests_per_hour of an identity, which holds for all threads together"),
    ("js_runtimes", "set js_runtimes in the network file"),
    ("match_filter matchtitle rejecttitle daterange age_limit m??_views m??_filesize max_downloads", _SELECTION),
    ("*playlist* download_archive download_ranges break_* live_from_start wait_for_video", _SELECTION),
    ("outtmpl* paths *filename* trim_file_name autonumber_* useid final_ext overwrites updatetime", _RESULT),
    ("logger quiet noprogress no_warnings progress_* consoletitle color logtostderr force* print_* list*", _RESULT),
    ("dump_* load_pages test simulate skip_* ignoreerrors extract_flat cachedir", _RESULT),
    ("write* clean_infojson getcomments *subtitle* fixup keepvideo keep_fragments nopart continuedl", _RESULT),
    ("ffmpeg_location *postprocessor* external_downloader* hls_*", _RESULT),
)

# API options that are numbers, although the command line takes text such as 1M for them.
_BYTES = {"ratelimit", "throttledratelimit", "buffersize", "http_chunk_size"}


def check_network(network: NetworkSettings) -> None:
    """Hold a network file against the installed yt-dlp and the files it names.

    Raises:
        SpecError: one line per mistake, each with field and fix. A text is not quoted: it may be a password.
    """
    mistakes = [
        *_in_identities(network),
        *_in_youtube(network),
        *_in_js_runtimes(network),
        *(mistake for name, value in network.options.items() for mistake in _in_option(name, value)),
    ]
    if not mistakes:  # what is left to find is what yt-dlp says itself
        mistakes = [mistake for name in network.options for mistake in _in_value(name, network)]
    if mistakes:
        raise SpecError("\n".join(mistakes))


def option_names() -> frozenset[str]:
    """Names of all options that ``yt_dlp.YoutubeDL`` has for its command line."""
    return frozenset(name for name in _defaults() if not name.startswith("_"))


@functools.cache
def youtube_arguments() -> frozenset[str]:
    """Names of the arguments that the installed YouTube extractor asks for.

    yt-dlp has no list of them; they are read off the calls ``self._configuration_arg("name", ...)``
    in its source, less those that ask for the arguments of another extractor.
    """
    names = set()
    for source in _sources(files("yt_dlp.extractor.youtube")):
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            function = ast.unparse(node.func).rpartition(".")[2]
            ie_key = next((ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "ie_key"), "")
            if re.fullmatch(r"\w*config\w*_arg", function) and "Tab" not in ie_key:
                names.add(node.args[0].value)
    return frozenset(name for name in names if isinstance(name, str))


def _sources(folder: Traversable) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "_builtin":  # providers in there have settings of their own
            yield from _sources(entry)
        elif entry.name.endswith(".py"):
            yield entry.read_text(encoding="utf-8")


def _in_identities(network: NetworkSettings) -> Iterator[str]:
    for identity in network.identities:
        if identity.proxy and not _is_proxy(identity.proxy):
            yield (
                f"identities.{identity.name}.proxy: expected one of {', '.join(_PROXY_SCHEMES)}, a host and a port, "
                "for example http://host:8080 or socks5://name:password@host:1080; "
                "in a password write # / ? @ : as %23 %2F %3F %40 %3A"
            )
        if identity.cookies:
            try:
                read_cookies(identity)
            except BuildError as error:
                yield str(error)


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        rest = parts.path.strip("/") + parts.query + parts.fragment  # not empty after # / ? in a password
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0 and not rest
    except ValueError:  # the port is no number, or half a bracket
        return False


def _in_youtube(network: NetworkSettings) -> Iterator[str]:
    for name in network.youtube:
        if name not in youtube_arguments():
            yield (
                f"youtube.{name}: the YouTube extractor of {_VERSION} has no such argument"
                + _nearest(name, youtube_arguments())
            )
    clients = {name for name in INNERTUBE_CLIENTS if not name.startswith("_")}
    for client in network.youtube.get("player_client", ()):
        if client.lower().removeprefix("-") not in clients | {"default", "all"}:
            yield (
                f"youtube.player_client: {_VERSION} has no such client{_nearest(client, clients)}; "
                f"it has {', '.join(sorted(clients))}"
            )


def _in_js_runtimes(network: NetworkSettings) -> Iterator[str]:
    for name in network.js_runtimes:
        if name not in supported_js_runtimes.value:
            yield f"js_runtimes: {_VERSION} cannot use {name!r}; it knows {', '.join(supported_js_runtimes.value)}"


def _in_option(name: str, value: Any) -> Iterator[str]:
    where = f"options.{name} = {value}" if isinstance(value, (bool, int, float)) else f"options.{name}"
    if name not in option_names():
        meant = _command_line_names().get(name.replace("_", "-").lower())
        if meant is None:
            yield f"{where}: {_VERSION} has no option of this name{_nearest(name, option_names())}"
        else:
            owner = _owner(meant)
            yield f"{where}: {_VERSION} calls it {meant} here" + (f"; {owner}" if owner else "")
    elif owner := _owner(name):
        yield f"{where}: not an option for a network file; {owner}"
    elif isinstance(_defaults()[name], bool) and not isinstance(value, bool):
        yield f"{where}: expected true or false"
    elif name in _numbers() and (isinstance(value, bool) or not isinstance(value, (int, float))):
        yield f"{where}: expected a number" + (" of bytes, e.g. 1000000" if name in _BYTES else "")
    elif name == "extractor_args":
        yield from _in_extractor_args(where, value)


def _in_value(name: str, network: NetworkSettings) -> Iterator[str]:
    alone = network.model_copy(update={"options": {name: network.options[name]}})
    options = network_options(alone, network.identities[0], "")
    try:
        with yt_dlp.YoutubeDL(options | {"quiet": True, "no_warnings": True}):
            pass
    except Exception as error:  # anything may come out of values that nobody foresaw, and be in its words
        yield f"options.{name}: {_VERSION} does not take its value ({type(error).__name__}); correct or remove it"


def _in_extractor_args(where: str, value: Any) -> Iterator[str]:
    sound = isinstance(value, dict) and all(
        isinstance(arguments, dict)
        and all(isinstance(texts, list) and all(isinstance(t, str) for t in texts) for texts in arguments.values())
        for arguments in value.values()
    )
    if not sound:
        yield f"{where}: expected extractor, argument and a list of texts, e.g. {{soundcloud: {{formats: [hls_aac]}}}}"
    elif "youtube" in value:
        yield f"{where}: set the arguments of the YouTube extractor in youtube of the network file"


def _owner(name: str) -> str | None:
    return next((where for names, where in _OWNED if any(fnmatchcase(name, n) for n in names.split())), None)


def _nearest(name: str, names: frozenset[str] | set[str]) -> str:
    near = get_close_matches(name, sorted(names), n=3)
    if not near:
        return ""
    owners = {owner for match in near[:1] if (owner := _owner(match))}
    return f"; near to it: {', '.join(near)}" + "".join(f" ({near[0]}: {owner})" for owner in owners)


@functools.cache
def _defaults() -> dict[str, Any]:
    return dict(yt_dlp.parse_options([]).ydl_opts)


@functools.cache
def _numbers() -> frozenset[str]:
    parser = yt_dlp.options.create_parser()
    numeric = {option.dest for option in parser._get_all_options() if option.type in ("int", "float")}
    return frozenset((numeric & option_names()) | _BYTES)


@functools.cache
def _command_line_names() -> dict[str, str]:
    """API name by the name that the same option has on the command line: ``limit-rate`` to ``ratelimit``."""
    parser = yt_dlp.options.create_parser()
    return {
        text.removeprefix("--"): option.dest
        for option in parser._get_all_options()
        for text in option._long_opts
        if option.dest in option_names()
    }
