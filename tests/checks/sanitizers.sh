#!/usr/bin/env bash
# Builds with the sanitizers and runs the unit tests, the host's tests and a short run of the program.
# An hour and more the first time.
#   sanitizers.sh [asan] [tsan]
# What is suppressed is in lsan.supp and tsan.supp, by name, each with its reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
checks=$PWD/tests/checks
[ $# -gt 0 ] || set -- asan tsan
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# LibTorch is not instrumented: what it does to vectors of ours is not seen, and it never frees what
# lives as long as the process. Its threads are OpenMP's, which are not instrumented either: one.
export OMP_NUM_THREADS=1
export ASAN_OPTIONS=detect_container_overflow=0:detect_odr_violation=1:check_initialization_order=1:strict_string_checks=1
export LSAN_OPTIONS=suppressions=$checks/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=suppressions=$checks/tsan.supp:ignore_noninstrumented_modules=1:halt_on_error=0:second_deadlock_stack=1

smoke() { # build folder
  local grevy=$PWD/$1/bin/grevy
  rm -rf "${work:?}"/*
  cat >"$work/experiment.json" <<'JSON'
{"threads": 1, "data": {"neural": "recording/spikes.npy", "labels": {"position": "recording/position.npy"}},
 "model": {"name": "offset10-model"}, "sampling": {"conditional": "time_delta"},
 "training": {"num_steps": 20, "batch_size": 64, "valid_frequency": 5, "save_frequency": 5}}
JSON
  (
    cd "$work"
    "$grevy" simulate --out recording --samples 1000 --quiet
    "$grevy" run experiment.json --out run --quiet
    "$grevy" run experiment.json --out run --resume --set training.num_steps=30 --quiet
    "$grevy" transform run recording/spikes.npy -o embedding.npy --quiet
    "$grevy" plugins list --quiet >/dev/null
  )
}

for preset in "$@"; do
  build=build/$preset
  cmake --preset "$preset" >/dev/null
  cmake --build "$build" -j "${JOBS:-$(nproc)}" --target grevy grevy-unit-tests grevy-host-tests
  echo "== $preset: unit tests"
  "$build/tests/grevy-unit-tests"
  echo "== $preset: host tests"
  "$build/tests/grevy-host-tests"
  echo "== $preset: a run"
  smoke "$build"
  echo "$preset: ok"
done
