"""What the tests of whole builds share."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tasks.build import BuildConfig, BuildReport, build


def write_spec(folder: Path, **fields: object) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"name": "small", "audio": {"min_duration_s": 20}, **fields}))
    return path


def rendered(port: int, num_songs: int = 6) -> dict[str, object]:
    return {"type": "rendered", "num_songs": num_songs, "port": port, "min_duration_s": 45, "max_duration_s": 50}


def run(spec: Path, workspace: Path, **options: object) -> BuildReport:
    return build(
        BuildConfig.model_validate({"spec": str(spec), "workspace": str(workspace), "processes": 2, **options})
    )


def published(workspace: Path) -> dict[str, str]:
    """Hashes of everything that a build publishes, by file name."""
    files = [*workspace.glob("shards/*.tar"), *workspace.glob("features/*.npy"), workspace / "manifest.parquet"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def songs(folder: Path, small: tuple[Path, Path], count: int = 2) -> Path:
    """A folder of real music files, taken from what the site served."""
    folder.mkdir(exist_ok=True)
    media = sorted(path for path in (small[1] / "harvest" / "media").iterdir() if path.name.startswith("song-"))
    for path in media[:count]:
        shutil.copy(path, folder)
    return folder


def collap(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tasks.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
