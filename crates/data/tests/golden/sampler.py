"""Golden batches of `sampler.rs`, from an independent ChaCha8, Lemire and Fisher-Yates. Run: python3 sampler.py"""
import struct

M = 0xFFFFFFFF


def block(key, counter, stream):
    state = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    state += [counter & M, counter >> 32, stream & M, stream >> 32]
    x = state[:]

    def quarter(a, b, c, d):
        for i, j, k, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[i] = (x[i] + x[j]) & M
            y = x[k] ^ x[i]
            x[k] = (y << r | y >> (32 - r)) & M

    for _ in range(4):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*q)
        for q in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*q)
    return [(a + b) & M for a, b in zip(x, state)]


def words(seed, tag, stream):
    key = struct.pack("<4Q", seed, tag, 0, 0)
    counter = 0
    while True:
        w = block(key, counter, stream)
        for i in range(0, 16, 2):
            yield w[i] | w[i + 1] << 32
        counter += 1


def below(random, n):
    while True:
        product = next(random) * n
        if product % 2**64 >= 2**64 % n:
            return product >> 64


counts = [5, 0, 3, 1, 5, 2]
images = [(i, n) for i, n in enumerate(counts) if n]


def shuffled(order, seed, tag, epoch):
    random = words(seed, tag, epoch)
    for last in range(len(order) - 1, 0, -1):
        other = below(random, last + 1)
        order[last], order[other] = order[other], order[last]
    return order


sentences = [(i, c) for i, n in images for c in range(n)]
print("sentences, epoch 0, batch 0:", shuffled(sentences[:], 42, 1, 0)[:4])
print("sentences, epoch 2, batch 1:", shuffled(sentences[:], 42, 1, 2)[4:8])
print("pictures, epoch 1, batch 0:", [i for i, _ in shuffled(images[:], 42, 2, 1)[:2]])
random = words(42, 3, 3)
draws = []
for _ in range(4):
    image, n = images[below(random, len(images))]
    draws.append((image, below(random, n)))
print("neuraltalk, iteration 3:", draws)
