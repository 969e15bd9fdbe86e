#!/usr/bin/env python3
"""FedAvg on the digits in a plain NumPy loop: the job of bench/scenarios/fedavg_digits_*.yml.

    python3 bench/numpy_fedavg.py CLIENTS SAMPLED ROUNDS

MLP 64-128-10, batch 32, one local epoch, learning rate 0.1, 1,437 training images split evenly.
Prints seconds, fits and the accuracy on the 360 test images.
"""

import sys
import time
from pathlib import Path

import numpy as np

COUNT, PIXELS, TRAIN, BATCH, RATE = 1797, 64, 1437, 32, np.float32(0.1)


def data():
    """Images in [0, 1] and labels, shuffled once."""
    raw = np.frombuffer((Path(__file__).parent.parent / "assets/digits.bin").read_bytes(), np.uint8)
    images = raw[: COUNT * PIXELS].reshape(COUNT, PIXELS).astype(np.float32) / 16
    labels = raw[COUNT * PIXELS :].astype(np.int64)
    order = np.random.default_rng(0).permutation(COUNT)
    return images[order], labels[order]


def forward(model, x):
    w1, b1, w2, b2 = model
    hidden = np.maximum(x @ w1 + b1, 0)
    return hidden, hidden @ w2 + b2


def fit(model, x, y, rng):
    """One epoch of SGD from `model`; returns the model afterwards."""
    w1, b1, w2, b2 = (p.copy() for p in model)
    order = rng.permutation(len(x))
    for start in range(0, len(x), BATCH):
        batch = order[start : start + BATCH]
        xb, yb = x[batch], y[batch]
        hidden, logits = forward((w1, b1, w2, b2), xb)
        # The gradient of the mean cross-entropy in the logits: softmax minus one at the label.
        slope = np.exp(logits - logits.max(axis=1, keepdims=True))
        slope /= slope.sum(axis=1, keepdims=True)
        slope[np.arange(len(yb)), yb] -= 1
        slope /= len(yb)
        below = (slope @ w2.T) * (hidden > 0)
        w2 -= RATE * (hidden.T @ slope)
        b2 -= RATE * slope.sum(axis=0)
        w1 -= RATE * (xb.T @ below)
        b1 -= RATE * below.sum(axis=0)
    return w1, b1, w2, b2


def main():
    clients, sampled, rounds = map(int, sys.argv[1:4])
    images, labels = data()
    shards = np.array_split(np.arange(TRAIN), clients)
    rng = np.random.default_rng(1)
    scale = np.sqrt(2 / PIXELS), np.sqrt(2 / 128)
    model = (
        (rng.standard_normal((PIXELS, 128)) * scale[0]).astype(np.float32),
        np.zeros(128, np.float32),
        (rng.standard_normal((128, 10)) * scale[1]).astype(np.float32),
        np.zeros(10, np.float32),
    )
    start = time.perf_counter()
    for _ in range(rounds):
        chosen = range(clients) if sampled == clients else rng.choice(clients, sampled, replace=False)
        total = sum(len(shards[c]) for c in chosen)
        mean = [np.zeros_like(p) for p in model]
        for c in chosen:
            share = np.float32(len(shards[c]) / total)
            for into, part in zip(mean, fit(model, images[shards[c]], labels[shards[c]], rng)):
                into += share * part
        model = tuple(mean)
    seconds = time.perf_counter() - start
    accuracy = (forward(model, images[TRAIN:])[1].argmax(axis=1) == labels[TRAIN:]).mean()
    print(f"{seconds:.6f} {sampled * rounds} {accuracy:.4f}")


if __name__ == "__main__":
    main()
