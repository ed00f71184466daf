"""From captions to padded token ids, with a count of what did not fit.

Shapes: I texts, L tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from collap_model.text.shorten import shorten

__all__ = ["TokenBatch", "token_batch"]

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """Right-padded token ids."""

    ids_IL: Tensor
    mask_IL: Tensor
    """True on real tokens, those that the tower itself puts before and after a text among them."""
    words_IL: Tensor
    """True on the text's own tokens; every text has at least one."""
    num_truncated: int
    """Texts that were shortened because the tower does not read that far."""
    num_tokens_lost: int
    """Tokens that they lost by it, together."""

    def to(self, device: torch.device) -> TokenBatch:
        return TokenBatch(
            ids_IL=self.ids_IL.to(device, non_blocking=True),
            mask_IL=self.mask_IL.to(device, non_blocking=True),
            words_IL=self.words_IL.to(device, non_blocking=True),
            num_truncated=self.num_truncated,
            num_tokens_lost=self.num_tokens_lost,
        )

    def split(self, size: int) -> Iterator[TokenBatch]:
        """``size`` texts at a time, padded to their own longest."""
        lengths: list[int] = self.mask_IL.sum(1).tolist()
        for first in range(0, len(lengths), size):
            rows, longest = slice(first, first + size), max(lengths[first : first + size])
            ids_IL, mask_IL, words_IL = (
                values_IL[rows, :longest] for values_IL in (self.ids_IL, self.mask_IL, self.words_IL)
            )
            yield replace(self, ids_IL=ids_IL, mask_IL=mask_IL, words_IL=words_IL)


def token_batch(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    pad_id: int,
    max_tokens: int,
    before: tuple[int, ...] = (),
    after: tuple[int, ...] = (),
) -> TokenBatch:
    """Tokens of every text between ``before`` and ``after``, shortened to ``max_tokens``, padded to the longest.

    A lone surrogate, which no encoding can write, is read as U+FFFD; every other character as it is.

    Raises:
        ValueError: no texts, or one without a word; named by its index.
        TypeError: a text that is no string, or one string in place of a sequence of them.
    """
    _check(texts)
    _read_plainly(tokenizer)
    whole = [_LONE_SURROGATE.sub("\ufffd", text) for text in texts]
    room = max_tokens - len(before) - len(after)
    rows, num_truncated, num_tokens_lost = [], 0, 0
    for index, encoding in enumerate(tokenizer.encode_batch(whole, add_special_tokens=False)):
        ids: list[int] = encoding.ids
        if not ids:
            raise ValueError(f"text {index}, {whole[index][:40]!r}, has no token in this tokenizer's vocabulary")
        if len(ids) > room:
            kept = shorten(whole[index], [start for start, _ in encoding.offsets], room)
            num_truncated += 1
            num_tokens_lost += len(ids) - len(kept)
            ids = [ids[token] for token in kept]
        rows.append(ids)
    lengths_I = torch.tensor([len(row) for row in rows])
    longest = len(before) + int(lengths_I.max()) + len(after)
    padding = [[pad_id] * (longest - len(before) - len(row) - len(after)) for row in rows]
    place_L = torch.arange(longest) - len(before)
    return TokenBatch(
        ids_IL=torch.tensor([[*before, *row, *after, *rest] for row, rest in zip(rows, padding, strict=True)]),
        mask_IL=place_L < (lengths_I + len(after)).unsqueeze(1),
        words_IL=(place_L >= 0) & (place_L < lengths_I.unsqueeze(1)),
        num_truncated=num_truncated,
        num_tokens_lost=num_tokens_lost,
    )


def _check(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise TypeError(f"texts must be a sequence of strings, got the one string {texts[:40]!r}; put it into a list")
    if len(texts) == 0:
        raise ValueError("there are no texts to tokenize; at least one is needed")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {index} is {text!r:.40}, a {type(text).__name__}; expected a string")
        # Letters, numbers and symbols say something: an emoji is a symbol.
        if not any(unicodedata.category(character)[0] in "LNS" for character in text):
            raise ValueError(f"text {index}, {text[:40]!r}, has no word; a caption needs a letter, number or symbol")


def _read_plainly(tokenizer: Tokenizer) -> None:
    """Have it read a text as it stands: uncut, unpadded, ``</s>`` in a caption as the characters it is made of.

    Saved tokenizers may hold a cut of their own, which would be a silent one. Asked for at every use, as a
    copied tokenizer forgets it.
    """
    if not tokenizer.encode_special_tokens:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
