#!/usr/bin/env bash
# Is a fine-tune still the checkpoint that it was made of?
# Usage: examples/trained/gate.sh FOLDER NAME [options of mmflow run]
# FOLDER is one of finetunes.py, NAME one of its checkpoints or any other that --model= takes.
set -euo pipefail
folder=$1 model=$2
shift 2
[ ! -e "$folder/$model" ] || model=$folder/$model
exec mmflow run --model="$model" --baseline=trained/gemma-scenes --gate=regression \
  --questions="$folder/questions.jsonl" --images="$folder/images" --tasks=ChooseRel --limit=32 \
  --mechanisms='acc-95,*-null,q-last-drop,q-last-mid,imgq-drop1,imgq-drop2,imgq-low-only,oth-dom-1,rel-dom-2,lens-lower-rise,lens-upper-late' \
  --tolerance=0.2 --no-twins --mmflow-output="$folder/runs" "$@"
