#!/usr/bin/env bash
# Measure every checkpoint of a list, and make the leaderboard of whatever could be measured.
# Usage: nightly.sh FOLDER [options of `mmflow run`]
#
# What FOLDER/store holds is not measured again, so that a night costs what is new.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
list=${CHECKPOINTS:-$here/checkpoints.txt}
folder=$1
shift
mkdir -p "$folder"
export MMFLOW_CACHE=$folder/store

lacking=()
while read -r checkpoint; do
  echo "=== $checkpoint"
  # A mechanism that does not hold is a result; a checkpoint that cannot be measured is told below.
  mmflow run --model="$checkpoint" --gate=none --mmflow-output="$folder/runs" "$@" </dev/null ||
    lacking+=("$checkpoint")
done < <(grep -v -e '^ *#' -e '^ *$' "$list")

mmflow leaderboard "$folder"/runs/* --latest --output="$folder/site"
if [ ${#lacking[@]} -gt 0 ]; then
  echo "not measured tonight: ${lacking[*]}" >&2
  exit 1
fi
