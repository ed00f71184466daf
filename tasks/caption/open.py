"""The captioner that a spec asks for, with what it needs running while a build is open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_specs.serving import ServingSettings
from data_specs.spec import CaptionSettings, ImportCaptions, RulesCaptions
from tasks.caption.captioner import Captioner
from tasks.caption.generate.answers import Answers, Remembering
from tasks.caption.generate.process import VllmProcess
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
) -> Iterator[Captioner]:
    """The captioner of a build.

    Args:
        answers: store of the model's answers; an answer that it holds is not asked for again.
        log: where a vLLM process of our own writes.
        stopped: set when the build is being stopped; ends every wait.
        on_event: told what deserves a line in a log: a server is down, is back ...
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
            yield ModelCaptioner(settings, Remembering(generator, store))
