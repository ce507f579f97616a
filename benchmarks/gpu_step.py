"""The LSTM training step in PyTorch on a GPU: eager, compiled, as a CUDA graph; one JSON line a case. `benchmarks/gpu` calls it.

Same work as crates/models/examples/training_step.rs (see training_step.py, whose model and idioms these are). Every step is
timed to its end, medians of 50. f32 and tf32 by `allow_tf32`, bf16 by autocast.
"""

import json
import statistics
import sys
import time

import torch
from torch.nn.functional import cross_entropy

import training_step as cpu

STEPS = 50


def data(size, vocabulary):
    torch.manual_seed(1)
    long = cpu.lengths()
    live = [sum(l >= t for l in long) for t in range(long[0] + 1)]
    words = torch.randint(vocabulary, (sum(live),))
    targets = torch.randint(vocabulary, (sum(live),))
    return torch.rand(cpu.BATCH, cpu.FEATURE), words, targets, live


def stepper(forward, size, vocabulary, precision, mode):
    features, words, targets, live = data(size, vocabulary)
    model = cpu.Captioner(size, vocabulary)
    optimizer = torch.optim.RMSprop(
        model.parameters(), lr=1e-3, alpha=0.999, eps=1e-8, foreach=True, capturable=mode == "graph"
    )
    forward = torch.compile(forward) if mode == "compiled" else forward
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16")

    def work():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = forward(model, features, words, live)
        loss = cross_entropy(logits.float(), targets, reduction="sum") / cpu.BATCH
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 5.0)
        optimizer.step()
        return loss

    if mode != "graph":
        return work
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = work()

    def replay():
        graph.replay()
        return loss

    return replay


def measure(step):
    first = step().item()
    for _ in range(5):
        last = step().item()
    assert last < first, (first, last)
    times = []
    for _ in range(STEPS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    torch.set_default_device("cuda")
    cases = [
        ("packed nn.LSTM", cpu.packed, "eager"),
        ("cell loop", cpu.cell_loop, "eager"),
        ("cell loop, torch.compile", cpu.cell_loop, "compiled"),
        ("cell loop, CUDA graph", cpu.cell_loop, "graph"),
    ]
    for batch in (100, 1024):
        cpu.BATCH = batch
        for name, size, vocabulary in [("small", 256, 2538), ("large", 512, 8791)]:
            for precision in ("f32", "tf32", "bf16"):
                torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
                torch.backends.cudnn.allow_tf32 = precision != "f32"
                for idiom, forward, mode in cases:
                    # Compiling takes half a minute a case: in bf16 only, where it matters.
                    if mode == "compiled" and precision != "bf16":
                        continue
                    try:
                        median = measure(stepper(forward, size, vocabulary, precision, mode))
                    except Exception as error:  # one idiom that fails here must not end the others
                        print(f"{idiom}, {precision}: {type(error).__name__}: {error}", file=sys.stderr)
                        continue
                    figures = {
                        "size": name,
                        "batch": batch,
                        "precision": precision,
                        "idiom": idiom,
                        "median_ms": round(median, 4),
                        "torch": torch.__version__,
                    }
                    print(json.dumps(figures), flush=True)


main()
