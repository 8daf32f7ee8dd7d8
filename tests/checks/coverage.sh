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
find "$build" -name '*.gcda' -delete
for tests in unit host program fault; do
  echo "== $tests"
  # gcov's own files are under the limits and in the way of the signals that faults are made of.
  "$build/tests/grevy-$tests-tests" -tse=long || echo "some $tests tests fail; what they ran counts all the same"
done
python3 tests/checks/branches.py "$build" tests/checks/untested.txt
