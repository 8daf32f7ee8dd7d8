#!/usr/bin/env bash
# A short run, its resumption and a transform under valgrind's memcheck, and the tests that have
# threads of ours under helgrind; without the instructions that valgrind does not know. Takes minutes.
#   valgrind.sh [BUILD]
# Ends with 77 (skipped) where valgrind is not installed.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build_dir=$(realpath "${1:-$source_dir/build/release}")
command -v valgrind >/dev/null || { echo "valgrind: not installed" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=1 GREVY_INSTRUCTIONS=baseline ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=PRESCOTT
grevy=$build_dir/bin/grevy

cat >experiment.json <<'JSON'
{"threads": 1, "data": {"neural": "recording/spikes.npy", "labels": {"position": "recording/position.npy"}},
 "model": {"name": "offset10-model", "num_units": 4}, "sampling": {"conditional": "time_delta"},
 "training": {"num_steps": 4, "batch_size": 16, "valid_frequency": 2, "save_frequency": 2},
 "evaluation": {"num_batches": 2, "neighbours": 3}}
JSON
"$grevy" simulate --out recording --samples 300 --neurons 6 --quiet

# check TOOL COMMAND...: no findings but those that are suppressed by name.
check() {
  local tool=$1
  shift
  echo "== $tool: $(basename "$1") ${*:2}"
  if ! valgrind --tool="$tool" --suppressions="$source_dir/tests/checks/valgrind.supp" --error-exitcode=99 \
    --num-callers=30 --gen-suppressions=all --log-file="$work/findings" "$@" >"$work/said" 2>&1; then
    grep -v '^==[0-9]*== *$' "$work/findings" | head -200
    cat "$work/said"
    exit 1
  fi
  tail -n 2 "$work/findings"
}

check memcheck "$grevy" run experiment.json --out run
check memcheck "$grevy" run experiment.json --out run --resume --set training.num_steps=6
check memcheck "$grevy" transform run recording/spikes.npy -o embedding.npy
check helgrind "$build_dir/tests/grevy-unit-tests" -sf='*background_test.cpp,*folder_lock_test.cpp,*atomic_file_test.cpp'
check helgrind "$build_dir/tests/grevy-host-tests" \
  -tc='two trainers in two threads*,batches that are prepared ahead*,batches stay as they are*,a loader that is not asked*,hosts of different threads*'
echo "valgrind: ok"
