"""The records that pass between stages, in the order of the data.

``Track -> Harvest -> AudioFacts -> Structure -> Caption -> Sample -> ShardEntry``; beside them
``AudioFacts -> Fingerprint -> Recording`` says which tracks are the same recording.

Times are seconds from the start of the track, levels are dB, frequencies are Hz.
A field whose metadata says ``volatile`` describes how a record was obtained (when, after how
many attempts), not what it is: it is stored, but never part of the record's identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_VOLATILE = {"volatile": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A full-length recording that was selected."""

    track_id: str
    """Unique in the dataset; letters, digits, ``-`` and ``_`` only (for AudioSet the YouTube id)."""
    source: str
    url: str
    """``http(s)://`` page or media address, or ``file://`` path."""
    split: str
    """``train``, ``valid`` or ``test``."""
    title: str | None = None
    labels: tuple[str, ...] = ()
    revision: str | None = None
    """Changes when the content behind ``url`` is known to have changed (local files: size and time)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The media file of a track, as the source delivered it."""

    track_id: str
    file: str
    """Relative to the workspace; absolute where the file belongs to the user (``local`` source)."""
    sha256: str
    num_bytes: int
    container: str
    """File extension without the dot: ``m4a``, ``webm``, ``mp3`` ..."""
    codec: str | None = None
    stated_duration_s: float | None = None
    """What the source says; the truth is ``AudioFacts.duration_s``."""
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    media_id: str | None = None
    """The site's own id of the medium (for YouTube the video id), whatever the address was."""
    upload_date: str | None = None
    license: str | None = None
    webpage_url: str | None = None
    extractor: str | None = None
    attempts: int = field(default=1, metadata=_VOLATILE)
    fetched_at: str | None = field(default=None, metadata=_VOLATILE)
    """ISO 8601, UTC."""
    tool: str | None = field(default=None, metadata=_VOLATILE)
    """Name and version of the program that fetched the file."""
    identity: str | None = field(default=None, metadata=_VOLATILE)
    """Name of the network identity that fetched it."""
    info: str | None = field(default=None, metadata=_VOLATILE)
    """What the site said of the track (yt-dlp's info dictionary without formats and addresses), as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What one full decode of the media file measured, and the 16 kHz mono file it left."""

    track_id: str
    file: str
    """16 kHz mono FLAC, relative to the workspace; empty where the track was rejected."""
    sha256: str
    """Of the FLAC file; empty where the track was rejected."""
    pcm_sha256: str
    """Of the 16-bit 16 kHz mono samples: equal for equal sound whatever the container."""
    num_bytes: int
    duration_s: float
    """Decoded samples over sample rate."""
    container_duration_s: float | None
    """What the file says of itself; None where it says nothing."""
    gap_s: float
    """Sound that the time stamps of the frames skip."""
    source_sample_rate_hz: int
    source_channels: int
    loudness_lufs: float | None
    """Integrated loudness, ITU-R BS.1770-4; None below the absolute gate (-70 LUFS)."""
    loudness_range_lu: float | None
    """LRA, EBU Tech 3342; None where nothing is above its gates."""
    peak_dbfs: float
    side_db: float | None
    """Level of left minus right against left plus right: -120 for one signal in both; None unless stereo."""
    silence_ratio: float
    """Share of 0.1 s frames below -60 dBFS RMS."""
    longest_silence_s: float
    clipping_ratio: float
    """Share of samples in runs of >= 3 at full scale."""
    bandwidth_hz: float
    """Highest frequency of the source with energy above the noise floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a track sounds like, in a form that survives codecs: equal recordings agree in most bits."""

    track_id: str
    algorithm: str
    """``chromaprint`` and its variant (https://acoustid.org/chromaprint)."""
    values: tuple[int, ...]
    """Unsigned 32-bit integers, one per 0.1238 s; empty below about 3 s of sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Which tracks of the dataset are one recording."""

    track_id: str
    cluster: str
    """Id of the member that is kept: equal for all tracks of one recording, the track's own where it is unique."""
    cluster_size: int
    match: str | None
    """The track or evaluation file that it has a passage or all in common with; None where it is unique."""
    error_rate: float | None
    """Share of differing fingerprint bits over the overlap with ``match``; 0 for equal samples."""
    overlap_s: float | None


