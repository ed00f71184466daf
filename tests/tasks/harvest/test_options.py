"""What a network file says, against the yt-dlp that is installed."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yt_dlp
from yt_dlp.globals import supported_js_runtimes
from yt_dlp.networking.impersonate import ImpersonateTarget

from data_specs.network import Identity, NetworkSettings, load_network
from data_specs.settings import SpecError
from data_specs.spec import load_spec
from tasks.harvest.checks import check_network, option_names, youtube_arguments
from tasks.harvest.options import REQUEST_SLEEP_S, network_options

YOUTUBE = "https://www.youtube.com/watch?v=jNQXAC9IVRw"


def options_of(url: str = YOUTUBE, **settings: Any) -> dict[str, Any]:
    network = NetworkSettings(**settings)
    return network_options(network, network.identities[0], url)


def mistakes_in(**settings: Any) -> str:
    with pytest.raises(SpecError) as caught:
        check_network(NetworkSettings(**settings))
    return str(caught.value)


def test_the_default_network_is_sound() -> None:
    check_network(NetworkSettings())


def test_everything_that_is_declared_reaches_yt_dlp() -> None:
    settings: dict[str, Any] = {
        "timeout_s": 7,
        "youtube": {"player_client": ("web", "-web_safari"), "po_token": ("web.gvs+AbC",)},
        "js_runtimes": ("node", "deno"),
        "identities": [{"proxy": "socks5://127.0.0.1:1080"}],
        "options": {
            "ratelimit": 500_000,
            "http_headers": {"Accept-Language": "de"},
            "extractor_args": {"youtubepot-bgutilhttp": {"base_url": ["http://127.0.0.1:4416"]}},
        },
    }
    check_network(NetworkSettings(**settings))
    options = options_of(**settings)
    with yt_dlp.YoutubeDL({"quiet": True, **options}) as ydl:
        assert ydl.params["socket_timeout"] == 7
        assert ydl.proxies == {"all": "socks5://127.0.0.1:1080"}
        assert ydl.params["ratelimit"] == 500_000
        assert list(ydl._js_runtimes) == ["node", "deno"]
        youtube = ydl.get_info_extractor("Youtube")
        assert youtube._configuration_arg("player_client") == ["web", "-web_safari"]
        assert youtube._configuration_arg("po_token", casesense=True) == ["web.gvs+AbC"]
    assert options["extractor_args"]["youtubepot-bgutilhttp"] == {"base_url": ["http://127.0.0.1:4416"]}
    assert options["http_headers"] == {"Accept-Language": "de"}


def test_no_proxy_is_no_proxy_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    with yt_dlp.YoutubeDL({"quiet": True, **options_of()}) as ydl:
        assert ydl.proxies == {"all": "__noproxy__"}


def test_requests_of_one_extraction_keep_the_distance_of_yt_dlps_own_preset() -> None:
    assert yt_dlp.parse_options(["-t", "sleep"]).ydl_opts["sleep_interval_requests"] == REQUEST_SLEEP_S
    assert options_of()["sleep_interval_requests"] == REQUEST_SLEEP_S
    assert options_of(options={"sleep_interval_requests": 3})["sleep_interval_requests"] == 3
    assert options_of("http://127.0.0.1:8437/song.mp3")["sleep_interval_requests"] == 0


def test_a_browser_to_impersonate_is_named_in_text() -> None:
    assert options_of(options={"impersonate": "chrome:windows"})["impersonate"] == ImpersonateTarget(
        "chrome", None, "windows"
    )


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("sleep_requests", 1, "calls it sleep_interval_requests"),
        ("cookies", "c.txt", "calls it cookiefile here; export the cookies to a file and set cookies of an identity"),
        ("limit_rate", 1, "calls it ratelimit"),
        ("fragment_retires", 3, "near to it: fragment_retries"),
        ("no_such_thing_at_all", 3, "no option of this name"),
        ("_warnings", [], "no option of this name"),
        ("outtmpl", "%(id)s", "not an option for a network file"),
        ("format", "worst", "harvest.format in the spec"),
        ("retries", 10, "attempts in the network file"),
        ("socket_timeout", 3, "timeout_s"),
        ("proxy", "http://a:1", "proxy of an identity"),
        ("cookiesfrombrowser", ["firefox"], "cookies of an identity"),
        ("sleep_interval", 10, "requests_per_hour"),
        ("js_runtimes", {"deno": {}}, "js_runtimes in the network file"),
        ("match_filter", "duration<9", "harvest.min_duration_s"),
        ("download_archive", "a.txt", "harvest.min_duration_s"),
        ("skip_unavailable_fragments", True, "relies on it"),
        ("postprocessors", [], "relies on it"),
        ("extractor_args", {"youtube": {"lang": ["de"]}}, "youtube of the network file"),
        ("extractor_args", {"soundcloud": "x"}, "a list of texts"),
        ("extractor_args", {"soundcloud": {"formats": "hls_aac"}}, "a list of texts"),
        ("nocheckcertificate", "no", "true or false"),
        ("sleep_interval_requests", "0.75", "a number"),
        ("ratelimit", "1M", "a number of bytes"),
        ("impersonate", "netscape", "does not take its value"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_its_fix(name: str, value: Any, fix: str) -> None:
    message = mistakes_in(options={name: value})
    assert message.startswith("options")
    assert fix in message


def test_arguments_of_the_youtube_extractor_are_known_by_name() -> None:
    check_network(NetworkSettings(youtube={"player_client": ("default", "-web"), "lang": ("de",)}))
    assert "near to it: player_client" in mistakes_in(youtube={"player_clients": ("web",)})
    assert "near to it: visionos" in mistakes_in(youtube={"player_client": ("visonos",)})


def test_the_argument_names_are_those_that_the_source_asks_for() -> None:
    """The naive twin: every quoted word after ``_arg(``, whosever argument it is."""
    naive: set[str] = set()
    for path in Path(str(files("yt_dlp.extractor.youtube"))).rglob("*.py"):
        naive |= set(re.findall(r"_arg\(\s*'(\w+)'", path.read_text(encoding="utf-8")))
    others = {"approximate_date", "bind_to_visitor_id"}  # of the extractor of channels, of a token provider
    assert youtube_arguments() == naive - others
    assert {"player_client", "player_skip", "po_token", "innertube_host", "comment_sort"} <= youtube_arguments()


def test_the_option_names_are_those_of_yt_dlps_documentation() -> None:
    documented = set(re.findall(r"^    (\w+): {2,}\S", yt_dlp.YoutubeDL.__doc__ or "", re.MULTILINE))
    hooks = {"logger", "progress_hooks", "postprocessor_hooks", "post_hooks", "no_color", "no_overwrites"}
    assert len(documented) > 100
    assert documented - hooks <= option_names()


def test_javascript_runtimes_are_those_of_yt_dlp() -> None:
    check_network(NetworkSettings(js_runtimes=tuple(supported_js_runtimes.value)))
    assert "it knows deno, node" in mistakes_in(js_runtimes=("nodejs",))


def test_all_mistakes_are_told_at_once_and_no_password(tmp_path: Path) -> None:
    page = tmp_path / "login.html"
    page.write_text("# Netscape HTTP Cookie File\n\n<html></html>")
    identities = (
        Identity(name="a", proxy="me:hunter2@host:1"),
        Identity(name="b", cookies=str(tmp_path / "gone.txt")),
        Identity(name="c", cookies=str(page)),
    )
    message = mistakes_in(identities=identities, js_runtimes=("rhino",), options={"typo": 1})
    assert len(message.splitlines()) == 5
    assert "hunter2" not in message
    for field in ("identities.a.proxy", "identities.b.cookies", "Netscape format", "rhino", "options.typo"):
        assert field in message


@pytest.mark.parametrize(
    "settings",
    [
        {"options": {"proxy": "http://user:hunter2@h:1"}},
        {"options": {"pasword": "hunter2"}},
        {"options": {"http_headers": "hunter2"}},
        {"options": {"impersonate": "hunter2"}},
        {"options": {"extractor_args": {"soundcloud": "hunter2"}}},
        {"youtube": {"po_tokens": ("web.gvs+hunter2",)}},
        {"youtube": {"player_client": ("web.gvs+hunter2",)}},
    ],
)
def test_a_value_is_not_quoted(settings: dict[str, Any]) -> None:
    message = mistakes_in(**settings)
    assert "hunter2" not in message
    assert ".".join([*settings, *next(iter(settings.values()))]) in message


@pytest.mark.parametrize(
    "proxy",
    [
        "http://",
        "http://:80",
        "socks5://host:notaport",
        "http://u:p@[bad",
        "http://u:hunter#2@host:1",
        "http://u:1#hunter2@host:1",
        "http://u:hunter/2@host:1",
        "http://u:1/hunter2@host:1",
        "http://u:1?hunter2@host:1",
        "ftp://host:1",
        "host:8080",
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused(proxy: str) -> None:
    message = mistakes_in(identities=[{"name": "a", "proxy": proxy}])
    assert message.startswith("identities.a.proxy: expected")
    assert "hunter" not in message


@pytest.mark.parametrize(
    "proxy", ["http://host:8080", "HTTPS://u:p%23x@host:1/", "socks5h://u@[::1]:1080", "socks4://h.example"]
)
def test_a_proxy_that_can_be_one_is_taken(proxy: str) -> None:
    check_network(NetworkSettings.model_validate({"identities": [{"proxy": proxy}]}))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (
            "identities: [{name: a, proxy: 'http://u:hunter2@h:1'}, {name: b, proxy: 'http://u:hunter2@h:1'}]",
            "'a' and 'b' have the same proxy",
        ),
        ("identities: {name: a, proxy: 'http://u:hunter2@h:1'}", "'identities' = a mapping"),
        ("identities: ['http://u:hunter2@h:1']", "identities.0"),
        ("identities: [{name: 'a hunter2'}]", "identities.0.name"),
        ("identities: [{pasword: hunter2}]", "identities.0.pasword"),
        ("identities: [{cookies: [hunter2]}]", "identities.0.cookies"),
        ("proxy: http://u:hunter2@h:1", "'proxy'"),
        ("options: hunter2", "'options'"),
        ("youtube: {po_token: hunter2}", "youtube.po_token"),
    ],
)
def test_a_wrong_network_file_is_explained_without_its_values(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "network.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_network(tmp_path / "network.yaml")
    assert "hunter2" not in str(caught.value)
    assert field in str(caught.value)


def test_a_password_in_a_spec_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: http://u:hunter2@h\nlimit: 0\nsource: [hunter2]\n")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "spec.yaml")
    assert "hunter2" not in str(caught.value)
    assert "'name' = 'http://***@h'" in str(caught.value)
    assert "'limit' = 0: " in str(caught.value)
