from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.beats_golden import formula
from collap_model.encoders.beats import BeatsConfig, BeatsEncoder, load_beats, save_beats

LAYER = "encoder.layers.1.self_attn"


def test_safetensors_hold_the_same_weights(published: Path, tmp_path: Path) -> None:
    model = load_beats(published)
    save_beats(model, tmp_path / "beats.safetensors")
    again = load_beats(tmp_path / "beats.safetensors")
    assert again.config == model.config
    expected = model.state_dict()
    assert expected.keys() == again.state_dict().keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    assert BeatsEncoder(again).identity == BeatsEncoder(model).identity
    save_beats(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "beats.safetensors").read_bytes()
    (tmp_path / "again.safetensors").unlink()
    assert os.listdir(tmp_path).count("beats.safetensors") == 1 and len(os.listdir(tmp_path)) == 2


def test_head_of_a_fine_tuned_checkpoint_is_passed_over(content: dict[str, Any], published: Path) -> None:
    plain = BeatsEncoder.load(published).identity
    content["cfg"] |= {"finetuned_model": True, "predictor_class": 7}
    content["model"] |= {"predictor.weight": formula("w", (7, 24)), "predictor.bias": formula("b", (7,))}
    content["label_dict"] = {0: "/m/09x0r"}
    torch.save(content, published)
    assert BeatsEncoder.load(published).identity == plain


def test_half_precision_weights_load_as_float32(content: dict[str, Any], published: Path) -> None:
    content["model"] = {name: tensor.half() for name, tensor in content["model"].items()}
    torch.save(content, published)
    assert {tensor.dtype for tensor in load_beats(published).state_dict().values()} == {torch.float32}


def test_missing_unknown_and_misshapen_tensors_are_named(content: dict[str, Any], published: Path) -> None:
    del content["model"]["encoder.pos_conv.0.weight_g"]
    content["model"]["quantize.embedding.weight"] = torch.zeros(2)
    content["model"][f"{LAYER}.grep_linear.weight"] = torch.zeros(4, 8)
    torch.save(content, published)
    with pytest.raises(ValueError, match="not the BEATs that its cfg describes") as error:
        load_beats(published)
    for told in (
        "1 missing: encoder.pos_conv.0.weight_g",
        "1 unknown: quantize.embedding.weight",
        f"1 misshapen: {LAYER}.grep_linear.weight [4, 8] instead of [8, 8]",
    ):
        assert told in str(error.value)


def test_long_lists_of_names_are_cut(content: dict[str, Any], published: Path) -> None:
    content["cfg"]["encoder_layers"] = 4
    torch.save(content, published)
    with pytest.raises(ValueError, match=r"20 missing: encoder\.layers\.3\.fc1\.bias, .*, \.\.\.$"):
        load_beats(published)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layer_norm_first": True}, "layer_norm_first=True is not supported: expected False"),
        ({"activation_fn": "relu"}, "activation_fn='relu' is not supported: expected 'gelu'"),
        ({"encoder_attention_heads": 5}, "encoder_embed_dim 24: expected a multiple of encoder_attention_heads 5"),
        ({"input_patch_size": -1}, "input_patch_size -1: expected an integer of at least 1"),
        ({"input_patch_size": 12}, "input_patch_size 12: expected a divisor of 128"),
        ({"encoder_layers": "12"}, "encoder_layers '12': expected an integer"),
        ({"num_buckets": 30}, "num_buckets 30 and max_distance 20: expected a multiple of 4"),
    ],
)
def test_another_architecture_is_told(
    change: dict[str, Any], told: str, content: dict[str, Any], published: Path
) -> None:
    content["cfg"] |= change
    torch.save(content, published)
    with pytest.raises(ValueError) as error:
        load_beats(published)
    assert told in str(error.value) and str(published) in str(error.value)


@pytest.mark.parametrize("field", ["deep_norm", "gru_rel_pos", "relative_position_embedding", "input_patch_size"])
def test_what_a_config_does_not_say_is_as_in_the_official_code(
    field: str, content: dict[str, Any], published: Path
) -> None:
    del content["cfg"][field]
    torch.save(content, published)
    with pytest.raises(ValueError, match=field):
        load_beats(published)


def test_defaults_are_the_official_ones(content: dict[str, Any]) -> None:
    for field in ("num_buckets", "max_distance", "encoder_layers"):
        del content["cfg"][field]
    config = BeatsConfig.from_official(content["cfg"])
    assert (config.num_buckets, config.max_distance, config.encoder_layers) == (320, 1280, 12)


def test_tables_that_differ_by_layer_are_refused(content: dict[str, Any], published: Path) -> None:
    content["model"][f"{LAYER}.relative_attention_bias.weight"] = torch.zeros(32, 3)
    torch.save(content, published)
    with pytest.raises(ValueError, match="table of relative positions per layer"):
        load_beats(published)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("is_safe", [False, True])
def test_cut_off_files_are_told(kept: float, is_safe: bool, published: Path, tmp_path: Path) -> None:
    path = published
    if is_safe:
        path = tmp_path / "beats.safetensors"
        save_beats(load_beats(published), path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match="cut off"):
        load_beats(path)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_does_not_run(content: dict[str, Any], published: Path, tmp_path: Path) -> None:
    torch.save(content | {"label_dict": _Evil(tmp_path / "ran")}, published)
    torch.load(published, weights_only=False)
    (tmp_path / "ran").unlink()  # so it would have
    with pytest.raises(ValueError, match="holds code, which is not run") as error:
        load_beats(published)
    assert "weights_only" not in str(error.value)  # torch's advice is to run it
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ([1, 2], "expected cfg and model in it, found list"),
        ({"state_dict": {}, "epoch": 3}, "found state_dict, epoch"),
        ({"cfg": {}, "model": [1]}, "not both mappings"),
        ({"cfg": {}, "model": {"fc": 1}}, "no tensors under fc of its model"),
        ({"cfg": {"dims": 3}, "model": {"fc": torch.zeros(1)}}, "deep_norm=False is not supported"),
    ],
)
def test_files_of_another_kind_are_told(other: Any, told: str, published: Path) -> None:
    torch.save(other, published)
    with pytest.raises(ValueError) as error:
        load_beats(published)
    assert told in str(error.value)


def test_safetensors_of_another_model_are_told(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"fc": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no cfg in its metadata, tensors fc"):
        load_beats(path)
    for cfg in ("{", "[1]"):
        save_file({"fc": torch.zeros(1)}, path, {"cfg": cfg})
        with pytest.raises(ValueError, match="no cfg in its metadata, tensors fc"):
            load_beats(path)
    model = load_beats(published)
    del model.encoder.layers[2]
    save_beats(model, path)
    with pytest.raises(ValueError, match=r"19 missing: encoder\.layers\.2\.fc1\.bias"):
        load_beats(path)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no BEATs checkpoint at .*beats\.pt"):
        load_beats(tmp_path / "beats.pt")
