#!/usr/bin/env bash
# Coverage of host/ and sdk/ by the unit, host, program and fault tests (their short parts): outcomes
# of conditions that no test has seen. A line with one that is not in untested.txt, which says why it
# is not tested, is an error. Needs gcov, which comes with the compiler; a build of its own.
#   coverage.sh            builds (preset coverage), runs; the lines go to build/coverage/untested.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=build/coverage
export OMP_NUM_THREADS=1
cmake --preset coverage >/dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target grevy grevy-{unit,host,program,fault}-tests
# What no plugin calls is in no object, and so gcov would not know of it. The headers that stand in for
# LibTorch's let this be without LibTorch, which would be kept as well.
cat >"$build/sdk_headers.cpp" <<'SOURCE'
#include <grevy/jacobian.hpp>
#include <grevy/kernel.hpp>
#include <grevy/plugin.hpp>
#include <torch/csrc/autograd/custom_function.h>
SOURCE
"${CXX:-c++}" -std=c++17 --coverage -O0 -fkeep-inline-functions -Isdk/include/grevy/portable/libtorch -Isdk/include \
  -c "$build/sdk_headers.cpp" -o "$build/sdk_headers.o"
find "$build" -name '*.gcda' -delete
for tests in unit host program fault; do
  echo "== $tests"
  # gcov's own files are under the limits and in the way of the signals that faults are made of.
  "$build/tests/grevy-$tests-tests" -tse=long || echo "some $tests tests fail; what they ran counts all the same"
done
python3 tests/checks/branches.py "$build" tests/checks/untested.txt
