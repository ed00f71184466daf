from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.settings import SpecError
from data_specs.spec import AudioSetSource, LocalSource, load_spec

SPECS = sorted((Path(__file__).parents[2] / "data_specs").glob("*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_that_come_with_the_project_are_valid(path: Path) -> None:
    assert load_spec(path).name == path.stem


def test_there_is_a_spec_for_every_source() -> None:
    assert {load_spec(path).source.type for path in SPECS} == {"local", "urls", "audioset", "rendered"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return path


GOOD = "name: mine\nsource: {type: local, folder: music}\n"


def test_relative_paths_start_at_the_spec(tmp_path: Path) -> None:
    source = load_spec(write(tmp_path, GOOD)).source
    assert isinstance(source, LocalSource)
    assert source.folder == str(tmp_path / "music")
    text = "name: a\nsource: {type: audioset, segments: [x.csv], ontology: ../o.json}\n"
    source = load_spec(write(tmp_path, text)).source
    assert isinstance(source, AudioSetSource)
    assert source.segments == (str(tmp_path / "x.csv"),)
    assert source.ontology == str(tmp_path.parent / "o.json")
    text = GOOD + "structure: {beats: results/beats, sections: ../form}\n"
    structure = load_spec(write(tmp_path, text)).structure
    assert structure.beats == str(tmp_path / "results/beats")
    assert structure.sections == str(tmp_path.parent / "form")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "partition_siez: 3\n", r"unknown field 'partition_siez' \(value 3\)"),
        (GOOD + "partition_size: 0\n", r"field 'partition_size' = 0: .*greater than or equal to 1"),
        (GOOD + "caption: {captioner: server, model: moss}\n", r"'caption.model' = 'moss': no preset of that name"),
        (GOOD + "features: {encoders: [{encoder: clap}]}\n", r"'features.encoders.0'.*'spectral', 'beats'"),
        (GOOD + "features: {encoders: [{encoder: beats}]}\n", "field 'features.encoders.0.weights' is missing"),
        (GOOD + "features: {encoders: []}\n", "'features.encoders'.*at least 1"),
        (GOOD + "features: {encoders: [{encoder: spectral}, {encoder: spectral}]}\n", "twice with equal settings"),
        (GOOD + "features: {precision: float16}\n", "'float32' or 'bfloat16'"),
        (GOOD + "audio: {min_duration_s: -3}\n", r"field 'audio.min_duration_s' = -3"),
        (GOOD + "split: {test_percent: 60, valid_percent: 40}\n", "must stay below 100"),
        ("name: mine\nsource: {type: local}\n", r"field 'source.folder' is missing"),
        ("name: mine\nsource: {type: tape, folder: x}\n", r"field 'source'.*'local', 'urls', 'audioset', 'rendered'"),
        ("name: Not A Name\nsource: {type: local, folder: x}\n", r"field 'name' = 'Not A Name'"),
        ("source: {type: local, folder: x}\n", r"field 'name' is missing"),
        ("- 1\n", "expected a mapping"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_spec_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        load_spec(write(tmp_path, text))
    assert "spec.yaml" in str(caught.value)


def test_weights_lie_beside_the_spec_and_names_of_the_hub_stay(tmp_path: Path) -> None:
    encoders = "{encoder: beats, weights: b.pt}, {encoder: whisper, model: openai/w}, {encoder: mert, model: ./m}"
    spec = load_spec(write(tmp_path, GOOD + f"features: {{encoders: [{encoders}]}}\n"))
    beats, whisper, mert = (item.model_dump() for item in spec.features.encoders)
    assert beats["weights"] == str(tmp_path / "b.pt")
    assert whisper["model"] == "openai/w"
    assert mert["model"] == str(tmp_path / "m")


def test_a_missing_spec_says_where_others_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no spec at .*nowhere.yaml.*data_specs/"):
        load_spec(tmp_path / "nowhere.yaml")


def test_a_folder_is_not_a_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read spec"):
        load_spec(tmp_path)
