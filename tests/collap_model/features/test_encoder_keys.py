from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from collap_model.features.encoder_keys import encoder_key
from data_specs.spec import BeatsEncoding, SpectralEncoding, WhisperEncoding


def beats(path: Path) -> BeatsEncoding:
    return BeatsEncoding(encoder="beats", weights=str(path))


def test_a_key_is_of_content_and_precision(tmp_path: Path) -> None:
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    first.write_bytes(b"weights")
    shutil.copy(first, second)
    os.utime(second, (1, 1))
    key = encoder_key(beats(first), "float32")
    assert key.startswith("beats-1-")
    assert encoder_key(beats(second), "float32") == key
    assert encoder_key(beats(first), "bfloat16") != key
    first.write_bytes(b"weightz")
    assert encoder_key(beats(first), "float32") != key
    assert encoder_key(SpectralEncoding(), "float32") == encoder_key(SpectralEncoding(), "bfloat16")


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    settings = WhisperEncoding(encoder="whisper", model=str(tmp_path))
    key = encoder_key(settings, "float32")
    (tmp_path / "README.md").write_text("others")
    assert encoder_key(settings, "float32") == key
    (tmp_path / "config.json").write_text("other")
    assert encoder_key(settings, "float32") != key


def test_a_name_of_the_hub_counts_with_the_revision_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    keys = []
    for number, revision in enumerate(("a" * 40, "b" * 40)):
        folder = tmp_path / f"models--someone--whisper-{number}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(revision)
        (folder / "snapshots" / revision).mkdir(parents=True)
        (folder / "snapshots" / revision / "config.json").write_text("{}")
        model = WhisperEncoding(encoder="whisper", model=f"someone/whisper-{number}")
        keys.append(encoder_key(model, "float32"))
        assert encoder_key(model, "float32") == keys[-1]
    assert len(set(keys)) == 2
    with pytest.raises(ValueError, match=r"'someone/none' is neither a folder nor in the cache"):
        encoder_key(WhisperEncoding(encoder="whisper", model="someone/none"), "float32")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no weights at .*none\.pt"):
        encoder_key(beats(tmp_path / "none.pt"), "float32")
    with pytest.raises(ValueError, match="holds no model"):
        encoder_key(WhisperEncoding(encoder="whisper", model=str(tmp_path)), "float32")
    with pytest.raises(ValueError, match="no folder at"):
        encoder_key(WhisperEncoding(encoder="whisper", model=str(tmp_path / "none")), "float32")
