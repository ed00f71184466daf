"""Rules on the fields of the record: sections, times, labels, counts, attributes."""

from __future__ import annotations

from data_specs.records import LABELS, VOCALS, Attributes
from tasks.caption.validation.case import Case, Found, shown
from tasks.caption.validation.sentence_rules import TIME_TOLERANCE_S
from tasks.caption.validation.text_rules import repetition

MAX_ATTRIBUTES = 8
MAX_ATTRIBUTE_CHARACTERS = 40
WRITERS = ("model", "rules", "import")


def attribute_faults(attributes: Attributes) -> Found:
    """Every value of the attributes that is out of bounds."""
    if attributes.vocals not in VOCALS:
        yield f"vocals {shown(attributes.vocals)}", f"one of {', '.join(VOCALS)}"
    texts = [("tempo_word", attributes.tempo_word)] if attributes.tempo_word else []
    for name in ("genres", "moods", "instruments", "production"):
        values = getattr(attributes, name)
        if len(values) > MAX_ATTRIBUTES:
            yield f"{len(values)} {name}", f"at most {MAX_ATTRIBUTES}"
        if len({value.casefold() for value in values}) < len(values):
            yield f"{name} {list(values)}", "each once"
        texts += [(name, value) for value in values]
    for name, value in texts:
        if not 0 < len(value) <= MAX_ATTRIBUTE_CHARACTERS or not value.isprintable() or value != value.strip():
            yield f"{shown(value)} in {name}", f"1 to {MAX_ATTRIBUTE_CHARACTERS} characters of text"


def attributes(case: Case) -> Found:
    yield from attribute_faults(case.caption.attributes)


def counts(case: Case) -> Found:
    caption = case.caption
    if caption.num_words != len(caption.long_text.split()):
        yield f"num_words {caption.num_words}", f"{len(caption.long_text.split())} words of long_text"
    if abs(caption.repetition - repetition(caption.clock_free_text)) > 1e-6:
        yield f"repetition {caption.repetition:.4f}", f"{repetition(caption.clock_free_text):.4f} of clock_free_text"


def track_id(case: Case) -> Found:
    ids = {case.caption.track_id, case.audio.track_id, case.structure.track_id}
    if len(ids) > 1:
        yield f"track ids {sorted(ids)}", "one id in caption, audio facts and structure"


def section_count(case: Case) -> Found:
    if not case.caption.sections:
        yield "no sections", "at least one"
    elif case.caption.anchored and len(case.caption.sections) != len(case.structure.sections):
        yield f"{len(case.caption.sections)} sections", f"{len(case.structure.sections)}, as analysed"


def section_tiling(case: Case) -> Found:
    expected = 0.0
    for index, section in enumerate(case.caption.sections):
        # Not the negation of <= and >, which a NaN would pass.
        if not (abs(section.start_s - expected) <= TIME_TOLERANCE_S and section.end_s > section.start_s):
            yield (
                f"section {index} spans {section.start_s}..{section.end_s} s",
                f"a start at {expected} s and an end after it",
            )
        expected = section.end_s
    if case.caption.sections and not abs(expected - case.structure.duration_s) <= TIME_TOLERANCE_S:
        yield f"last section ends at {expected} s", f"the end of the track at {case.structure.duration_s} s"


def section_fields(case: Case) -> Found:
    if not case.caption.anchored:
        return
    for index, (said, known) in enumerate(zip(case.caption.sections, case.structure.sections, strict=False)):
        for name in ("start_s", "end_s", "label", "letter"):
            if getattr(said, name) != getattr(known, name):
                yield (
                    f"section {index} {name} {getattr(said, name)!r}",
                    f"{getattr(known, name)!r}, copied from the analysis",
                )


def label(case: Case) -> Found:
    for index, section in enumerate(case.caption.sections):
        if section.label not in LABELS:
            yield f"label {shown(section.label)} of section {index}", f"one of {', '.join(LABELS)}"


def writer(case: Case) -> Found:
    for index, section in enumerate(case.caption.sections):
        if section.writer not in WRITERS:
            yield f"writer {shown(section.writer)} of section {index}", f"one of {', '.join(WRITERS)}"
