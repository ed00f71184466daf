"""What the Prefect UI shows of a decision on the model in use."""

from __future__ import annotations

from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from flows.artifacts import artifact_key
from tasks.promotion.decide import Ruling
from tasks.promotion.history import History
from tasks.promotion.shown import ruled_markdown


def promotion_artifact(workspace: str, ruling: Ruling) -> None:
    """Promoted or not, and why; then every decision of the workspace."""
    create_markdown_artifact(
        markdown=ruled_markdown(ruling, History.read(workspace)),
        key=artifact_key("promotion", Path(workspace).name),
        description=f"{ruling.decision.run}: {ruling.decision.action}",
    )
