"""What vLLM's own batch makes of a list of questions: the measure for ``benchmarks.caption_throughput``.

Runs in vLLM's interpreter and imports nothing of this repository:  python -P caption_batch.py < job.json
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    job = json.load(sys.stdin)
    engine = LLM(**job["engine"], allowed_local_media_path=job["folder"])

    def ask(questions: list[dict]) -> tuple[float, int]:
        conversations, sampling = [], []
        for question in questions:
            audio = {"type": "audio_url", "audio_url": {"url": "file://" + question["path"]}}
            content = [audio, {"type": "text", "text": question["text"]}]
            conversations.append(
                [{"role": "system", "content": question["system"]}, {"role": "user", "content": content}]
            )
            schema = StructuredOutputsParams(json=question["schema"])
            sampling.append(
                SamplingParams(max_tokens=question["max_tokens"], temperature=0.0, structured_outputs=schema)
            )
        began = time.perf_counter()
        outputs = engine.chat(conversations, sampling, use_tqdm=False)
        return time.perf_counter() - began, sum(len(output.outputs[0].token_ids) for output in outputs)

    ask(job["questions"][: job["warm_up"]])
    result.write(json.dumps([ask(job["questions"]) for _ in range(job["rounds"])]))
    result.close()


if __name__ == "__main__":  # the engine's processes import this file anew
    main()
