#!/usr/bin/env bash
# Makes the reference pages; whatever is public and undocumented, and every link that leads nowhere, is
# an error. Looks into pages. Exit code 77 without Doxygen.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command -v doxygen >/dev/null || { echo "skipped: doxygen is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GREVY_VERSION=0 GREVY_REFERENCE=$work

echo "== what is undocumented is found"
cat >"$work/bad.hpp" <<'HEADER'
// grevy/bad.hpp: a file with a comment.
namespace grevy {
// A struct with a comment.
struct Told {
  int with;  // a member with a comment
  int without;
};
struct Untold {
  int member;  // with a comment
};
}  // namespace grevy
HEADER
if (cat docs/reference/Doxyfile && echo "INPUT = $work/bad.hpp") | doxygen - 2>"$work/found"; then
  echo "doxygen did not fail"
  exit 1
fi
grep -q 'Compound grevy::Untold is not documented' "$work/found"
grep -q 'Member without .* is not documented' "$work/found"
if grep -E 'Compound grevy::Told |Member with ' "$work/found"; then exit 1; fi
rm -rf "$work/html"

echo "== the pages"
doxygen docs/reference/Doxyfile
text_of() { sed 's/<[^>]*>/ /g' "$work/html/$1.html" | tr -s '[:space:]' ' '; }
has() { # page, text
  grep -qF "$2" <<<"$(text_of "$1")" || { echo "$1.html does not say \"$2\""; exit 1; }
}
has index 'write a loss, an encoder or a training loop'
has md_docs_plugins 'Lifetime and threads'
has abi_8h 'The contract between the Grevy host and its plugins'
has structgrevy__batch 'the whole session, float32 (T, C)'
has classgrevy_1_1Criterion 'loss: a scalar with its graph'
has classgrevy_1_1ContrastiveCriterion 'reference (n, d), positive (n, d), negative (m, d)'
has classgrevy_1_1Context 'A CPU generator of the component'
has classgrevy_1_1host_1_1Trainer 'A Trainer owns model, criterion, solver, optimiser and loaders'
has classgrevy_1_1host_1_1Trainer 'Errors'
has structgrevy_1_1host_1_1ProcrustesOptions 'samples of the reference for each sample of the data'
pages=0
for page in "$work"/html/class*_1_1*.html "$work"/html/struct*.html; do
  case $page in *-members.html) continue ;; esac
  pages=$((pages + 1))
  grep -q 'Detailed Description' "$page" || { echo "$page has no text"; exit 1; }
done
[ $pages -gt 80 ]
echo "reference: ok, $pages pages of types"
