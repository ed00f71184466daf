"""Whole builds over real parts: yt-dlp over HTTP, real decoders, real tars."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import webdataset
import yaml

from data_specs.reasons import ReasonClass
from tests.tasks.builds import published, rendered, run, songs, write_spec


def test_the_funnel_has_every_track_and_every_broken_one_a_reason(small: tuple[Path, Path]) -> None:
    failures = pd.read_parquet(small[1] / "failures.parquet").set_index("track_id")
    assert failures.reason.to_dict() == {
        "broken-forbidden": "forbidden",
        "broken-missing": "not_found",
        "broken-no-media": "not_media",
        "broken-not-audio": "not_media",
        "broken-silent": "silent",
        "broken-truncated": "truncated",
    }
    assert failures["class"].value_counts().to_dict() == {"permanent": 4, "session": 1, "transient": 1}
    manifest = pd.read_parquet(small[1] / "manifest.parquet")
    assert sorted(manifest.track_id) == [f"song-{number:04d}" for number in range(6)]


def test_shards_are_read_back_by_webdataset(small: tuple[Path, Path]) -> None:
    manifest = pd.read_parquet(small[1] / "manifest.parquet").set_index("track_id")
    shards = pd.read_parquet(small[1] / "shards.parquet")
    urls = [str(small[1] / "shards" / name) for name in shards.shard]
    keys = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
        row = manifest.loc[sample["__key__"]]
        samples, rate = (
            soundfile.read(io.BytesIO(sample["flac"])) if isinstance(sample["flac"], bytes) else sample["flac"]
        )
        assert rate == 16_000
        assert len(samples) / rate == pytest.approx(row.duration_s, abs=0.01)
        assert sample["txt"] == row.caption == sample["json"]["caption"]["long_text"]
        assert len(sample["txt"].split()) == row.num_words >= 250 * min(row.duration_s / 120, 1)
        assert [s["letter"] for s in sample["json"]["structure"]["sections"]]
        keys.append(sample["__key__"])
    assert keys == list(manifest.index)
    for entry in shards.itertuples():
        content = (small[1] / "shards" / entry.shard).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry.sha256, entry.num_bytes)


def test_features_fit_the_audio(small: tuple[Path, Path]) -> None:
    features = pd.read_parquet(small[1] / "features.parquet")
    manifest = pd.read_parquet(small[1] / "manifest.parquet").set_index("track_id")
    for row in features.itertuples():
        [encoding] = row.encodings
        heard = slice(encoding["offset"], encoding["offset"] + row.num_seconds)
        vectors = np.load(small[1] / encoding["file"], mmap_mode="r")[heard]
        frames = np.load(small[1] / encoding["frames_file"], mmap_mode="r")[heard]
        assert vectors.shape == (row.num_seconds, encoding["dim"])
        assert np.isfinite(vectors).all()
        assert (frames[:-1] == frames[0]).all()
        assert row.num_seconds == pytest.approx(manifest.loc[row.track_id].duration_s, abs=1)
        assert frames.sum() == pytest.approx(manifest.loc[row.track_id].duration_s * frames[0], abs=frames[0] / 20)


def test_a_second_run_does_nothing(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = published(workspace)
    report = run(spec, workspace)
    assert report.num_new == 0
    assert published(workspace) == before


def test_another_machine_builds_the_same_bytes(small: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = small
    run(spec, tmp_path / "again", processes=1, downloads=1)
    assert published(tmp_path / "again") == published(workspace)


def test_a_changed_caption_setting_redoes_captions_and_shards_only(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    values = yaml.safe_load(spec.read_text()) | {"caption": {"seed": 1}}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(values))
    before = published(workspace)
    texts = pd.read_parquet(workspace / "manifest.parquet").caption
    report = run(changed, workspace)
    assert {row.stage: row.num_new for row in report.funnel} == {
        "select": 0,
        "harvest": 0,
        "audio": 0,
        "structure": 0,
        "caption": 6,
        "fingerprint": 0,
        "duplicates": 0,
        "shards": 6,
        "features": 0,
    }
    assert (pd.read_parquet(workspace / "manifest.parquet").caption != texts).all()
    assert len(list(workspace.glob("shards/*.tar"))) == report.num_shards  # no stale ones beside the new
    # The old captions are still there: going back only packs.
    back = run(spec, workspace)
    assert {row.stage: row.num_new for row in back.funnel if row.num_new} == {"shards": 6}
    assert published(workspace) == before


def test_retry_tries_the_truncated_one_again_and_nothing_else(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = published(workspace)
    report = run(spec, workspace, retry=[ReasonClass.TRANSIENT])
    assert {row.stage: row.num_new for row in report.funnel if row.num_new} == {"harvest": 1}
    assert published(workspace) == before


def test_a_folder_of_ones_own_music_with_bad_files_among_it(small: tuple[Path, Path], tmp_path: Path) -> None:
    folder = songs(tmp_path / "music", small)
    (folder / "empty.mp3").touch()
    (folder / "notes.flac").write_text("this is no music")
    (folder / "half.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    report = run(spec, tmp_path / "work")
    assert report.num_samples == 2
    failures = pd.read_parquet(tmp_path / "work" / "failures.parquet")
    assert sorted(failures.reason) == ["file_empty", "truncated", "undecodable"]
    assert failures.detail.str.len().min() > 0


def test_a_table_of_addresses(small: tuple[Path, Path], tmp_path: Path, free_port: int) -> None:
    from data_specs.spec import RenderedSource
    from tasks.demo.site import Site

    site = f"http://127.0.0.1:{free_port}"
    (tmp_path / "urls.csv").write_text(
        f"url,track_id,title\n{site}/songs/song-0001,one,My title\n{site}/nothing,two,\n"
    )
    spec = write_spec(tmp_path, source={"type": "urls", "table": "urls.csv"})
    source = RenderedSource.model_validate(rendered(free_port))
    with Site(source, tmp_path / "site"):
        report = run(spec, tmp_path / "work")
    assert report.num_samples == 1
    assert list(pd.read_parquet(tmp_path / "work" / "manifest.parquet").title) == ["My title"]
    assert list(pd.read_parquet(tmp_path / "work" / "failures.parquet").reason) == ["not_found"]
