"""The hardest queries, against the whole matrix of scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from collap_model.choices import FusionName
from collap_model.evaluation import confusions as room
from collap_model.evaluation import score_tiles
from collap_model.evaluation.confusions import confusions
from collap_model.evaluation.score_tiles import embedded, score_matrix
from collap_model.metrics import measure
from collap_model.pairs import Pairs
from tests.collap_model.models import model
from tests.collap_model.workspaces import make_workspace


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return Pairs.open(make_workspace(tmp_path_factory.mktemp("songs")), "train")


@pytest.mark.parametrize("fusion", ["attention", "token", "ordered"])
def test_the_hardest_queries_of_the_matrix(pairs: Pairs, fusion: FusionName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_tiles, "TEXTS_READ_AT_ONCE", 3)
    monkeypatch.setattr(score_tiles, "TEXTS_AT_ONCE", 5)
    monkeypatch.setattr(score_tiles, "TRACKS_AT_ONCE", 5)
    monkeypatch.setattr(room, "_SHOWN", 6)
    made, texts, tracks = model(fusion), [f"{text} No. {n}." for n, text in enumerate(pairs.captions)], pairs.track_ids
    relevant = [[number] if number % 3 else [number, (number + 5) % 12] for number in range(12)]
    scores_IJ, _ = score_matrix(made, texts, pairs, tracks)
    with embedded(made, texts, pairs, tracks) as seen:
        measured = measure(seen.scores, relevant)
        found = confusions(made.scorer, seen, measured, texts, relevant, tracks)
    expected = []
    for text, scores in enumerate(scores_IJ.tolist()):
        own = max(relevant[text], key=lambda track: scores[track])
        wrong = max(set(range(12)) - set(relevant[text]), key=lambda track: scores[track])
        rank = 1 + sum(score > scores[own] for score in scores)
        expected.append((rank, texts[text], tracks[own], scores[own], tracks[wrong], scores[wrong]))
    expected.sort(key=lambda item: -item[0])  # stable: of equals the first
    assert [(item.rank, item.text, item.track_id, item.taken_for) for item in found] == [
        (rank, text, own, wrong) for rank, text, own, _, wrong, _ in expected[:6]
    ]
    torch.testing.assert_close(
        torch.tensor([(item.score, item.taken_for_score) for item in found]),
        torch.tensor([(score, wrong) for *_, score, _, wrong in expected[:6]]),
        atol=1e-6,
        rtol=0,
    )
    assert found[0].score < found[0].taken_for_score


def test_a_text_of_every_track_is_taken_for_none(pairs: Pairs, tmp_path: Path) -> None:
    made, everything = model(), list(range(12))
    with embedded(made, ["All.", "One."], pairs, pairs.track_ids) as seen:
        for relevant, shown in (([everything, [4]], ["One."]), ([everything, everything], [])):
            measured = measure(seen.scores, relevant)
            found = confusions(made.scorer, seen, measured, ["All.", "One."], relevant, pairs.track_ids)
            assert [item.text for item in found] == shown
