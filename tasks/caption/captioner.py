"""The door of the room: which captioner writes, and whether its caption is let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from data_specs.outcomes import Outcome, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.spec import CaptionSettings
from tasks.caption.rules import RulesCaptioner
from tasks.caption.validate import validate_caption

MAX_DETAIL_VIOLATIONS = 5
"""A caption that breaks a rule in each of forty sections needs no forty messages."""


class Captioner(Protocol):
    """Writes the caption of one track from what was measured.

    Times, labels and letters are copied from the analysis. Equal inputs give equal captions.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def caption(self, audio: AudioFacts, structure: Structure) -> Caption: ...


CAPTIONERS: dict[str, Callable[[CaptionSettings], Captioner]] = {"rules": RulesCaptioner}
"""A new captioner is one entry here and one literal in ``CaptionSettings``."""


def build_captioner(settings: CaptionSettings) -> Captioner:
    return CAPTIONERS[settings.captioner](settings)


def caption_track(
    audio: AudioFacts, structure: Structure, settings: CaptionSettings, captioner: Captioner | None = None
) -> Outcome[Caption]:
    """Write and validate one caption; a broken rule rejects it, with the caption kept.

    Pass a ``captioner`` that is costly to build (a server, a model); without one it is built from
    the settings.
    """
    caption = (captioner or build_captioner(settings)).caption(audio, structure)
    violations = validate_caption(caption, audio, structure, settings.min_words)
    if not violations:
        return ok(caption)
    only_short = all(violation.rule == "words_min" for violation in violations)
    detail = "; ".join(str(violation) for violation in violations[:MAX_DETAIL_VIOLATIONS])
    if len(violations) > MAX_DETAIL_VIOLATIONS:
        detail += f"; and {len(violations) - MAX_DETAIL_VIOLATIONS} more"
    return rejected(caption, Reason.CAPTION_TOO_SHORT if only_short else Reason.CAPTION_INVALID, detail)
