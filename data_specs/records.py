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


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A musically meaningful, time-bounded part with what was measured in it."""

    start_s: float
    end_s: float
    label: str
    """``intro``, ``outro`` or ``section``: a weight-free analyser claims no chorus."""
    letter: str
    """``A``, ``B`` ...: equal letters are the same music returning."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The analysis of one track: rhythm, harmony and sections, each with a confidence 0..1."""

    track_id: str
    engine: str
    """Name and version of the analyser."""
    duration_s: float
    tempo_bpm: float
    tempo_confidence: float
    tempo_alternatives: tuple[float, ...]
    """Other readings (half, double, triple) in falling order of strength."""
    beats_per_bar: int
    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    tuning_cents: float
    key: str
    """Tonic and mode: ``A minor``."""
    key_confidence: float
    sections: tuple[Section, ...]
    """In order, without gaps or overlaps, from 0 to ``duration_s``."""
    sections_confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionCaption:
    """The words for one section; times and letter are copied from the analysis, never written."""

    start_s: float
    end_s: float
    label: str
    letter: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A long, time-bounded description of one track."""

    track_id: str
    captioner: str
    """Name and version, e.g. ``rules-1``."""
    global_text: str
    sections: tuple[SectionCaption, ...]
    long_text: str
    """The global paragraph, then one time-stamped sentence group per section."""
    clock_free_text: str
    """The same without any clock time."""
    num_words: int
    """Of ``long_text``, split at white space."""
    warnings: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()


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
class Features:
    """Where the per-second vectors of one track lie in a feature part."""

    track_id: str
    file: str
    """``.npy`` of the partition, relative to the workspace: float16 ``[total_seconds, dim]``."""
    offset: int
    """First row of the track."""
    num_seconds: int
    """Rows of the track; the last one covers the rest of the track."""
    dim: int
    encoder: str
