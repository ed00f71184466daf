"""The audio of a question as a FLAC file in memory."""

from __future__ import annotations

import io

import soundfile

from data_specs.reasons import Reason
from tasks.caption.generate.request import AudioSpan, GenerationError


def flac_of(span: AudioSpan) -> bytes:
    """The stretch as a FLAC file with exactly the samples of the original.

    A whole file is sent as it lies on disk. A stretch goes from the sample nearest to ``start_s`` up to the
    one nearest to ``end_s``; FLAC is lossless, so it holds the same integers.

    Raises:
        GenerationError: ``FILE_MISSING``; ``UNDECODABLE``; ``FILE_CHANGED`` where the file ends before the stretch.
    """
    try:
        if span.whole:
            return span.path.read_bytes()
        with soundfile.SoundFile(span.path) as file:
            first, stop = round(span.start_s * file.samplerate), round(span.end_s * file.samplerate)
            if not 0 <= first < stop <= file.frames:
                raise GenerationError(
                    Reason.FILE_CHANGED,
                    f"{span.path} has {file.frames} samples, samples {first} to {stop} are wanted: it is not the file "
                    "that was analysed; accept it again with --retry file_changed",
                )
            file.seek(first)
            samples = file.read(stop - first, dtype="int32")  # wide enough for every FLAC, and exact
            cut = io.BytesIO()
            soundfile.write(cut, samples, file.samplerate, format="FLAC", subtype=file.subtype)
            return cut.getvalue()
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError) as error:
        if not span.path.exists():
            raise GenerationError(Reason.FILE_MISSING, f"{span.path} is gone") from error
        raise GenerationError(Reason.UNDECODABLE, f"{span.path}: {error}") from error
    except FileNotFoundError as error:
        raise GenerationError(Reason.FILE_MISSING, f"{span.path} is gone") from error
