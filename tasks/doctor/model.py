"""The Music-LLM that a spec's captions come from: whether it can be reached, and whether it is the right one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import httpx

from data_specs.music_llms import MusicLLM
from data_specs.serving import ServingSettings
from data_specs.spec import CaptionSettings, ModelCaptions
from tasks.doctor.finding import Finding

_PATIENCE_S = 5.0
_IMPORT_PATIENCE_S = 120.0
"""Importing vLLM loads torch."""


def model_findings(caption: CaptionSettings, serving: ServingSettings) -> Iterator[Finding]:
    """Licence, and servers or interpreter; nothing for captions that need no model."""
    if not isinstance(caption, ModelCaptions):
        return
    model = caption.music_llm
    if model.commercial_use:
        yield Finding("licence of the captions", "ok", f"{model.name}: {model.license}")
    else:
        yield Finding("licence of the captions", "warning", f"{model.name}: {model.license}, not for commercial use")
    if caption.captioner == "server":
        yield from (_server_finding(address, model, serving) for address in serving.servers)
    else:
        yield _interpreter_finding(serving)


def _server_finding(address: str, model: MusicLLM, serving: ServingSettings) -> Finding:
    key = os.environ.get(serving.api_key_env)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = httpx.get(f"{address}/models", headers=headers, timeout=_PATIENCE_S)
        answer.raise_for_status()
        served = [str(entry["id"]) for entry in answer.json()["data"]]
    except httpx.HTTPStatusError as error:
        fix = f"; put its key into {serving.api_key_env}" if error.response.status_code in (401, 403) else ""
        return Finding(address, "problem", f"answers {error.response.status_code}{fix}")
    except httpx.HTTPError as error:
        return Finding(address, "problem", f"no answer ({type(error).__name__}); start it: {model.serve_line()}")
    except (ValueError, KeyError, TypeError):
        return Finding(address, "problem", "answers, but not as an OpenAI-compatible server; the address ends in /v1")
    if model.name not in served:
        names = ", ".join(served) or "nothing"
        return Finding(address, "problem", f"serves {names}, not {model.name}; start it: {model.serve_line()}")
    return Finding(address, "ok", f"serves {model.name}")


def _interpreter_finding(serving: ServingSettings) -> Finding:
    name = "interpreter of vLLM"
    if serving.python is None:
        return Finding(name, "problem", "the captioner 'vllm' needs `python` in the serving file")
    program = "import vllm; print(vllm.__version__)"
    try:
        done = subprocess.run(
            [serving.python, "-c", program], capture_output=True, text=True, timeout=_IMPORT_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "problem", f"{serving.python}: {error}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(name, "problem", f"{serving.python} cannot import vllm: {last}; see deployments/vllm")
    return Finding(name, "ok", f"vLLM {done.stdout.split()[-1]} at {serving.python}")
