"""The attention score in tiles against the form that materialises attended tracks: time, memory, growth.

    python -m benchmarks.score --clips 30 --dim 512

For batches of 256 to 4,096 texts against as many tracks, each form runs forward and backward in a process of
its own, so that its peak memory is its own too: the kernel's high-water mark of resident memory (VmHWM, so
Linux only), above what the process held with inputs in place. All tracks have all clips: the tiles gain nothing
from padding here. A form stops growing where the next size is expected to exceed ``--limit-gib``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from collap_model.score import Score
from collap_model.text.texts import Texts

FORMS = ("tiles", "materialised")
SIZES = (256, 512, 1024, 2048, 4096)
_ENOUGH_SECONDS, _MOST_RUNS = 10.0, 3


def materialised(score: Score, text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """The same scores through the attended tracks ``[I, J, D]`` that every text makes of every track."""
    products_IJK = torch.einsum("id,jkd->ijk", text_ID, clips_JKD)
    weights_IJK = (score.tau() * products_IJK).masked_fill(~mask_JK, -torch.inf).softmax(-1)
    fused_IJD = normalize(torch.einsum("ijk,jkd->ijd", weights_IJK, clips_JKD), dim=-1)
    mean_JD = normalize((clips_JKD * mask_JK[..., None]).sum(1), dim=-1)
    return (1 - score.lam) * (text_ID @ mean_JD.T) + score.lam * torch.einsum("id,ijd->ij", text_ID, fused_IJD)


def memory_mib(name: str) -> float:
    """``VmRSS`` or ``VmHWM`` of this process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, f"/proc/self/status has no {name}"
    return int(found[1]) / 2**10


def measure(form: str, size: int, options: argparse.Namespace) -> dict[str, float]:
    """Best time of a few runs, peak memory, and checksums of scores and gradients."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    text_ID = normalize(torch.randn(size, options.dim), dim=-1).requires_grad_()
    clips_JKD = normalize(torch.randn(size, options.clips, options.dim), dim=-1).requires_grad_()
    mask_JK = torch.ones(size, options.clips, dtype=torch.bool)
    weight_IJ = torch.randn(size, size)
    score = Score("attention")
    Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark of making the inputs
    before = memory_mib("VmRSS")
    times: list[float] = []
    while len(times) < _MOST_RUNS and sum(times) < _ENOUGH_SECONDS:
        text_ID.grad = clips_JKD.grad = None
        score.zero_grad()
        started = time.perf_counter()
        if form == "materialised":
            scores_IJ = materialised(score, text_ID, clips_JKD, mask_JK)
        else:
            scores_IJ = score(Texts(text_ID=text_ID), clips_JKD, mask_JK)
        (scores_IJ * weight_IJ).sum().backward()
        times.append(time.perf_counter() - started)
    grads = {"text": text_ID.grad, "clips": clips_JKD.grad, "tau": score.tau.logit.grad, "lam": score.lam_logit.grad}
    sums = {"scores": (scores_IJ * weight_IJ).sum().item()}
    for name, grad in grads.items():
        assert grad is not None
        sums[name] = grad.norm().item()
    return {"seconds": min(times), "peak_mib": memory_mib("VmHWM") - before, **sums}


def in_a_process(form: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.score", *sys.argv[1:], "--measure", form, str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    results: dict[str, float] = json.loads(done.stdout)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit-gib", type=float, default=8.0, help="of peak memory")
    parser.add_argument("--measure", nargs=2, metavar=("FORM", "SIZE"), help="only this, in this process, as JSON")
    options = parser.parse_args()
    if options.measure:
        form, size = options.measure
        print(json.dumps(measure(form, int(size), options)))
        return
    print(f"attention, B texts x B tracks x {options.clips} clips x {options.dim}, {options.threads} thread(s)")
    print(f"{'B':>5} {'form':13} {'seconds':>8} {'peak MiB':>9}  against materialised: faster, smaller, apart")
    previous: dict[str, dict[str, float]] = {}
    expected_mib = dict.fromkeys(FORMS, 0.0)
    for size in SIZES:
        for form in reversed(FORMS):
            if expected_mib[form] > options.limit_gib * 2**10:
                print(f"{size:5} {form:13} not run: more than {options.limit_gib:g} GiB expected")
                previous.pop(form, None)
                expected_mib[form] *= 4
                continue
            found = previous[form] = in_a_process(form, size)
            expected_mib[form] = 4 * found["peak_mib"]  # growth is quadratic at most
            line = f"{size:5} {form:13} {found['seconds']:8.2f} {found['peak_mib']:9.0f}"
            oracle = previous.get("materialised")
            if form == "tiles" and oracle:
                apart = max(abs(found[key] / oracle[key] - 1) for key in ("scores", "text", "clips", "tau", "lam"))
                faster, smaller = oracle["seconds"] / found["seconds"], oracle["peak_mib"] / found["peak_mib"]
                line += f"  {faster:.1f} x, {smaller:.1f} x, {apart:.0e}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
