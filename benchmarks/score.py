"""The attention score without fused vectors against the form that materialises them: time, memory, agreement.

    python -m benchmarks.score --texts 256 --tracks 256 --clips 30 --dim 512

Each form runs forward and backward in a process of its own, so that peak memory is its own too.
Peak memory is the process's high-water mark above what it held before (Linux and macOS, CPU).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import torch
from torch import Tensor
from torch.nn.functional import normalize

from collap_model.score import Score

FORMS = ("gram", "gram-chunked", "materialised")


def materialised(score: Score, text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """The same scores through the fused tracks ``[I, J, D]`` that every text makes of every track."""
    products_IJK = torch.einsum("id,jkd->ijk", text_ID, clips_JKD)
    weights_IJK = (score.tau() * products_IJK).masked_fill(~mask_JK, -torch.inf).softmax(-1)
    fused_IJD = normalize(torch.einsum("ijk,jkd->ijd", weights_IJK, clips_JKD), dim=-1)
    mean_JD = normalize((clips_JKD * mask_JK[..., None]).sum(1), dim=-1)
    return (1 - score.lam) * (text_ID @ mean_JD.T) + score.lam * torch.einsum("id,ijd->ij", text_ID, fused_IJD)


def peak_mib() -> float:
    """High-water mark of resident memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(form: str, options: argparse.Namespace) -> dict[str, float]:
    """Best time of a few runs, peak memory, and a checksum of scores and gradients."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    text_ID = normalize(torch.randn(options.texts, options.dim), dim=-1).requires_grad_()
    clips_JKD = normalize(torch.randn(options.tracks, options.clips, options.dim), dim=-1).requires_grad_()
    lengths_J = torch.randint(1, options.clips + 1, (options.tracks, 1))
    mask_JK = torch.arange(options.clips) < lengths_J
    weight_IJ = torch.randn(options.texts, options.tracks)
    score = Score("attention", texts_per_chunk=options.chunk if form == "gram-chunked" else options.texts)
    before, times = peak_mib(), []
    for _ in range(options.repeats):
        text_ID.grad = clips_JKD.grad = None
        started = time.perf_counter()
        if form == "materialised":
            scores_IJ = materialised(score, text_ID, clips_JKD, mask_JK)
        else:
            scores_IJ = score(text_ID, clips_JKD, mask_JK)
        (scores_IJ * weight_IJ).sum().backward()
        times.append(time.perf_counter() - started)
    assert text_ID.grad is not None
    assert clips_JKD.grad is not None
    return {
        "seconds": min(times),
        "peak_mib": peak_mib() - before,
        "scores": (scores_IJ * weight_IJ).sum().item(),
        "text_grad": text_ID.grad.norm().item(),
        "clip_grad": clips_JKD.grad.norm().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--tracks", type=int, default=256)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--chunk", type=int, default=64, help="texts per chunk of gram-chunked")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--form", choices=FORMS, help="measure one form in this process and print JSON")
    options = parser.parse_args()
    if options.form:
        print(json.dumps(measure(options.form, options)))
        return
    results = {}
    for form in FORMS:
        command = [sys.executable, __file__, *sys.argv[1:], "--form", form]
        results[form] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    oracle = results["materialised"]
    print(
        f"{options.texts} texts x {options.tracks} tracks x {options.clips} clips x {options.dim}, "
        f"{options.threads} thread(s)"
    )
    print(f"{'form':14} {'seconds':>8} {'ratio':>6} {'peak MiB':>9} {'ratio':>6}  largest relative difference")
    for form, found in results.items():
        apart = max(abs(found[name] / oracle[name] - 1) for name in ("scores", "text_grad", "clip_grad"))
        print(
            f"{form:14} {found['seconds']:8.2f} {oracle['seconds'] / found['seconds']:6.1f} {found['peak_mib']:9.0f} "
            f"{oracle['peak_mib'] / max(found['peak_mib'], 1):6.1f}  {apart:.1e}"
        )


if __name__ == "__main__":
    main()
