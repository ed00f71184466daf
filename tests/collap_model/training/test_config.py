from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from pydantic import ValidationError

from collap_model.choices import FusionName, TowerName
from collap_model.training.config import TrainConfig


def test_every_field_is_explained_to_a_person() -> None:
    for name, field in TrainConfig.model_fields.items():
        assert field.title, name
        assert field.description, name
    assert TrainConfig.model_json_schema()["properties"]["fusion"]["enum"] == list(get_args(FusionName))


def test_survives_json() -> None:
    config = TrainConfig(text_tower="tiny", steps=400, seed=7)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 8}, "batchsize"),
        ({"temperature": 0.0}, "temperature"),
        ({"loss": "softmax"}, "'infonce' or 'sigmoid'"),
        ({"swap_negatives": 1.5}, "swap_negatives"),
        ({"clock_free_chance": -0.1}, "clock_free_chance"),
        ({"min_crop": 0.0}, "min_crop"),
        ({"text_tower": "tiny", "text_model": "gpt2"}, "no meaning for the tiny tower"),
        ({"sentences_chance": 0.7, "global_chance": 0.7}, "must not exceed 1"),
        ({"steps": 10, "warmup_steps": 10}, "fewer than steps"),
        ({"schedule": "linear"}, "'cosine' or 'wsd'"),
        ({"text_chunk": -1}, "text_chunk"),
        ({"keep_checkpoints": 0}, "keep_checkpoints"),
        ({"log_to": "mlflow"}, "'tensorboard' or 'wandb'"),
    ],
)
def test_refuses_what_makes_no_run(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainConfig(**changes)


def test_towers_begin_from_their_published_weights_or_the_given_ones() -> None:
    assert [name for name in get_args(TowerName) if TrainConfig(text_tower=name).pretrained is None] == ["tiny"]
    assert TrainConfig(text_tower="gpt2").pretrained == "openai-community/gpt2"
    assert TrainConfig(text_model="/models/mine").pretrained == "/models/mine"


def test_each_loss_begins_at_its_published_temperature_or_the_given_one() -> None:
    assert TrainConfig().first_temperature == 0.07
    assert TrainConfig(loss="sigmoid").first_temperature == 0.1
    assert TrainConfig(loss="sigmoid", temperature=0.05).first_temperature == 0.05


@pytest.mark.parametrize(
    "module", ["training.config", "features.feature_store", "features.encode_tracks", "features.feature_files"]
)
def test_what_flows_and_stages_import_loads_without_torch(module: str) -> None:
    code = (
        f"import sys, collap_model.{module}; sys.exit(bool({{'torch', 'transformers', 'prefect'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_library_imports_neither_prefect_nor_other_rooms() -> None:
    code = (
        "import sys, collap_model.evaluate, collap_model.train; "
        "print([m for m in sys.modules if m.split('.')[0] in ('prefect', 'tasks', 'flows')])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
