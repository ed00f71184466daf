"""Decodes JSON Schemas with random tokens under llguidance, as vLLM's guidance backend sets it up.

    python random_decoder.py SEED < schemas > texts

One JSON value per line in and out. Run by the interpreter that has vLLM; one token per byte, so that nothing
but the grammar shapes the text.
"""

from __future__ import annotations

import json
import random
import sys

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper  # type: ignore[import-not-found,unused-ignore]

MAX_BYTES = 400_000
_END = 256


class Bytes:
    """The least that ``TokenizerWrapper`` asks of a tokenizer."""

    eos_token_id = _END
    bos_token_id = None
    special_token_ids = (_END,)
    tokens = (*(bytes([value]) for value in range(256)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


def decode(tokenizer: LLTokenizer, schema: str, rng: random.Random) -> str:
    """One text that the grammar lets through.

    Raises:
        ValueError: the schema does not compile, or the text does not end.
    """
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False}))
    text = bytearray()
    while not matcher.is_stopped() and not matcher.get_error():
        mask = matcher.compute_bitmask()
        allowed = [token for token in range(_END) if mask[token // 8] >> token % 8 & 1]
        if not allowed:
            break
        token = rng.choice(allowed)
        matcher.consume_token(token)
        text.append(token)
        if len(text) > MAX_BYTES:
            raise ValueError(f"no end within {MAX_BYTES} bytes")
    if matcher.get_error():
        raise ValueError(matcher.get_error())
    return text.decode()


if __name__ == "__main__":
    chance = random.Random(int(sys.argv[1]))
    byte_tokenizer = LLTokenizer(TokenizerWrapper(Bytes()), n_vocab=_END + 1)
    for line in sys.stdin:
        print(json.dumps(decode(byte_tokenizer, line, chance)), flush=True)
