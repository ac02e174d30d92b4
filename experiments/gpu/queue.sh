#!/usr/bin/env bash
# Everything that wants a GPU, nine minutes at a time (queue.py); until all of it is made:
#   while experiments/gpu/queue.sh; [ $? = 75 ]; do :; done
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python -m experiments.gpu.queue "$@"
