from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from safetensors.torch import save_file

from collap_model.encoders.beats import load_beats
from collap_model.encoders.open import open_encoder
from collap_model.extract import main
from collap_model.features.feature_store import FeatureStore
from data_specs.spec import load_spec
from tasks.engine.errors import BuildError
from tests.collap_model.tiny_encoders import write_beats, write_whisper
from tests.tasks.builds import run


def with_features(spec: Path, folder: Path, encoders: list[dict[str, str]]) -> Path:
    path = folder / "features.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | {"features": {"encoders": encoders}}))
    return path


def new_rows(spec: Path, workspace: Path) -> dict[str, int]:
    return {row.stage: row.num_new for row in run(spec, workspace).funnel if row.num_new}


def feature_files(workspace: Path) -> dict[str, tuple[int, int]]:
    paths = [path for path in (workspace / "features").iterdir() if path.suffix != ".parquet"]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def test_encoders_side_by_side(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    before = feature_files(workspace)
    write_beats(tmp_path / "beats.safetensors")
    write_whisper(tmp_path / "whisper")
    learned = [{"encoder": "beats", "weights": "beats.safetensors"}, {"encoder": "whisper", "model": "./whisper"}]
    more = with_features(spec, tmp_path, [{"encoder": "spectral"}, *learned])
    assert new_rows(more, workspace) == {"features": 6}
    assert feature_files(workspace).items() >= before.items()
    store = FeatureStore.open(workspace)
    assert (store.dims, len(store)) == ((160, 16, 8), 6)

    track_id = next(iter(store.rows))
    [audio] = (workspace / "audio" / "flac").glob(f"{track_id}-*.flac")
    samples, _ = soundfile.read(audio, dtype="float32")
    settings = load_spec(more).features
    alone = [open_encoder(item, "float32", "cpu").encode([samples])[0] for item in settings.encoders]
    np.testing.assert_allclose(
        store.vectors(track_id), np.hstack([item.vectors_SE for item in alone]), rtol=1e-3, atol=1e-3
    )
    assert np.array_equal(store.frames(track_id), np.stack([item.frames_S for item in alone], 1))

    after = feature_files(workspace)
    assert new_rows(more, workspace) == {}
    for part in workspace.glob("features/*.parquet"):
        part.unlink()
    one = with_features(spec, tmp_path, learned[:1])  # another order or choice encodes nothing
    assert new_rows(one, workspace) == {"features": 6}
    assert FeatureStore.open(workspace).dims == (16,)
    assert feature_files(workspace) == after

    weights = load_beats(tmp_path / "beats.safetensors").state_dict()
    cfg = {"cfg": json.dumps(load_beats(tmp_path / "beats.safetensors").config.to_official()), "by": "someone else"}
    save_file(weights, tmp_path / "copy.safetensors", cfg)
    twice = with_features(spec, tmp_path, [*learned[:1], {"encoder": "beats", "weights": "copy.safetensors"}])
    with pytest.raises(BuildError, match=r"two of features\.encoders have the same weights"):
        run(twice, workspace)

    (tmp_path / "beats.safetensors").write_bytes(b"cut off")
    with pytest.raises(BuildError, match=r"beats\.safetensors"):
        run(one, workspace)
    (tmp_path / "beats.safetensors").unlink()
    with pytest.raises(BuildError, match=r"no weights at .*beats\.safetensors"):
        run(one, workspace)


def test_a_build_finds_what_the_program_extracted(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = {path.name: np.load(path) for path in workspace.glob("features/*.npy")}
    for path in workspace.glob("features/*"):
        path.unlink()
    main([str(workspace), "--encoder", "spectral"])
    after = {path.name: np.load(path) for path in workspace.glob("features/*.npy")}
    assert after.keys() == before.keys()
    for name in before:  # a stage's process has one thread, and matrix products round by how they are shared out
        np.testing.assert_allclose(after[name], before[name], rtol=2e-3, atol=2e-3)
    extracted = feature_files(workspace)
    for audio in workspace.glob("audio/flac/*.flac"):
        audio.unlink()  # so that nothing can be encoded again
    run(spec, workspace)
    assert feature_files(workspace) == extracted
    assert len(pd.read_parquet(workspace / "features.parquet")) == 6
