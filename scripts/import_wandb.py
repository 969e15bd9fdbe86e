#!/usr/bin/env python3
"""Imports a run into Weights & Biases.

    hcddl export runs/my-run --format jsonl --out /tmp/my-run
    pip install wandb
    python scripts/import_wandb.py /tmp/my-run/run.jsonl --project hcddl [--offline]

Evaluations and the root's commits become history (the x axis is the version of the model, `virtual_time_s` is
logged with it), the scenario becomes the config, the summary the summary.
"""

import argparse
import json
import pathlib


def read(path):
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    if not lines or lines[0].get("type") != "run" or lines[-1].get("type") != "summary":
        raise SystemExit(f"{path}: not written by `hcddl export --format jsonl`")
    return lines[0], lines[1:-1], lines[-1]


def history(lines):
    """Values by version: evaluations, and commits of the node that commits last (the root)."""
    commits = [line for line in lines if line["type"] == "commit"]
    contributors = {name for line in commits for name in line["contributors"]}
    roots = [line["node"] for line in commits if line["node"] not in contributors]
    root = roots[-1] if roots else None
    by_version = {}
    for line in lines:
        values = by_version.setdefault(line["version"], {})
        if line["type"] == "evaluation":
            values.update({k: v for k, v in line.items() if k not in ("type", "version")})
        elif line["node"] == root:
            staleness = line["staleness"]
            values["virtual_time_s"] = line["virtual_time_s"]
            values["commit/staleness"] = sum(staleness) / max(len(staleness), 1)
            values["commit/contributors"] = len(line["contributors"])
            values["commit/bytes"] = line["bytes"]
    return sorted((version, values) for version, values in by_version.items() if values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path, help="run.jsonl")
    parser.add_argument("--project", default="hcddl")
    parser.add_argument("--offline", action="store_true", help="write to ./wandb, upload later with `wandb sync`")
    arguments = parser.parse_args()
    head, lines, summary = read(arguments.file)

    import wandb

    run = wandb.init(
        project=arguments.project,
        name=head["name"],
        config={"scenario": head["plan"], "seeds": head["seeds"]},
        mode="offline" if arguments.offline else "online",
    )
    run.define_metric("*", step_metric="version")
    for version, values in history(lines):
        run.log({"version": version, **values})
    run.summary.update({k: v for k, v in summary.items() if isinstance(v, (int, float, str))})
    run.finish()


if __name__ == "__main__":
    main()
