#!/usr/bin/env python3
"""Golden values of every operation, loss, optimiser and schedule, computed by PyTorch: writes ops.json.

    bench/torch/run.sh --setup        # once: a virtual environment with PyTorch
    target/torch-venv/bin/python tests/goldens/make.py

Made with Python 3.11, torch 2.15.0, numpy 2.4.6. Inputs are drawn by numpy's PCG64 from a seed for each entry,
rounded to three decimals and then to float32, so that a reader of float32 sees the same numbers; PyTorch computes in
float64; results are rounded to 8 significant digits. The layout of the file is in README.md.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DOUBLE = torch.float64
EPSILON = 1e-5


class Draws:
    """Random inputs of one entry, named by it."""

    def __init__(self, name):
        self.generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))

    def normal(self, *shape, scale=1.0, gradient=False):
        """Normal values to three decimals, none of them 0."""
        values = np.round(self.generator.standard_normal(shape) * scale, 3)
        return exact(np.where(values == 0, 0.001, values)).requires_grad_(gradient)

    def uniform(self, low, high, *shape):
        return exact(np.round(self.generator.uniform(low, high, shape), 3))

    def distinct(self, *shape, gradient=False):
        """Values that are all different: the maximum of a window is one of them."""
        count = math.prod(shape)
        values = (self.generator.permutation(count) - count // 2) / 100 + 0.003
        return exact(np.round(values, 3).reshape(shape)).requires_grad_(gradient)

    def integers(self, low, high, *shape):
        return torch.tensor(self.generator.integers(low, high, shape))


def exact(values):
    """The float32 nearest to each value, as float64."""
    return torch.tensor(np.asarray(values, np.float32).astype(np.float64))


def numbers(tensor):
    """Flat values: those of float32 in the fewest digits that name them, others with 8; whole ones as integers."""
    out = []
    for value in torch.as_tensor(tensor).detach().reshape(-1).tolist():
        single = np.float32(value)
        value = float(str(single)) if float(single) == value else float(f"{value:.8g}")
        out.append(int(value) if value.is_integer() and abs(value) < 1e15 else value)
    return out


def entry(name, op, options, x, y, draws, params=(), steps=1, shape=None, to_rust=None, **more):
    """Runs the backward pass of y and puts both passes in the layout of the file.

    params: (name, tensor) in the order of the Rust layer; to_rust(name, tensor): as the Rust layer stores it.
    """
    to_rust = to_rust or (lambda _name, tensor: tensor)
    dy = draws.normal(*y.shape)
    y.backward(dy)
    batch = x.shape[1] if steps > 1 else x.shape[0]
    shape = list(x.shape[1:]) if shape is None else shape
    named = lambda tensors: [
        {"name": key, "shape": list(value.shape), "values": numbers(value)} for key, value in tensors
    ]
    out = {
        "name": name,
        "op": op,
        "options": options,
        "input": {"batch": batch, "steps": steps, "shape": shape},
        "x": numbers(x),
        "params": named((key, to_rust(key, value)) for key, value in params),
        "output": list(y.shape[2 if steps > 1 else 1 :]),
        "y": numbers(y),
        "dy": numbers(dy),
    }
    if x.requires_grad:
        out["dx"] = numbers(x.grad)
    out["dparams"] = named((key, to_rust(key, value.grad)) for key, value in params)
    return out | more


def transposed(name, tensor):
    """PyTorch stores [outputs, inputs], the Rust layers [inputs, outputs]."""
    return tensor.t() if tensor.dim() == 2 else tensor


def conv(name, x_shape, filters, kernel, stride=1, padding=0, groups=1, bias=True):
    draws = Draws(name)
    x = draws.normal(*x_shape, gradient=True)
    weight = draws.normal(filters, x_shape[1] // groups, kernel, kernel, scale=0.4, gradient=True)
    params = [("weight", weight)]
    if bias:
        params.append(("bias", draws.normal(filters, gradient=True)))
    y = F.conv2d(x, weight, params[1][1] if bias else None, stride, padding, 1, groups)
    options = dict(filters=filters, kernel=kernel, stride=stride, padding=padding, groups=groups, bias=bias)
    return entry(name, "conv2d", options, x, y, draws, params)


def convolutions():
    yield conv("conv2d valid", (2, 3, 6, 5), 4, 3)
    yield conv("conv2d stride 2 padding 1", (2, 3, 7, 6), 5, 3, stride=2, padding=1)
    yield conv("conv2d groups 2", (2, 4, 5, 5), 6, 3, padding=1, groups=2)
    yield conv("conv2d depthwise", (2, 5, 6, 5), 5, 3, padding=1, groups=5)
    yield conv("conv2d depthwise stride 2", (2, 3, 7, 8), 3, 3, stride=2, padding=1, groups=3, bias=False)
    yield conv("conv2d 1x1", (3, 5, 4, 3), 7, 1)
    yield conv("conv2d 1x1 stride 2", (2, 3, 5, 5), 4, 1, stride=2, bias=False)
    yield conv("conv2d kernel 5 padding 2 stride 4", (2, 2, 9, 11), 3, 5, stride=4, padding=2)
    yield conv("conv2d no bias", (1, 2, 5, 6), 3, 3, padding=1, bias=False)


def linear(name, batch, inputs, outputs, bias=True):
    draws = Draws(name)
    x = draws.normal(batch, inputs, gradient=True)
    weight = draws.normal(outputs, inputs, scale=0.4, gradient=True)
    params = [("weight", weight)]
    if bias:
        params.append(("bias", draws.normal(outputs, gradient=True)))
    y = F.linear(x, weight, params[1][1] if bias else None)
    return entry(name, "linear", dict(outputs=outputs, bias=bias), x, y, draws, params, to_rust=transposed)


def pool(name, op, x_shape, size, stride, padding=0):
    draws = Draws(name)
    if op == "max_pool":
        x = draws.distinct(*x_shape, gradient=True)
        y = F.max_pool2d(x, size, stride, padding)
    else:
        x = draws.normal(*x_shape, gradient=True)
        y = F.avg_pool2d(x, size, stride, padding, count_include_pad=True)
    return entry(name, op, dict(size=size, stride=stride, padding=padding), x, y, draws)


def pools():
    yield linear("linear", 5, 7, 3)
    yield linear("linear no bias", 3, 4, 6, bias=False)
    for op in ("max_pool", "avg_pool"):
        yield pool(f"{op} 2/2", op, (2, 3, 6, 4), 2, 2)
        yield pool(f"{op} 2/2 remainder", op, (2, 2, 5, 7), 2, 2)
        yield pool(f"{op} 3/2", op, (2, 2, 7, 7), 3, 2)
        yield pool(f"{op} 3/2 padding 1", op, (2, 2, 6, 7), 3, 2, 1)
    draws = Draws("global_avg_pool")
    x = draws.normal(3, 4, 3, 5, gradient=True)
    yield entry("global_avg_pool", "global_avg_pool", {}, x, x.mean((2, 3)), draws)


def elementwise():
    scale = exact(0.05)
    functions = {
        "relu": (torch.relu, {}, 1.0),
        "tanh": (torch.tanh, {}, 2.0),
        "sigmoid": (torch.sigmoid, {}, 4.0),
        "sine": (lambda x: torch.sin(scale * x), {"scale": 0.05}, 40.0),
        "log_softmax": (lambda x: F.log_softmax(x, -1), {}, 3.0),
    }
    for name, (function, options, spread) in functions.items():
        draws = Draws(name)
        x = draws.normal(4, 9, scale=spread, gradient=True)
        yield entry(name, name, options, x, function(x), draws)


def affine(draws, count):
    weight = draws.uniform(0.5, 1.5, count).requires_grad_()
    return [("weight", weight), ("bias", draws.normal(count, gradient=True))]


def group_norm(name, x_shape, groups):
    draws = Draws(name)
    x = draws.normal(*x_shape, scale=1.5, gradient=True)
    params = affine(draws, x_shape[1])
    y = F.group_norm(x, groups, params[0][1], params[1][1], EPSILON)
    return entry(name, "group_norm", dict(groups=groups, epsilon=EPSILON), x, y, draws, params)


def batch_norm(name, x_shape, training):
    draws = Draws(name)
    x = draws.normal(*x_shape, scale=1.5, gradient=True)
    channels = x_shape[1]
    params = affine(draws, channels)
    mean, variance = draws.normal(channels, scale=0.2), draws.uniform(0.5, 2.0, channels)
    buffers = lambda: [
        {"name": key, "shape": [channels], "values": numbers(value)}
        for key, value in [("running_mean", mean), ("running_var", variance)]
    ]
    before = buffers()
    y = F.batch_norm(x, mean, variance, params[0][1], params[1][1], training, 0.1, EPSILON)
    options = dict(momentum=0.1, epsilon=EPSILON, training=training)
    more = dict(buffers=before, buffers_after=buffers())
    return entry(name, "batch_norm", options, x, y, draws, params, **more)


def norms():
    yield group_norm("group_norm 3 of 6", (2, 6, 3, 4), 3)
    yield group_norm("group_norm 1 of 3", (3, 3, 2, 3), 1)
    yield group_norm("group_norm 4 of 4", (2, 4, 3, 3), 4)
    yield batch_norm("batch_norm training", (4, 3, 3, 2), True)
    yield batch_norm("batch_norm evaluation", (3, 3, 2, 3), False)
    draws = Draws("layer_norm")
    x = draws.normal(5, 7, scale=1.5, gradient=True)
    params = affine(draws, 7)
    y = F.layer_norm(x, (7,), params[0][1], params[1][1], EPSILON)
    yield entry("layer_norm", "layer_norm", dict(epsilon=EPSILON), x, y, draws, params)


def embedding(name, padding):
    draws = Draws(name)
    vocabulary, width, steps, batch = 9, 5, 4, 3
    tokens = draws.integers(0, vocabulary - 2, steps, batch)
    tokens[0, 0], tokens[steps - 1, batch - 1] = 0, 0
    weight = draws.normal(vocabulary, width)
    if padding is not None:
        weight[padding] = 0
    weight.requires_grad_()
    y = F.embedding(tokens, weight, padding)
    options = dict(vocabulary=vocabulary, width=width, padding=padding)
    return entry(name, "embedding", options, tokens, y, draws, [("weight", weight)], steps, [1])


def recurrent(name, op, batch, steps, inputs, hidden, layers):
    draws = Draws(name)
    module = (torch.nn.GRU if op == "gru" else torch.nn.LSTM)(inputs, hidden, layers).to(DOUBLE)
    names = [f"{kind}_l{layer}" for layer in range(layers) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    params = []
    for key in names:
        parameter = getattr(module, key)
        parameter.data = draws.normal(*parameter.shape, scale=0.5)
        params.append((key, parameter))
    x = draws.normal(steps, batch, inputs, gradient=True)
    y, _ = module(x)
    options = dict(hidden=hidden, layers=layers)
    return entry(name, op, options, x, y, draws, params, steps, [inputs], transposed)


def sequences():
    yield embedding("embedding padding 0", 0)
    yield embedding("embedding no padding", None)
    for op in ("gru", "lstm"):
        yield recurrent(f"{op} 1 layer", op, 3, 4, 5, 3, 1)
        yield recurrent(f"{op} 2 layers", op, 2, 5, 3, 4, 2)


def loss(name, kind, outputs, targets, ignore=None):
    outputs.requires_grad_()
    functions = {"cross_entropy": F.cross_entropy, "nll": F.nll_loss}
    if kind in functions:
        value = functions[kind](outputs, targets, ignore_index=-100 if ignore is None else ignore)
    else:
        value = (F.binary_cross_entropy if kind == "binary_cross_entropy" else F.mse_loss)(outputs, targets)
    value.backward()
    return {
        "name": name,
        "loss": kind,
        "rows": outputs.shape[0],
        "width": outputs.shape[1],
        "outputs": numbers(outputs),
        "targets": numbers(targets),
        "ignore": ignore,
        "value": numbers(value)[0],
        "gradient": numbers(outputs.grad),
    }


def losses():
    for name, kind, ignore in [
        ("cross_entropy", "cross_entropy", None),
        ("cross_entropy ignore 0", "cross_entropy", 0),
        ("nll", "nll", None),
        ("nll ignore 2", "nll", 2),
    ]:
        draws = Draws(name)
        outputs, targets = draws.normal(7, 5, scale=2.0), draws.integers(0, 5, 7)
        if kind == "nll":
            outputs = exact(np.round(F.log_softmax(outputs, 1).numpy(), 3))
        if ignore is not None:
            targets[1], targets[4] = ignore, ignore
        yield loss(name, kind, outputs, targets, ignore)
    draws = Draws("cross_entropy large logits")
    yield loss("cross_entropy large logits", "cross_entropy", draws.normal(4, 3, scale=60.0), draws.integers(0, 3, 4))
    draws = Draws("binary_cross_entropy")
    yield loss("binary_cross_entropy", "binary_cross_entropy", draws.uniform(0.01, 0.99, 6, 2), draws.uniform(0, 1, 6, 2).round())
    yield loss("binary_cross_entropy soft", "binary_cross_entropy", draws.uniform(0.01, 0.99, 5, 1), draws.uniform(0, 1, 5, 1))
    # Logarithms are cut off at -100 and the denominator of the gradient at 1e-12.
    ends, targets = exact([[0.0], [1.0], [0.0], [1.0], [0.25]]), exact([[0.0], [1.0], [1.0], [0.0], [1.0]])
    yield loss("binary_cross_entropy saturated", "binary_cross_entropy", ends, targets)
    draws = Draws("mean_squared")
    yield loss("mean_squared", "mean_squared", draws.normal(5, 3), draws.normal(5, 3))


def optimizer(name, kind, **options):
    """Five steps; options that are absent are 0, false or PyTorch's defaults."""
    draws = Draws(name)
    x = draws.normal(6, gradient=True)
    x0, gradients, path = numbers(x), [], []
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    if kind == "sgd":
        momentum, nesterov = options.get("momentum", 0.0), options.get("nesterov", False)
        rule = torch.optim.SGD([x], lr, momentum, weight_decay=decay, nesterov=nesterov)
    else:
        betas = (options.setdefault("beta1", 0.9), options.setdefault("beta2", 0.999))
        epsilon = options.setdefault("epsilon", 1e-8)
        rule = (torch.optim.Adam if kind == "adam" else torch.optim.AdamW)([x], lr, betas, epsilon, decay)
    for _ in range(5):
        x.grad = draws.normal(6)
        gradients.append(numbers(x.grad))
        if "clip_norm" in options:
            torch.nn.utils.clip_grad_norm_([x], options["clip_norm"])
        rule.step()
        path.append(numbers(x))
    return {"name": name, "optimizer": kind, "options": options, "x0": x0, "gradients": gradients, "x": path}


