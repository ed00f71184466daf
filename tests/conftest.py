from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ports import free_port

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("DO_NOT_TRACK", "1")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would children

# No deadline: the machines that run this are shared. Derandomised: a red build is red again.
settings.register_profile("collap", deadline=None, derandomize=True)
settings.load_profile("collap")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_network_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The ledger of the machine's user counts real downloads; tests keep one of their own."""
    os.environ["COLLAP_STATE"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(name="free_port")
def _free_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real published lists; not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real AudioSet and FUTGA files are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Permissions bind: where the tests run as root, this one runs as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)
