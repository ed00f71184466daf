from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.duplicates.sounds import song_file


@pytest.fixture(scope="package")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve rendered songs, alike in instruments and style."""
    folder = tmp_path_factory.mktemp("songs")
    return [song_file(folder, index) for index in range(12)]
