"""NeuralTalk's beam search in NumPy (one picture, one beam at a time, f64), timed beside ours.

Usage: benchmarks/decoding PYTHON-WITH-NUMPY

The search is `lstm_generator.predict` of the original, written again from its description: every live
beam makes one LSTM step with vector-matrix products, offers its best words, all candidates are
sorted, the best beam_size stay, 20 steps. H = 512, V = 8791, beam 20, random weights; END is made
unlikely so that both run all 20 steps.
"""

import json
import subprocess
import sys
import time

import numpy as np


def random_model(size, vocabulary):
    random = np.random.RandomState(1)
    draw = lambda *shape: random.rand(*shape) * 0.2 - 0.1
    model = {"WLSTM": draw(2 * size + 1, 4 * size), "Ws": draw(vocabulary, size), "Wd": draw(size, vocabulary), "bd": np.zeros(vocabulary)}
    model["bd"][0] = -50
    return model


def step(model, x, h, c):
    size = h.shape[0]
    row = np.concatenate([[1.0], x, h])
    gates = row.dot(model["WLSTM"])
    i, f, o = (1 / (1 + np.exp(-gates[k * size : (k + 1) * size])) for k in range(3))
    g = np.tanh(gates[3 * size :])
    c = i * g + f * c
    h = o * c
    return h.dot(model["Wd"]) + model["bd"], h, c


def beam(model, picture, beam_size, steps=20):
    size = picture.shape[0]
    _, h, c = step(model, picture, np.zeros(size), np.zeros(size))
    beams = [(0.0, [], h, c)]
    for _ in range(steps):
        candidates = []
        for log_prob, words, h, c in beams:
            last = words[-1] if words else 0
            if last == 0 and words:
                candidates.append((log_prob, words, h, c))
                continue
            y, h1, c1 = step(model, model["Ws"][last], h, c)
            e = np.exp(y - np.max(y))
            y = np.log(1e-20 + e / np.sum(e))
            for word in np.argsort(-y)[:beam_size]:
                candidates.append((log_prob + y[word], words + [word], h1, c1))
        candidates.sort(reverse=True, key=lambda b: (b[0], b[1]))
        beams = candidates[:beam_size]
    return beams[0]


def main():
    model = random_model(512, 8791)
    pictures = np.random.RandomState(2).rand(4, 512) * 0.1
    beam(model, pictures[0], 20, steps=3)
    theirs, ours = [], []
    for picture in pictures:
        start = time.perf_counter()
        log_prob, words, _, _ = beam(model, picture, 20)
        theirs.append((time.perf_counter() - start) * 1e3)
        assert len(words) == 20
        line = subprocess.run([sys.argv[1], "2"], check=True, capture_output=True, text=True).stdout
        ours.append(json.loads(line)["ms_per_caption"])
    theirs, ours = sorted(theirs)[len(theirs) // 2], sorted(ours)[len(ours) // 2]
    print(f"beam 20, 20 steps, H = 512, V = 8791, per caption: NumPy {theirs:.0f} ms, neuraltalk {ours:.1f} ms (pictures batched): {theirs / ours:.1f} times")


main()
