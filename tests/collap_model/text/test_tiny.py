from __future__ import annotations

import torch

from collap_model.text.tiny import TinyTower, train_tokenizer
from tests.collap_model.text.conftest import CAPTIONS


def test_its_tokenizer_is_the_same_every_time_and_keeps_numbers_whole() -> None:
    first, second = train_tokenizer(CAPTIONS), train_tokenizer(CAPTIONS)
    assert first.to_str() == second.to_str()
    known = {first.id_to_token(number) for number in first.encode("117 BPM at 3.5 dB", add_special_tokens=False).ids}
    assert {"117", "3", "5"} <= known
    assert first.token_to_id("1001") is None


@torch.no_grad()
def test_reads_numbers_it_never_saw_by_their_size() -> None:
    tower = TinyTower(train_tokenizer(CAPTIONS)).eval()
    for words in tower.words:
        words.weight.zero_()  # leaves the number scale alone
    tokens = tower.tokenize(["at 117 BPM", "at 119 BPM", "at 60 BPM"])
    near, close, far = tower(tokens.ids_IL, tokens.mask_IL).pooled_IW
    assert (near - close).norm() < 0.5 * (near - far).norm()
