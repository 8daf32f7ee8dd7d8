"""Which outcomes of conditions in host/ and sdk/ no test has seen, from what gcov counted.

  branches.py BUILD [LIST]    a table by folder; the lines go to BUILD/untested.txt. With LIST: says
                              what is new and what is gone, and ends with 1 if something is new.

LIST may also say "[unsorted] PREFIX PREFIX ...": files whose lines are counted, but nobody has
said yet which of them can be tested.

A line is untested if it begins a statement that never ran, or if a condition on it had one outcome
only. A line of LIST is "FILE: TEXT": the source line, not its number, so that the list stays true
when lines move.

Of `grevy validate` nothing is counted: its checks run in processes that end at once (_exit), which
gcov does not see.

Instances of a template count as one.

gcov counts more branches than the source has: every call that may throw, the clean-up of temporaries
behind such a call, guards of local statics. Those are told by gcov (throw), by neither outcome being
there though the line ran (what a condition before them kept from running is seen at that condition),
and by the line having nothing that decides.
"""
import bisect
import collections
import json
import pathlib
import re
import subprocess
import sys

# The line before one that begins a statement.
ENDS = re.compile(r"([;{}:]|^//.*|^#.*|^|;\s*//.*|[{}]\s*//.*)$")
DECIDES = re.compile(r"\b(if|for|while|switch|case)\b|&&|\|\||\?|[=!<>]=| [<>] ")


def counted(build):
    """Of every object file: the sources of ours that it was made from, as gcov's JSON has them."""
    root = str(pathlib.Path.cwd())
    for notes in sorted(build.rglob("*.gcno")):
        gcov = ["gcov", "--branch-probabilities", "--json-format", "--stdout", "--relative-only",
                "--source-prefix", root, str(notes)]
        text = subprocess.run(gcov, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for file in json.loads(text)["files"] if text.strip() else []:
            name = file["file"].removeprefix(root + "/")
            if name.startswith(("host/", "sdk/")) and not name.startswith("host/cli/validate/"):
                yield name, file


def outcomes_of(branches, is_switch):
    """Counts of the outcomes of conditions: two for each, and one for each case of a switch."""
    if is_switch:
        return [branch["count"] for branch in branches if not branch["throw"]]
    pairs = zip(branches[::2], branches[1::2])
    return [side["count"] for pair in pairs if not any(s["throw"] for s in pair) for side in pair]


def function_of(line, begins):
    """Where the function of a line begins: the last one that does before it. gcov has lambdas end on the
    line on which they begin, and counts their other lines for what is around them or for nothing."""
    return begins[max(0, bisect.bisect(begins, (line["line_number"], float("inf"))) - 1)]


def united(outcomes, instances):
    """One for all instances of a template, which gcov gives one after the other for lines of no function."""
    size, rest = divmod(len(outcomes), instances)
    return outcomes if rest or size % 2 else [sum(outcomes[i::size]) for i in range(size)]


def gathered(build):
    """{file: {line: {function: [runs, outcomes]}}}, added over objects and instances of templates."""
    files = collections.defaultdict(lambda: collections.defaultdict(dict))
    sources = {}
    for name, file in counted(build):
        source = sources.setdefault(name, pathlib.Path(name).read_text().splitlines())
        instances = collections.Counter((f["start_line"], f["start_column"]) for f in file["functions"])
        begins = sorted(instances) or [(0, 0)]
        for line in file["lines"]:
            text = source[line["line_number"] - 1].strip()
            begins_here = ENDS.search(source[line["line_number"] - 2].strip()) is not None
            outcomes = outcomes_of(line["branches"], text.startswith("switch"))
            if not DECIDES.search(text.split(" //")[0]):
                outcomes = []
            if not outcomes and not (begins_here and text.strip("{}();")):
                continue
            begin = function_of(line, begins)
            if outcomes and "function_name" not in line:
                outcomes = united(outcomes, max(1, instances[begin]))
            key = (begin, len(outcomes))
            seen = files[name][text, line["line_number"]].setdefault(key, [0, [0] * len(outcomes)])
            seen[0] += line["count"]
            seen[1] = [a + b for a, b in zip(seen[1], outcomes)]
    return files


def split(runs, outcomes):
    """Outcomes that were seen, and those that were not."""
    pairs = list(zip(outcomes[::2], outcomes[1::2])) if len(outcomes) % 2 == 0 else [outcomes]
    seen = [side for pair in pairs for side in pair if runs == 0 or any(pair)]
    return sum(1 for side in seen if side > 0), sum(1 for side in seen if side == 0)


class Tally:
    """Of a folder: lines that begin statements, and outcomes: tested, and all."""

    def __init__(self):
        self.lines = self.tested_lines = self.outcomes = self.tested_outcomes = 0

    def add(self, runs, tested, untested):
        self.lines += 1
        self.tested_lines += runs > 0
        self.outcomes += tested + untested
        self.tested_outcomes += tested

    def __str__(self):
        return (f"{self.tested_lines:6} of {self.lines:6} statements {100 * self.tested_lines / self.lines:6.2f} %"
                f"{self.tested_outcomes:7} of {self.outcomes:6} outcomes "
                f"{100 * self.tested_outcomes / max(1, self.outcomes):6.2f} %")


def measure(build):
    """Tallies by folder, and FILE: TEXT of the untested lines."""
    tallies, untested = collections.defaultdict(Tally), collections.Counter()
    for name, lines in sorted(gathered(build).items()):
        for (text, _), functions in lines.items():
            runs = sum(seen[0] for seen in functions.values())
            parts = [split(*seen) for seen in functions.values() if runs == 0 or seen[0] > 0]
            tested, missed = sum(p[0] for p in parts), sum(p[1] for p in parts)
            for folder in (name.split("/")[0], "/".join(name.split("/")[:3])):
                tallies[folder].add(runs, tested, missed)
            if runs == 0 or missed:
                untested[f"{name}: {text}"] += 1
    return tallies, untested


def listed(path):
    lines = pathlib.Path(path).read_text().splitlines()
    return collections.Counter(line for line in lines if line and line[0] not in "#[")


def prefixes_of_unsorted(path):
    begin = "[unsorted] "
    lines = pathlib.Path(path).read_text().splitlines()
    return tuple(p for line in lines if line.startswith(begin) for p in line[len(begin) :].split())


def main():
    build = pathlib.Path(sys.argv[1])
    tallies, untested = measure(build)
    for folder, tally in sorted(tallies.items()):
        print(f"{folder:26}{tally}")
    report = build / "untested.txt"
    report.write_text("".join(f"{line}\n" for line in sorted(untested.elements())))
    print(f"{sum(untested.values())} untested lines, in {report}")
    if len(sys.argv) == 2:
        return 0
    known, unsorted = listed(sys.argv[2]), prefixes_of_unsorted(sys.argv[2])
    for line in sorted((known - untested).elements()):
        print(f"tested now, or gone: {line}")
    new = sorted(line for line in (untested - known).elements() if not line.startswith(unsorted))
    for line in new:
        print(f"not tested: {line}")
    return 1 if new else 0


sys.exit(main())
