from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from data_specs.outcomes import Status
from data_specs.reasons import Reason, ReasonClass
from data_specs.records import AudioFacts, Harvest
from tasks.engine.errors import BuildError
from tasks.engine.parts import PartInfo, read_rows
from tasks.engine.pools import Pools
from tasks.engine.stage import Known, Partition, StageRun, run_stage
from tasks.engine.workspace import Workspace
from tests.tasks.engine.toys import ToyAudio, ToyFile, ToyHarvest, calls, partition, track


@pytest.fixture
def run(tmp_path: Path) -> Iterator[StageRun]:
    with Pools(num_downloads=1, num_processes=2) as pools:
        yield StageRun(workspace=Workspace(tmp_path), pools=pools)


def next_run(run: StageRun, *retry: Reason | ReasonClass) -> StageRun:
    """What the next build of the same workspace would start with."""
    return StageRun(workspace=run.workspace, pools=run.pools, retry=frozenset(retry))


def harvest_and_audio(of: Partition, run: StageRun, audio: ToyAudio | None = None) -> dict[str, PartInfo]:
    parts = {"harvest": run_stage(ToyHarvest(), of, {}, run)}
    parts["audio"] = run_stage(audio or ToyAudio(), of, parts, run)
    return parts


def test_one_row_per_input_track_in_partition_order(run: StageRun) -> None:
    info = run_stage(ToyHarvest(), partition("b", "gone-1", "a"), {}, run)
    rows = read_rows(info.path, Harvest)
    assert [(row.track_id, row.outcome.status) for row in rows] == [
        ("b", Status.OK),
        ("gone-1", Status.FAILED),
        ("a", Status.OK),
    ]
    assert info.counts == {"ok": 2, "removed": 1}
    assert rows[1].outcome.detail == "this video is no longer available"


def test_a_second_run_does_nothing(run: StageRun, tmp_path: Path) -> None:
    of = partition("a", "gone")
    first = harvest_and_audio(of, run)
    again = harvest_and_audio(of, run)
    assert calls(tmp_path, "harvest") == ["a", "gone"]
    assert calls(tmp_path, "audio") == ["a"]
    for stage, info in again.items():
        assert info.num_new == 0
        assert (info.path, info.identity) == (first[stage].path, first[stage].identity)


def test_a_rejected_track_keeps_what_was_measured_and_goes_no_further(run: StageRun, tmp_path: Path) -> None:
    of = partition("a", "quiet")
    parts = harvest_and_audio(of, run)
    row = read_rows(parts["audio"].path, AudioFacts)[1]
    assert row.outcome.status is Status.REJECTED
    assert row.outcome.record.silence_ratio == 0.9
    run_stage(ToyFile(), of, parts, run)
    assert (tmp_path / "train-00000.txt").read_text() == "a"


def test_a_changed_setting_redoes_its_stage_only_and_an_equal_result_redoes_nothing_after(run: StageRun) -> None:
    of = partition("a", "b")
    parts = harvest_and_audio(of, run)
    first = run_stage(ToyFile(), of, parts, run)
    changed = harvest_and_audio(of, run, ToyAudio(threshold=0.6))
    assert changed["harvest"].num_new == 0
    assert changed["audio"].num_new == 2
    assert changed["audio"].path != parts["audio"].path
    # No record changed, so nothing that hangs on the records is done again.
    assert run_stage(ToyFile(), of, changed, run).path == first.path


def test_retry_takes_only_the_reasons_asked_for_and_recomputes_only_what_they_change(
    run: StageRun, tmp_path: Path
) -> None:
    of = partition("a", "net-1", "net-2", "gone")
    harvest_and_audio(of, run)
    (tmp_path / "net-1.up").touch()
    parts = harvest_and_audio(of, next_run(run, ReasonClass.TRANSIENT))
    assert calls(tmp_path, "harvest") == ["a", "net-1", "net-2", "gone", "net-1", "net-2"]
    assert parts["harvest"].counts == {"network": 1, "ok": 2, "removed": 1}
    assert sorted(calls(tmp_path, "audio")) == ["a", "net-1"]
    harvest_and_audio(of, next_run(run, Reason.REMOVED))
    assert calls(tmp_path, "harvest")[6:] == ["gone"]


def test_rows_follow_their_track_into_another_partition(run: StageRun, tmp_path: Path) -> None:
    run_stage(ToyHarvest(), partition("a", "b", name="train-00000"), {}, run)
    info = run_stage(ToyHarvest(), partition("c", "b", name="train-00001"), {}, next_run(run))
    assert calls(tmp_path, "harvest") == ["a", "b", "c"]
    assert info.num_new == 1


def test_a_full_disk_stops_the_build_and_loses_nothing(run: StageRun, tmp_path: Path) -> None:
    of = partition("a", "b", "full", "c")
    with pytest.raises(BuildError, match=r"disk is full.*run the same command again"):
        run_stage(ToyHarvest(), of, {}, run)
    finished = [json.loads(line)["track_id"] for line in open(tmp_path / "journal" / "harvest-train-00000.jsonl")]
    assert finished == ["a", "b"]
    assert not list((tmp_path / "harvest").glob("*.parquet"))


