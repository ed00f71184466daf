"""Models from and to the Hugging Face hub, or any server that ``HF_ENDPOINT`` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id

from collap_model.saved import CARD, FORM, TEXT, WEIGHTS

__all__ = ["local_folder", "push_folder"]


def local_folder(name_or_folder: Path | str) -> Path:
    """The folder itself, or that of a downloaded repository (kept in the hub's cache, and read there when offline).

    A link is followed once, here: ``models/in-use`` may lead elsewhere before the last file is read.

    Raises:
        ValueError: neither a folder nor a repository that can be had; says what was tried.
    """
    folder = Path(name_or_folder).expanduser()
    if folder.exists() or isinstance(name_or_folder, Path):
        return folder.resolve()
    if not _is_repository(name_or_folder):
        raise ValueError(f"no folder {name_or_folder!r}, and no name of a hub repository either (OWNER/NAME)")
    try:
        return Path(snapshot_download(name_or_folder, allow_patterns=[FORM, WEIGHTS, CARD, f"{TEXT}/*"]))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ValueError(f"no folder {name_or_folder!r}, and the hub does not give it: {error}") from error


def push_folder(write: Callable[[Path], None], repo_id: str, *, private: bool) -> str:
    """Create the repository where it is missing, upload what ``write`` puts into a folder; the commit's address."""
    api = HfApi()
    api.create_repo(repo_id, private=private, exist_ok=True)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        return api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload CoLLAP model").commit_url


def _is_repository(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
