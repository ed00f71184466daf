"""The texts of a caption: leads, order, bags, crops and hard negatives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from data_specs.leads import LEADS, clock, foldable, words
from data_specs.records import Attributes, Caption, SectionCaption
from data_specs.renderings import clock_free, order_free, sub_caption, swappable, swapped, timestamped
from data_specs.scope import AGAINST_BEFORE, ORDER, RETURN, WHOLE, sentences, without
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.caption.rules.captioner import write_draft
from tests.tasks.caption.songs import random_song

GLOBAL = "The music is warm. It lasts three minutes. It builds towards the bridge. Its tempo is brisk."
NOUNS = (
    "horns reeds bells pads keys organs flutes harps fiddles choirs congas toms cymbals hats claps basses leads pianos"
    " violas oboes"
).split()


def _sections(
    letters: str, labels: Sequence[str] | None = None, texts: Sequence[str] = ()
) -> tuple[SectionCaption, ...]:
    return tuple(
        SectionCaption(
            start_s=17.3 * i,
            end_s=17.3 * (i + 1),
            label=labels[i] if labels else "section",
            letter=letter,
            description=texts[i]
            if texts
            else (
                f"The {NOUNS[i]} play. {NOUNS[-i].title()} answer {NOUNS[i - 3]} softly, with {NOUNS[i - 5]} under"
                f" {NOUNS[-i - 1]}. Somewhere {NOUNS[i - 7]} join {NOUNS[i - 9]} lightly."
            ),
            writer="model",
        )
        for i, letter in enumerate(letters)
    )


def _caption(sections: tuple[SectionCaption, ...], global_text: str = GLOBAL) -> Caption:
    draft = Draft(global_text=global_text, attributes=Attributes(), sections=sections, anchored=True)
    return assemble("t", draft, captioner="rules-2", model=None, prompt=None, version=0, seed=0)


def _rules_captions(number: int) -> list[Caption]:
    captions = []
    for seed in range(number):
        audio, structure = random_song(seed, num_sections=3 + seed % 9, duration_s=100.0 + seed)
        draft = write_draft(audio, structure, "s", 250)
        captions.append(
            assemble(structure.track_id, draft, captioner="rules-2", model=None, prompt=None, version=0, seed=0)
        )
    return captions


def _repetition(text: str) -> float:
    tokens = words(text)
    grams = list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
    return 1 - len(set(grams)) / len(grams)


def test_clock_leads_name_times_and_labels_in_order() -> None:
    labels = ("intro", "verse", "section", "chorus", "verse", "outro")
    sections = _sections("ABCDBE", labels)
    for seed in map(str, range(20)):
        first, *paragraphs = timestamped(GLOBAL, sections, seed).split("\n\n")
        assert first == GLOBAL
        for section, paragraph in zip(sections, paragraphs, strict=True):
            lead = paragraph[: -len(section.description)]
            assert re.findall(r"\d+:\d\d", lead) == [clock(section.start_s), clock(section.end_s)]
            assert (section.label in lead) == (section.label != "section")
            assert paragraph.casefold().endswith(section.description.casefold())


def test_order_leads_say_first_last_and_return() -> None:
    sections = _sections("ABABCA")
    for seed in map(str, range(20)):
        text = clock_free(GLOBAL, sections, seed)
        leads = [p[: -len(s.description)] for p, s in zip(text.split("\n\n")[1:], sections, strict=True)]
        assert not re.search(r"\d:\d", text)
        assert re.match(r"First|To begin|At |In the beginning|To start", leads[0])
        for index in (2, 3):
            assert re.search(r"returns|Once|Again", leads[index]), leads
        for index in (1, 4):
            assert not re.search(r"returns|more|again", leads[index]), leads
        assert re.match(r"Finally|To close|In the end", leads[5])


def test_a_lead_does_not_say_again_what_the_words_say() -> None:
    sections = _sections("ABAB", texts=["The drums play.", "The bass plays.", "The drums return.", "Bass comes back."])
    assert not re.search(r"music returns", clock_free("", sections, "x"))


def test_the_same_letter_twice_goes_on_and_one_section_has_no_order() -> None:
    second = clock_free("", _sections("AAB"), "x").split("\n\n")[1]
    assert second.startswith(tuple(re.split(r"[:,]", lead)[0] for lead in LEADS["same"]))
    (only,) = _sections("A")
    assert clock_free("", [only], "x") == only.description
    assert timestamped("", [only], "x").endswith(only.description[1:])


@pytest.mark.parametrize("labels", [["section"] * 20, ["verse", "chorus", "verse", "chorus", "bridge"] * 4])
def test_leads_hardly_repeat_themselves_even_in_twenty_sections(labels: list[str]) -> None:
    sections = _sections("ABABC" * 4, labels)
    bare = _repetition("\n\n".join(s.description for s in sections))
    for seed in map(str, range(10)):
        for text in (timestamped(GLOBAL, sections, seed), clock_free(GLOBAL, sections, seed)):
            assert _repetition(text) < bare + 0.04 < 0.05


def test_seeds_choose_leads_and_nothing_else() -> None:
    sections = _sections("ABCABC")
    texts = {clock_free(GLOBAL, sections, str(seed)) for seed in range(20)}
    assert len(texts) > 15
    assert clock_free(GLOBAL, sections, "1") == clock_free(GLOBAL, sections, "1")


@pytest.mark.parametrize(
    ("text", "folds"),
    [
        ("The drums play.", True),
        ("A soft pad.", True),
        ("A minor chords ring.", False),
        ("A-flat is held.", False),
        ("Am and F alternate.", False),
        ("Rhodes chords ring.", False),
        ("EDM drums play.", False),
        ("3 dB louder, it goes.", True),
    ],
)
def test_only_words_that_are_no_names_lose_their_capital(text: str, folds: bool) -> None:
    assert foldable(text) == folds
    rendered = timestamped("", _sections("A", texts=[text]), "x")
    assert (text in rendered) == (not folds or not text[0].isupper())


def test_a_bag_holds_sentences_without_order_in_a_drawn_order() -> None:
    sections = _sections("ABC", texts=["Drums play. Then they stop.", "Bass hums.", "Finally it ends."])
    bags = {order_free("Warm music. It begins softly.", sections, str(seed)) for seed in range(20)}
    assert {frozenset(bag.split("\n\n")) for bag in bags} == {frozenset({"Warm music.", "Drums play.", "Bass hums."})}
    assert len(bags) == 2
    assert all(bag.startswith("Warm music.") for bag in bags)


def test_bags_of_real_captions_have_no_order_and_lose_no_orderless_sentence() -> None:
    for caption in _rules_captions(30):
        told = [caption.global_text, *(s.description for s in caption.sections)]
        # Naively: every sentence that stays, counted, and none of the words of order.
        expected = Counter(s for text in told for s in sentences(text) if not ORDER.search(s))
        assert Counter(sentences(caption.order_free_text)) == expected
        assert expected
        assert not re.search(
            r"\b(first|then|next|finally|last|returns?|again|before|after|third|opens)\b|\d:\d",
            caption.order_free_text,
            re.I,
        )


@pytest.mark.parametrize(
    ("sentence", "is_order", "is_whole"),
    [
        ("There are 3.2 onsets per second.", False, False),
        ("It has some 3.2 onsets a second.", False, False),
        ("The tempo is brisk.", False, False),
        ("The tone is close to white noise.", False, False),
        ("Laid-back drums play.", False, False),
        ("It is the second section.", True, True),
        ("Section A returns a second time.", True, True),
        ("It opens with a piano.", True, True),
        ("The twenty-first round is loud.", True, True),
        ("The form runs A, B, A.", True, False),
        ("The song lasts three minutes.", False, True),
        ("Strings play throughout.", False, True),
        ("It fades out.", False, True),
        ("The song ends softly.", True, True),
        ("Here it is 3 dB louder than the track's average.", False, True),
        ("The third section is the loudest.", True, True),
        ("The chorus is heard three times.", False, True),
    ],
)
def test_how_far_a_sentence_reaches(sentence: str, is_order: bool, is_whole: bool) -> None:
    assert bool(ORDER.search(sentence)) == is_order
    assert bool(WHOLE.search(sentence)) == is_whole
    assert without(ORDER, f"{sentence} Bass hums.") == ("Bass hums." if is_order else f"{sentence} Bass hums.")


def test_a_crop_counts_from_its_start_and_forgets_the_rest() -> None:
    texts = [
        "The piano opens the piece.",
        "The drums enter. A deep bass hums.",
        "The drums return. It is bright.",
        "It ends on a long chord.",
    ]
    sections = _sections("ABBC", ("intro", "verse", "verse", "bridge"), texts)
    crop = sub_caption(_caption(sections), 1, 2)
    assert (crop.start_s, crop.end_s) == (17.3, pytest.approx(51.9))
    assert re.findall(r"\d+:\d\d", crop.timestamped) == ["0:00", "0:17", "0:17", "0:35"]
    global_text, first, second = crop.clock_free.split("\n\n")
    assert global_text == "The music is warm. Its tempo is brisk."  # no length, no bridge in the crop
    assert "drums enter" not in first  # of what was before, the crop has nothing
    assert "deep bass hums" in first
    assert "drums return" in second  # the same letter is heard in the crop
    assert "drums return" not in sub_caption(_caption(sections), 2, 3).clock_free
    assert sub_caption(_caption(sections), 0, 0).timestamped.endswith("the music goes on.")


def test_a_crop_of_which_nothing_general_holds_has_a_global_paragraph_all_the_same() -> None:
    caption = replace(_caption(_sections("ABC")), global_text="The song lasts three minutes.")
    for first, last in ((0, 0), (0, 1), (1, 2)):
        crop = sub_caption(caption, first, last)
        for text in (crop.timestamped, crop.clock_free, crop.order_free):
            assert text.split("\n\n")[0] == "This is part of a longer piece."
        assert len(crop.clock_free.split("\n\n")) == 1 + last - first + 1
    assert sub_caption(caption, 0, 2).clock_free.startswith("The song lasts three minutes.")


def test_the_whole_run_keeps_every_sentence() -> None:
    for caption in _rules_captions(5):
        whole = sub_caption(caption, 0, len(caption.sections) - 1)
        assert whole.clock_free.split("\n\n")[0] == caption.global_text
        for section in caption.sections:
            assert section.description.casefold() in whole.timestamped.casefold()


def test_crops_of_real_captions_claim_nothing_beyond_them() -> None:
    for caption in _rules_captions(25):
        for first, last in combinations(range(len(caption.sections)), 2):
            if last - first + 1 == len(caption.sections):
                continue
            crop = sub_caption(caption, first, last)
            parts = crop.clock_free.split("\n\n")[-(last - first + 1) :]
            told = " ".join(re.sub(r"^[^:,]*[:,]", "", part) for part in parts)  # without leads
            assert not re.search(r"\b(whole|average|overall|statement|hearing|appearance|the track)\b", told), told
            assert not re.search(r"\bthan before|section \w returns|enters\b", parts[0].split(".")[0]), parts[0]
            times = [int(m) * 60 + int(s) for m, s in re.findall(r"(\d+):(\d\d)", crop.timestamped)]
            assert times == sorted(times)
            assert times[-1] == round(crop.end_s - crop.start_s)


@pytest.mark.parametrize(("first", "last"), [(-1, 1), (2, 1), (0, 4)])
def test_a_run_outside_of_the_caption_is_an_error(first: int, last: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.3"):
        sub_caption(_caption(_sections("ABCD")), first, last)


def test_a_swap_has_the_same_words_at_other_places() -> None:
    checked = 0
    for caption in [*_rules_captions(30), _caption(_sections("ABCDBCAE"))]:
        for i, j in swappable(caption):
            negative = swapped(caption, i, j)
            assert negative != caption.clock_free_text
            assert Counter(negative.split()) == Counter(caption.clock_free_text.split())
            paragraphs, before = negative.split("\n\n"), caption.clock_free_text.split("\n\n")
            assert [k for k, (a, b) in enumerate(zip(paragraphs, before, strict=True)) if a != b] == [i + 1, j + 1]
            assert paragraphs[i + 1].casefold().endswith(caption.sections[j].description.casefold())
            assert paragraphs[j + 1].casefold().endswith(caption.sections[i].description.casefold())
            checked += 1
    assert checked > 30


def test_swappable_pairs_are_those_of_a_naive_search() -> None:
    letters = "ABCBDCBAE"
    labels = ("section",) * 6 + ("outro", "section", "section")
    caption = _caption(_sections(letters, labels))
    expected = []
    for i in range(1, 8):
        for j in range(i + 1, 8):
            returns = [letters.index(letters[k]) < k for k in (i, j)]
            if letters[i] != letters[j] and returns[0] == returns[1] and 6 not in (i, j):
                expected.append((i, j))
    assert swappable(caption) == expected
    alike = replace(caption.sections[2], description=caption.sections[1].description.upper())
    assert (1, 2) in expected
    assert (1, 2) not in swappable(replace(caption, sections=(*caption.sections[:2], alike, *caption.sections[3:])))


def test_swaps_that_may_be_true_or_cannot_be_made_are_errors() -> None:
    caption = _caption(_sections("ABCB"))
    with pytest.raises(ValueError, match="both B"):
        swapped(caption, 1, 3)
    with pytest.raises(ValueError, match="paragraphs"):
        swapped(replace(caption, clock_free_text="One paragraph."), 1, 2)
    with pytest.raises(ValueError, match="does not end"):
        swapped(replace(caption, clock_free_text=caption.clock_free_text + " More."), 2, 3)


def test_comparisons_with_the_section_before_are_known() -> None:
    for text in ("The level rises by 3 dB.", "It is softer than before.", "The chords stay.", "Percussion enters."):
        assert AGAINST_BEFORE.search(text)
    assert not AGAINST_BEFORE.search("It is dense and bright, with steady percussion and light bass.")
    assert RETURN.search("The drums return.")
    assert not RETURN.search("A laid-back groove.")
