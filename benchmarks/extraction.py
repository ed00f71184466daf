"""Our extraction against the loop that one would write first, in one run on this machine.

    python -m benchmarks.extraction [--songs 3] [--seconds 120]

The loop takes each song clip by clip, 10 s at a time: it decodes the song's FLAC from there, encodes that clip
alone, BEATs as it is and Whisper padded to its 30 s, and takes the mean. Ours encodes tracks in groups with
decoding ahead and pools clips from the seconds. Weights are random and networks small, but Whisper does about
8 times the work of BEATs for a second of sound, as Whisper-large-v2 beside BEATs does (2,256 and 3 x 93 GFLOP
for 30 s). Design target for both together: 2.5 times.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from collap_model.encoders.beats import BeatsEncoder
from collap_model.encoders.beats.config import BeatsConfig
from collap_model.encoders.beats.model import Beats
from collap_model.encoders.encoder import SAMPLE_RATE_HZ, AudioEncoder
from collap_model.encoders.whisper import WhisperEncoder
from collap_model.features.encode_tracks import Bench, encode_tracks
from collap_model.features.feature_files import Heard, Sound
from collap_model.features.feature_store import pool_clips

CLIP_S = 10

Clips = dict[str, npt.NDArray[np.float32]]


def encoders() -> dict[str, AudioEncoder]:
    """Random BEATs and Whisper; both hear 50 tokens a second, which pass 12 x 110 and 12 x 819 thousand weights."""
    from transformers import WhisperConfig  # after collap_model, which keeps a broken torchaudio away from it
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperNetwork

    torch.manual_seed(0)
    beats = BeatsConfig(
        input_patch_size=16,
        embed_dim=128,
        encoder_layers=3,
        encoder_embed_dim=192,
        encoder_ffn_embed_dim=768,
        encoder_attention_heads=3,
        conv_pos=32,  # its share of the work is then that of 128 beside 12 layers of 768
        max_distance=800,
    )
    whisper = WhisperConfig(d_model=320, encoder_layers=8, encoder_attention_heads=5, encoder_ffn_dim=1280)
    return {"beats": BeatsEncoder(Beats(beats)), "whisper": WhisperEncoder(WhisperNetwork(whisper).eval())}


def naive(encoder: AudioEncoder, sounds: list[Sound]) -> Clips:
    """Every clip decoded and encoded alone."""
    clips = {}
    for sound in sounds:
        num_frames = soundfile.info(sound.path).frames
        means = []
        for start in range(0, num_frames, CLIP_S * SAMPLE_RATE_HZ):
            samples, _ = soundfile.read(sound.path, CLIP_S * SAMPLE_RATE_HZ, start, dtype="float32")
            [seconds] = encoder.encode([samples])  # Whisper fills it up to 30 s
            means.append(np.average(seconds.vectors_SE, axis=0, weights=seconds.frames_S))
        clips[sound.track_id] = np.stack(means).astype(np.float32)
    return clips


def ours(encoder: AudioEncoder, sounds: list[Sound]) -> Clips:
    """As the stage and the program do it."""
    clips = {}
    for sound, heard in encode_tracks(Bench(lambda _: encoder, ["cpu"]), sounds):
        if not isinstance(heard, Heard):
            raise heard
        clips[sound.track_id] = pool_clips(heard.seconds.vectors_SE, heard.seconds.frames_S, CLIP_S)
    return clips


def write_songs(folder: Path, num_songs: int, seconds: int) -> list[Sound]:
    """Noise under a slow tremolo, as FLAC."""
    sounds = []
    for song in range(num_songs):
        rng = np.random.default_rng(song)
        time_s = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        samples = 0.1 * rng.standard_normal(len(time_s)) * (1 + np.sin(0.5 * time_s))
        path = folder / f"{song}.flac"
        soundfile.write(path, samples, SAMPLE_RATE_HZ)
        pcm = hashlib.sha256(samples.tobytes()).hexdigest()
        sounds.append(Sound(track_id=str(song), pcm_sha256=pcm, path=path))
    return sounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=120, help="of each song; a multiple of 10")
    options = parser.parse_args()
    print(f"{options.songs} songs of {options.seconds} s, {torch.get_num_threads()} threads, random weights, float32")
    totals = {"naive": np.zeros(2), "ours": np.zeros(2)}
    with tempfile.TemporaryDirectory() as folder:
        sounds = write_songs(Path(folder), options.songs, options.seconds)
        for name, encoder in encoders().items():
            encoder.encode([np.zeros(SAMPLE_RATE_HZ, np.float32)])  # warm
            took, clips = {}, {}
            for way, function in {"naive": naive, "ours": ours}.items():
                started = np.array([time.perf_counter(), time.process_time()])
                clips[way] = function(encoder, sounds)
                took[way] = np.array([time.perf_counter(), time.process_time()]) - started
                totals[way] += took[way]
            if name == "beats":  # its windows are the clips; a Whisper that hears 30 s hears more than 10 s
                for track_id, expected in clips["naive"].items():
                    np.testing.assert_allclose(clips["ours"][track_id], expected, atol=1e-4)
            _print_row(name, took)
    _print_row("both", totals)


def _print_row(name: str, took: dict[str, npt.NDArray[np.float64]]) -> None:
    """Wall and CPU seconds: on a busy machine the second is what to compare."""
    times = ", ".join(f"{way} {wall_s:.1f} s ({cpu_s:.1f} s CPU)" for way, (wall_s, cpu_s) in took.items())
    wall, cpu = took["naive"] / took["ours"]
    print(f"{name:8} {times}: {wall:.2f} times by wall, {cpu:.2f} by CPU", flush=True)


if __name__ == "__main__":
    main()
