"""Joins the figures of hcddl and of PyTorch, and prints their ratios (below 1: hcddl is faster).

    taskset -c 1 cargo bench --bench learn -- --json ours.json
    taskset -c 1 bench/torch/run.sh --json torch.json
    python3 bench/torch/compare.py ours.json torch.json

Several files of each side may be given, as in `ours1.json,ours2.json`: then the least time of each counts, which
is what remains of a noisy machine.
"""

import json
import sys


def read(names):
    best = {}
    for name in names.split(","):
        with open(name) as file:
            for line in file:
                row = json.loads(line)
                if "ms_median" in row:
                    key = (row["model"], row["batch"])
                    best[key] = min(best.get(key, float("inf")), row["ms_median"])
    return best


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ours, torch = read(sys.argv[1]), read(sys.argv[2])
    print(f"{'model':<14}{'batch':>6}{'hcddl ms':>11}{'torch ms':>11}{'ratio':>8}")
    for model, batch in ours:
        if (model, batch) in torch:
            own, other = ours[model, batch], torch[model, batch]
            print(f"{model:<14}{batch:>6}{own:>11.3f}{other:>11.3f}{own / other:>8.2f}")


if __name__ == "__main__":
    main()
