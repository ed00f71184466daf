"""The door of the room: which captioner writes, and whether its caption is let through."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from data_specs.outcomes import Outcome
from data_specs.records import AudioFacts, Caption, Structure


class Captioner(Protocol):
    """Writes the caption of one track, validated: a broken rule rejects it, with the caption kept.

    Times, labels and letters are copied from the analysis, unless the captions are not ``anchored``.
    """

    def caption(self, audio: AudioFacts, structure: Structure, version: int, workspace: Path) -> Outcome[Caption]:
        """The caption of one track.

        Args:
            version: how often the track was captioned anew by request; another one gives other words.
            workspace: folder that the files in the records are relative to.
        """
