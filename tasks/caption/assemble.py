"""From a draft to the record: the texts rendered, the words and repetitions counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from data_specs import renderings
from data_specs.records import Caption
from tasks.caption.draft import Draft
from tasks.caption.validate import repetition


def assemble(
    track_id: str,
    draft: Draft,
    *,
    captioner: str,
    model: str | None,
    prompt: str | None,
    version: int,
    seed: int,
    flaws: Iterable[str] = (),
    repairs: Iterable[str] = (),
    warnings: Iterable[str] = (),
    answers: Iterable[str] = (),
    heard_s: float | None = None,
) -> Caption:
    """The caption of a draft. White space is made single; nothing else of the words is changed.

    Args:
        seed: of the settings; with the version and the track's id it chooses the leads.
    """
    global_text = " ".join(draft.global_text.split())
    sections = tuple(replace(s, description=" ".join(s.description.split())) for s in draft.sections)
    key = wording_seed(seed, version, track_id)
    long_text = renderings.timestamped(global_text, sections, key)
    clock_free_text = renderings.clock_free(global_text, sections, key)
    return Caption(
        track_id=track_id,
        captioner=captioner,
        model=model,
        prompt=prompt,
        version=version,
        settings="",  # the stage knows them
        anchored=draft.anchored,
        global_text=global_text,
        attributes=draft.attributes,
        sections=sections,
        long_text=long_text,
        clock_free_text=clock_free_text,
        order_free_text=renderings.order_free(global_text, sections, key),
        num_words=len(long_text.split()),
        repetition=repetition(clock_free_text),
        flaws=tuple(flaws),
        repairs=tuple(repairs),
        warnings=tuple(warnings),
        answers=tuple(answers),
        heard_s=heard_s,
    )


def wording_seed(seed: int, version: int, track_id: str) -> str:
    """What chooses among equivalent wordings: another version of a caption gives other words."""
    return f"{seed}:{version}:{track_id}"
