from __future__ import annotations

import csv
import math
import random
from collections import Counter
from pathlib import Path

import pytest

from data_specs.leads import words
from data_specs.scope import sentences
from tasks.caption.validate import repetition
from tasks.reporting.captions import diversity as module
from tasks.reporting.captions.checks import HUMAN_OPENING_SHARE, HUMAN_SENTENCE_SHARE
from tasks.reporting.captions.diversity import HUMAN, DiversityTally, bleu, count_grams, diversity, rank, self_bleu
from tests.tasks.reporting.captions.made import sentence

MUSICCAPS = Path(__file__).resolve().parents[5] / "shared" / "data" / "musiccaps" / "musiccaps-public.csv"


def score(candidate: list[str], references: list[list[str]]) -> float:
    return bleu(count_grams(candidate), [count_grams(reference) for reference in references])


def naive_bleu(candidate: list[str], references: list[list[str]]) -> float:
    """The paper's formulas, read off one by one."""
    precisions = []
    for n in (1, 2, 3, 4):
        mine = [tuple(candidate[i : i + n]) for i in range(len(candidate) - n + 1)]
        clipped = 0
        for gram in set(mine):
            allowed = 0
            for reference in references:
                theirs = [tuple(reference[i : i + n]) for i in range(len(reference) - n + 1)]
                allowed = max(allowed, theirs.count(gram))
            clipped += min(mine.count(gram), allowed)
        precisions.append((clipped if clipped else 0.1) / len(mine))
    lengths = sorted(len(reference) for reference in references)
    closest = min(lengths, key=lambda length: abs(length - len(candidate)))
    penalty = 1.0 if len(candidate) > closest else math.exp(1 - closest / len(candidate))
    return penalty * math.prod(precisions) ** 0.25


def test_bleu_counts_a_word_as_often_as_one_reference_has_it() -> None:
    """The example of Papineni et al., section 2.1: two of seven, not seven of seven."""
    references = ["the cat is on the mat".split(), "there is a cat on the mat".split()]
    expected = (2 / 7 * 0.1 / 6 * 0.1 / 5 * 0.1 / 4) ** 0.25
    assert score(["the"] * 7, references) == pytest.approx(expected)


def test_bleu_equals_its_naive_twin() -> None:
    rng = random.Random(1)
    for _ in range(200):
        texts = [rng.choices("abcdefg", k=rng.randint(4, 30)) for _ in range(rng.randint(2, 6))]
        assert score(texts[0], texts[1:]) == pytest.approx(naive_bleu(texts[0], texts[1:]))


def test_bleu_of_equal_and_of_too_short_texts() -> None:
    assert score("a b c d e".split(), ["a b c d e".split()]) == pytest.approx(1.0)
    assert score("a b c".split(), ["a b c".split()]) == 0.0


def test_self_bleu_tells_copies_from_texts_that_share_no_word() -> None:
    assert self_bleu([f"one two three four {end}".split() for end in "xxxx"], "0") == 1.0
    strangers = [[f"{letter}{i}" for i in range(12)] for letter in "abcdef"]
    assert self_bleu(strangers, "0") < 0.02
    assert self_bleu(strangers[:1], "0") == 0.0


def test_the_tally_counts_as_sets_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MERGE_AT", 50)
    rng = random.Random(2)
    texts = {f"t{i}": " ".join(sentence(rng) for _ in range(rng.randint(1, 6))) for i in range(60)}
    tally = DiversityTally("0")
    for name, text in texts.items():
        tally.add(name, text, words(text), repetition(text))
    drawn = sorted(texts, key=lambda name: rank("0", name))
    assert tally.whole() == diversity([words(texts[name]) for name in drawn], "0")


def test_the_tally_does_not_depend_on_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is smaller than the collection, so that another order could draw another one."""
    monkeypatch.setattr(
        module, "HUMAN", module.Diversity(**{**module_fields(HUMAN), "num_texts": 20, "num_words": 200})
    )
    rng = random.Random(3)
    texts = [(f"t{i}", " ".join(sentence(rng) for _ in range(4))) for i in range(60)]
    results = []
    for _ in range(2):
        tally = DiversityTally("0")
        for name, text in texts:
            tally.add(name, text, words(text), 0.125)
        results.append((tally.whole(), tally.stretches()))
        rng.shuffle(texts)
    assert results[0] == results[1]
    assert (results[0][1].num_texts, results[0][1].num_words) == (20, 200)


def module_fields(record: module.Diversity) -> dict[str, float]:
    return {name: getattr(record, name) for name in record.__slots__}


def test_nothing_is_counted_of_nothing() -> None:
    tally = DiversityTally("0")
    assert tally.whole() == tally.stretches() == diversity([], "0")


def test_what_people_reach_is_what_our_code_measures() -> None:
    if not MUSICCAPS.exists():
        pytest.skip(f"no {MUSICCAPS}")
    with open(MUSICCAPS, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["is_audioset_eval"] == "True"]
    rows.sort(key=lambda row: rank("0", row["ytid"]))
    texts = [words(row["caption"]) for row in rows]
    measured = diversity(texts, "0")
    assert (measured.num_texts, measured.num_words, measured.vocabulary) == (2858, HUMAN.num_words, HUMAN.vocabulary)
    for name in ("distinct_1", "distinct_2", "self_bleu", "repetition"):
        assert getattr(measured, name) == pytest.approx(getattr(HUMAN, name), rel=0.005)
    openings = Counter(" ".join(text[:5]) for text in texts)
    assert openings.most_common(1)[0][1] / len(texts) == pytest.approx(HUMAN_OPENING_SHARE, abs=0.0005)
    said = Counter(line for row in rows for line in {s.casefold() for s in sentences(row["caption"])})
    assert said.most_common(1)[0][1] / len(texts) == pytest.approx(HUMAN_SENTENCE_SHARE, abs=0.0005)
