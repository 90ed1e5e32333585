#!/usr/bin/env bash
# Renews the lock files from pyproject.toml: hashed, and without any host name. One file per environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
UV=${UV:-uv}
lock() {
  local out=services/locks/$1.txt; shift
  "$UV" pip compile -q -p 3.11 --python-platform x86_64-manylinux_2_35 --generate-hashes --no-emit-index-url --no-header --no-annotate "$@" pyproject.toml -o "$out"
}
lock worker --extra worker
lock triton-lite --extra lite
lock triton-torch --extra torch --override services/locks/torch-override.txt
lock dev --extra worker --extra lite --extra dev --extra test
lock engines --extra lite --extra torch --extra dev --extra test --override services/locks/torch-override.txt
# Not from pyproject.toml: uv itself, what builds images, the server of the CPU image, and what Triton's own image lacks.
plain() {
  "$UV" pip compile -q --python-platform x86_64-manylinux_2_35 --generate-hashes --no-emit-index-url --no-header --no-annotate "${@:2}" \
    "services/locks/$1.in" -o "services/locks/$1.txt"
}
plain uv -p 3.11
plain images -p 3.11
plain tritonserver -p 3.11 --no-deps
plain triton-nvidia -p 3.12
