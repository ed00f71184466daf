from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from collap_model.encoders.encoder import AudioEncoder, Seconds, num_seconds
from collap_model.encoders.spectral import SpectralEncoder
from collap_model.extract import read_shard
from collap_model.features.encode_tracks import NUM_AHEAD, Bench, ahead, encode_tracks, read_sound
from collap_model.features.feature_files import Heard
from tests.collap_model.shards import noise, write_shard


class Loudness:
    """Hears how loud a second is; refuses silence, and all that comes with it."""

    name, dim, identity = "loudness", 1, "loudness-1"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode(self, tracks: Sequence[np.ndarray]) -> list[Seconds]:
        self.asked.append(len(tracks))
        if any(not track.any() for track in tracks):
            raise RuntimeError("out of memory")
        counts = [num_seconds(len(track)) - (len(track) == 5 * 16_000) for track in tracks]
        return [
            Seconds(np.full((n, 1), np.abs(t).max(), np.float32), np.ones(n, np.int32))
            for t, n in zip(tracks, counts, strict=True)
        ]


def test_a_failure_of_a_group_is_that_of_one_track(tmp_path: Path) -> None:
    tracks = {"a": noise(0, 2), "silent": np.zeros(32_000, np.float32), "b": noise(1, 3), "short": noise(2, 5)}
    sounds = read_shard(write_shard(tmp_path, "train-00000", tracks))
    encoder = Loudness()
    results = {sound.track_id: result for sound, result in encode_tracks(Bench(lambda _: encoder, ["cpu"]), sounds)}
    assert encoder.asked == [4, 1, 1, 1, 1]
    assert isinstance(results["silent"], RuntimeError)
    assert "gave 4 vectors for 5 seconds" in str(results["short"])
    for track_id in ("a", "b"):
        heard = results[track_id]
        assert isinstance(heard, Heard)
        assert heard.seconds.vectors_SE[0, 0] == pytest.approx(np.abs(tracks[track_id]).max(), abs=1e-4)


def test_a_track_is_heard_alike_alone_and_from_a_shard(tmp_path: Path) -> None:
    sounds = read_shard(write_shard(tmp_path, "train-00000", {"a": noise(0, 3), "b": noise(1, 4)}))
    encoder = SpectralEncoder()
    for sound, heard in encode_tracks(Bench(lambda _: encoder, ["cpu"]), sounds):
        assert isinstance(heard, Heard)
        [alone] = encoder.encode([read_sound(sound)])
        assert np.array_equal(heard.seconds.vectors_SE, alone.vectors_SE)


def test_what_cannot_be_read_is_told_of_its_track(tmp_path: Path) -> None:
    sounds = read_shard(write_shard(tmp_path, "train-00000", {"a": noise(0, 3), "b": noise(1, 4)}))
    sounds[0].path.write_bytes(sounds[0].path.read_bytes().replace(b"fLaC", b"none", 1))
    results = [result for _, result in encode_tracks(Bench(lambda _: SpectralEncoder(), ["cpu"]), sounds)]
    assert [type(result).__name__ for result in results] == ["LibsndfileError", "Heard"]


def test_decoding_runs_a_bounded_way_ahead() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    results = ahead(work, range(100))
    assert next(results) == (0, 0)
    time.sleep(0.05)
    assert len(begun) == NUM_AHEAD
    assert [item for item, _ in ahead(lambda item: item, range(20))] == list(range(20))
    assert isinstance(next(ahead(lambda item: 1 // item, [0]))[1], ZeroDivisionError)


def test_a_device_has_one_encoder_and_one_user_at_a_time() -> None:
    opened: list[str] = []
    working: set[AudioEncoder] = set()
    most = 0
    guard = threading.Lock()

    def open_on(device: str) -> AudioEncoder:
        opened.append(device)
        return Loudness()

    def work(bench: Bench) -> None:
        nonlocal most
        for _ in range(10):
            with bench.borrowed() as encoder:
                with guard:
                    assert encoder not in working
                    working.add(encoder)
                    most = max(most, len(working))
                time.sleep(0.002)
                with guard:
                    working.remove(encoder)

    bench = Bench(open_on, ["cuda:0", "cuda:1"])
    with bench.borrowed(), bench.borrowed():
        assert opened == ["cuda:0", "cuda:1"]
    threads = [threading.Thread(target=work, args=(bench,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), most) == (2, 2)


def test_an_encoder_that_cannot_be_opened_is_no_fault_of_a_track(tmp_path: Path) -> None:
    def fail(device: str) -> AudioEncoder:
        raise ValueError(f"no weights on {device}")

    sounds = read_shard(write_shard(tmp_path, "train-00000", {"a": noise(0, 2)}))
    bench = Bench(fail, ["cpu"])
    for _ in range(2):  # the device was given back
        with pytest.raises(ValueError, match="no weights on cpu"):
            list(encode_tracks(bench, sounds))
