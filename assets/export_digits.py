#!/usr/bin/env python3
"""Writes digits.bin from the copy of the UCI digits that comes with scikit-learn.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scikit-learn
    /tmp/venv/bin/python assets/export_digits.py assets/digits.bin

The format is described in README.md.
"""

import sys

from sklearn.datasets import load_digits

digits = load_digits()
pixels = digits.data.astype("uint8")
labels = digits.target.astype("uint8")
assert pixels.shape == (1797, 64) and pixels.max() == 16 and labels.max() == 9
with open(sys.argv[1], "wb") as out:
    out.write(pixels.tobytes())
    out.write(labels.tobytes())
