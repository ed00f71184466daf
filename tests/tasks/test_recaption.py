"""Re-caption by query: only the tracks it finds are written anew, old versions stay, kills cost nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from data_specs.records import Caption
from tasks.engine.errors import BuildError
from tasks.engine.parts import read_rows
from tasks.engine.workspace import Workspace
from tasks.recaption import recaption
from tasks.reporting.captions.history import history
from tests.tasks.builds import BuildConfig, collap, published, run


def captions(workspace: Path) -> dict[str, dict[str, object]]:
    rows = pq.read_table(workspace / "captions.parquet").to_pylist()
    return {row["track_id"]: row for row in rows}


def config(spec: Path, workspace: Path) -> BuildConfig:
    return BuildConfig(spec=str(spec), workspace=str(workspace))


def changed(spec: Path, to: Path, **caption: object) -> Path:
    """The spec with other caption settings."""
    to.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "caption": caption}))
    return to


def test_only_what_is_asked_for_is_written_anew(copy: tuple[Path, Path]) -> None:
    spec, work = copy
    before = captions(work)
    chosen = sorted(before)[1]
    said = recaption(config(spec, work), [f"track = {chosen}"])
    assert said.startswith(f"1 of {len(before)} captions match: {chosen}")
    assert captions(work) == before, "an order alone changes nothing"

    report = run(spec, work)
    new = {row.stage: row.num_new for row in report.funnel}
    assert new["caption"] == 1
    assert new["harvest"] == new["audio"] == new["structure"] == new["fingerprint"] == 0
    after = captions(work)
    assert {track_id for track_id in before if after[track_id] != before[track_id]} == {chosen}
    assert after[chosen]["version"] == 1
    assert after[chosen]["long_text"] != before[chosen]["long_text"]
    assert run(spec, work).num_new == 0, "an order is carried out once"

    told = history(config(spec, work), chosen)
    assert str(before[chosen]["long_text"]) in told and str(after[chosen]["long_text"]) in told
    assert [line[:8] for line in told.splitlines() if line.startswith(("earlier:", "in the dataset:"))] == [
        "earlier:",
        "in the d",
    ]


def test_the_same_order_twice_is_one_order(copy: tuple[Path, Path]) -> None:
    spec, work = copy
    for _ in range(2):
        recaption(config(spec, work), ["words > 0"])
    run(spec, work)
    assert {row["version"] for row in captions(work).values()} == {1}


def test_captions_of_other_settings_stand_until_they_are_asked_for(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, work = copy
    before = captions(work)
    first, second = sorted(before)[:2]
    other = changed(spec, tmp_path / "other.yaml", captioner="rules", seed=7)

    said = recaption(config(other, work), [f"track = {first}"])
    assert f"{len(before) - 1} others were written under other settings and stand" in said
    run(other, work)
    after = captions(work)
    assert {i for i in before if after[i]["long_text"] != before[i]["long_text"]} == {first}
    assert after[first]["settings"] != after[second]["settings"] == before[second]["settings"]

    recaption(config(other, work), [f"track = {second}"])
    run(other, work)
    last = captions(work)
    assert {i for i in before if last[i]["settings"] == last[first]["settings"]} == {first, second}
    assert last[first] == after[first]


@pytest.mark.parametrize("to_import", [True, False], ids=["to import", "from import"])
def test_imported_captions_stand_too(copy: tuple[Path, Path], tmp_path: Path, *, to_import: bool) -> None:
    spec, work = copy
    for track_id, row in captions(work).items():
        parts = {"0-100": {"func": "Song", "text": row["clock_free_text"]}}
        (tmp_path / "imported").mkdir(exist_ok=True)
        (tmp_path / "imported" / f"{track_id}.json").write_text(json.dumps(parts))
    imported = changed(spec, tmp_path / "i.yaml", captioner="import", path=str(tmp_path / "imported"), min_words=0)
    one, other = (spec, imported) if to_import else (imported, spec)
    run(one, work)
    before = captions(work)
    chosen = next(track_id for track_id in sorted(before) if before[track_id]["status"] == "ok")
    said = recaption(config(other, work), [f"track = {chosen}"])
    assert "stand as they are" in said
    run(other, work)
    after = captions(work)
    standing = {i for i in before if before[i]["status"] == "ok"} - {chosen}
    assert standing and all(after[i] == before[i] for i in standing)
    assert after[chosen]["captioner"] != before[chosen]["captioner"]


def test_without_an_order_changed_settings_write_everything_anew(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, work = copy
    report = run(changed(spec, tmp_path / "other.yaml", captioner="rules", seed=7), work)
    new = {row.stage: row.num_new for row in report.funnel}
    assert new["caption"] == len(captions(work))


def test_a_caption_does_not_stand_for_another_analysis(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, work = copy
    chosen = sorted(captions(work))[0]
    fields = yaml.safe_load(spec.read_text())
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**fields, "caption": {"seed": 7}}))
    recaption(config(other, work), [f"track = {chosen}"])
    other.write_text(yaml.safe_dump({**fields, "caption": {"seed": 7}, "structure": {"min_section_s": 30}}))
    run(other, work)
    settings = {row["settings"] for row in captions(work).values()}
    assert len(settings) == 1, "sections moved, so every caption is of the settings of now"


def test_dry_run_no_match_and_no_build(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, work = copy
    assert "nothing was ordered (--dry-run)" in recaption(config(spec, work), ["words > 0"], dry_run=True)
    assert recaption(config(spec, work), ["words < 3"]).startswith("no caption of")
    assert not Workspace(work).orders.exists()
    with pytest.raises(BuildError, match="no finished build"):
        recaption(config(spec, tmp_path / "nothing"), ["words < 3"])
    with pytest.raises(BuildError, match="no caption of 'nobody'"):
        history(config(spec, work), "nobody")


def test_from_a_shell(copy: tuple[Path, Path]) -> None:
    spec, work = copy
    done = collap("recaption", spec, "--workspace", work, "--where", "word < 3")
    assert done.returncode == 1
    assert "no field 'word'; near it: words" in done.stderr
    done = collap("recaption", spec, "--workspace", work, "--where", "version = 0")
    assert done.returncode == 0, done.stderr
    assert re.search(r"the next build writes them anew: collap build ", done.stdout)
    done = collap("caption", spec, sorted(captions(work))[0], "--workspace", work)
    assert done.stdout.startswith("in the dataset: "), done.stderr


def test_the_table_of_captions_says_what_the_parts_say(small: tuple[Path, Path]) -> None:
    _, work = small
    table = captions(work)
    rows = {row.track_id: row for path in (work / "caption").glob("*.parquet") for row in read_rows(path, Caption)}
    assert table.keys() == rows.keys()
    manifest = pq.read_table(work / "manifest.parquet").to_pylist()
    for sample in manifest:
        row = table[sample["track_id"]]
        assert row["published"] and row["status"] == "ok" and row["split"] == sample["split"]
        assert row["long_text"] == sample["caption"] == rows[sample["track_id"]].outcome.record.long_text
        assert row["duration_s"] == sample["duration_s"]
    assert sum(bool(row["published"]) for row in table.values()) == len(manifest)
    assert published(work)
