"""The CoLLAP model: clips and texts in one space, and the score between them.

    features of clips -> standardise -> projection with residual -> unit ``clips_JKD``    }
    caption -> text tower -> projection -> unit ``text_ID``, ``parts_IPD`` where needed   } -> scores_IJ

Shapes: I texts, J tracks, K clips, L tokens, P parts, E encoder dim (all encoders), W tower width, D joint dim.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from collap_model.bounded import BoundedScale
from collap_model.card import write_card
from collap_model.form import ModelForm, read_form
from collap_model.hearing import Audio, Ears, clip_spans
from collap_model.hub import local_folder, push_folder
from collap_model.layers import AudioHead
from collap_model.saved import FORM, TEXT, WEIGHTS, check_whole, load_weights
from collap_model.score import FUSIONS_OF_PARTS, Score
from collap_model.text import TextTower, TokenBatch, tower_from_form
from collap_model.text.parts import pool_parts
from collap_model.text.texts import Texts
from collap_model.tracks import Tracks

__all__ = ["CoLLAP", "ModelForm"]

_TEXTS_AT_ONCE = 64


class CoLLAP(nn.Module):
    """Embeds clips and texts and scores them. Build from parts to train, ``from_pretrained`` to use.

    ``embed_audio``, ``embed_text``, ``score`` and ``attention_over_time`` are for use: without
    gradient and dropout, the same values on every call. ``embed_clips``, ``embed_texts`` and
    ``scorer`` are what training differentiates.
    """

    feature_mean_E: Tensor
    feature_std_E: Tensor

    def __init__(
        self, form: ModelForm, tower: TextTower, *, encoder_weights: Mapping[str, str | Path] | None = None
    ) -> None:
        super().__init__()
        self.form = form
        self.tower = tower
        self.register_buffer("feature_mean_E", torch.zeros(form.encoder_dim))
        self.register_buffer("feature_std_E", torch.ones(form.encoder_dim))
        self.audio = AudioHead([encoder.dim for encoder in form.encoders], form.dim, form.dropout)
        self.text = nn.Sequential(
            nn.LayerNorm(tower.width), nn.Dropout(form.dropout), nn.Linear(tower.width, form.dim, bias=False)
        )
        self.scorer = Score(form.fusion)
        self.scale = BoundedScale(1.0, 100.0, init=1.0 / form.temperature)
        # Not a module: frozen encoders are named in the form, their weights are not the model's.
        self._ears = Ears(form, encoder_weights or {})

    @property
    def device(self) -> torch.device:
        return self.feature_mean_E.device

    def set_feature_statistics(self, mean_E: Tensor, std_E: Tensor) -> None:
        """Of the training set, per feature. A feature that never varies gets a deviation of 1."""
        self.feature_mean_E.copy_(mean_E)
        self.feature_std_E.copy_(torch.where(std_E > 1e-4, std_E, 1.0))

    def embed_clips(self, clips_JKE: Tensor, mask_JK: Tensor) -> Tensor:
        """Unit ``clips_JKD`` in float32 from clip features, zero where masked, whatever the padding holds."""
        # By selection, not by product: 0 * NaN is NaN, and so is its gradient.
        clips_JKE = clips_JKE.masked_fill(~mask_JK.unsqueeze(-1), 0.0)
        standard_JKE = (clips_JKE - self.feature_mean_E) / self.feature_std_E
        clips_JKD = nn.functional.normalize(self.audio(standard_JKE).float(), dim=-1)
        return clips_JKD.masked_fill(~mask_JK.unsqueeze(-1), 0.0)

    def embed_texts(self, tokens: TokenBatch) -> Texts:
        """Unit vectors in float32: of the texts and, for the fusions that look at them, of their parts.

        Parts are the text's own tokens for ``token`` and its paragraphs for ``ordered``, through the texts' own head.
        """
        states = self.tower(tokens.ids_IL, tokens.mask_IL)
        text_ID = self._project(states.pooled_IW)
        if self.form.fusion not in FUSIONS_OF_PARTS:
            return Texts(text_ID=text_ID)
        parts_IPW, mask_IP = states.states_ILW, tokens.words_IL
        if self.form.fusion == "ordered":
            parts_IPW, mask_IP = pool_parts(parts_IPW, tokens.parts_IL)
        parts_IPD = self._project(parts_IPW).masked_fill(~mask_IP.unsqueeze(-1), 0.0)
        return Texts(text_ID=text_ID, parts_IPD=parts_IPD, parts_mask_IP=mask_IP)

    def _project(self, states_W: Tensor) -> Tensor:
        return nn.functional.normalize(self.text(states_W).float(), dim=-1)

    def embed_audio(self, audio: Audio | Sequence[Audio]) -> Tracks:
        """Hear files or samples: clips of ``form.clip_seconds`` each, of the whole track however long it is.

        Training and evaluation hear ``form.max_track_seconds`` at most; cut the samples to match their figures.

        Args:
            audio: a file of any format, rate and number of channels, or mono samples ``[T]`` at 16 kHz with full
                scale 1, or a list of these.

        Raises:
            ValueError: an empty list, unreadable or unusable audio, or encoder weights other than the model's.
            TypeError: neither a path nor samples.
            OSError: a file that is not there.
        """
        items = _listed(audio, (str, Path, np.ndarray, Tensor), "a path, samples")
        if not items:
            raise ValueError("no audio given: expected a path, samples, or a list of at least one of them")
        tracks = []
        with self._in_use():
            for clips_KE, num_samples in self._ears.clips(items, self.device):
                clips_JKE = torch.from_numpy(clips_KE).to(self.device).unsqueeze(0)
                mask_JK = torch.ones(clips_JKE.shape[:2], dtype=torch.bool, device=self.device)
                tracks.append(
                    Tracks(
                        clips_JKD=self.embed_clips(clips_JKE, mask_JK),
                        mask_JK=mask_JK,
                        spans_s=(clip_spans(num_samples, self.form.clip_seconds),),
                    )
                )
        return Tracks.join(tracks)

    def embed_text(self, text: str | Sequence[str]) -> Texts:
        """Read one text or several. Warns of texts that are longer than the tower reads, see ``text.shorten``.

        Raises:
            ValueError: no text, or one without a word.
            TypeError: no string.
        """
        items = _listed(text, (str,), "a string")
        tokens = self.tower.tokenize(items)
        if tokens.num_truncated:
            warnings.warn(
                f"{tokens.num_truncated} of {len(items)} texts are longer than the {self.tower.max_tokens} tokens that "
                f"the {self.form.text_tower} tower reads; {tokens.num_tokens_lost} tokens were left out",
                stacklevel=2,
            )
        with self._in_use():
            return Texts.join([self.embed_texts(chunk.to(self.device)) for chunk in tokens.split(_TEXTS_AT_ONCE)])

    def score(self, texts: Texts | str | Sequence[str], tracks: Tracks) -> Tensor:
        """``scores_IJ`` of every text, embedded or not, against every track: cosines in -1..1, higher is closer.

        Raises:
            ValueError: no text or one without a word, or tracks of a model of another width.
            TypeError: tracks that ``embed_audio`` did not return.
        """
        texts = self._embedded(texts, tracks)
        with self._in_use():
            return self.scorer(texts, tracks.clips_JKD, tracks.mask_JK)

    def attention_over_time(self, text: Texts | str, track: Tracks) -> list[tuple[float, float, float]]:
        """``(start_s, end_s, weight)`` of each clip: what the score looked at; the weights sum to 1.

        Raises:
            ValueError: not exactly one text and one track.
            TypeError: a track that ``embed_audio`` did not return.
        """
        texts = self._embedded(text, track)
        if len(texts) != 1 or len(track) != 1:
            raise ValueError(f"expected one text and one track, got {len(texts)} and {len(track)}; take tracks[0]")
        weights_K = self.scorer.attention_weights(texts, track.clips_JKD, track.mask_JK)[0, 0, track.mask_JK[0]]
        return [
            (start_s, end_s, weight)
            for (start_s, end_s), weight in zip(track.spans_s[0], weights_K.tolist(), strict=True)
        ]

    def _embedded(self, texts: Texts | str | Sequence[str], tracks: Tracks) -> Texts:
        if not isinstance(tracks, Tracks):
            raise TypeError(
                f"expected tracks as embed_audio returns them, got {tracks!r:.40} ({type(tracks).__name__})"
            )
        return texts if isinstance(texts, Texts) else self.embed_text(texts)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(was_training)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write weights (safetensors), form, tokenizer and model card into ``folder``."""
        self._write(Path(folder).expanduser(), self.form)

    def push_to_hub(self, repo_id: str, *, private: bool = True) -> str:
        """Upload what ``save_pretrained`` writes, without this machine's paths, and return the commit's address.

        A repository that is not there yet is created, private unless told otherwise.
        """
        return push_folder(lambda folder: self._write(folder, self.form.portable()), repo_id, private=private)

    def _write(self, folder: Path, form: ModelForm) -> None:
        (folder / TEXT).mkdir(parents=True, exist_ok=True)
        self.tower.save_form(folder / TEXT)
        (folder / FORM).write_text(form.model_dump_json(indent=2) + "\n", encoding="utf-8")
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / WEIGHTS)
        write_card(folder, form)

    @classmethod
    def from_pretrained(
        cls, name_or_folder: Path | str, *, encoder_weights: Mapping[str, str | Path] | None = None
    ) -> CoLLAP:
        """A saved model on the CPU, in evaluation mode.

        Args:
            name_or_folder: what ``save_pretrained`` wrote, or the name of a repository on the Hugging Face hub.
            encoder_weights: where this machine has the frozen encoders' weights, by encoder name:
                ``{"beats": "BEATs_iter3.pt"}``; needed for what the model's form does not find.

        Raises:
            ValueError: no whole CoLLAP model there; says what was expected.
        """
        folder = local_folder(name_or_folder)
        check_whole(folder)
        form = read_form(folder / FORM)
        model = cls(form, tower_from_form(form.text_tower, folder / TEXT), encoder_weights=encoder_weights)
        load_weights(model, folder / WEIGHTS)
        return model.eval()


def _listed(given: Any, kinds: tuple[type, ...], expected: str) -> list[Any]:
    """One of some ``kinds`` or several, as a list."""
    if isinstance(given, kinds):
        return [given]
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"expected {expected}, or a list of these, got {given!r:.40} ({type(given).__name__})")
    return list(given)
