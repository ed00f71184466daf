"""From any text to ids: what is refused, what is replaced, what is counted. Every tower does the same."""

from __future__ import annotations

import copy

import pytest
import torch
from tokenizers import Tokenizer, models

from collap_model.text import TextTower
from collap_model.text.tokens import token_batch
from tests.collap_model.text.conftest import CAPTIONS, MAX_TOKENS


def spoken(tower: TextTower, text: str) -> str:
    """What the tower reads of ``text``, white space aside: one of the tokenizers leaves it out."""
    tokens = tower.tokenize([text])
    ids = tokens.ids_IL[tokens.words_IL].tolist()
    return "".join(tower.reader.decode(ids, skip_special_tokens=False).split())


def test_ids_are_padded_on_the_right_between_the_towers_own_tokens(tower: TextTower) -> None:
    tokens = tower.tokenize(["A dark song", CAPTIONS[0]])
    for ids_L, mask_L, words_L in zip(tokens.ids_IL, tokens.mask_IL, tokens.words_IL, strict=True):
        length = int(mask_L.sum())
        assert mask_L.tolist() == [True] * length + [False] * (len(mask_L) - length)
        assert set(ids_L[length:].tolist()) <= {tower.pad_id}
        inner = words_L.nonzero().flatten().tolist()
        assert inner == list(range(len(tower.before), length - len(tower.after)))
        assert tuple(ids_L[: inner[0]].tolist()) == tower.before
        assert tuple(ids_L[inner[-1] + 1 : length].tolist()) == tower.after
    assert tokens.mask_IL[0].sum() < tokens.mask_IL[1].sum() == tokens.ids_IL.shape[1]
    assert (tokens.num_truncated, tokens.num_tokens_lost) == (0, 0)


def test_long_texts_are_shortened_and_counted(tower: TextTower) -> None:
    texts = ["A dark song", "it grows, " * 400]
    tokens = tower.tokenize(texts)
    whole = len(tower.reader.encode(texts[1], add_special_tokens=False).ids)
    kept = int(tokens.words_IL[1].sum())
    assert tokens.num_truncated == 1
    assert tokens.num_tokens_lost == whole - kept
    assert tokens.ids_IL.shape[1] <= MAX_TOKENS
    assert kept > 0.7 * MAX_TOKENS


def test_a_text_that_just_fits_is_left_whole(tower: TextTower) -> None:
    room = MAX_TOKENS - len(tower.before) - len(tower.after)
    fits = tower.tokenize(["a" + "?" * (room - 1)])
    assert (fits.ids_IL.shape[1], fits.num_truncated) == (MAX_TOKENS, 0)
    over = tower.tokenize(["a" + "?" * room])
    assert over.num_truncated == 1
    assert over.num_tokens_lost >= 1


@torch.no_grad()
def test_twenty_thousand_words(tower: TextTower) -> None:
    tokens = tower.tokenize(["dark " * 20_000])
    assert tokens.num_truncated == 1
    assert tokens.num_tokens_lost > 19_000
    assert tower(tokens.ids_IL, tokens.mask_IL).pooled_IW.isfinite().all()


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x07", "\ud83d", "\u200b", "...", "-"])
def test_a_text_without_a_word_is_refused_by_its_number(tower: TextTower, text: str) -> None:
    with pytest.raises(ValueError, match=r"^text 1, .*has no word"):
        tower.tokenize(["A dark song", text])


@torch.no_grad()
@pytest.mark.parametrize("text", ["🎵", "日本の歌", "Ünïcode", "♯", "7", "👩‍🎤 \U0001f3b8"])
def test_any_script_and_emoji_are_read_as_they_are(tower: TextTower, text: str) -> None:
    assert spoken(tower, text) == "".join(text.split())
    tokens = tower.tokenize([text])
    assert tower(tokens.ids_IL, tokens.mask_IL).pooled_IW.isfinite().all()


def test_lone_surrogates_are_read_as_the_replacement_character(tower: TextTower) -> None:
    assert spoken(tower, "dark \ud83d song \udfff") == "dark\ufffdsong\ufffd"


def test_control_characters_are_read_as_they_are(tower: TextTower) -> None:
    assert spoken(tower, "dark\x00song\x07\x7f") == "dark\x00song\x07\x7f"


@pytest.mark.parametrize("mark", ["<s>", "</s>", "<pad>", "<mask>", "<|endoftext|>", "[CLS]", "[SEP]", "[PAD]"])
def test_a_special_tokens_name_in_a_caption_is_text(tower: TextTower, mark: str) -> None:
    tokens = tower.tokenize([f"A dark {mark} song"])
    special = {token for token, added in tower.reader.get_added_tokens_decoder().items() if added.special}
    assert special
    assert special.isdisjoint(tokens.ids_IL[tokens.words_IL].tolist())
    assert spoken(tower, f"A dark {mark} song") == f"Adark{mark}song"
    assert torch.equal(copy.deepcopy(tower).tokenize([f"A dark {mark} song"]).ids_IL, tokens.ids_IL)


def test_other_mistakes_are_named(tower: TextTower) -> None:
    with pytest.raises(ValueError, match="no texts"):
        tower.tokenize([])
    with pytest.raises(TypeError, match="put it into a list"):
        tower.tokenize("A dark song")
    with pytest.raises(TypeError, match="text 1 is nan, a float"):
        tower.tokenize(["A dark song", float("nan")])  # type: ignore[list-item]


def test_moves_whole(tower: TextTower) -> None:
    tokens = tower.tokenize(["A dark song", "it grows " * 400])
    moved = tokens.to(torch.device("meta"))
    assert {moved.ids_IL.device.type, moved.mask_IL.device.type, moved.words_IL.device.type} == {"meta"}
    assert (moved.num_truncated, moved.num_tokens_lost) == (1, tokens.num_tokens_lost)


def test_a_text_that_the_vocabulary_cannot_write_is_refused() -> None:
    letters = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    assert token_batch(letters, ["ab"], pad_id=0, max_tokens=9).ids_IL.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"text 1, '日本', has no token"):
        token_batch(letters, ["ab", "日本"], pad_id=0, max_tokens=9)
