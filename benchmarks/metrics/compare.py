#!/usr/bin/env python3
"""Caption metrics: this project against pycocoevalcap on the same files, one run each.

    NEURALTALK_SHARED=../shared python compare.py [--images 5000] [--runs 5] [--meteor] [--ours-only]

Needs numpy, pycocoevalcap and Java for the peer. Candidates are real Flickr8k sentences with words dropped,
swapped and replaced. Ours is a whole process, `neuraltalk score`, from reading two JSON files to a CSV of every image's
scores, on two threads; the peer's clock starts after its imports and also ends with a CSV. Runs alternate, so that both
see the same machine; times are wall clock and processor time. Scores must agree before times are printed.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def perturb(sentence, words):
    sentence = sentence.split()
    for _ in range(random.randrange(4)):
        at = random.randrange(len(sentence))
        kind = random.randrange(3)
        if kind == 0 and len(sentence) > 1:
            del sentence[at]
        elif kind == 1:
            sentence[0], sentence[at] = sentence[at], sentence[0]
        else:
            sentence[at] = random.choice(words)
    return " ".join(sentence)


def make_corpus(folder, images, shared):
    with open(os.path.join(shared, "data/flickr8k/dataset.json")) as file:
        sentences = [[s["raw"] for s in image["sentences"]] for image in json.load(file)["images"]]
    words = sorted({word for image in sentences[:500] for s in image for word in s.split()})
    random.seed(7)
    results, annotations = [], []
    for i in range(images):
        # Beyond the real images, references are perturbed too, so that the corpus keeps growing.
        own = sentences[i % len(sentences)]
        if i >= len(sentences):
            own = [perturb(s, words) for s in own]
        results.append({"image_id": i, "caption": perturb(random.choice(own), words)})
        annotations += [{"image_id": i, "id": 5 * i + k, "caption": s} for k, s in enumerate(own)]
    paths = [os.path.join(folder, name) for name in ("results.json", "annotations.json")]
    with open(paths[0], "w") as file:
        json.dump(results, file)
    with open(paths[1], "w") as file:
        json.dump({"images": [{"id": i} for i in range(images)], "annotations": annotations}, file)
    return paths


def peer(paths, out, meteor):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    start = time.perf_counter()
    res, gts = {}, {}
    with open(paths[0]) as file:
        for r in json.load(file):
            res.setdefault(r["image_id"], []).append(r)
    with open(paths[1]) as file:
        for a in json.load(file)["annotations"]:
            gts.setdefault(a["image_id"], []).append(a)
    gts, res = PTBTokenizer().tokenize(gts), PTBTokenizer().tokenize(res)
    scores, columns = {}, {}
    with contextlib.redirect_stdout(io.StringIO()):
        scorers = [(Bleu(4), None), (Rouge(), "ROUGE-L"), (Cider(), "CIDEr")]
        for scorer, name in scorers + ([(Meteor(), "METEOR")] if meteor else []):
            corpus, each = scorer.compute_score(gts, res)
            if name is None:
                for n in range(4):
                    scores["BLEU-%d" % (n + 1)], columns["BLEU-%d" % (n + 1)] = corpus[n], each[n]
            else:
                scores[name], columns[name] = float(corpus), each
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *columns])
        writer.writerows(zip(gts, *columns.values()))
    return time.perf_counter() - start, scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--meteor", action="store_true", help="METEOR too")
    parser.add_argument("--ours-only", action="store_true", help="don't run pycocoevalcap")
    parser.add_argument("--runs", type=int, default=1, help="of each side, alternating")
    parser.add_argument("--program", help="a built `neuraltalk`; default: build it")
    arguments = parser.parse_args()
    shared = os.environ.get("NEURALTALK_SHARED", os.path.join(ROOT, "..", "shared"))
    program = arguments.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "-p", "neuraltalk"], cwd=ROOT, check=True)
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        program = os.path.join(target, "release/neuraltalk")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_corpus(folder, arguments.images, shared)
        command = [os.path.abspath(program), "score", *paths, "--json", "--per-image", os.path.join(folder, "ours.csv")]
        if arguments.meteor:
            import pycocoevalcap.meteor

            command += ["--meteor-data", list(pycocoevalcap.meteor.__path__)[0]]
        else:
            command += ["--metrics", "bleu,rouge,cider"]
        times = []
        for _ in range(arguments.runs):
            ours, processor, found = timed(command)
            line = f"ours {ours:.3f} s, {processor:.3f} s of processor time"
            if not arguments.ours_only:
                before = processor_time()
                theirs, scores = peer(paths, os.path.join(folder, "theirs.csv"), arguments.meteor)
                times.append((theirs / ours, (processor_time() - before) / processor))
                for name, score in scores.items():
                    tolerance = 1e-6 if name == "METEOR" else 1e-9
                    assert abs(score - found[name]) <= tolerance, f"{name}: {found[name]}, pycocoevalcap {score}"
                line += f"; pycocoevalcap {theirs:.2f} s, {processor_time() - before:.2f} s, the same scores"
                line += f"; ratios {times[-1][0]:.1f} and {times[-1][1]:.1f}"
            print(line, flush=True)
        # Linux counts kilobytes; the peer's processes are children as well.
        if arguments.ours_only:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(f"{arguments.images} images x 5 references, peak memory {peak:.0f} MB")
        else:
            median = [sorted(ratios)[len(times) // 2] for ratios in zip(*times)]
            print(f"{arguments.images} images x 5 references: median ratio of times {median[0]:.1f}, "
                  f"of processor times {median[1]:.1f}")


def processor_time():
    """Seconds of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def timed(command):
    """Wall clock, processor time, and scores of one run of ours."""
    before, start = processor_time(), time.perf_counter()
    environment = {**os.environ, "RAYON_NUM_THREADS": "2"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if run.returncode:
        sys.exit(run.stderr)
    return wall, processor_time() - before, json.loads(run.stdout)["scores"]


if __name__ == "__main__":
    main()
