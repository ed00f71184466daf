"""A captioner that writes nothing: it takes the caption that somebody wrote of the track."""

from __future__ import annotations

from pathlib import Path

from data_specs.outcomes import Outcome, failed
from data_specs.reasons import Reason
from data_specs.records import Attributes, AudioFacts, Caption, SectionCaption, Structure
from data_specs.spec import ImportCaptions
from tasks.caption import validate
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.caption.imported.futga import Record, read, tiled
from tasks.caption.imported.source import Unreadable, find_record
from tasks.caption.model.mend import mend

CAPTIONER = "import-1"


class ImportCaptioner:
    """A ``Captioner`` over FUTGA's records. Its sections are the record's own, not those of the analysis."""

    def __init__(self, settings: ImportCaptions) -> None:
        self._settings = settings

    def caption(self, audio: AudioFacts, structure: Structure, version: int, workspace: Path) -> Outcome[Caption]:
        """The imported caption of one track.

        Raises:
            BuildError: the path of the settings is missing, or its table cannot be read.
        """
        track_id, settings = structure.track_id, self._settings
        try:
            raw = find_record(track_id, settings)
            if raw is None:
                return failed(Reason.CAPTION_MISSING, f"{settings.path} has no record of {track_id}")
            draft, repairs = drafted(read(raw), structure)
        except Unreadable as error:
            return failed(Reason.CAPTION_INVALID, f"imported record: {error}")
        mended = mend(draft, audio, structure)
        caption = assemble(
            track_id,
            mended.draft,
            captioner=CAPTIONER,
            model=None,
            prompt=None,
            version=version,
            seed=settings.seed,
            flaws=mended.flaws,
            repairs=(*repairs, *mended.repairs),
        )
        return validate.judge(caption, audio, structure, settings.min_words)


def drafted(record: Record, structure: Structure) -> tuple[Draft, list[str]]:
    """The record on the track's clock, and what had to be put right for it.

    A segment gets the letter of the analysed section that it shares most time with. Its label is still
    the record's own name for it; ``mend`` brings it into the vocabulary.

    Raises:
        Unreadable: the segments do not fill the song.
    """
    spans = tiled(record.segments)
    moved = sum(span != (s.start, s.end) for span, s in zip(spans, record.segments, strict=True))
    sections = []
    for (start, end), segment in zip(spans, record.segments, strict=True):
        start_s, end_s = (round(percent / 100 * structure.duration_s, 2) for percent in (start, end))
        sections.append(
            SectionCaption(
                start_s=start_s,
                end_s=end_s,
                label=segment.name.casefold(),
                letter=_letter(structure, start_s, end_s),
                description=segment.text,
                writer="import",
            )
        )
    draft = Draft(global_text=record.global_text, attributes=Attributes(), sections=tuple(sections), anchored=False)
    return draft, [f"tile:{moved}"] if moved else []


def _letter(structure: Structure, start_s: float, end_s: float) -> str:
    shared = [min(s.end_s, end_s) - max(s.start_s, start_s) for s in structure.sections]
    return structure.sections[shared.index(max(shared))].letter
