"""Time of one EfficientNet-Lite0 pass: this project's encoder beside ONNX Runtime, alternating, two threads.

    cargo build --release -p neuraltalk-checkpoint --example encode
    python benchmarks/encoder.py ENCODER.safetensors ENCODER.onnx [BATCH]
"""

import os
import re
import subprocess
import sys
import time

import numpy as np
import onnxruntime as ort

weights, model = sys.argv[1:3]
batch = int(sys.argv[3]) if len(sys.argv) > 3 else 1
target = os.environ.get("CARGO_TARGET_DIR", "target")
program = os.path.join(target, "release", "examples", "encode")

options = ort.SessionOptions()
options.intra_op_num_threads = 2
options.inter_op_num_threads = 1
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
pixels = np.random.default_rng(1).uniform(-1, 1, (batch, 3, 224, 224)).astype(np.float32)


def runtime(passes):
    times = []
    for i in range(passes + 5):
        start = time.perf_counter()
        session.run(["features", "fmap"], {"image": pixels})
        times.append((time.perf_counter() - start) * 1e3 / batch)
    times = sorted(times[5:])
    return times[0], times[len(times) // 2]


def ours(passes):
    row = subprocess.run([program, weights, "2", str(batch), str(passes)], check=True, capture_output=True, text=True)
    least = float(re.search(r"ms_min ([\d.]+)", row.stdout)[1])
    return least, float(re.search(r"ms_median ([\d.]+)", row.stdout)[1])


passes = max(20, 150 // batch)
rows = [(ours(passes), runtime(passes)) for _ in range(3)]
for (a, b), (c, d) in rows:
    print(f"batch {batch}: ours min {a:.2f} median {b:.2f} ms, ONNX Runtime min {c:.2f} median {d:.2f} ms, ratio {b / d:.2f}")
