#!/usr/bin/env bash
# Builds Grevy against the LibTorch of another Debian, in a root of its own, and compares the two
# hosts with the same portable binaries: usage second_libtorch.sh BUILD [SUITE, default trixie].
# Roots and builds stay in GREVY_ROOTS, build/roots by default, some 3 GB. JOBS: compilers at a time.
# Ends with 77 where no root can be made: see second_root.sh.
set -euo pipefail
build_dir=$(realpath "$1") suite=${2:-trixie}
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
roots=${GREVY_ROOTS:-$source_dir/build/roots}
root=$roots/$suite
[ "$(uname -m)" = x86_64 ] || { echo "second-libtorch: the kept binaries are for x86-64" >&2; exit 77; }
bash "$source_dir/tests/checks/second_root.sh" "$root" "$suite"

# Runs a command there: the sources in /source, not to be written to, and the build in /build.
there() {
  mkdir -p "$root/source" "$root/build"
  unshare --mount --pid --fork bash -euc '
    mount --bind "$1" "$2/source"
    mount -o remount,ro,bind "$2/source"
    mount -t proc proc "$2/proc"
    cd /
    exec chroot "$2" env -i PATH=/usr/bin:/usr/sbin HOME=/root LC_ALL=C.UTF-8 CCACHE_DIR=/build/ccache \
      OMP_NUM_THREADS=1 bash -euc "cd /build && $3"' _ "$source_dir" "$root" "$1"
}

echo "== building against $(there 'dpkg-query -W libtorch-dev g++' | tr '\t\n' '  ')"
# g++ 14 sees writes beyond a vector<bool> of LibTorch's torch::autograd::Function that are none.
there "cmake -S /source -B . -G Ninja -DCMAKE_BUILD_TYPE=Release -DGREVY_WERROR=ON -DCMAKE_CXX_FLAGS=-Wno-error=array-bounds >cmake.log 2>&1 ||
  { cat cmake.log; exit 1; }"
there "ninja -j ${JOBS:-2} grevy grevy-portable-numbers"

echo "== the kept portable plugins, in both hosts"
# To the rounding of floats, relative, after a training of 30 steps.
rounding=2e-5
released=tests/plugins/released-portable
for version in "$source_dir/$released"/*/; do
  version=$(basename "$version")
  "$build_dir/tests/grevy-portable-numbers" "$build_dir/$released/$version/then" >"$root/build/numbers"
  there "tests/grevy-portable-numbers $released/$version/then numbers $rounding"
done
there "ctest -R '^portable-' --output-on-failure"

echo "== a training that one host begins and both go on with"
plugins=/build/$released/$version/then work=$root/build/work
export OMP_NUM_THREADS=1 GREVY_PLUGIN_PATH=
rm -rf "$work"
mkdir "$work"
cat >"$work/experiment.json" <<'JSON'
{
  "description": "Components of portable plugins alone.",
  "seed": 1,
  "threads": 1,
  "data": {
    "neural": "recording/spikes.npy",
    "labels": {"position": "recording/position.npy"},
    "train_fraction": 0.8
  },
  "sampling": {"conditional": "time_delta", "continuous": ["position"], "time_offset": 10},
  "model": {"name": "portable-offset10", "num_units": 16, "num_output": 6},
  "criterion": {"name": "raw-infonce", "temperature": 0.5},
  "solver": {"name": "portable-solver"},
  "training": {"num_steps": 40, "batch_size": 128}
}
JSON
here() { (cd "$work" && "$build_dir/bin/grevy" "$@"); }
here simulate --out recording --samples 2000 --neurons 12 --quiet
here run experiment.json --plugin-path "$build_dir/${plugins#/build/}" --set training.num_steps=10 --out here --quiet
cp -r "$work/here" "$work/there"
here run experiment.json --plugin-path "$build_dir/${plugins#/build/}" --out here --resume --quiet
there "cd work && /build/bin/grevy run experiment.json --plugin-path $plugins --out there --resume --quiet \
  --allow /data/neural --allow /data/labels/position"
totals() { sed -n 's/.*"total": *\([^,}]*\).*/\1/p' "$work/$1/log.jsonl"; }
paste <(totals here) <(totals there) | awk -v allowed="$rounding" '
  NF != 2 { print "line " NR " of the logs: " $0; exit failed = 1 }
  { d = ($1 - $2) / $1; d = d < 0 ? -d : d; if (d > largest) largest = d }
  END { print NR " losses, largest difference " largest ", allowed " allowed
        exit failed || NR != 40 || largest > allowed }'

echo "== a plugin that uses LibTorch is refused by its stamp"
foreign=$(find "$build_dir" -path '*/grevy/plugins/grevy-criterions.so')
cp "$foreign" "$work/foreign.so"
if there "bin/grevy plugins info InfoNCE --plugin-path work/foreign.so" 2>"$work/refusal"; then exit 1; fi
cat "$work/refusal"
grep -q 'was built against "libtorch .*this host has "libtorch' "$work/refusal"
echo "second-libtorch: ok"
