"""From JPEG files to sentences, beam 3: this program beside Pillow + ONNX Runtime + NumPy, one picture at a time.

Usage: benchmarks/captioning PYTHON CHECKPOINT ENCODER.onnx FOLDER [PICTURES]

CHECKPOINT holds an encoder and an attention decoder; ENCODER.onnx is the published EfficientNet-Lite0 with an output `fmap`.
Both sides use two threads. The sentences are compared before times are believed: they are the same where the checkpoint's
encoder is the published one; a fine-tuned encoder writes others, in the same time.
"""

import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort
from PIL import Image

STEPS, BEAM, ROUNDS = 20, 3, 3
program, checkpoint, network, folder = sys.argv[1:5]
limit = int(sys.argv[5]) if len(sys.argv) > 5 else 1000


def read(path):
    """Weights as f32 and the words."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__")
    kinds = {"F16": np.float16, "F32": np.float32}
    weights = {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"]).astype(np.float32)
        for name, entry in header.items()
        if not name.startswith("encoder")
    }
    return weights, json.loads(metadata["vocabulary"])


def lstm(gates, cell):
    i, f, o = (1 / (1 + np.exp(-g)) for g in np.split(gates[: 3 * len(cell)], 3))
    cell = f * cell + i * np.tanh(gates[3 * len(cell) :])
    return o * np.tanh(cell), cell


class Decoder:
    """Top-down attention, one beam at a time."""

    def __init__(self, weights):
        self.w = weights

    def look(self, regions):
        w = self.w
        self.values = np.maximum(regions @ w["projection.weight"] + w["projection.bias"], 0)
        self.keys = self.values @ w["attention.key.weight"] + w["attention.key.bias"]
        self.picture = self.values.mean(0) @ w["attention_lstm.picture"] + w["attention_lstm.bias"]
        zero = np.zeros(w["output.weight"].shape[0], np.float32)
        return zero, zero, zero, zero

    def step(self, word, state):
        w, (h1, c1, h2, c2) = self.w, state
        gates = self.picture + w["embedding.weight"][word] @ w["attention_lstm.word"] + np.concatenate([h2, h1]) @ w["attention_lstm.hidden"]
        h1, c1 = lstm(gates, c1)
        scores = np.tanh(self.keys + h1 @ w["attention.query"]) @ w["attention.score"]
        alpha = np.exp(scores - scores.max())
        context = (alpha / alpha.sum()) @ self.values
        h2, c2 = lstm(np.concatenate([context, h1, h2]) @ w["language_lstm.weight"] + w["language_lstm.bias"], c2)
        y = h2 @ w["output.weight"] + w["output.bias"]
        y -= y.max()
        return y - np.log(np.exp(y).sum()), (h1, c1, h2, c2)

    def caption(self, regions):
        beams = [(0.0, [], self.look(regions))]
        for _ in range(STEPS):
            found = []
            for total, words, state in beams:
                if words and words[-1] == 0:
                    found.append((total, words, state))
                    continue
                y, after = self.step(words[-1] if words else 0, state)
                found += [(total + y[word], words + [word], after) for word in np.argsort(-y)[:BEAM]]
            beams = sorted(found, key=lambda b: -b[0])[:BEAM]
        return [word for word in beams[0][1] if word != 0]


def peer(session, decoder, words, paths):
    sentences = []
    for path in paths:
        picture = Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC)
        pixels = ((np.asarray(picture, np.float32) - 127) / 128).transpose(2, 0, 1)[None]
        (regions,) = session.run(["fmap"], {"image": pixels})
        regions = regions[0].reshape(regions.shape[1], -1).T
        sentences.append(" ".join(words[i] for i in decoder.caption(np.ascontiguousarray(regions))))
    return sentences


def ours(listed):
    command = [program, "caption", "@" + listed, "--checkpoint", checkpoint, "--beam-size", str(BEAM), "--threads", "2"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split("\t")[1] for line in lines]


def timed(call):
    start = time.perf_counter()
    result = call()
    return (time.perf_counter() - start) * 1e3, result


options = ort.SessionOptions()
options.intra_op_num_threads = 2
session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
weights, words = read(checkpoint)
paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jpg"))[:limit]
with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
    file.write("\n".join(os.path.abspath(path) for path in paths))
rows = []
for _ in range(ROUNDS):
    (us, mine), (them, theirs) = timed(lambda: ours(file.name)), timed(lambda: peer(session, Decoder(weights), words, paths))
    rows.append((us / len(paths), them / len(paths)))
    same = sum(a == b for a, b in zip(mine, theirs, strict=True))
    print(f"neuraltalk {rows[-1][0]:.1f} ms a picture (start and loading counted), ONNX Runtime + NumPy {rows[-1][1]:.1f}: {rows[-1][1] / rows[-1][0]:.1f} times; {same} of {len(paths)} sentences are the same", flush=True)
os.unlink(file.name)
print(f"median of {ROUNDS}: {statistics.median(b / a for a, b in rows):.1f} times the throughput")
