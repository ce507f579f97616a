"""The package against pycocoevalcap where that and Java are installed, and against numbers worked out by hand."""

import contextlib
import io
import math
import shutil

import pytest

from neuraltalk import COCOEvalCap, score, tokenize

REFERENCES = {
    1: ["A dog runs on the grass.", "The dog is running!"],
    "x": ["Two men sit on a bench", "Men, sitting (outside)."],
    3: ["A child in a red coat plays with a ball.", "A kid isn't far from its ball"],
}
CANDIDATES = {1: "a dog runs", "x": ["two men are sitting"], 3: [{"caption": "The child's ball is red..."}]}
WITHOUT_METEOR = ("bleu", "rouge", "cider")


def test_tokens():
    assert tokenize(["A dog isn't (here)!", ""]) == ["a dog is n't -lrb- here -rrb-", ""]


def test_layout():
    with pytest.warns(UserWarning, match="only 3 images"):
        result = score(CANDIDATES, REFERENCES, metrics=WITHOUT_METEOR)
    names = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"]
    assert list(result["eval"]) == names
    assert [list(row) for row in result["evalImgs"]] == [["image_id", *names]] * 3
    assert [row["image_id"] for row in result["evalImgs"]] == [1, "x", 3]
    assert result["imgToEval"]["x"] is result["evalImgs"][1]
    # 3 of 3 words; 3 words against 4, the closer reference.
    assert result["imgToEval"][1]["Bleu_1"] == pytest.approx(math.exp(1 - 4 / 3), abs=1e-8)


def test_tokens_are_left_alone():
    result = score({1: "A b"}, {1: ["a b"]}, metrics=["bleu"], tokenized=True)
    assert result["eval"]["Bleu_1"] == pytest.approx(0.5, abs=1e-8)


@pytest.mark.parametrize(
    "candidates, references, message",
    [
        ({1: "a", 2: "b"}, {1: ["a"]}, "only the candidates have 2"),
        ({1: "a"}, {1: ["a"], 2: ["b"]}, "only the references have 2"),
        ({1: ["a", "b"]}, {1: ["a"]}, "has 2 candidates"),
        ({1: []}, {1: ["a"]}, "has 0 candidates"),
        ({1: "a"}, {1: []}, "has no references"),
    ],
)
def test_what_is_refused(candidates, references, message):
    with pytest.raises(ValueError, match=message):
        score(candidates, references)


def test_unknown_metric_and_missing_data(tmp_path):
    with pytest.raises(ValueError, match="there is no metric `spice`"):
        score({1: "a"}, {1: ["a"]}, metrics=["spice"])
    with pytest.raises(OSError):
        score({1: "a"}, {1: ["a"]}, metrics=["meteor"], meteor_data=str(tmp_path / "none"))


class Coco:
    """As much of pycocotools' COCO as the scorers use."""

    def __init__(self, captions):
        self.imgToAnns = {i: [{"image_id": i, "caption": c} for c in v] for i, v in captions.items()}

    def getImgIds(self):
        return list(self.imgToAnns)


def run(cls):
    evaluation = cls(Coco(REFERENCES), Coco({1: ["a dog runs"], "x": ["two men are sitting"], 3: ["The child's ball is red..."]}))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        evaluation.evaluate()
    return evaluation, out.getvalue()


@pytest.mark.filterwarnings("ignore:CIDEr")
def test_one_line_switches():
    ours, printed = run(COCOEvalCap)
    assert "Bleu_1: 0." in printed
    assert [row["image_id"] for row in ours.evalImgs] == [1, "x", 3]
    pytest.importorskip("pycocoevalcap")
    if not shutil.which("java"):
        pytest.skip("there is no java")
    import pycocoevalcap.eval as theirs

    class NoSpice:
        """SPICE needs files from elsewhere; ours doesn't compute it."""

        def method(self):
            return "SPICE"

        def compute_score(self, gts, res):
            return 0.0, [0.0] * len(gts)

    original, theirs.Spice = theirs.Spice, NoSpice
    try:
        peer, _ = run(theirs.COCOEvalCap)
    finally:
        theirs.Spice = original
    del peer.eval["SPICE"]
    assert ours.eval == pytest.approx(peer.eval, abs=1e-9)
    for mine, other in zip(ours.evalImgs, peer.evalImgs):
        del other["SPICE"]
        assert list(mine) == list(other)
        assert mine["image_id"] == other["image_id"]
        for name in ours.eval:
            assert mine[name] == pytest.approx(other[name], abs=1e-9), name
