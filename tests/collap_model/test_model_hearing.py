"""The whole way from a file to a score, with real encoders: the weight-free one, and a Whisper of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import WhisperConfig, WhisperModel

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, num_seconds
from collap_model.encoders.open import open_encoder
from collap_model.features.feature_files import Heard, Sound, write_feature_file
from collap_model.features.feature_store import FeatureStore
from collap_model.hearing import Audio, clip_spans
from collap_model.model import CoLLAP
from data_specs.spec import FeatureSettings
from tests.collap_model.models import CAPTIONS, model
from tests.collap_model.workspaces import feature_row

CPU = torch.device("cpu")


def sound(seconds: float, seed: int = 0, rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Chords that change every two seconds, in noise."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch_hz = 110.0 * 2.0 ** (rng.integers(0, 24, int(seconds / 2) + 1)[(times_s / 2).astype(int)] / 12)
    tones = sum(np.sin(2 * np.pi * ratio * np.cumsum(pitch_hz) / rate_hz) for ratio in (1.0, 1.25, 1.5))
    return (0.1 * tones + 0.01 * rng.standard_normal(len(times_s))).astype(np.float32)


def listening(features: FeatureSettings) -> CoLLAP:
    """A model trained, as it were, on these encoders."""
    encoders = [open_encoder(settings, features.precision, CPU) for settings in features.encoders]
    identities = [{"identity": encoder.identity, "dim": encoder.dim} for encoder in encoders]
    return model(encoders=identities, features=features.model_dump())


@pytest.fixture(scope="module")
def spectral() -> CoLLAP:
    return listening(FeatureSettings())


def whisper_folder(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        vocab_size=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    WhisperModel(config).save_pretrained(folder)
    return folder


def with_whisper(folder: Path) -> FeatureSettings:
    return FeatureSettings.model_validate(
        {"encoders": [{"encoder": "whisper", "model": str(folder)}, {"encoder": "spectral"}]}
    )


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "one", seed=1)


def test_a_file_scores_as_its_stored_features_do(spectral: CoLLAP, tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, sound(33.3), SAMPLE_RATE_HZ, subtype="PCM_16")
    samples, _ = soundfile.read(path, dtype="float32")
    encoder = open_encoder(FeatureSettings().encoders[0], "float32", CPU)
    (seconds,) = encoder.encode([samples])
    heard = [(Sound(track_id="song", pcm_sha256="0", path=path), Heard(encoder=encoder.identity, seconds=seconds))]
    file = write_feature_file(tmp_path / "features" / "0.npy", "spectral", heard)
    stored = FeatureStore(tmp_path, [feature_row("song", [file], tmp_path)]).clips("song", spectral.form.clip_seconds)
    with torch.no_grad():
        expected = spectral.embed_clips(torch.from_numpy(stored)[None], torch.ones(1, len(stored), dtype=torch.bool))
    tracks = spectral.embed_audio(path)
    torch.testing.assert_close(tracks.clips_JKD, expected, atol=1e-5, rtol=0)
    assert tracks.spans_s[0][-1] == (30.0, pytest.approx(33.3, abs=1e-3))


def test_tracks_do_not_depend_on_company_or_order(spectral: CoLLAP, tmp_path: Path) -> None:
    long, short = sound(42.0, seed=1), torch.from_numpy(sound(7.0, seed=2))
    path = tmp_path / "song.wav"
    soundfile.write(path, sound(12.0, seed=3), SAMPLE_RATE_HZ)
    together = spectral.embed_audio([long, short, str(path)])
    assert together.mask_JK.sum(1).tolist() == [8, 1, 2]
    given: tuple[Audio, ...] = (long, short, path)
    for number, audio in enumerate(given):
        alone = spectral.embed_audio(audio)
        torch.testing.assert_close(together[number].clips_JKD, alone.clips_JKD, atol=1e-6, rtol=0)
        assert together[number].spans_s == alone.spans_s
    assert torch.equal(spectral.embed_audio(long).clips_JKD, spectral.embed_audio(long).clips_JKD)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 600.0])
def test_any_length_is_heard_to_its_end(spectral: CoLLAP, seconds: float) -> None:
    tracks = spectral.embed_audio(sound(seconds))
    moments = spectral.attention_over_time(CAPTIONS[0], tracks)
    assert spectral.score(spectral.embed_text(CAPTIONS), tracks).isfinite().all()
    assert moments[0][0] == 0.0
    assert moments[-1][1] == pytest.approx(seconds, abs=1e-4)
    assert len(moments) == max(1, round(seconds / spectral.form.clip_seconds))


def test_stereo_at_another_rate_is_heard_as_its_mono_mix(spectral: CoLLAP, tmp_path: Path) -> None:
    left, right = sound(12.0, seed=4, rate_hz=44_100), sound(12.0, seed=5, rate_hz=44_100)
    for name, samples in {"stereo": np.stack([left, right], axis=1), "mono": (left + right) / 2, "left": left}.items():
        soundfile.write(tmp_path / f"{name}.flac", samples, 44_100)
    stereo, mono, only_left = spectral.embed_audio(
        [tmp_path / f"{name}.flac" for name in ("stereo", "mono", "left")]
    ).clips_JKD
    assert (stereo - mono).abs().max() < 0.05 * (stereo - only_left).abs().max()


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((2, 16_000), np.float32), r"mono samples \[T\], got shape \[2, 16000\]"),
        (np.zeros(0, np.float32), "at least one sample"),
        (np.full(16_000, np.nan, np.float32), "NaN"),
        (np.full(16_000, 3000, np.int16), "int16"),
        (np.full(16_000, 3000.0, np.float32), "full scale"),
        ([], "no audio given"),
    ],
)
def test_unusable_audio_is_refused(spectral: CoLLAP, audio: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spectral.embed_audio(audio)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ((np.zeros(16_000, np.float32), 44_100), r"audio 1 is 44100 \(int\); expected a path, or mono samples \[T\]"),
        ([0.0, 0.1], r"audio 0 is 0.0 \(float\)"),
        (None, r"expected a path, samples, or a list of these, got None \(NoneType\)"),
        ({"array": [], "sampling_rate": 16_000}, r"got \{'array'.* \(dict\)"),
    ],
)
def test_what_is_neither_a_path_nor_samples_is_refused(spectral: CoLLAP, audio: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        spectral.embed_audio(audio)  # type: ignore[arg-type]


def test_the_unusable_one_of_several_is_named(spectral: CoLLAP) -> None:
    with pytest.raises(ValueError, match="audio 1: 1 of 16000 samples are NaN"):
        spectral.embed_audio([sound(1.0), np.r_[sound(1.0)[1:], np.float32(np.nan)]])


def test_a_file_that_is_no_sound_is_named(spectral: CoLLAP, tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_text("no sound")
    with pytest.raises(ValueError, match=r"song\.mp3"):
        spectral.embed_audio(tmp_path / "song.mp3")
    with pytest.raises(OSError, match=r"gone\.mp3"):
        spectral.embed_audio(tmp_path / "gone.mp3")


def test_silence_is_heard(spectral: CoLLAP) -> None:
    assert spectral.embed_audio(np.zeros(5 * SAMPLE_RATE_HZ, np.float32)).clips_JKD.isfinite().all()


def test_several_encoders_are_heard_side_by_side_and_after_saving_too(whisper: Path, tmp_path: Path) -> None:
    made = listening(with_whisper(whisper))
    assert [encoder.dim for encoder in made.form.encoders] == [16, 160]
    made.save_pretrained(tmp_path / "model")
    assert "encoder.layers" not in "".join(made.state_dict())
    again = CoLLAP.from_pretrained(tmp_path / "model")
    audio = [sound(41.0, seed=6), sound(3.0, seed=7)]
    first, second = (m.score(m.embed_text(CAPTIONS), m.embed_audio(audio)) for m in (made, again))
    assert torch.equal(first, second)


def test_weights_of_another_identity_are_refused(whisper: Path, tmp_path: Path) -> None:
    made = listening(with_whisper(whisper))
    made.save_pretrained(tmp_path / "model")
    other = whisper_folder(tmp_path / "other", seed=2)
    trained, found = made.form.encoders[0].identity, listening(with_whisper(other)).form.encoders[0].identity
    strange = CoLLAP.from_pretrained(tmp_path / "model", encoder_weights={"whisper": other})
    with pytest.raises(ValueError, match="the model was trained on") as caught:
        strange.embed_audio(sound(1.0))
    assert trained in str(caught.value)
    assert found in str(caught.value)


def test_weights_may_lie_elsewhere_than_where_the_model_was_trained(whisper: Path, tmp_path: Path) -> None:
    made = listening(with_whisper(whisper))
    moved = whisper_folder(tmp_path / "moved", seed=1)
    form = made.form.model_copy(update={"features": with_whisper(tmp_path / "gone")})
    elsewhere = CoLLAP(form, made.tower)
    with pytest.raises(ValueError, match=r"gone.*encoder_weights=\{'whisper': PATH\}"):
        elsewhere.embed_audio(sound(1.0))
    elsewhere = CoLLAP(form, made.tower, encoder_weights={"whisper": moved})
    elsewhere.load_state_dict(made.state_dict())
    audio = sound(31.0)
    assert torch.equal(elsewhere.embed_audio(audio).clips_JKD, made.embed_audio(audio).clips_JKD)


def test_weights_for_an_encoder_that_the_model_lacks_are_refused(spectral: CoLLAP) -> None:
    with pytest.raises(ValueError, match=r"weights given for \['beats'\]; this model's encoders with weights are \[\]"):
        CoLLAP(spectral.form, spectral.tower, encoder_weights={"beats": "beats.pt"})


@pytest.mark.parametrize("seconds", [0.2, 1.0, 7.4, 7.6, 33.3, 300.0])
def test_clip_spans_cover_a_track_as_its_clips_do(seconds: float) -> None:
    num_samples, clip_seconds = round(seconds * SAMPLE_RATE_HZ), 5
    spans = clip_spans(num_samples, clip_seconds)
    ends = [end for _, end in spans]
    assert [start for start, _ in spans] == [0.0, *ends[:-1]]
    assert ends[-1] == num_samples / SAMPLE_RATE_HZ
    assert len(spans) == max(1, int(num_seconds(num_samples) / clip_seconds + 0.5))
