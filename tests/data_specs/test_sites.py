"""Names of sites, and what a network file may say of their canaries and of proxies."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from data_specs.network import Identity, NetworkSettings
from data_specs.sites import site_of

URL = "https://www.youtube.com/watch?v=a"


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.YouTube.com/watch?v=a", "youtube.com"),
        ("https://music.youtube.com:443/watch?v=a", "youtube.com"),
        ("https://m.youtube.com/watch?v=a", "youtube.com"),
        ("https://www.youtube.com./watch?v=a", "youtube.com"),
        ("https://youtu.be/a", "youtube.com"),
        ("https://www.m.example.org/a", "m.example.org"),
        ("https://user:secret@example.org:8080/a", "example.org"),
        ("http://127.0.0.1:8000/a", "127.0.0.1:8000"),
        ("http://user:secret@localhost:1/a", "localhost:1"),
        ("http://[::1]:7/a", "[::1]:7"),
    ],
)
def test_every_address_of_a_site_counts_for_it(url: str, site: str) -> None:
    assert site_of(url) == site


def test_an_address_without_host_is_refused() -> None:
    with pytest.raises(ValueError, match="https:///a: expected an address with a host"):
        site_of("https:///a")


@pytest.mark.parametrize(
    ("canary", "mistake"),
    [
        ({"youtube.com": ""}, "youtube.com: : expected an address with a host"),
        ({"youtube.com": "nonsense"}, "nonsense: expected an address with a host"),
        ({"vimeo.com": "file:///etc/passwd"}, "file:///etc/passwd: expected an address"),
        ({"vimeo.com": "ftp://vimeo.com/1"}, "begins with http:// or https://"),
        ({"www.youtube.com": URL}, "www.youtube.com: the site is called youtube.com here; name it so"),
        ({"youtu.be": URL}, "youtu.be: the site is called youtube.com here"),
        ({"vimeo.com": URL}, "is of youtube.com, which says nothing about vimeo.com"),
    ],
)
def test_a_canary_that_would_never_be_asked_is_refused(canary: dict[str, str], mistake: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(mistake)):
        NetworkSettings(canary=canary)


def test_a_canary_more_is_not_one_less() -> None:
    canary = NetworkSettings(canary={"vimeo.com": "https://vimeo.com/1"}).canary
    assert canary == NetworkSettings().canary | {"vimeo.com": "https://vimeo.com/1"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("http://h:8080", "HTTP://H:8080/", True),
        ("http://h", "http://h:80", True),
        ("socks5://u:p@h", "socks5://u:p@h:1080/", True),
        ("http://h:8080", "http://h:8081", False),
        ("http://h:8080", "https://h:8080", False),
        ("socks5://u:p@h", "socks5://U:p@h", False),
        ("http://[::1]:9", "http://[::1]:9/", True),
        ("http://[::1:9", "http://[::1:9", True),
    ],
)
def test_a_proxy_is_one_identity_however_it_is_written(one: str, other: str, is_same: bool) -> None:
    assert (Identity(proxy=one).key == Identity(proxy=other).key) is is_same


def test_no_wait_is_longer_than_a_calendar() -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.1"):
        Identity(requests_per_hour=1e-9)
    with pytest.raises(ValidationError, match="less than or equal to 2592000"):
        NetworkSettings(longest_cooldown_s=1e12)
