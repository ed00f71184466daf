"""``python -m collap_model.train --config config.json --workspace DIR --run DIR``; also under torchrun."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from collap_model.training.config import TrainConfig
from collap_model.training.trainer import NotFinite, train

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """0 when the run is finished, 2 for a mistake of the user, 3 when training diverged."""
    parser = argparse.ArgumentParser(
        prog="collap_model.train", description="Train CoLLAP, resuming where a run stopped."
    )
    parser.add_argument("--config", type=Path, required=True, help="TrainConfig as JSON")
    parser.add_argument("--workspace", type=Path, required=True, help="holds manifest.parquet and features.parquet")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run")
    options = parser.parse_args(arguments)
    try:
        config = TrainConfig.model_validate_json(options.config.read_text(encoding="utf-8"))
        train(config, options.workspace, options.run)
    except (ValidationError, ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NotFinite as error:
        print(f"error: training diverged: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
