from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from collap_model.encoders.encoder import Seconds
from collap_model.features.feature_files import (
    Heard,
    Sound,
    feature_file_of,
    files_of,
    holding,
    unheard,
    write_feature_file,
)


def sounds(names: str) -> list[Sound]:
    return [Sound(track_id=name, pcm_sha256=f"hash of {name}", path=Path("none")) for name in names]


class Encoder:
    """Hears a track as its letter, fails on some, and remembers what it was asked."""

    def __init__(self, *, fails: str = "", identity: str = "toy-1") -> None:
        self.fails, self.identity, self.asked = fails, identity, ""

    def __call__(self, tracks: Sequence[Sound]) -> Iterator[tuple[Sound, Heard | Exception]]:
        for sound in reversed(tracks):
            self.asked += sound.track_id
            if sound.track_id in self.fails:
                yield sound, ValueError("bad sound")
            else:
                seconds = Seconds(np.full((2, 3), ord(sound.track_id), np.float32), np.array([50, 20], np.int32))
                yield sound, Heard(encoder=self.identity, seconds=seconds)


def test_a_file_is_made_once_and_found_by_what_it_holds(tmp_path: Path) -> None:
    encoder = Encoder()
    file, errors = feature_file_of(tmp_path, "train-00000", "toy-key", sounds("abc"), encoder)
    assert file is not None
    assert (errors, sorted(encoder.asked)) == ({}, ["a", "b", "c"])
    assert file.tracks == (("a", "hash of a", 0, 2), ("b", "hash of b", 2, 2), ("c", "hash of c", 4, 2))
    assert np.load(file.path)[:, 0].tolist() == [97, 97, 98, 98, 99, 99]
    assert np.load(file.frames_path).tolist() == [50, 20] * 3
    again, _ = feature_file_of(tmp_path, "train-00000", "toy-key", sounds("abc"), Encoder(fails="abc"))
    assert again == file
    for lost in files_of(file.path):
        content = lost.read_bytes()
        lost.unlink()
        assert feature_file_of(tmp_path, "train-00000", "toy-key", sounds("abc"), encoder)[0] == file
        assert lost.read_bytes() == content


def test_one_more_track_costs_one_and_another_encoder_touches_nothing(tmp_path: Path) -> None:
    feature_file_of(tmp_path, "train-00000", "toy-key", sounds("abc"), Encoder())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    encoder = Encoder()
    file, _ = feature_file_of(tmp_path, "train-00001", "toy-key", sounds("xcab"), encoder)
    assert encoder.asked == "x"
    assert file is not None
    assert np.load(file.path)[::2, 0].tolist() == [ord(name) for name in "xcab"]
    assert np.load(file.frames_path).tolist() == [50, 20] * 4
    other = Encoder(identity="other-1")
    feature_file_of(tmp_path, "train-00000", "other-key", sounds("abc"), other)
    assert sorted(other.asked) == ["a", "b", "c"]
    assert {path: path.read_bytes() for path in before} == before


def test_a_failure_costs_its_track_alone_and_is_tried_again(tmp_path: Path) -> None:
    file, errors = feature_file_of(tmp_path, "train-00000", "key", sounds("abc"), Encoder(fails="b"))
    assert file is not None
    assert [track[0] for track in file.tracks] == ["a", "c"]
    assert str(errors["b"]) == "bad sound"
    assert [sound.track_id for sound in unheard(tmp_path, "key", sounds("abc"))] == ["b"]
    encoder = Encoder()
    mended, errors = feature_file_of(tmp_path, "train-00000", "key", sounds("abc"), encoder)
    assert mended is not None
    assert (encoder.asked, errors, len(mended.tracks)) == ("b", {}, 3)
    assert np.load(file.path)[:, 0].tolist() == [97, 97, 99, 99]  # rows of earlier parts stay true
    assert feature_file_of(tmp_path, "t-00000", "key", sounds("z"), Encoder(fails="z"))[0] is None


def test_encoders_of_one_key_are_never_mixed(tmp_path: Path) -> None:
    feature_file_of(tmp_path, "train-00000", "key", sounds("ab"), Encoder(identity="toy-1"))
    newer = Encoder(identity="toy-2")
    file, _ = feature_file_of(tmp_path, "train-00000", "key", sounds("abc"), newer)
    assert file is not None
    assert file.encoder == "toy-2"
    assert newer.asked == "ccba"


def test_a_forgotten_track_names_every_file_it_is_in(tmp_path: Path) -> None:
    for names in ("ab", "bc", "d"):
        feature_file_of(tmp_path, "train-00000", "key", sounds(names), Encoder())
    torn, _ = feature_file_of(tmp_path, "train-00001", "other", sounds("b"), Encoder())
    assert torn is not None
    torn.path.unlink()
    for path in holding(tmp_path, frozenset("b")):
        path.unlink()
    assert len(list(tmp_path.iterdir())) == 3
    assert [path.suffix for path in holding(tmp_path, frozenset("d"))] == [".npy", ".npy", ".json"]


@pytest.mark.parametrize(
    ("vectors", "frames", "message"),
    [
        (np.zeros((0, 2)), [], "expected vectors"),
        (np.zeros((2, 2)), [1], "expected vectors"),
        (np.zeros((2, 2)), [1, 0], "from 1"),
        (np.full((1, 2), np.nan), [1], "NaN"),
        (np.full((1, 2), 1e6), [1], "float16"),
    ],
)
def test_refuses_to_write_what_cannot_be_read(
    tmp_path: Path, vectors: np.ndarray, frames: list[int], message: str
) -> None:
    heard = [(sounds("a")[0], Heard(encoder="toy", seconds=Seconds(vectors, np.array(frames, np.int32))))]
    with pytest.raises(ValueError, match=message):
        write_feature_file(tmp_path / "a.npy", "key", heard)
    with pytest.raises(ValueError, match="one encoder and width"):
        write_feature_file(tmp_path / "a.npy", "key", [])
    assert list(tmp_path.iterdir()) == []
