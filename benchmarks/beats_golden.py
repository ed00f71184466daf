"""Numbers of the official BEATs for the tests of our port, and the port's distance from it at full size.

    git clone https://github.com/microsoft/unilm
    python -m benchmarks.beats_golden --official unilm/beats

Runs the official code (MIT, not part of this repository) on small shapes with weights and sound made by a formula,
writes what comes out to ``tests/collap_model/encoders/beats/golden.npz``, and prints the largest difference from
the port: for each of these, and at the size of the released models on 10 s. The formula is of integers, so that
any machine makes the same weights and none need be stored.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collap_model import _torchaudio
from collap_model.encoders.beats.checkpoint import load_beats, official_shapes
from collap_model.encoders.beats.config import BeatsConfig
from collap_model.encoders.beats.model import official_padding
from collap_model.frontends.kaldi import beats_fbank

__all__ = ["CASES", "GOLDEN", "Case", "formula", "official_weights", "ported", "sound"]

GOLDEN = Path(__file__).parents[1] / "tests/collap_model/encoders/beats/golden.npz"
RELEASED = BeatsConfig(input_patch_size=16, max_distance=800)


@dataclass(frozen=True, slots=True)
class Case:
    """A shape, and the lengths in samples of the sounds in a batch; ``None``: two, without a mask."""

    name: str
    config: BeatsConfig
    lengths_N: tuple[int, ...] | None = None
    num_samples: int = 14_400

    @property
    def size(self) -> int:
        return len(self.lengths_N) if self.lengths_N else 2


_SMALL = BeatsConfig(
    16,
    embed_dim=16,
    encoder_layers=3,
    encoder_embed_dim=24,
    encoder_ffn_embed_dim=40,
    encoder_attention_heads=3,
    conv_pos=16,
    conv_pos_groups=4,
    num_buckets=32,
    max_distance=20,
)
"""40 tokens in 0.9 s: relative positions reach exact, logarithmic and clamped buckets of both signs."""
_ODD = BeatsConfig(
    32,
    embed_dim=16,
    encoder_layers=2,
    encoder_embed_dim=16,
    encoder_ffn_embed_dim=24,
    encoder_attention_heads=2,
    conv_pos=5,
    conv_pos_groups=2,
    num_buckets=16,
    max_distance=6,
)
"""No projection, and a kernel of odd size."""
CASES = (
    Case("whole", _SMALL),
    Case("padded", _SMALL, (14_400, 9_000, 2_800)),
    Case("odd", _ODD, (14_400, 11_111)),
)


def formula(name: str, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Float32 of any shape, even in -1 to 1, the same on every machine: SplitMix64 of index and name."""
    count = np.arange(int(np.prod(shape)), dtype=np.uint64)
    z = (count + (np.uint64(zlib.crc32(name.encode())) << np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    even = (z >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0
    return torch.from_numpy(even.astype(np.float32)).reshape(tuple(shape))


def official_weights(config: BeatsConfig) -> dict[str, Tensor]:
    """The tensors of a published checkpoint, of sizes at which every part of the network counts."""
    weights = {name: _weight(name, shape) for name, shape in official_shapes(config).items()}
    tables = [name for name in weights if name.endswith("relative_attention_bias.weight")]
    return weights | dict.fromkeys(tables, weights[tables[0]])


def _weight(name: str, shape: torch.Size) -> Tensor:
    even = formula(name, shape)
    if name.endswith("bias"):
        return 0.1 * even
    if "layer_norm" in name or name.endswith("grep_a"):
        return 1.0 + 0.3 * even
    if name.endswith("weight_g"):
        return 0.5 + 0.2 * even
    if name.endswith("relative_attention_bias.weight"):
        return even
    fan_in = int(np.prod(shape[1:]))
    return even * (3.0 / fan_in) ** 0.5


def sound(size: int, num_samples: int) -> Tensor:
    """Sounds ``[size, num_samples]``: a saw each, of another pitch, in noise that swells."""
    time_s = torch.arange(num_samples, dtype=torch.float64) / 16_000
    saw = torch.stack([(time_s * 110.0 * (row + 2)) % 1.0 - 0.5 for row in range(size)])
    noise = formula("sound", (size, num_samples)).double() * time_s / time_s[-1]
    return (0.3 * saw + 0.2 * noise).float()


@torch.no_grad()
def ported(case: Case) -> tuple[Tensor, Tensor]:
    """States of the port, padded as the official code pads, and the mask ``[N, L]`` of that."""
    lengths_N = torch.tensor(case.lengths_N or [case.num_samples] * case.size)
    fbank_NFM = beats_fbank(sound(case.size, case.num_samples), lengths_N)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "beats.pt")
        torch.save({"cfg": case.config.to_official(), "model": official_weights(case.config)}, path)
        model = load_beats(path)
    patch = case.config.input_patch_size
    num_tokens = fbank_NFM.shape[1] // patch * case.config.bands
    padded_NL = official_padding(lengths_N, case.num_samples, fbank_NFM.shape[1], num_tokens)
    return model(fbank_NFM, padded_NL if case.lengths_N else None), padded_NL


def _official(folder: Path, config: BeatsConfig, weights: dict[str, Tensor]) -> Any:
    _torchaudio.install()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    from BEATs import BEATs, BEATsConfig  # type: ignore[import-not-found]

    model = BEATs(BEATsConfig(config.to_official()))
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def _compare(folder: Path, case: Case) -> tuple[Tensor, Tensor, float]:
    """States and mask of the official code, and the largest difference of the port given sound and mask."""
    weights = official_weights(case.config)
    official = _official(folder, case.config, weights)
    samples_NT = sound(case.size, case.num_samples)
    padded_NT = None
    if case.lengths_N:
        padded_NT = torch.arange(case.num_samples) >= torch.tensor(case.lengths_N)[:, None]
        samples_NT = samples_NT.masked_fill(padded_NT, 0.0)
    states, padded = official.extract_features(samples_NT, padded_NT)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "beats.pt")
        torch.save({"cfg": official.cfg.__dict__, "model": official.state_dict()}, path)
        ours = load_beats(path)(beats_fbank(samples_NT), padded)
    mask = torch.zeros(states.shape[:2], dtype=torch.bool) if padded is None else padded
    return states, mask, float((states - ours)[~mask].abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="folder with the official BEATs.py")
    folder = parser.parse_args().official
    golden: dict[str, Any] = {}
    for case in CASES:
        states, mask, difference = _compare(folder, case)
        golden |= {f"{case.name}_states": states.numpy(), f"{case.name}_padded": mask.numpy()}
        print(f"{case.name}: {list(states.shape)}, largest difference {difference:.1e}")
    np.savez_compressed(GOLDEN, **golden)
    print(f"wrote {GOLDEN} ({GOLDEN.stat().st_size / 1000:.0f} kB)")
    for lengths_N in (None, (160_000, 79_840)):
        states, _, difference = _compare(folder, Case("released", RELEASED, lengths_N, 160_000))
        print(f"released size, lengths {lengths_N}: {list(states.shape)}, largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
