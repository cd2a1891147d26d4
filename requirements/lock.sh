#!/usr/bin/env bash
# Writes the lock files anew: `make lock`. Hashes, no index addresses, valid for Python 3.11 to 3.14.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  local out=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --output-file "requirements/$out" "$@"
}
compile dev.txt pyproject.toml --all-extras --group build --group dev --group examples --upgrade
compile lowest.txt pyproject.toml --all-extras --group build --group dev --group examples --resolution lowest-direct --upgrade
compile peers.txt pyproject.toml --group build --group peers --upgrade
for peer in mlflow otel langfuse langsmith opik; do
  compile "peer-$peer.txt" --group "pyproject.toml:peer-$peer" --upgrade
done
echo "uv>=0.9" | compile uv.txt - --upgrade
