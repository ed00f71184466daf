"""Media files of the site, made when first asked for and kept on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data_specs.spec import RenderedSource
from tasks.demo.catalogue import Entry, Fault
from tasks.demo.encode import encode
from tasks.demo.song import VERSION, compose
from tasks.demo.synth import DEFAULT_RATE_HZ, render

_MAX_RENDERS = min(4, os.cpu_count() or 1)
"""Rendering is CPU work of some 250 MB each: more at once would take more memory, not less time."""


class SongStore:
    """Files below one folder; any number of threads and processes may share it."""

    def __init__(self, source: RenderedSource, cache: Path) -> None:
        self._source = source
        # What decides the sound is in the folder's name, so another seed never meets this one's files.
        decides = f"{VERSION} {source.seed} {source.min_duration_s} {source.max_duration_s}"
        self._folder = cache / hashlib.sha256(decides.encode()).hexdigest()[:16]
        self._pool = ThreadPoolExecutor(_MAX_RENDERS, thread_name_prefix="demo-render")
        self._guard = threading.Lock()
        self._asked: dict[str, Future[Path]] = {}

    def media(self, entry: Entry) -> Future[Path]:
        """The media file of a page; whoever asks while it is being made waits for the same making.

        Costs about a second of one core per 80 s of music, the first time.
        """
        path = self._folder / f"{entry.track_id}.{entry.container}"
        with self._guard:
            future = self._asked.get(path.name)
            # One that is done proves nothing: it may have failed, or its file be gone since.
            if future is None or future.done():
                if path.exists():
                    future = Future()
                    future.set_result(path)
                else:
                    future = self._pool.submit(self._write, entry, path)
                self._asked[path.name] = future
            return future

    def close(self) -> None:
        """Finish what is being rendered and drop what waits."""
        self._pool.shutdown(cancel_futures=True)

    def _write(self, entry: Entry, path: Path) -> Path:
        """All or nothing: a reader sees the whole file or none, whatever dies in between."""
        content = self._make(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as temporary:
            temporary.write(content)
        os.replace(temporary.name, path)
        return path

    def _make(self, entry: Entry) -> bytes:
        source = self._source
        if entry.fault is Fault.SILENT:
            silence = np.zeros((round(source.min_duration_s * DEFAULT_RATE_HZ), 2), np.float32)
            return encode(silence, DEFAULT_RATE_HZ, entry.container)
        # A broken page that has sound, borrows the first song's.
        index = entry.index if entry.index is not None else 0
        song = compose(source.seed, index, source.min_duration_s, source.max_duration_s)
        return encode(render(song), DEFAULT_RATE_HZ, entry.container)
