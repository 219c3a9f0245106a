#!/usr/bin/env bash
# A gate in three acts: the same checkpoint, a harmless fine-tune, a harmful one.
# Usage: examples/ci-gate/run.sh [FOLDER]   (no network, no GPU, under two minutes on two cores)
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder" && cd "$folder"
export MMFLOW_CACHE=store HF_HUB_DISABLE_PROGRESS_BARS=1

python "$repository/examples/ci-gate/finetune.py" checkpoints

gate() { # gate CHECKPOINT EXPECTED_EXIT_CODE
  echo; echo "=== is '$1' still 'base'? ==="
  local code=0
  python -m pytest "$repository/suites" -q --no-header -p no:cacheprovider \
    --model="checkpoints/$1" --baseline=checkpoints/base --gate=regression \
    --tasks=ChooseAttr --no-twins \
    --mechanisms='q-last-*,img*,oth-*,rel-*,lens-lower-rise,lens-upper-late' \
    --report=md,junit --mmflow-output=runs >"$1.txt" || code=$?
  sed -n '/against the baseline/,$p' "$1.txt"
  echo "exit code $code"
  [ "$code" = "$2" ] || { echo "expected $2"; cat "$1.txt"; exit 1; }
}

gate base 0
gate harmless 0
gate harmful 1
echo; echo "as it should be; summaries for a pull request: $folder/runs/*/summary.md"
