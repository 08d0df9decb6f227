#!/usr/bin/env bash
# Check a lock against what it was made from, and make the environment that it says.
set -euo pipefail
if [ "$INPUT_CHECK" = true ]; then
  bridge lock --check -o "$INPUT_LOCK"
fi
bridge sync -p "$INPUT_PREFIX" "$INPUT_LOCK" --yes
