"""The captioner that a spec asks for, with what it needs running while a build is open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.serving import ServingSettings
from data_specs.spec import CaptionSettings, ImportCaptions, ModelCaptions, RulesCaptions
from tasks.caption.captioner import Captioner
from tasks.caption.generate.answers import Answers, Remembering
from tasks.caption.generate.process import VllmProcess
from tasks.caption.generate.request import Answer, Generator, Request
from tasks.caption.generate.server import ServerGenerator
from tasks.caption.imported.captioner import ImportCaptioner
from tasks.caption.model.captioner import ModelCaptioner
from tasks.caption.rules.captioner import RulesCaptioner


@contextmanager
def open_captioner(
    settings: CaptionSettings,
    serving: ServingSettings,
    answers: Path,
    log: Path,
    stopped: threading.Event,
    on_event: Callable[[str], None],
    retries: Callable[[Reason], bool] = lambda reason: False,
) -> Iterator[Captioner]:
    """The captioner of a build.

    Args:
        answers: store of the model's answers; an answer that it holds is not asked for again.
        log: where a vLLM process of our own writes.
        stopped: set when the build is being stopped; ends every wait.
        on_event: told what deserves a line in a log: a server is down, is back ...
        retries: whether what was dropped for a reason is to be tried again; then its stored answers do not count.
    """
    if isinstance(settings, RulesCaptions):
        yield RulesCaptioner(settings)
    elif isinstance(settings, ImportCaptions):
        yield ImportCaptioner(settings)
    else:
        model = settings.music_llm
        opened = (
            ServerGenerator(serving, model, stopped, on_event)
            if settings.captioner == "server"
            else VllmProcess(serving, model, stopped, on_event, log)
        )
        with opened as generator, Answers(answers) as store:
            remembering = Remembering(generator, store)
            yield _AskingAgain(settings, remembering, store, ModelCaptioner(settings, remembering), retries)


@dataclass(frozen=True, slots=True)
class _AskingAgain:
    """A ``Captioner`` that asks anew where stored answers alone lead to what is to be tried again."""

    settings: ModelCaptions
    generator: Generator
    store: Answers
    captioner: ModelCaptioner
    retries: Callable[[Reason], bool]

    def caption(self, audio: AudioFacts, structure: Structure, version: int, workspace: Path) -> Outcome[Caption]:
        questions = _Questions(self.generator, self.store)
        outcome = ModelCaptioner(self.settings, questions).caption(audio, structure, version, workspace)
        if outcome.reason is None or not self.retries(outcome.reason) or not questions.stored or questions.any_new:
            return outcome
        self.store.remove(questions.stored)
        return self.captioner.caption(audio, structure, version, workspace)


@dataclass(slots=True)
class _Questions:
    """A ``Generator`` for one song that notes which answers were there already."""

    generator: Generator
    store: Answers
    stored: list[str] = field(default_factory=list)
    any_new: bool = False

    def generate(self, request: Request) -> Answer:
        if self.store.get(request.key) is None:
            self.any_new = True
        else:
            self.stored.append(request.key)
        return self.generator.generate(request)
