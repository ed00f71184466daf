from __future__ import annotations

import pytest

from data_specs.records import Attributes
from tasks.caption.model.evidence import Evidence, named

NOTES = ["A strummed acoustic guitar over soft drums.", "A woman sings; cello behind."]
HEARD = Attributes(genres=("folk",), instruments=("piano",), vocals="female")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Guitars and a fiddle answer the horns.", {"guitar", "strings", "brass"}),
        ("The bassline walks.", {"bass"}),
        ("A bassoon plays.", {"woodwind"}),
        ("There are four beats to the bar.", set()),
        ("The second theme kicks in.", set()),
        ("The key of the piece is A minor.", set()),
        ("Hip-hop drums.", {"hip hop", "drums"}),
        ("It is popular and rocky.", set()),
        ("A saxophonist and a rapper.", {"saxophone", "rap"}),
    ],
)
def test_names_in_a_text(text: str, names: set[str]) -> None:
    assert named(text) == names


def test_only_what_was_noted_is_kept() -> None:
    evidence = Evidence.of(NOTES, HEARD)
    text = "The guitar is strummed. A saxophone joins. The cello sings low. An organ hums. Drums and piano go on."
    assert evidence.kept(text) == "The guitar is strummed. The cello sings low. Drums and piano go on."
    assert evidence.kept("") == ""


def test_a_family_is_evidence_of_its_members() -> None:
    assert Evidence.of(["Percussion."], Attributes()).supports("A tambourine and bongos.")
    assert Evidence.of([], Attributes(vocals="choir")).supports("A choir of voices.")
    assert not Evidence.of(["A choir."], Attributes()).supports("A rapper.")
    assert not Evidence.of([], Attributes(vocals="none")).supports("A voice.")


def test_attributes_lose_what_nobody_heard() -> None:
    said = Attributes(
        genres=("folk rock", "folk"),
        moods=("calm",),
        instruments=("guitar", "saxophone", "theremin"),
        vocals="female",
        tempo_word="slow",
    )
    kept = Evidence.of(NOTES, HEARD).kept_attributes(said)
    assert kept.instruments == ("guitar", "theremin")
    assert kept.genres == ("folk",)
    assert kept.vocals == "female"
    assert kept.moods == ("calm",)
    assert Evidence.of(["A guitar."], Attributes()).kept_attributes(said).vocals == "unknown"
