"""A serving file: what is read, what is refused, and that no message repeats a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.serving import ServingSettings, load_serving
from data_specs.settings import SpecError

REPOSITORY = Path(__file__).parents[2]


def test_without_a_file_one_server_on_this_machine() -> None:
    assert load_serving(None).servers == ("http://127.0.0.1:8000/v1",)


def test_the_file_that_comes_along_says_the_defaults() -> None:
    assert load_serving(REPOSITORY / "deployments" / "serving.yaml") == ServingSettings()


def test_the_interpreter_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text("python: ../venv/bin/python\n")
    assert load_serving(path).python == str(tmp_path / "../venv/bin/python")
    path.write_text("python: python3\n")
    assert load_serving(path).python == "python3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servers: []", "servers"),
        ("servers: [127.0.0.1:8000/v1]", "expected an address such as http://127.0.0.1:8000/v1"),
        ("servers: ['http://host:99999/v1']", "expected an address"),
        ("servers: ['http://host:x/v1']", "expected an address"),
        ("servers: ['http:///v1']", "expected an address"),
        ("servers: ['http://a/v1', 'http://a/v1']", "the same server twice"),
        ("requests: 0", "requests"),
        ("media: url", "'data' or 'file'"),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=said) as caught:
        load_serving(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "api_key: sk-secret",
        "api_key_env: sk-secret",
        "api_key_env: {key: sk-secret}",
        "servers: ['http://user:sk-secret@host/v1']",
        "servers: ['user:sk-secret@host/v1']",
        "servers: ['http://host/v1?key=sk-secret']",
        "servers: 'http://user:sk-secret@host/v1'",
        "servers: [a]\n  api_key: sk-secret",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_serving(path)
    assert "sk-secret" not in str(caught.value)