LABELS = (
    "intro",
    "verse",
    "pre-chorus",
    "chorus",
    "post-chorus",
    "bridge",
    "instrumental",
    "solo",
    "interlude",
    "break",
    "build-up",
    "drop",
    "outro",
    "silence",
    "section",
)
"""What a section may be called; ``section`` where nobody is sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One audible difference between a section and the one before it, above its threshold."""

    kind: str
    """``level``, ``density``, ``brightness``, ``percussion`` or ``bass`` with ``_up`` or ``_down``; ``percussion``
    or ``bass`` with ``_in`` or ``_out``; ``key``."""
    amount: float
    """dB for the level, ratio of the larger to the smaller for density and brightness, difference of shares for
    percussion and bass, semitones upwards 0..11 for the key."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChordSpan:
    """One chord of the track."""

    start_s: float
    end_s: float
    name: str
    """``C``, ``C#m`` ...; ``N`` where none is heard."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A musically meaningful, time-bounded part with what was measured in it."""

    start_s: float
    end_s: float
    label: str
    """One of ``LABELS``. A weight-free analyser says ``intro``, ``outro`` or ``section`` and claims no chorus."""
    letter: str
    """``A``, ``B`` ...: equal letters are the same music returning."""
    variant: int
    """0 where the letter's music is as it was first heard, else the number of the changed form: 1 for A′."""
    letter_confidence: float
    boundary_confidence: float
    """That something changes at ``start_s``; 1 for the first section."""
    num_bars: int
    loudness_db: float
    """RMS level relative to the track's mean level."""
    onset_rate_hz: float
    """Note onsets per second."""
    brightness_hz: float
    """Median spectral centroid."""
    percussion: float
    """Share of beats with a broadband attack, 0..1."""
    bass: float
    """Share of energy below 150 Hz, 0..1."""
    chords: tuple[str, ...]
    """Most repeated chord loop, e.g. ``("Am", "F", "C", "G")``; empty when unsure."""
    chords_confidence: float
    key: str
    """Key of this section alone, as ``Structure.key``; empty where it is too short to say."""
    key_confidence: float
    changes: tuple[Change, ...]
    """Against the section before, the most telling first; empty for the first section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The analysis of one track: rhythm, harmony and sections, each with a confidence 0..1."""

    track_id: str
    engine: str
    """Name and version of the analyser, and of engines whose results it took: ``core-2+beat_this+songformer``."""
    duration_s: float
    tempo_bpm: float
    tempo_confidence: float
    tempo_alternatives: tuple[float, ...]
    """Other readings (half, double, triple) in falling order of strength."""
    beats_per_bar: int
    meter_confidence: float
    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    tuning_cents: float
    """Of the track's A above 440 Hz, -50..50."""
    tuning_confidence: float
    chords: tuple[ChordSpan, ...]
    """In order, without gaps, equal neighbours joined."""
    key: str
    """Tonic and mode: ``A minor``."""
    key_confidence: float
    sections: tuple[Section, ...]
    """In order, without gaps or overlaps, from 0 to ``duration_s``."""
    sections_confidence: float


VOCALS = ("none", "female", "male", "mixed", "choir", "spoken", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a captioner says of the whole track in single words; empty where it does not say."""

    genres: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    vocals: str = "unknown"
    """One of ``VOCALS``."""
    tempo_word: str = ""
    production: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionCaption:
    """The words for one section."""

    start_s: float
    end_s: float
    label: str
    """One of ``LABELS``."""
    letter: str
    description: str
    """Whole sentences without clock times."""
    writer: str
    """Who wrote the description: ``model``, ``rules`` (from measured facts) or ``import``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A long, time-bounded description of one track.

    The three texts are renderings of ``global_text`` and ``sections``, see ``data_specs.renderings``.
    """

    track_id: str
    captioner: str
    """Name and version: ``rules-2``, ``model-1``, ``import-1``."""
    model: str | None
    """Hub id and revision, or folder, of the Music-LLM."""
    prompt: str | None
    """Version of the prompt files, ablation arm and passes: ``v1/both/one``."""
    version: int
    """How often the track was captioned anew by request; 0 at first."""
    settings: str
    """Digest of the settings it was written under; filled in by the stage."""
    anchored: bool
    """Whether the sections are those of the analysis; else the captioner's own."""
    global_text: str
    attributes: Attributes
    sections: tuple[SectionCaption, ...]
    long_text: str
    """The global paragraph, then one time-stamped paragraph per section."""
    clock_free_text: str
    """The same in order, without any clock time."""
    order_free_text: str
    """The same without times and without words of order, sections in an arbitrary order."""
    num_words: int
    """Of ``long_text``, split at white space."""
    repetition: float
    """Share of 4-grams of ``clock_free_text`` that occurred before in it."""
    flaws: tuple[str, ...] = ()
    """Rules that the captioner's first answer broke, once each, in the order of ``tasks.caption.validate.RULES``."""
    repairs: tuple[str, ...] = ()
    """What was mended, in order: ``parse:fence``, ``drop_sentence:usage_speculation``, ``refill:3``, ``rules:5``."""
    warnings: tuple[str, ...] = ()
    """What was noticed and let through."""
    answers: tuple[str, ...] = ()
    """Keys of the model's answers that it was made of, in order, see ``tasks.caption.generate.answers``."""
    heard_s: float | None = None
    """Audio that reached the model, by its count of audio tokens; None where no model listened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One audio-text pair in a shard: a row of the manifest."""

    track_id: str
    split: str
    shard: str
    """File name of the tar that holds it."""
    index: int
    """Position in the shard."""
    duration_s: float
    num_words: int
    num_sections: int
    caption: str
    captioner: str
    caption_model: str | None
    audio_sha256: str
    audio_num_bytes: int
    source: str
    url: str
    title: str | None
    artist: str | None
    channel: str | None
    license: str | None
    labels: tuple[str, ...]
    cluster: str
    """As ``Recording.cluster``."""
    tempo_bpm: float
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """One tar of the dataset."""

    shard: str
    split: str
    sha256: str
    num_bytes: int
    num_samples: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Where what one encoder heard of a track lies."""

    encoder: str
    """Identity of the encoder: equal identities, equal vectors."""
    file: str
    """``.npy`` relative to the workspace: float16 ``[total_seconds, width]``."""
    frames_file: str
    """``.npy`` beside it: int32 ``[total_seconds]``, how many of the encoder's frames each row is the mean of."""
    offset: int
    """First row of the track, in both."""
    dim: int
    column: int = 0
    """First column; a partition's file holds one encoder and begins at 0, a packed one holds all side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The per-second vectors of one track, of every encoder of the dataset."""

    track_id: str
    num_seconds: int
    """Rows of the track in every file; the last one covers the rest of the track."""
    encodings: tuple[Encoding, ...]
    """In the order of the spec; their vectors side by side are what training reads."""
