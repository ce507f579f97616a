"""The bundled model's work in PyTorch on a GPU: fine-tuning, self-critical training, captioning; one JSON line a case.

Usage: python benchmarks/gpu_captioner.py ENCODER.safetensors [DEVICE [PICTURES [STEPS]]]     `benchmarks/gpu` calls it

Same designs and sizes as recipes/flickr8k-*.toml: EfficientNet-Lite0 with frozen batch norm, of which the layers at 14 x 14
and 7 x 7 learn, top-down attention (docs: crates/models/src/attention.rs), 64 pictures x 5 sentences a step, AdamW. Words are
random ones in sentences of Flickr8k's lengths. Kind to PyTorch: pictures lie decoded, changed and ready on the GPU, and a
self-critical step gets its rewards for nothing. bf16 by autocast, channels last; eager, compiled, and as one CUDA graph.
"""

import json
import statistics
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

import training_step as cpu

DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cuda"
PICTURES = int(sys.argv[3]) if len(sys.argv) > 3 else 64
STEPS = int(sys.argv[4]) if len(sys.argv) > 4 else 30
SENTENCES, BEAM, WORDS, VOCABULARY = 5, 3, 20, 2536
HIDDEN, EMBEDDING, PROJECTION, ATTENTION, FEATURE = 512, 256, 384, 256, 1280
# Of each block; all else about it, its weights' shapes tell. Source: crates/models/src/encoder/efficientnet_lite.rs.
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
# The first block with 14 x 14 outputs.
LEARNS_FROM = 5


