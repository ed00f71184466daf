"""What stops a build, as opposed to what drops a track."""

from __future__ import annotations

import errno


class BuildError(RuntimeError):
    """The build cannot go on until a person acts; the message names the value and the fix.

    Everything that was finished before stays valid, and a re-run goes on from there.
    """


_FIXES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space or raise it",
    errno.EACCES: "no permission: make the folder writable for this user or choose another workspace",
    errno.EPERM: "not permitted: make the folder writable for this user or choose another workspace",
    errno.EROFS: "the file system is read-only: choose another workspace",
    errno.ENOENT: "Make it again with --retry file_missing",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n) or lower the number of downloads",
}


def operator_error(error: BaseException) -> BuildError | None:
    """The build-stopping error that an exception stands for, or None if it concerns one track only."""
    if isinstance(error, BuildError):
        return error
    if isinstance(error, OSError) and error.errno in _FIXES:
        where = f" at {error.filename}" if error.filename else ""
        if error.errno == errno.ENOENT:
            return BuildError(f"a file that the build made earlier is gone: {error.filename}. {_FIXES[error.errno]}")
        return BuildError(f"{_FIXES[error.errno]}, then run the same command again{where} ({error.strerror})")
    return None
