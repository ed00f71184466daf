from __future__ import annotations

import pytest
import torch

from collap_model.evaluation.attended import attended
from collap_model.pairs import Pairs
from tests.collap_model.models import model
from tests.collap_model.workspaces import make_workspace


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return Pairs.open(make_workspace(tmp_path_factory.mktemp("songs"), num_train=1, num_test=12), "test")


def test_paragraphs_look_at_the_clips_that_the_cosines_say(pairs: Pairs) -> None:
    made = model()
    first, second = attended(made, pairs)
    assert [first.track_id, second.track_id] == pairs.track_ids[:2]
    assert list(first.moments) == pairs.captions[0].split("\n\n")
    clips_KE = torch.from_numpy(pairs.clips(first.track_id, clip_seconds=5, longest=300))
    with torch.no_grad():
        clips_KD = made.embed_clips(clips_KE[None], torch.ones(1, len(clips_KE), dtype=torch.bool))[0]
        expected = (made.scorer.tau() * clips_KD @ made.embed_text("It ends.").text_ID[0]).softmax(0)
    starts_s, ends_s, weights = zip(*first.moments["It ends."], strict=True)
    torch.testing.assert_close(torch.tensor(weights), expected)
    assert list(starts_s) == [0.0, *ends_s[:-1]]
    assert ends_s[-1] == pairs.store.rows[first.track_id].num_seconds


def test_tracks_that_are_not_heard_whole_are_passed_over(pairs: Pairs) -> None:
    seconds = {track_id: pairs.store.rows[track_id].num_seconds for track_id in pairs.track_ids}
    longest = sorted(seconds.values())[4]
    short = [track_id for track_id, length in seconds.items() if length <= longest]
    assert short[:2] != pairs.track_ids[:2]
    found = attended(model(max_track_seconds=longest), pairs)
    assert [track.track_id for track in found] == short[:2]
    assert attended(model(max_track_seconds=1), pairs) == ()


def test_a_mean_looks_nowhere_in_particular(pairs: Pairs) -> None:
    assert attended(model("mean"), pairs) == ()
