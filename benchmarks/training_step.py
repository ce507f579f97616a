"""The LSTM training step in PyTorch, alternated with ours in one run; prints a table of ratios.

Usage: benchmarks/training_step PYTHON-WITH-TORCH [rounds]   (the shell script builds and calls this)

Same work as crates/models/examples/training_step.rs: batch 100, 4096-d pictures, sentences of 8 to
20 words by the same quantiles, dropout 0.5 on encoder and decoder, elementwise clip 5, RMSProp
over all parameters, f32, two threads. Idioms tried, the best counts: nn.LSTM over packed
sequences, a cell loop over the live rows, a cell loop under torch.compile, padded nn.LSTM.
"""

import json
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout
from torch.nn.utils.rnn import PackedSequence

BATCH, FEATURE, THREADS = 100, 4096, 2


def lengths():
    weights = [0.8**k for k in range(13)]
    total, result = sum(weights), []
    for i in range(BATCH):
        left, k = (i + 0.5) / BATCH * total, 0
        while left > weights[k]:
            left -= weights[k]
            k += 1
        result.append(8 + k)
    return sorted(result, reverse=True)


class Captioner(nn.Module):
    def __init__(self, size, vocabulary):
        super().__init__()
        self.project = nn.Linear(FEATURE, size)
        self.embed = nn.Embedding(vocabulary, size)
        self.lstm = nn.LSTM(size, size)
        self.output = nn.Linear(size, vocabulary)


def packed_rows(model, features, words):
    x = torch.cat([model.project(features), model.embed(words)])
    return dropout(x, 0.5)


def packed(model, features, words, live):
    x = packed_rows(model, features, words)
    sizes = torch.tensor([BATCH, *live], device="cpu")
    hidden, _ = model.lstm(PackedSequence(x, sizes))
    return model.output(dropout(hidden.data[BATCH:], 0.5))


def cell_loop(model, features, words, live):
    x = packed_rows(model, features, words)
    lstm = model.lstm
    gates = x @ lstm.weight_ih_l0.t() + (lstm.bias_ih_l0 + lstm.bias_hh_l0)
    turned, at, rows = lstm.weight_hh_l0.t(), 0, []
    h = c = None
    for n in [BATCH, *live]:
        step = gates[at : at + n]
        at += n
        if h is not None:
            step = step + h[:n] @ turned
        i, f, g, o = step.chunk(4, 1)
        i, f, o, g = i.sigmoid(), f.sigmoid(), o.sigmoid(), g.tanh()
        c = i * g if c is None else f * c[:n] + i * g
        h = o * c.tanh()
        rows.append(h)
    hidden = torch.cat(rows)[BATCH:]
    return model.output(dropout(hidden, 0.5))


def padded(model, features, words, live):
    steps = len(live)
    grid = torch.zeros(steps, BATCH, dtype=torch.long)
    mask = torch.zeros(steps, BATCH, dtype=torch.bool)
    at = 0
    for t, n in enumerate(live):
        grid[t, :n] = words[at : at + n]
        mask[t, :n] = True
        at += n
    x = torch.cat([model.project(features)[None], model.embed(grid)])
    hidden, _ = model.lstm(dropout(x, 0.5))
    return model.output(dropout(hidden[1:], 0.5)[mask])


def stepper(forward, size, vocabulary, compiled=False):
    torch.manual_seed(1)
    model = Captioner(size, vocabulary)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.999, eps=1e-8, foreach=True)
    long = lengths()
    live = [sum(l >= t for l in long) for t in range(long[0] + 1)]
    words = torch.randint(vocabulary, (sum(live),))
    targets = torch.randint(vocabulary, (sum(live),))
    features = torch.rand(BATCH, FEATURE)
    forward = torch.compile(forward) if compiled else forward

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(forward(model, features, words, live), targets, reduction="sum") / BATCH
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 5.0)
        optimizer.step()
        return loss.item()

    first = step()
    for _ in range(3):
        last = step()
    assert last < first, (first, last)
    return step


def main():
    ours, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    torch.set_num_threads(THREADS)
    # Ours rounds subnormal numbers to 0; so may PyTorch.
    torch.set_flush_denormal(True)
    print(f"PyTorch {torch.__version__}, {THREADS} threads, medians of {rounds} x 5 steps, alternated")
    for name, size, vocabulary in [("small", 256, 2538), ("large", 512, 8791)]:
        idioms = {
            "packed nn.LSTM": stepper(packed, size, vocabulary),
            "cell loop": stepper(cell_loop, size, vocabulary),
            "padded nn.LSTM": stepper(padded, size, vocabulary),
        }
        try:
            idioms["cell loop, torch.compile"] = stepper(cell_loop, size, vocabulary, compiled=True)
        except Exception as error:  # no compiler on this machine: say so, go on
            print(f"torch.compile does not run here: {type(error).__name__}")
        times = {idiom: [] for idiom in idioms}
        rust, floors = [], []
        for _ in range(rounds):
            line = subprocess.run([ours, str(THREADS), "5", name], check=True, capture_output=True, text=True).stdout
            figures = json.loads(line)
            rust.append(figures["median_ms"])
            floors.append(figures["floor_ms"])
            for idiom, step in idioms.items():
                for _ in range(5):
                    start = time.perf_counter()
                    step()
                    times[idiom].append((time.perf_counter() - start) * 1e3)
        mine, floor = statistics.median(rust), min(floors)
        print(f"\n{name}: E = H = {size}, V = {vocabulary}; floor {floor:.1f} ms")
        print(f"  {'neuraltalk':28}{mine:8.1f} ms   {mine / floor:5.2f} x floor")
        for idiom, values in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            value = statistics.median(values)
            print(f"  {idiom:28}{value:8.1f} ms   {value / floor:5.2f} x floor   {value / mine:5.2f} x ours")


if __name__ == "__main__":
    main()
