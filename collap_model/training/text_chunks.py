"""Texts a few at a time: the tower keeps the activations of one chunk, however large the batch.

GradCache (Gao et al. 2021, arXiv 2101.06983): embed every chunk and keep the embeddings only, take
the gradient of the loss by the embeddings, then read each chunk again, with the same dropout, to
pass that gradient on. Theirs are two backward passes with hooks between them; here each chunk is an
autograd checkpoint, which does the same inside one ``backward``: DistributedDataParallel sees one
pass and sums each gradient once. It costs a second forward pass of the tower.

Shapes: I texts, L tokens.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from collap_model.model import CoLLAP
from collap_model.text import TokenBatch
from collap_model.text.texts import Texts

__all__ = ["embed_in_chunks"]


def embed_in_chunks(model: CoLLAP, tokens: TokenBatch, size: int) -> Texts:
    """``model.embed_texts(tokens)``, ``size`` texts per pass of the tower; 0 takes all in one pass that is kept.

    Values and gradients are those of reading the same chunks and keeping everything. Without dropout they
    are those of one pass; with it every size draws other masks, as it draws them chunk by chunk.
    """
    if size == 0:
        return model.embed_texts(tokens)

    def embed(ids_IL: Tensor, mask_IL: Tensor, parts_IL: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        texts = model.embed_texts(replace(tokens, ids_IL=ids_IL, mask_IL=mask_IL, parts_IL=parts_IL))
        return texts.text_ID, texts.parts_IPD, texts.parts_mask_IP

    embedded = []
    for chunk in tokens.split(size):
        # As bare tensors: by them the checkpoint finds the device whose random state it has to replay.
        text_ID, parts_IPD, parts_mask_IP = checkpoint(
            embed, chunk.ids_IL, chunk.mask_IL, chunk.parts_IL, use_reentrant=False, preserve_rng_state=True
        )
        embedded.append(Texts(text_ID=text_ID, parts_IPD=parts_IPD, parts_mask_IP=parts_mask_IP))
    return Texts.join(embedded)