def tensors(path):
    """The f32 tensors of a .safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    for name, about in header.items():
        start, end = about["data_offsets"]
        if about["dtype"] == "F32":
            yield name, torch.frombuffer(data[start:end], dtype=torch.float32).reshape(about["shape"])


class Encoder(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.weights, self.fixed = nn.ParameterDict(), {}
        for name, tensor in tensors(path):
            key, learns = name.replace(".", "/"), self.learns(name)
            tensor = tensor.to(DEVICE)
            if tensor.dim() == 4:
                tensor = tensor.to(memory_format=torch.channels_last)
            if learns and "running" not in name:
                self.weights[key] = nn.Parameter(tensor)
            else:
                self.fixed[key] = tensor

    @staticmethod
    def learns(name):
        parts = name.split(".")
        return parts[0] in ("_conv_head", "_bn1") or (parts[0] == "_blocks" and int(parts[1]) >= LEARNS_FROM)

    def get(self, name):
        key = name.replace(".", "/")
        return self.weights[key] if key in self.weights else self.fixed[key]

    def convolution(self, x, name, norm, stride=1, depthwise=False, relu6=True):
        w = self.get(name + ".weight")
        kernel = w.shape[-1]
        if stride == 2:  # TensorFlow's SAME
            before = (kernel - 2) // 2
            x, padding = F.pad(x, (before, kernel - 2 - before) * 2), 0
        else:
            padding = kernel // 2
        x = F.conv2d(x, w, None, stride, padding, 1, w.shape[0] if depthwise else 1)
        mean, variance, gamma, beta = (self.get(f"{norm}.{p}") for p in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=1e-3)
        return F.relu6(x) if relu6 else x

    def block(self, x, n):
        name, start = f"_blocks.{n}.", x
        if n > 0:
            x = self.convolution(x, name + "_expand_conv", name + "_bn0")
        x = self.convolution(x, name + "_depthwise_conv", name + "_bn1", STRIDES[n], depthwise=True)
        x = self.convolution(x, name + "_project_conv", name + "_bn2", relu6=False)
        return x + start if x.shape == start.shape else x

    def forward(self, pixels):
        """Regions (B, 49, 1280) of pixels (B, 3, 224, 224)."""
        with torch.no_grad():
            x = self.convolution(pixels, "_conv_stem", "_bn0", 2)
            for n in range(LEARNS_FROM):
                x = self.block(x, n)
        for n in range(LEARNS_FROM, len(STRIDES)):
            x = self.block(x, n)
        x = self.convolution(x, "_conv_head", "_bn1")
        return x.flatten(2).transpose(1, 2)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.project, self.key = nn.Linear(FEATURE, PROJECTION), nn.Linear(PROJECTION, ATTENTION)
        self.embed = nn.Embedding(VOCABULARY, EMBEDDING)
        self.word, self.picture = (nn.Linear(n, 4 * HIDDEN, bias=b) for n, b in ((EMBEDDING, True), (PROJECTION, False)))
        self.states = nn.Linear(2 * HIDDEN, 4 * HIDDEN, bias=False)
        self.query = nn.Linear(HIDDEN, ATTENTION, bias=False)
        self.score = nn.Linear(ATTENTION, 1, bias=False)
        self.language = nn.Linear(PROJECTION + 2 * HIDDEN, 4 * HIDDEN)
        self.output = nn.Linear(HIDDEN, VOCABULARY)

    def look(self, regions, rows):
        """Keys, values and gates of each row, whose picture `rows` names."""
        values = F.relu(self.project(regions))
        keys, pictures = self.key(values), self.picture(values.mean(1))
        return keys[rows], values[rows], pictures[rows]

    @staticmethod
    def cell(gates, c):
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def step(self, words, seen, state):
        """`words` are (n, 4 HIDDEN), what they add to the first LSTM's gates."""
        (keys, values, pictures), (h1, c1, h2, c2) = seen, state
        h1, c1 = self.cell(words + pictures + self.states(torch.cat([h2, h1], 1)), c1)
        weights = self.score(torch.tanh(keys + self.query(h1)[:, None])).softmax(1)
        context = (weights.transpose(1, 2) @ values)[:, 0]
        h2, c2 = self.cell(self.language(torch.cat([context, h1, h2], 1)), c2)
        return h1, c1, h2, c2

    def nothing(self, rows):
        return tuple(torch.zeros(rows, HIDDEN, device=DEVICE) for _ in range(4))

    def forward(self, regions, rows, words, live):
        """Log probabilities' logits of packed words, longest sentences first."""
        seen, state = self.look(regions, rows), self.nothing(live[0])
        words = self.word(F.dropout(self.embed(words), 0.5))
        at, hidden = 0, []
        for n in live:
            state = self.step(words[at : at + n], [x[:n] for x in seen], [x[:n] for x in state])
            at += n
            hidden.append(state[2])
        return self.output(F.dropout(torch.cat(hidden), 0.5))

    @torch.no_grad()
    def sample(self, regions, rows):
        seen, state = self.look(regions, rows), self.nothing(len(rows))
        words, all_words = torch.zeros(len(rows), dtype=torch.long, device=DEVICE), []
        for _ in range(WORDS):
            state = self.step(self.word(self.embed(words)), seen, state)
            words = self.output(state[2]).float().softmax(1).multinomial(1)[:, 0]
            all_words.append(words)
        return torch.stack(all_words)

    @torch.no_grad()
    def beam(self, regions):
        """Best words (B, WORDS): ended sentences stay and offer nothing but 0, END."""
        pictures = len(regions)
        rows = torch.arange(pictures, device=DEVICE).repeat_interleave(BEAM)
        seen, state = self.look(regions, rows), self.nothing(len(rows))
        scores = torch.full((pictures, BEAM), -1e9, device=DEVICE)
        scores[:, 0] = 0.0
        words = torch.zeros(len(rows), dtype=torch.long, device=DEVICE)
        ended = torch.zeros(len(rows), 1, dtype=torch.bool, device=DEVICE)
        only_end = torch.full((1, VOCABULARY), -1e9, device=DEVICE)
        only_end[:, 0] = 0.0
        sentences = torch.zeros(len(rows), WORDS, dtype=torch.long, device=DEVICE)
        for t in range(WORDS):
            state = self.step(self.word(self.embed(words)), seen, state)
            logs = self.output(state[2]).float().log_softmax(1)
            logs = torch.where(ended, only_end, logs).view(pictures, BEAM, VOCABULARY)
            scores, best = (scores[:, :, None] + logs).flatten(1).topk(BEAM, 1)
            parents = (best // VOCABULARY + torch.arange(pictures, device=DEVICE)[:, None] * BEAM).flatten()
            words = (best % VOCABULARY).flatten()
            state = tuple(x[parents] for x in state)
            sentences = sentences[parents]
            sentences[:, t] = words
            ended = ended[parents] | (words == 0)[:, None]
        return sentences.view(pictures, BEAM, WORDS)[:, 0]


def pixels():
    x = torch.rand(PICTURES, 3, 224, 224, device=DEVICE) * 2 - 1
    return x.to(memory_format=torch.channels_last)


def batch():
    """Packed words, targets, live rows at each step, and the picture of each row."""
    cpu.BATCH = PICTURES * SENTENCES
    long = cpu.lengths()
    live = [sum(l > t for l in long) for t in range(long[0])]
    words, targets = (torch.randint(VOCABULARY, (sum(live),), device=DEVICE) for _ in range(2))
    rows = torch.randperm(cpu.BATCH, device=DEVICE) // SENTENCES
    return words, targets, live, rows


def training(path, self_critical, autocast):
    encoder, decoder = Encoder(path), Decoder().to(DEVICE)
    groups = [{"params": decoder.parameters(), "lr": 1e-3}, {"params": encoder.parameters(), "lr": 3e-4}]
    optimizer = torch.optim.AdamW(groups, fused=DEVICE == "cuda", capturable=DEVICE == "cuda")
    everything = [*encoder.parameters(), *decoder.parameters()]
    x, (words, targets, live, rows) = pixels(), batch()
    advantage = torch.randn(len(targets), device=DEVICE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            regions = encoder(x)
            chosen = targets
            if self_critical:
                # Which words are taken makes no difference to the time.
                sampled = decoder.sample(regions.detach(), rows)
                chosen = torch.cat([sampled[t, :n] for t, n in enumerate(live)])
            logits = decoder(regions, rows, words, live).float()
        if self_critical:
            loss = (F.cross_entropy(logits, chosen, reduction="none") * advantage).sum() / cpu.BATCH
        else:
            loss = F.cross_entropy(logits, chosen, label_smoothing=0.1, reduction="sum") / cpu.BATCH
        loss.backward()
        nn.utils.clip_grad_norm_(everything, 10.0, foreach=True)
        optimizer.step()
        return loss

    return step


def captioning(path, autocast):
    encoder, decoder, x = Encoder(path), Decoder().to(DEVICE), pixels()

    @torch.no_grad()
    def work():
        with autocast():
            return decoder.beam(encoder(x))

    return work


def graphed(step):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay():
        graph.replay()
        return result

    return replay


def measure(step):
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    for _ in range(min(5, STEPS)):
        result = step()
    assert torch.isfinite(result.float()).all()
    times = []
    for _ in range(STEPS):
        wait()
        start = time.perf_counter()
        step()
        wait()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main():
    torch.manual_seed(1)
    works = {
        "fine-tuning": lambda autocast: training(sys.argv[1], False, autocast),
        "self-critical": lambda autocast: training(sys.argv[1], True, autocast),
        "captioning": lambda autocast: captioning(sys.argv[1], autocast),
    }
    modes = {"eager": lambda step: step, "compiled": torch.compile, "CUDA graph": graphed}
    for precision in ("tf32", "bf16"):
        for switch in (torch.backends.cuda.matmul, torch.backends.cudnn):
            switch.allow_tf32 = True

        def autocast():
            return torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16")

        for work, make in works.items():
            for mode, prepare in modes.items():
                # Compiling takes a minute a case; graphs exist on GPUs only.
                if (mode == "compiled" and precision != "bf16") or (mode != "eager" and DEVICE != "cuda"):
                    continue
                try:
                    median = measure(prepare(make(autocast)))
                except Exception as error:  # one mode that fails here must not end the others
                    print(f"{work}, {precision}, {mode}: {type(error).__name__}: {error}", file=sys.stderr)
                    continue
                figures = {"work": work, "precision": precision, "mode": mode, "median_ms": round(median, 3)}
                figures["pictures_s"] = round(PICTURES / median * 1e3, 1)
                figures["torch"] = torch.__version__
                print(json.dumps(figures), flush=True)


main()
