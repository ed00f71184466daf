from __future__ import annotations

from pathlib import Path

import pytest

from tasks.cli import main
from tests.collap_model.models import form


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        folder = tmp_path / "models" / name / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(form().model_dump_json())
    return tmp_path


def test_promote_roll_back_and_look(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promote", str(workspace), "a"]) == 0
    assert main(["promote", str(workspace), "b", "--why", "hears more"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1] == f"promoted by hand: b in place of a; load it from {workspace}/models/in-use"
    assert main(["rollback", str(workspace), "--why", "too slow"]) == 0
    assert capsys.readouterr().out.startswith("rolled back: a in place of b; load it from")
    assert main(["promoted", str(workspace)]) == 0
    _, _, newest, middle, oldest, _, last = capsys.readouterr().out.splitlines()
    assert newest.startswith("*")
    assert newest.endswith("too slow")
    assert middle.endswith("hears more")
    assert "promoted by hand" in oldest
    assert last == f"in use: a, as {workspace}/models/in-use"


def test_mistakes_end_with_1_and_a_message(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["promote", str(workspace), "c"], "error: run 'c' is not there; finished runs of"),
        (["rollback", str(workspace)], "error: nothing to go back to"),
        (["promoted", str(workspace / "models")], "error: no trained run in"),
    ):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err
