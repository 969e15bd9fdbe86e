#!/bin/sh
# PyTorch's training steps on one core of this machine, for comparison with ours. Never run by CI.
#
#   bench/torch/run.sh [--models a,b] [--batch 32,64] [--json FILE]
#   bench/torch/run.sh --setup      only the virtual environment (also used by tests/goldens/make.py)
#
# The first run installs PyTorch from PyPI into target/torch-venv: needs Python 3.11 or newer, a network and 7 GB of disk.
set -eu
cd "$(dirname "$0")/../.."
venv=target/torch-venv
if ! cmp -s bench/torch/requirements.txt "$venv/requirements.txt"; then
    echo "installing PyTorch into $venv" >&2
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement bench/torch/requirements.txt
    cp bench/torch/requirements.txt "$venv/requirements.txt"
fi
[ "${1:-}" = --setup ] || exec "$venv/bin/python" bench/torch/bench.py "$@"
