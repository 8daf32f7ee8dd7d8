#!/usr/bin/env bash
# Branch coverage of host/ and sdk/ by the unit, host, program and fault tests (the short part): a
# table by file, and every line with a branch that no test has taken. Such a line that is not in
# untested.txt, which says why nothing can take it, is an error. Needs gcovr (Debian); a build of its own.
#   coverage.sh            builds (preset coverage), runs, reports to build/coverage/report
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v gcovr >/dev/null || { echo "gcovr: not installed" >&2; exit 77; }
build=build/coverage report=build/coverage/report
export OMP_NUM_THREADS=1
cmake --preset coverage >/dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target grevy grevy-{unit,host,program,fault}-tests
find "$build" -name '*.gcda' -delete
for tests in unit host program fault; do
  echo "== $tests"
  "$build/tests/grevy-$tests-tests" -tse=long || echo "some $tests tests fail; what they ran counts all the same"
done

mkdir -p "$report"
# Throws of the standard library in every call are no branches of ours.
gcovr --root . --object-directory "$build" --filter host/ --filter sdk/ --exclude-throw-branches \
  --exclude-unreachable-branches --branches --txt "$report/branches.txt" --json "$report/all.json"
cat "$report/branches.txt"
python3 tests/checks/untested.py "$report/all.json" >"$report/untested.txt"
echo "lines with untested branches: $(wc -l <"$report/untested.txt"), in $report/untested.txt"
python3 tests/checks/untested.py "$report/all.json" tests/checks/untested.txt
