"""The rules of the house: who may import whom, and what loads with what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["data_specs", "collap_model", "tasks", "flows"]
"""Each imports only those before it, and itself."""


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Every module name that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_run_one_way(path: Path) -> None:
    package = path.parts[0]
    later = set(ORDER[ORDER.index(package) + 1 :])
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & later, f"{path} imports {sorted(tops & later)}"
    if package != "flows" and path != Path("tasks/doors.py"):
        assert "prefect" not in tops, f"{path} imports Prefect; only flows/ and tasks/doors.py may"
    if package == "data_specs":
        assert not tops & {"torch", "torchaudio", "transformers"}, f"{path} imports torch"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_files_stay_small(path: Path) -> None:
    num_lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert num_lines < 600, f"{path} has {num_lines} lines"


def loaded_with(statement: str) -> set[str]:
    """Top-level packages in memory after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["data_specs", "collap_model"])
def test_library_loads_without_prefect(package: str) -> None:
    names = [str(path.with_suffix("")).replace("/", ".") for path in modules() if path.parts[0] == package]
    loaded = loaded_with("; ".join(f"import {name}" for name in names if not name.endswith("__init__")))
    assert "prefect" not in loaded
    if package == "data_specs":
        assert not loaded & {"torch", "transformers"}


def test_a_build_without_prefect_loads_no_prefect_and_no_torch() -> None:
    assert not loaded_with("import tasks.cli, tasks.build") & {"prefect", "torch"}


def test_the_command_line_answers_before_anything_heavy_loads() -> None:
    assert not loaded_with("import tasks.cli") & {"prefect", "torch", "pyarrow", "numpy", "scipy"}


def test_torchaudio_and_transformers_load_side_by_side() -> None:
    loaded = loaded_with(
        "import collap_model; from transformers import RobertaModel, GPT2Model; import torchaudio.compliance.kaldi"
    )
    assert {"torchaudio", "transformers"} <= loaded
