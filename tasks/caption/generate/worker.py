"""One vLLM engine that answers questions on a pipe. A program of its own, for vLLM's interpreter.

    python -P worker.py < questions > answers

It imports nothing of this repository: the other interpreter has other versions of everything. Lines of
JSON come in and go out, see ``tasks.caption.generate.process``:

    in   {"engine": {...}}                      first line: arguments of the engine
    out  {"ready": "0.32.0"}                    or {"failed": "ModuleNotFoundError: ..."}
    in   {"id": 1, "system": "...", ...}        a question, at any time
    in   {"cancel": 1}                          nobody waits for it any more
    out  {"id": 1, "text": "...", ...}          its answer, in the order of completion
    out  {"id": 1, "status": 400, "message": "..."}       or what was wrong with it, as vLLM's server says it
    out  {"id": 1, "reason": "file_missing", "message": "..."}

Whatever else is printed, by vLLM and its children, goes to the error stream. The end of the questions is the
end of the program, also while the model loads: that is how it ends when the build is killed.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

# Limits for audio of strangers; ours was checked when it was accepted. Before vllm is imported.
for _name, _value in (
    ("VLLM_MAX_AUDIO_CLIP_FILESIZE_MB", "1024"),
    ("VLLM_MAX_AUDIO_DECODE_DURATION_S", "14400"),
    ("VLLM_MAX_AUDIO_DECODE_BYTES", str(2**31)),
    ("VLLM_NO_USAGE_STATS", "1"),
    ("DO_NOT_TRACK", "1"),
):
    os.environ.setdefault(_name, _value)

GRACE_S = 5.0
ENGINE_DIED = 70
"""Exit status (EX_SOFTWARE of sysexits.h)."""


class Reading(Exception):
    """The audio of a question cannot be had; ``reason`` is one of ``data_specs.reasons.Reason``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def audio_address(audio: dict[str, Any]) -> str:
    """The stretch as a ``data:`` address; the same samples as ``tasks.caption.generate.media`` sends."""
    import soundfile

    path, start_s, end_s = audio["path"], audio["start_s"], audio["end_s"]
    try:
        if audio["whole"]:
            with open(path, "rb") as whole:
                data = whole.read()
        else:
            with soundfile.SoundFile(path) as file:
                first, stop = round(start_s * file.samplerate), round(end_s * file.samplerate)
                if not 0 <= first < stop <= file.frames:
                    raise Reading("file_changed", f"{path} has {file.frames} samples; {first} to {stop} are wanted")
                file.seek(first)
                cut = io.BytesIO()
                samples = file.read(stop - first, dtype="int32")
                soundfile.write(cut, samples, file.samplerate, format="FLAC", subtype=file.subtype)
                data = cut.getvalue()
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, FileNotFoundError) as error:
        raise Reading("undecodable" if os.path.exists(path) else "file_missing", f"{path}: {error}") from error
    return "data:audio/flac;base64," + base64.b64encode(data).decode("ascii")


class Engine:
    """vLLM's asynchronous engine, asked as its server asks it."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        if isinstance(arguments.get("structured_outputs_config"), dict):
            arguments["structured_outputs_config"] = StructuredOutputsConfig(**arguments["structured_outputs_config"])
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        # What the model's own generation_config.json asks for, top_k say, as vLLM's server does.
        self._defaults = self._engine.model_config.get_diff_sampling_param()

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        prompt = await self._prompt(question)
        final = None
        async for output in self._engine.generate(prompt, self._sampling(question), str(question["id"])):
            final = output
        assert final is not None
        completion = final.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"the answer ended with finish_reason {completion.finish_reason}")
        heard = prompt.get("mm_placeholders", {}).get("audio", ())
        return {
            "text": completion.text,
            "finish": completion.finish_reason,
            "audio_tokens": sum(stretch.length for stretch in heard),
            "prompt_tokens": len(final.prompt_token_ids),
            "output_tokens": len(completion.token_ids),
        }

    async def _prompt(self, question: dict[str, Any]) -> Any:
        """The model's chat template over the question, tokenised, with the audio in its place (as ``LLM.chat``)."""
        from vllm.renderers import ChatParams

        content: list[dict[str, Any]] = [{"type": "text", "text": question["text"]}]
        if question["audio"] is not None:
            address = await asyncio.to_thread(audio_address, question["audio"])
            content.insert(0, {"type": "audio_url", "audio_url": {"url": address}})
        messages = [{"role": "system", "content": question["system"]}, {"role": "user", "content": content}]
        renderer = self._engine.renderer
        template = {"add_generation_prompt": True, "continue_final_message": False, "tools": None, "tokenize": False}
        # The template writes the special tokens itself.
        tokens = renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)
        _, (prompt,) = await renderer.render_chat_async([messages], ChatParams(chat_template_kwargs=template), tokens)
        return prompt

    def _sampling(self, question: dict[str, Any]) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        asked = {name: question[name] for name in ("max_tokens", "temperature", "top_p", "seed")}
        sampling = SamplingParams.from_optional(**{**self._defaults, **asked})
        sampling.output_kind = RequestOutputKind.FINAL_ONLY
        if question["schema"] is not None:
            sampling.structured_outputs = StructuredOutputsParams(json=question["schema"])
        return sampling


async def serve(arguments: dict[str, Any], lines: asyncio.Queue[str], say: Callable[[dict[str, Any]], None]) -> None:
    """Answer the questions in ``lines``, all at the same time."""
    import vllm
    from vllm.exceptions import VLLMClientError
    from vllm.v1.engine.exceptions import EngineDeadError

    engine = Engine(arguments)
    running: dict[int, asyncio.Task[None]] = {}

    async def answer(question: dict[str, Any]) -> None:
        try:
            say({"id": question["id"], **await engine.answer(question)})
        except EngineDeadError:
            print("the engine died", file=sys.stderr, flush=True)
            end(ENGINE_DIED)
        except Reading as error:
            say({"id": question["id"], "reason": error.reason, "message": str(error)})
        except Exception as error:
            cause = error.__cause__ or error  # vLLM wraps what it did not expect
            status = 400 if isinstance(cause, VLLMClientError | ValueError | TypeError) else 500
            say({"id": question["id"], "status": status, "message": f"{type(cause).__name__}: {cause}"})
        finally:
            del running[question["id"]]

    say({"ready": vllm.__version__})
    while True:
        message = json.loads(await lines.get())
        if "cancel" not in message:
            running[message["id"]] = asyncio.create_task(answer(message))
        elif message["cancel"] in running:
            running[message["cancel"]].cancel()


_ending = threading.Lock()


def end(status: int) -> None:
    """End at once, and with it every process of the group: the engine's own would outlive this one."""
    if not _ending.acquire(blocking=False):
        return
    if os.getpid() == os.getpgrp():
        os.killpg(0, signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while multiprocessing.active_children() and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(0, signal.SIGKILL)
    os._exit(status)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    guard = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        with guard:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

    first = sys.stdin.readline()
    if not first:
        return
    loop = asyncio.new_event_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        end(0)

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, args=(0,)).start())
    threading.Thread(target=read, daemon=True).start()
    try:
        loop.run_until_complete(serve(json.loads(first)["engine"], lines, say))
    except Exception as error:
        traceback.print_exc()
        say({"failed": f"{type(error).__name__}: {error}"})
        end(1)


if __name__ == "__main__":  # the engine's processes import this file anew
    main()
