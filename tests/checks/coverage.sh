#!/usr/bin/env bash
# Branch coverage of host/ and sdk/ by the unit, host and program tests: a table by file and, of each
# file, the lines with branches that no test has taken. Needs gcovr (Debian); a build of its own.
#   coverage.sh            builds (preset coverage), runs, reports to build/coverage/report
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v gcovr >/dev/null || { echo "gcovr: not installed" >&2; exit 77; }
build=build/coverage
cmake --preset coverage >/dev/null
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target grevy grevy-unit-tests grevy-host-tests grevy-program-tests
find "$build" -name '*.gcda' -delete
for tests in unit host program; do
  echo "== $tests"
  "$build/tests/grevy-$tests-tests" || echo "some $tests tests fail; what they ran counts all the same"
done

mkdir -p "$build/report"
# Throws of the standard library in every call are no branches of ours.
gcovr --root . --object-directory "$build" --filter host/ --filter sdk/ --exclude-throw-branches \
  --exclude-unreachable-branches --branches --txt "$build/report/branches.txt" --json "$build/report/all.json"
cat "$build/report/branches.txt"
python3 - "$build/report/all.json" >"$build/report/untested.txt" <<'PYTHON'
import json, pathlib, sys
for file in sorted(json.load(open(sys.argv[1]))["files"], key=lambda f: f["file"]):
    source = pathlib.Path(file["file"]).read_text().splitlines()
    for line in file["lines"]:
        untaken = [b for b in line["branches"] if b["count"] == 0]
        if untaken and line["line_number"] <= len(source):
            text = source[line["line_number"] - 1].strip()
            print(f'{file["file"]}:{line["line_number"]}: {len(untaken)} of {len(line["branches"])}: {text}')
PYTHON
echo "untested branches: $(wc -l <"$build/report/untested.txt") lines, in $build/report/untested.txt"