def test_an_unexpected_exception_is_one_tracks_reason_not_the_end(run: StageRun) -> None:
    said: list[str] = []
    info = run_stage(ToyHarvest(), partition("bug", "a"), {}, replace(run, on_detail=said.append))
    assert info.counts == {"internal_error": 1, "ok": 1}
    assert "KeyError" in (read_rows(info.path, Harvest)[0].outcome.detail or "")
    assert "bug" in said[0]


def test_a_worker_that_dies_costs_its_own_track_only(run: StageRun) -> None:
    parts = harvest_and_audio(partition("a", "crash", "b", "c"), run)
    assert parts["audio"].counts == {"ok": 3, "worker_crashed": 1}


def test_kill_9_costs_at_most_the_track_in_hand(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.tasks.engine.toys import *\n"
        "from tasks.engine.stage import StageRun, run_stage\n"
        "with Pools(1, 1) as pools:\n"
        "    run = StageRun(workspace=Workspace(Path(sys.argv[1])), pools=pools)\n"
        "    run_stage(ToyHarvest(), partition('a', 'b', *sys.argv[2:], 'c'), {}, run)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), "kill"], check=False)
    assert killed.returncode == -9
    with Pools(1, 1) as pools:
        run = StageRun(workspace=Workspace(tmp_path), pools=pools)
        info = run_stage(ToyHarvest(), partition("a", "b", "c"), {}, run)
    assert calls(tmp_path, "harvest") == ["a", "b", "kill", "c"]
    assert info.num_new == 1
    assert not list((tmp_path / "journal").iterdir())


def test_a_torn_journal_line_is_dropped(run: StageRun, tmp_path: Path) -> None:
    with pytest.raises(BuildError):
        run_stage(ToyHarvest(), partition("a", "b", "full"), {}, run)
    journal = tmp_path / "journal" / "harvest-train-00000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    run_stage(ToyHarvest(), partition("a", "b"), {}, run)
    assert calls(tmp_path, "harvest") == ["a", "b", "full", "b"]


def test_an_empty_partition_is_marked_done(run: StageRun) -> None:
    of = partition("gone")
    parts = harvest_and_audio(of, run)
    assert parts["audio"].counts == {}
    assert run_stage(ToyAudio(), of, parts, run).num_new == 0
    assert Path(parts["audio"].path).exists()


def test_a_track_that_moves_to_another_split_is_not_fetched_again(run: StageRun, tmp_path: Path) -> None:
    run_stage(ToyHarvest(), partition("a"), {}, run)
    moved = Partition(name="test-00000", split="test", tracks=(track("a", "test"),))
    run_stage(ToyHarvest(), moved, {}, next_run(run))
    assert calls(tmp_path, "harvest") == ["a"]


@dataclass(frozen=True, slots=True)
class HarvestThatStands(ToyHarvest):
    """Ids in ``stands`` keep what an earlier format fetched."""

    stands: tuple[str, ...] = ()

    def settings(self) -> list[object]:
        return [self.format, self.stands]

    def standing(self, known: Known) -> list[str] | None:
        return [known.track.url, "best"] if known.track.track_id in self.stands else None


def test_a_row_that_stands_outlives_a_changed_setting(run: StageRun, tmp_path: Path) -> None:
    of = partition("a", "b", "c")
    before = {row.track_id: row for row in read_rows(run_stage(ToyHarvest(), of, {}, run).path, Harvest)}
    stage = HarvestThatStands(format="worst", stands=("a", "c", "unknown"))
    info = run_stage(stage, of, {}, next_run(run))
    after = {row.track_id: row for row in read_rows(info.path, Harvest)}
    assert calls(tmp_path, "harvest") == ["a", "b", "c", "b"]
    assert info.num_new == 1
    assert after["a"] == before["a"] and after["c"] == before["c"]
    assert after["b"].row_key != before["b"].row_key
    # And on, as long as it is said to stand: the earlier row is found in the part that took it over, too.
    again = run_stage(replace(stage, format="any"), of, {}, next_run(run))
    assert calls(tmp_path, "harvest") == ["a", "b", "c", "b", "b"]
    assert read_rows(again.path, Harvest)[0] == before["a"]


def test_where_nothing_earlier_can_stand_the_settings_of_now_count(run: StageRun, tmp_path: Path) -> None:
    of = partition("a")
    stage = HarvestThatStands(format="worst", stands=("a",))
    row = read_rows(run_stage(stage, of, {}, run).path, Harvest)[0]
    assert calls(tmp_path, "harvest") == ["a"]
    again = run_stage(HarvestThatStands(format="worst"), of, {}, next_run(run))
    assert read_rows(again.path, Harvest)[0] == row, "its key is that of the settings it was made with"
