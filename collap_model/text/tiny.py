"""A small text tower that needs nothing but the training captions: its tokenizer is trained on the spot.

Made for some hundred captions and a CPU: it reads each token with its neighbours through one lookup
per offset (a convolution over one-hot tokens), then lets a few learned queries pick what matters.

Numbers get, beside their own token, their place on a logarithmic scale: "117 BPM" is understood
next to 116 and 118 even where it never occurred in training. (Asked for a tempo alone, a model of
160 rendered songs put tracks 0.15 octaves off on top; without the scale 0.24, by guessing 0.26.)

Shapes: I texts, L tokens, W width, H queries, V vocabulary, R places on the number scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn

from collap_model.text.tower import TextStates, TextTower, check_architecture, read_form

__all__ = ["TinyTower", "train_tokenizer"]

_PAD = "<pad>"
_NUMBERS = range(0, 1001)
_VOCABULARY = 8000
_CHORD = r"\b[A-G](?:#|b|\u266f|\u266d)?(?:maj|min|m|dim|aug|sus)?(?![\w#])"
"""``A``, ``C#m``, ``Bdim``: a name of its own, however it is joined to the next (``C#m-F#-B``)."""
_INITIAL_STD = 0.01
"""Adam moves a weight by about its learning rate a step and a norm follows, so embeddings that begin small
learn in tens of steps what takes those of usual size hundreds."""
_OFFSETS = (0, -1, 1, -2, 2)
"""Neighbours a token is read with."""


def train_tokenizer(captions: Sequence[str]) -> Tokenizer:
    """Byte-level BPE on ``captions``: any text can be read. Whole numbers to 1000 are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(Regex(rf"{_CHORD}|\p{{L}}+|\p{{N}}|[^\p{{L}}\p{{N}}]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.add_tokens([AddedToken(str(number), single_word=True) for number in _NUMBERS])
    return tokenizer


class TinyTower(TextTower):
    """Token and neighbour embeddings, attention pooling by learned queries, 1024 tokens."""

    architecture = "tiny"

    def __init__(self, tokenizer: Tokenizer, *, width: int = 128, num_queries: int = 8, dropout: float = 0.1) -> None:
        super().__init__(tokenizer, width=width, max_tokens=1024, pad_id=_token_id(tokenizer, _PAD))
        self.dropout = dropout
        places_VR = _number_places(tokenizer)
        self.register_buffer("places_VR", places_VR, persistent=False)
        size = tokenizer.get_vocab_size()
        tables = [nn.Embedding(size, width) for _ in _OFFSETS]
        scales = [nn.Linear(places_VR.shape[1], width, bias=False) for _ in _OFFSETS]
        for weight in [layer.weight for layer in tables] + [layer.weight for layer in scales]:
            nn.init.normal_(weight, std=_INITIAL_STD)
        self.words = nn.ModuleList(tables)
        self.numbers = nn.ModuleList(scales)
        self.read = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout))
        self.queries = nn.Linear(width, num_queries, bias=False)
        self.mix = nn.Linear(num_queries * width, width)

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> TextStates:
        states_ILW = self.read(self._with_neighbours(ids_IL.masked_fill(~mask_IL, self.pad_id)))
        weights_ILH = self.queries(states_ILW).masked_fill(~mask_IL.unsqueeze(-1), -torch.inf).softmax(1)
        picked_IHW = weights_ILH.transpose(1, 2) @ states_ILW
        return TextStates(pooled_IW=self.mix(picked_IHW.flatten(1)), states_ILW=states_ILW)

    def _with_neighbours(self, ids_IL: Tensor) -> Tensor:
        """Sum over offsets of the neighbour's embedding ``[I, L, W]``; beyond the ends stands padding."""
        reach = max(map(abs, _OFFSETS))
        padded = nn.functional.pad(ids_IL, (reach, reach), value=self.pad_id)
        total = torch.zeros((), device=ids_IL.device)
        for offset, words, numbers in zip(_OFFSETS, self.words, self.numbers, strict=True):
            # One table per offset, built per step: the vocabulary is smaller than a batch of texts.
            table_VW = words.weight + numbers(self.places_VR)
            first = reach + offset
            total = total + nn.functional.embedding(padded[:, first : first + ids_IL.shape[1]], table_VW)
        return total

    def save_form(self, folder: Path) -> None:
        self.reader.save(str(folder / "tokenizer.json"))
        form = {
            "model_type": self.architecture,
            "width": self.width,
            "num_queries": self.queries.out_features,
            "dropout": self.dropout,
        }
        (folder / "config.json").write_text(json.dumps(form, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_form(cls, folder: Path) -> TinyTower:
        form = read_form(folder)
        check_architecture(form, cls.architecture, folder)
        sizes = {name: value for name, value in form.items() if name != "model_type"}
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")), **sizes)


def _number_places(tokenizer: Tokenizer) -> Tensor:
    """``[V, R]``: zero but for number tokens, which have a bump of a tenth of an octave or so at their logarithm."""
    centres_R = torch.arange(0.0, math.log2(1002), 0.125)
    places_VR = torch.zeros(tokenizer.get_vocab_size(), len(centres_R))
    for number in _NUMBERS:
        place_R = torch.exp(-0.5 * ((math.log2(number + 1) - centres_R) / 0.125) ** 2)
        places_VR[_token_id(tokenizer, str(number))] = place_R
    return places_VR


def _token_id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ValueError(f"tokenizer has no token {token!r}; it was not made by train_tokenizer")
    return number
