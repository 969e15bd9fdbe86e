"""The models that are timed: `table()` maps a name to a Model. The Rust models of the same names mirror them.

Sources: cnn and fourier of DiNNO; lenet and the taggers of HCDDL; mobilenet, resnet18_gn, resnet56 and char_lstm of
FedML (python/fedml/model: cv/mobilenet.py, cv/resnet_gn.py, cv/resnet.py, nlp/rnn.py).
"""

from dataclasses import dataclass
from typing import Callable

import torch
from torch import nn

RELU, TANH = nn.ReLU, nn.Tanh
PADDING_TAG = 17  # of the taggers' 18 tags


@dataclass
class Model:
    build: Callable[[], nn.Module]
    params: int  # asserted
    draw: Callable[[int], tuple]  # inputs and targets of a batch of this size
    batches: tuple = (32, 64)
    loss: Callable[[], nn.Module] = nn.CrossEntropyLoss
    conv: bool = False  # channels_last is tried too


def images(*shape, classes=10):
    return lambda batch: (torch.randn(batch, *shape), torch.randint(classes, (batch,)))


def softmax():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def mlp(*hidden):
    widths = [784, *hidden]
    layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), RELU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], 10))


def cnn(filters):
    return nn.Sequential(
        nn.Conv2d(1, filters, 5), RELU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(144 * filters, 64), RELU(), nn.Linear(64, 10),
    )  # fmt: skip


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), TANH(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), TANH(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(256, 120), TANH(), nn.Linear(120, 84), RELU(), nn.Linear(84, 10),
    )  # fmt: skip


def alexnet():
    """AlexNet shrunk for CIFAR-10: 32x32 -> 8x8 -> 4x4 -> 2x2 -> 1x1."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=5), RELU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 5, padding=2), RELU(), nn.MaxPool2d(2),
        nn.Conv2d(192, 384, 3, padding=1), RELU(),
        nn.Conv2d(384, 256, 3, padding=1), RELU(),
        nn.Conv2d(256, 256, 3, padding=1), RELU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def separable(inputs, outputs, stride=1, bias=True):
    """Depthwise 3x3 without a bias, pointwise with one if `bias` (as FedML's has), each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), RELU(),
        nn.Conv2d(inputs, outputs, 1, bias=bias), nn.BatchNorm2d(outputs), RELU(),
    )  # fmt: skip


