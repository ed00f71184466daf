from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from data_specs.network import load_network
from data_specs.settings import SpecError


def refusal(text: str, folder: Path) -> str:
    path = folder / "network.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_network(path)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_the_example_is_what_there_is_without_a_file() -> None:
    example = Path(__file__).resolve().parents[2] / "deployments" / "network.yaml"
    assert load_network(example) == load_network(None)


def test_cookies_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text("identities: [{cookies: jar.txt}]")
    assert load_network(tmp_path / "network.yaml").identities[0].cookies == str(tmp_path / "jar.txt")


def test_mistakes_are_named_and_no_password_is_shown(tmp_path: Path) -> None:
    proxy = "http://me:hunter2@proxy.example:8080"
    assert "is empty" in refusal("", tmp_path)
    assert "line 2 is not valid YAML" in refusal(f"identities:\n - {{proxy: {proxy}, : [}}\n", tmp_path)
    assert "unknown field 'identites'" in refusal(f"identites: [{{proxy: '{proxy}'}}]", tmp_path)
    twice = f"identities: [{{name: a, proxy: '{proxy}'}}, {{name: b, proxy: '{proxy}/'}}]"
    assert "'a' and 'b' have the same proxy and cookies" in refusal(twice, tmp_path)
    jars = "identities: [{name: a, cookies: x/../jar}, {name: b, cookies: jar}]"
    assert "'a' and 'b' have the same proxy and cookies" in refusal(jars, tmp_path)
    assert "22:00-08:00" in refusal("identities: [{window: all night}]", tmp_path)
