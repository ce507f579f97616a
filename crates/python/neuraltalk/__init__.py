"""Caption metrics without a JVM, with pycocoevalcap's names and numbers."""

from __future__ import annotations

import importlib.util
import os
import warnings as _warnings

from ._native import score as _score
from ._native import tokenize as _tokenize

__all__ = ["COCOEvalCap", "score", "tokenize"]

# pycocoevalcap's names of what the native half calls otherwise.
_NAMES = {f"BLEU-{n}": f"Bleu_{n}" for n in range(1, 5)} | {"ROUGE-L": "ROUGE_L"}


def tokenize(captions):
    """Captions (a list) as pycocoevalcap's PTBTokenizer makes them: lower-case tokens without punctuation."""
    return _tokenize(list(captions))


def _text(caption):
    return caption["caption"] if isinstance(caption, dict) else caption


def _captions(value):
    return [_text(value)] if isinstance(value, (str, dict)) else [_text(caption) for caption in value]


def _tokens(images):
    """All captions of a dictionary in its order, tokenized as the lines of one file."""
    lines = iter(_tokenize([caption for captions in images.values() for caption in captions]))
    return {image: [next(lines) for _ in captions] for image, captions in images.items()}


def _meteor_data():
    """The data in an installed pycocoevalcap, which is not imported."""
    spec = importlib.util.find_spec("pycocoevalcap")
    for folder in (spec and spec.submodule_search_locations) or ():
        meteor = os.path.join(folder, "meteor")
        if os.path.exists(os.path.join(meteor, "meteor-1.5.jar")):
            return meteor
    return None


def score(candidates, references, *, metrics=("bleu", "meteor", "rouge", "cider"), tokenized=False, meteor_data=None):
    """Scores captions as pycocoevalcap does.

    candidates: a dictionary from image to its caption: text, a list of one text, or a list of one
        ``{"caption": text}``. references: the same images, each with a list of texts or of ``{"caption": text}``.
    metrics: of bleu, standard-bleu, meteor, rouge, cider, plain-cider.
    tokenized: captions are tokens joined by blanks already.
    meteor_data: METEOR's folder or meteor-1.5.jar; found in an installed pycocoevalcap if not given.

    Returns ``{"eval": {"Bleu_1": ..., "METEOR": ...}, "evalImgs": [{"image_id": ..., "Bleu_1": ...}],
    "imgToEval": {image: ...}}``, images in the references' order. Without METEOR's data its key is
    ``METEOR (exact, stem)``.
    """
    candidates = {image: _captions(value) for image, value in candidates.items()}
    references = {image: _captions(value) for image, value in references.items()}
    if candidates.keys() != references.keys():
        one = next(iter(candidates.keys() ^ references.keys()))
        has = "candidates" if one in candidates else "references"
        raise ValueError(f"candidates and references must have the same images; only the {has} have {one!r}")
    for image, captions in candidates.items():
        if len(captions) != 1:
            raise ValueError(f"image {image!r} has {len(captions)} candidates, expected 1")
        if not references[image]:
            raise ValueError(f"image {image!r} has no references")
    if not tokenized:
        candidates, references = _tokens(candidates), _tokens(references)
    columns, warnings = _score(
        [candidates[image][0] for image in references],
        list(references.values()),
        list(metrics),
        None if "meteor" not in metrics else meteor_data or _meteor_data(),
    )
    for warning in warnings:
        _warnings.warn(warning, stacklevel=2)
    columns = [(_NAMES.get(name, name), corpus, images) for name, corpus, images in columns]
    each = [{"image_id": image} for image in references]
    for name, _, images in columns:
        for row, value in zip(each, images):
            row[name] = value
    return {
        "eval": {name: corpus for name, corpus, _ in columns},
        "evalImgs": each,
        "imgToEval": dict(zip(references, each)),
    }


class COCOEvalCap:
    """pycocoevalcap's class of this name, but SPICE: ``COCOEvalCap(coco, coco_result).evaluate()``."""

    def __init__(self, coco, cocoRes):
        self.evalImgs = []
        self.eval = {}
        self.imgToEval = {}
        self.coco = coco
        self.cocoRes = cocoRes
        self.params = {"image_id": coco.getImgIds()}

    def evaluate(self):
        images = self.params["image_id"]
        result = score(
            {image: self.cocoRes.imgToAnns[image] for image in images},
            {image: self.coco.imgToAnns[image] for image in images},
        )
        self.eval, self.evalImgs, self.imgToEval = result["eval"], result["evalImgs"], result["imgToEval"]
        for name, value in self.eval.items():
            print(f"{name}: {value:0.3f}")
