#!/usr/bin/env python3
"""Times training steps of PyTorch on one thread; run.sh starts it.

A step is forward, loss, backward, SGD with learning rate 0.01, and forgetting the gradients, in float32, over one
batch of random inputs. The figure is the median of as many steps as fit into --seconds, after a warm-up. PyTorch may
show its best: besides the default, convolutional models are timed with the memory format channels_last, and the
faster of the two with the fused SGD; `ms_median` is the best of these and `variant` its name.

Lines of --json: {"model", "batch", "ms_median", "variant", "variants": {name: ms}, "params"}; the first line
describes the run.
"""

import argparse
import json
import platform
import statistics
import time

import torch

import models


def stepper(model, batch, channels_last, fused):
    """A function that makes one training step."""
    torch.manual_seed(1)
    network, criterion = model.build().train(), model.loss()
    inputs, targets = model.draw(batch)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, fused=fused or None)

    def step():
        loss = criterion(network(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def median_ms(step, seconds):
    """Median time of a step; at least 5 steps are timed."""
    warm_until, warm = time.perf_counter() + seconds / 4, 0
    while warm < 3 or time.perf_counter() < warm_until:
        step()
        warm += 1
    until, times = time.perf_counter() + seconds, []
    while len(times) < 5 or time.perf_counter() < until:
        start = time.perf_counter_ns()
        step()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e6


def entry(name, model, batch, seconds):
    params = sum(parameter.numel() for parameter in model.build().parameters())
    assert params == model.params, f"{name} has {params} parameters, not {model.params}"
    measure = lambda **how: round(median_ms(stepper(model, batch, **how), seconds), 5)
    variants = {"default": measure(channels_last=False, fused=False)}
    if model.conv:
        variants["channels_last"] = measure(channels_last=True, fused=False)
    best = min(variants, key=variants.get)
    fused = "fused" if best == "default" else f"{best} fused"
    variants[fused] = measure(channels_last=best == "channels_last", fused=True)
    best = min(variants, key=variants.get)
    return {
        "model": name,
        "batch": batch,
        "ms_median": variants[best],
        "variant": best,
        "variants": variants,
        "params": params,
    }


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    table = models.table()
    parser = argparse.ArgumentParser(description="PyTorch training steps on one thread")
    parser.add_argument("--models", help=f"comma-separated; all: {','.join(table)}")
    parser.add_argument("--batch", help="comma-separated; by default 32,64, or the sizes that a model is used with")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timed steps for each figure (1)")
    parser.add_argument("--json", metavar="FILE", help="JSON lines")
    arguments = parser.parse_args()
    names = arguments.models.split(",") if arguments.models else list(table)
    if unknown := set(names) - set(table):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(table)}")

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    about = {
        "torch": torch.__version__,
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    lines = [about]
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'model':<12} {'batch':>5} {'ms':>10} {'default':>10} {'params':>11}  variant")
    for name in names:
        model = table[name]
        for batch in map(int, arguments.batch.split(",")) if arguments.batch else model.batches:
            row = entry(name, model, batch, arguments.seconds)
            lines.append(row)
            default = row["variants"]["default"]
            figures = f"{row['ms_median']:>10.3f} {default:>10.3f} {row['params']:>11,}"
            print(f"{name:<12} {batch:>5} {figures}  {row['variant']}", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