def optimizers():
    yield optimizer("sgd", "sgd", lr=0.1)
    yield optimizer("sgd weight decay", "sgd", lr=0.1, weight_decay=0.05)
    yield optimizer("sgd momentum", "sgd", lr=0.1, momentum=0.9)
    yield optimizer("sgd momentum weight decay", "sgd", lr=0.05, momentum=0.8, weight_decay=0.01)
    yield optimizer("sgd nesterov", "sgd", lr=0.1, momentum=0.9, nesterov=True)
    yield optimizer("sgd nesterov weight decay", "sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.02)
    yield optimizer("sgd clip", "sgd", lr=0.1, clip_norm=1.5)
    yield optimizer("sgd clip momentum weight decay", "sgd", lr=0.1, momentum=0.9, weight_decay=0.02, clip_norm=2.0)
    yield optimizer("adam", "adam", lr=0.01)
    yield optimizer("adam weight decay", "adam", lr=0.01, weight_decay=0.1)
    yield optimizer("adam betas", "adam", lr=0.02, beta1=0.8, beta2=0.99, epsilon=1e-3)
    yield optimizer("adam clip", "adam", lr=0.01, clip_norm=1.0)
    yield optimizer("adamw", "adamw", lr=0.01, weight_decay=0.1)


def schedule_of(rule, steps, **options):
    """Learning rates of PyTorch's scheduler from step 0 on, one for each step."""
    x = torch.zeros(1, requires_grad=True)
    sgd = torch.optim.SGD([x], options["lr"])
    scheduler, values = rule(sgd), []
    for _ in range(steps):
        values.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return numbers(torch.tensor(values, dtype=DOUBLE))


def schedules():
    rates = torch.optim.lr_scheduler
    yield {
        "schedule": "step",
        "options": {"lr": 0.1, "every": 3, "factor": 0.5},
        "values": schedule_of(lambda sgd: rates.StepLR(sgd, 3, 0.5), 11, lr=0.1),
    }
    for options in ({"lr": 0.1, "finish": 0.0, "steps": 10}, {"lr": 0.05, "finish": 0.001, "steps": 7}):
        cosine = lambda sgd: rates.CosineAnnealingLR(sgd, options["steps"], options["finish"])
        values = schedule_of(cosine, options["steps"] + 1, lr=options["lr"])
        yield {"schedule": "cosine", "options": options, "values": values}
    for lr, finish, steps in ((0.001, 0.0001, 9), (0.5, 0.005, 6)):
        ends = {"lr": lr, "finish": finish, "steps": steps}
        yield {"schedule": "linear", "options": ends, "values": numbers(torch.linspace(lr, finish, steps, dtype=DOUBLE))}
        logs = torch.logspace(math.log10(lr), math.log10(finish), steps, dtype=DOUBLE)
        yield {"schedule": "log", "options": ends, "values": numbers(logs)}


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(DOUBLE)
    ops = [*convolutions(), *pools(), *elementwise(), *norms(), *sequences()]
    parts = {"ops": ops, "losses": [*losses()], "optimizers": [*optimizers()], "schedules": [*schedules()]}
    compact = lambda value: json.dumps(value, separators=(",", ":"), allow_nan=False)
    text = "{\n" + compact("torch") + ":" + compact(torch.__version__.split("+")[0])
    for key, entries in parts.items():
        text += f",\n{compact(key)}:[\n" + ",\n".join(map(compact, entries)) + "\n]"
    path = Path(__file__).parent / "ops.json"
    path.write_text(text + "\n}\n")
    print(f"{path}: {len(text) // 1000} kB, " + ", ".join(f"{len(entries)} {key}" for key, entries in parts.items()))


if __name__ == "__main__":
    main()