def depthwise():
    return nn.Sequential(separable(32, 64, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet():
    widths = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    widths += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), RELU(),
        *(separable(*block) for block in widths),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """ReLU(body(x) + shortcut(x))."""

    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def shortcut(inputs, outputs, stride, norm):
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(convolution(inputs, outputs, 1, stride), norm(outputs))


def basic(inputs, outputs, stride, norm):
    body = nn.Sequential(
        convolution(inputs, outputs, 3, stride), norm(outputs), RELU(),
        convolution(outputs, outputs, 3), norm(outputs),
    )  # fmt: skip
    return Residual(body, shortcut(inputs, outputs, stride, norm))


def bottleneck(inputs, width, stride, norm):
    outputs = 4 * width
    body = nn.Sequential(
        convolution(inputs, width, 1), norm(width), RELU(),
        convolution(width, width, 3, stride), norm(width), RELU(),
        convolution(width, outputs, 1), norm(outputs),
    )  # fmt: skip
    return Residual(body, shortcut(inputs, outputs, stride, norm))


def resnet18_gn():
    """Two channels in a group; scale and shift per channel. (FedML's own GroupNorm2d has them per group: `channels / 2`
    of each, 4,800 parameters fewer. That is a batch norm of a reshaped tensor; nn.GroupNorm is PyTorch's fast path.)
    Input 24x24: 12x12 after the stem, 6x6 after the pool, 1x1 after the last stage."""
    norm = lambda channels: nn.GroupNorm(channels // 2, channels)
    blocks, inputs = [], 64
    for outputs, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        blocks += [basic(inputs, outputs, stride, norm), basic(outputs, outputs, 1, norm)]
        inputs = outputs
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm(64), RELU(), nn.MaxPool2d(3, 2, 1),
        *blocks, nn.Flatten(), nn.Linear(512, 100),
    )  # fmt: skip


def resnet56():
    """Bottlenecks [6, 6, 6] of widths 16, 32, 64."""
    blocks, inputs = [], 16
    for width, stride in [(16, 1), (32, 2), (64, 2)]:
        for index in range(6):
            blocks.append(bottleneck(inputs, width, stride if index == 0 else 1, nn.BatchNorm2d))
            inputs = 4 * width
    return nn.Sequential(
        convolution(3, 16, 3), nn.BatchNorm2d(16), RELU(),
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


class Tagger(nn.Module):
    """Tokens [steps, samples] to tags [steps x samples, 18]; time-major, as the original is."""

    def __init__(self, recurrent):
        super().__init__()
        self.embedding = nn.Embedding(8867, 100, padding_idx=0)
        self.dropout = nn.Dropout(0.25)
        self.recurrent = recurrent(100, 128, num_layers=2, dropout=0.25)
        self.linear = nn.Linear(128, 18)

    def forward(self, tokens):
        hidden, _ = self.recurrent(self.dropout(self.embedding(tokens)))
        return self.linear(self.dropout(hidden)).flatten(0, 1)


def sentences(batch, steps=25):
    return torch.randint(1, 8867, (steps, batch)), torch.randint(18, (steps * batch,))


class CharLstm(nn.Module):
    """Characters [samples, 80] to the next one."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(90, 8, padding_idx=0)
        self.recurrent = nn.LSTM(8, 256, num_layers=2, batch_first=True)
        self.linear = nn.Linear(256, 90)

    def forward(self, characters):
        hidden, _ = self.recurrent(self.embedding(characters))
        return self.linear(hidden[:, -1])


def characters(batch, steps=80):
    return torch.randint(1, 90, (batch, steps)), torch.randint(90, (batch,))


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(0.05 * x)


def fourier():
    widths = [256, 64, 64, 64]
    layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), RELU())]
    return nn.Sequential(nn.Linear(2, 256), Sine(), RELU(), *layers, nn.Linear(64, 1), nn.Sigmoid())


def points(batch):
    return torch.randn(batch, 2) * 500, torch.rand(batch, 1).round()


def table():
    mnist, cifar = images(1, 28, 28), images(3, 32, 32)
    ignoring = lambda: nn.CrossEntropyLoss(ignore_index=PADDING_TAG)
    return {
        "softmax": Model(softmax, 7_850, mnist),
        "mlp": Model(lambda: mlp(128), 101_770, mnist),
        "mlp2": Model(lambda: mlp(256, 128), 235_146, mnist),
        "cnn": Model(lambda: cnn(3), 28_440, mnist, conv=True),
        "cnn8": Model(lambda: cnn(8), 74_650, mnist, conv=True),
        "lenet": Model(lenet, 44_426, mnist, conv=True),
        "alexnet": Model(alexnet, 2_472_266, cifar, conv=True),
        "depthwise": Model(depthwise, 3_178, images(32, 16, 16), conv=True),
        "mobilenet": Model(mobilenet, 3_223_178, cifar, conv=True),
        "resnet18_gn": Model(resnet18_gn, 11_227_812, images(3, 24, 24, classes=100), (8, 32), conv=True),
        "resnet56": Model(resnet56, 591_322, cifar, conv=True),
        "gru_tagger": Model(lambda: Tagger(nn.GRU), 1_076_414, sentences, loss=ignoring),
        "lstm_tagger": Model(lambda: Tagger(nn.LSTM), 1_138_878, sentences, loss=ignoring),
        "char_lstm": Model(CharLstm, 822_570, characters),
        "fourier": Model(fourier, 25_601, points, (1250,), loss=nn.BCELoss),
    }
