from __future__ import annotations

from pathlib import Path

import pytest

from tests.collap_model.workspaces import make_workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and six test songs; read-only."""
    return make_workspace(tmp_path_factory.mktemp("workspace"))
