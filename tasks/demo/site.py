"""The demo's web site: rendered songs on the loopback interface, for the real yt-dlp to harvest.

``python -m tasks.demo.site`` serves it until Ctrl-C; a flow opens ``Site`` as a context manager.

    GET /                      list of all songs
    GET /songs/<id>            a song's page
    GET /media/<id>.<ext>      its sound, with Range
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from data_specs.spec import RenderedSource
from tasks.demo.catalogue import HOST
from tasks.demo.server import SiteServer
from tasks.engine.errors import BuildError

__all__ = ["PortBusyError", "Site"]


class PortBusyError(BuildError):
    """Another program listens on the site's port; the message says what to do."""


class Site:
    """Serves a source's songs from a daemon thread while the context is open.

    Raises:
        PortBusyError: on entering, where the port is taken.
    """

    def __init__(self, source: RenderedSource, cache: Path) -> None:
        self._source = source
        self._cache = cache
        self._server: SiteServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the list of songs."""
        return f"http://{HOST}:{self._source.port}/"

    def __enter__(self) -> Site:
        try:
            self._server = SiteServer(self._source, self._cache)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortBusyError(
                f"port {self._source.port} is taken by another program, so the rendered songs cannot be served; "
                "end that program, or set the field source.port of the spec to a free port"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"demo-site-{self._source.port}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    fields = RenderedSource.model_fields
    parser = argparse.ArgumentParser(prog="python -m tasks.demo.site", description="Serve rendered songs on loopback.")
    parser.add_argument("--port", type=int, default=fields["port"].default, help="default %(default)s")
    parser.add_argument("--num-songs", type=int, default=fields["num_songs"].default, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=fields["seed"].default, help="default %(default)s")
    parser.add_argument("--cache", type=Path, help="folder for rendered songs, default a folder for temporary files")
    options = parser.parse_args(arguments)
    # A shell starts background jobs with Ctrl-C ignored; whoever signals this server means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cache = options.cache or Path(tempfile.gettempdir()) / "collap-demo-songs"
    try:
        source = RenderedSource(port=options.port, num_songs=options.num_songs, seed=options.seed)
    except ValidationError as error:
        parser.error(str(error))
    try:
        with Site(source, cache) as site:
            print(f"{source.num_songs} songs at {site.url} (Ctrl-C ends)", flush=True)
            threading.Event().wait()
    except PortBusyError as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        print("closed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
