#!/usr/bin/env bash
# Install bridge into an environment of its own, and put it on PATH for the steps that follow.
set -euo pipefail
home="$RUNNER_TEMP/bridge"
case "$INPUT_VERSION" in
  "") what="$GITHUB_ACTION_PATH" ;;
  [0-9]*) what="conda-bridge==$INPUT_VERSION" ;;
  *) what="$INPUT_VERSION" ;;
esac
"$INPUT_PYTHON" -m venv "$home/venv"
"$home/venv/bin/python" -m pip install --quiet "$what"
# Before the directory of /usr/sbin/bridge, another program (iproute2): only this program goes on PATH.
mkdir -p "$home/bin"
ln -sf "$home/venv/bin/bridge" "$home/bin/bridge"
echo "$home/bin" >> "$GITHUB_PATH"
echo "BRIDGE_CACHE_DIR=$home/cache" >> "$GITHUB_ENV"
echo "cache=$home/cache" >> "$GITHUB_OUTPUT"
echo "prefix=$INPUT_PREFIX" >> "$GITHUB_OUTPUT"
PATH="$home/bin:$PATH" BRIDGE_CACHE_DIR="$home/cache" bridge self check
