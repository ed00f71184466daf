#!/usr/bin/env bash
# Create the virtual environment $VLLM_VENV (.venv-vllm) with vLLM's CPU build and the plug-ins beside this file.
# For the tests; a machine with a GPU takes the official vllm instead, see README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
VLLM_VENV=${VLLM_VENV:-.venv-vllm}

python=${PYTHON:-}
for candidate in python3.11 python3.12 python3.13 python3; do
    [ -n "$python" ] && break
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
        python=$candidate
    fi
done
[ -n "$python" ] || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python" >&2; exit 1; }
[ -x "$VLLM_VENV/bin/python" ] || "$python" -m venv "$VLLM_VENV"
"$VLLM_VENV/bin/python" -m pip install -q --disable-pip-version-check uv

# uv does not read pip's settings: hand on the folders with local wheels that pip knows.
links=${PIP_FIND_LINKS:-$("$VLLM_VENV/bin/python" -m pip config get global.find-links 2>/dev/null || true)}
export UV_FIND_LINKS=${UV_FIND_LINKS:-${links// /,}} UV_COMPILE_BYTECODE=1
install=("$VLLM_VENV/bin/uv" pip install -q --python "$VLLM_VENV/bin/python" --no-deps)
# torch +cpu is not on the registry: without a folder that holds it, uv asks PyTorch's own CPU index.
[ -n "$UV_FIND_LINKS" ] || export UV_TORCH_BACKEND=${UV_TORCH_BACKEND:-cpu}

# --no-deps: vLLM names torchvision, torchaudio, torchcodec and triton, whose wheels are linked to CUDA and do not
# load here; an audio model on a CPU needs none of them.
"${install[@]}" -r deployments/vllm/requirements-cpu.txt
"${install[@]}" -e deployments/vllm/moss_music -e deployments/vllm/music_flamingo
