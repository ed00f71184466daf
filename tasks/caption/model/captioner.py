"""A Music-LLM listens and writes; what it gets wrong is dropped, asked for again, or written from facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_specs.outcomes import Outcome, failed, rejected
from data_specs.reasons import Reason
from data_specs.records import Attributes, AudioFacts, Caption, SectionCaption, Structure
from data_specs.spec import ModelCaptions
from tasks.caption.assemble import assemble, wording_seed
from tasks.caption.draft import GLOBAL, Draft
from tasks.caption.generate.request import GenerationError, Generator
from tasks.caption.model.asking import Conversation, weights_of
from tasks.caption.model.mend import mend
from tasks.caption.model.parse import Parsed
from tasks.caption.model.passes import Pass, choose_pass
from tasks.caption.model.prompt import PromptWriter, load_prompts
from tasks.caption.model.schema import Budget, Span, bounds
from tasks.caption.rules.captioner import write_draft
from tasks.caption.validate import in_order, judge, words_bound

CAPTIONER = "model-1"


class ModelCaptioner:
    """A ``Captioner``. Whatever a model answers ends as a valid caption or as a reason, never as an exception."""

    def __init__(self, settings: ModelCaptions, generator: Generator) -> None:
        """
        Raises:
            SpecError: there is no such version of the prompt files.
        """
        load_prompts(settings.prompt)
        self._settings = settings
        self._generator = generator

    def caption(self, audio: AudioFacts, structure: Structure, version: int, workspace: Path) -> Outcome[Caption]:
        """The caption of one track.

        Raises:
            BuildError, CancelledError: of the generator.
        """
        if not structure.sections or structure.duration_s <= 0:
            return failed(Reason.ANALYSIS_FAILED, f"structure of {structure.track_id} has no sections or no duration")
        try:
            return _Song(self._settings, self._generator, audio, structure, version, workspace).outcome()
        except GenerationError as error:
            return failed(error.reason, error.detail)


class _Song:
    """One track on its way from the first answer to the caption."""

    def __init__(
        self,
        settings: ModelCaptions,
        generator: Generator,
        audio: AudioFacts,
        structure: Structure,
        version: int,
        workspace: Path,
    ) -> None:
        self._settings, self._audio, self._structure, self._version = settings, audio, structure, version
        self._writer = PromptWriter(
            settings.prompt, settings.facts, audio, structure, seed=settings.seed, min_words=settings.min_words
        )
        self._talk = Conversation(settings, generator, audio, version, workspace, self._writer.system)
        self._way: Pass = choose_pass(self._writer, self._talk)
        self._flaws: list[str] = []
        self._repairs: list[str] = []

    def outcome(self) -> Outcome[Caption]:
        parsed = self._write(0)
        self._flaws += parsed.flaws
        self._repairs += parsed.repairs
        draft, failing = self._mended(self._drafted(parsed), is_first=True)
        for attempt in range(1, self._settings.max_refills + 1):
            asked = failing or self._short(draft)
            if not asked:
                break
            parsed = self._again(draft, asked, attempt)
            self._repairs += parsed.repairs
            draft, failing = self._mended(self._refilled(draft, asked, parsed, bool(failing)), is_first=False)
        num_answers = len(self._talk.answers)
        if self._talk.num_refused == num_answers:
            return failed(Reason.CAPTION_REFUSED, f"all of {num_answers} answers refuse")
        if not draft.sections:
            return failed(Reason.CAPTION_INVALID, f"no section in {num_answers} answers: {self._seen_flaws()}")
        return self._judged(draft, failing)

    def _write(self, attempt: int) -> Parsed:
        """The whole song."""
        spans = self._writer.spans if self._writer.anchored else None
        return self._way.write(spans, range(len(spans or ())), True, attempt)

    def _again(self, draft: Draft, asked: Sequence[int], attempt: int) -> Parsed:
        """What is missing; all of it where there are no sections to name."""
        if not draft.sections:
            return self._write(attempt)
        spans = [Span(s.start_s, s.end_s, s.label) for s in draft.sections]
        indices = [index for index in asked if index != GLOBAL]
        return self._way.write(tuple(spans), indices, GLOBAL in asked, attempt)

    def _drafted(self, parsed: Parsed) -> Draft:
        """An answer on the whole song as a draft."""
        places = [(*span, "") for span in parsed.spans]
        if self._writer.anchored:
            places = [(s.start_s, s.end_s, s.label, s.letter) for s in self._structure.sections]
        sections = tuple(
            SectionCaption(
                start_s=start_s,
                end_s=end_s,
                label=label,
                letter=letter,
                description=parsed.descriptions.get(index, ""),
                writer="model",
            )
            for index, (start_s, end_s, label, letter) in enumerate(places)
        )
        return Draft(
            global_text=parsed.global_text,
            attributes=parsed.attributes,
            sections=sections,
            anchored=self._writer.anchored,
        )

    def _refilled(self, draft: Draft, asked: Sequence[int], parsed: Parsed, unusable: bool) -> Draft:
        """The draft with new words for some parts; where the old ones are usable, only longer ones."""

        def better(old: str, new: str) -> bool:
            return bool(new) if unusable else len(new.split()) > len(old.split())

        if not draft.sections:
            self._repairs.append("refill:all")
            return self._drafted(parsed)
        sections = list(draft.sections)
        for index in asked:
            text = parsed.descriptions.get(index, "")
            if index != GLOBAL and better(sections[index].description, text):
                sections[index] = replace(sections[index], description=text)
                self._repairs.append(f"refill:{index}")
        draft = replace(draft, sections=tuple(sections))
        if GLOBAL in asked and better(draft.global_text, parsed.global_text):
            self._repairs.append("refill:global")
            attributes = parsed.attributes if draft.attributes == Attributes() else draft.attributes
            draft = replace(draft, global_text=parsed.global_text, attributes=attributes)
        return draft

    def _mended(self, draft: Draft, *, is_first: bool) -> tuple[Draft, tuple[int, ...]]:
        """The draft, and its parts that are missing or unusable."""
        mended = mend(draft, self._audio, self._structure)
        self._repairs += mended.repairs
        if is_first:
            self._flaws += mended.flaws
        draft = mended.draft
        if not draft.anchored:  # only now its times are final
            sections = tuple(replace(s, letter=self._letter(s.start_s, s.end_s)) for s in draft.sections)
            draft = replace(draft, sections=sections)
        return draft, mended.failing if draft.sections else (GLOBAL,)

    def _short(self, draft: Draft) -> tuple[int, ...]:
        """Sections to write anew where a valid caption would be too short: the ones below their floor."""
        bound = words_bound(self._settings.min_words, self._structure.duration_s)
        if self._assembled(draft).num_words >= bound:
            return ()
        budget = Budget.of(self._structure.duration_s, len(draft.sections), self._settings.min_words)
        return tuple(i for i, s in enumerate(draft.sections) if len(s.description.split()) < bounds(budget.section)[0])

    def _judged(self, draft: Draft, failing: Sequence[int]) -> Outcome[Caption]:
        """The caption, with what is still failing written from facts, as far as that may be."""
        sections = [index for index in failing if index != GLOBAL]
        if not draft.anchored and failing:
            names = ", ".join("global" if index == GLOBAL else str(index) for index in failing)
            detail = f"no usable words for {names}, and no facts for sections of the model's own"
            return rejected(self._assembled(draft), Reason.CAPTION_INVALID, detail)
        caption = self._assembled(self._from_rules(draft, failing))
        share, bound = len(sections) / len(draft.sections), self._settings.max_rules_share
        if share > bound:
            detail = (
                f"{len(sections)} of {len(draft.sections)} sections without usable words after"
                f" {self._settings.max_refills} refills, at most {bound:.0%} may be written from facts;"
                f" the answer had: {self._seen_flaws()}"
            )
            return rejected(caption, Reason.CAPTION_INVALID, detail)
        return judge(caption, self._audio, self._structure, self._settings.min_words)

    def _from_rules(self, draft: Draft, failing: Sequence[int]) -> Draft:
        if not failing:
            return draft
        seed = wording_seed(self._settings.seed, self._version, self._structure.track_id)
        facts = write_draft(self._audio, self._structure, seed, self._settings.min_words)
        self._repairs += ["rules:global" if index == GLOBAL else f"rules:{index}" for index in sorted(failing)]
        sections = [facts.sections[i] if i in failing else section for i, section in enumerate(draft.sections)]
        global_text = facts.global_text if GLOBAL in failing else draft.global_text
        # Once more: two writers may have said the same.
        mended = mend(replace(draft, sections=tuple(sections), global_text=global_text), self._audio, self._structure)
        self._repairs += mended.repairs
        return mended.draft

    def _assembled(self, draft: Draft) -> Caption:
        settings = self._settings
        return assemble(
            self._structure.track_id,
            draft,
            captioner=CAPTIONER,
            model=weights_of(settings),
            prompt=f"{settings.prompt}/{settings.facts}/{self._way.name}",
            version=self._version,
            seed=settings.seed,
            flaws=in_order(set(self._flaws)),
            repairs=dict.fromkeys(self._repairs),
            answers=self._talk.answers,
            heard_s=self._talk.total_heard_s,
        )

    def _seen_flaws(self) -> str:
        return ", ".join(in_order(set(self._flaws))) or "no flaw by name"

    def _letter(self, start_s: float, end_s: float) -> str:
        """Of the analysed section that shares most time with this one."""
        return max(self._structure.sections, key=lambda s: min(s.end_s, end_s) - max(s.start_s, start_s)).letter
