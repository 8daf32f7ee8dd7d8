#!/usr/bin/env bash
# Installs the build into a prefix, makes a project of each kind with `grevy new`, and runs the
# commands of its README, the last one for a few steps: usage new.sh BUILD
set -euo pipefail
build_dir=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v ccache >/dev/null; then
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR CCACHE_BASEDIR=$work CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
export HOME=$work XDG_DATA_HOME=$work GREVY_PLUGIN_PATH= CMAKE_GENERATOR=Ninja
export CXXFLAGS="-Wall -Wextra -Wpedantic -Wshadow -Werror"

cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log"
export PATH=$work/prefix/bin:$PATH
cd "$work"

# Names that LibTorch's targets, the SDK's classes or CMake have as well.
for project in "criterion loss" "model torch" "solver options-1.0"; do
  read -r kind name <<<"$project"
  echo "== grevy new $kind $name"
  started=$SECONDS
  grevy new "$kind" "$name"
  awk '/^```sh/{f=1;next} /^```/{exit} f' "$name/README.md" >commands
  [ "$(wc -l <commands)" -eq 5 ]
  sed -i '5s/$/ --set training.num_steps=20 --set evaluation.num_batches=5/' commands
  (cd "$name" && bash -euo pipefail ../commands) >"$work/output" 2>&1 || { cat "$work/output"; exit 1; }
  tail -n 12 "$work/output"
  grep -q '100% tests passed, 0 tests failed out of 1' "$work/output"
  [ "$(wc -l <"$name/runs/experiment/log.jsonl")" -eq 20 ]
  if grep -rn '@[A-Z]*@' "$name"/*.*; then exit 1; fi
  grevy plugins info "my-lab.$name-$kind/$name" --plugin-path "$name/build"
  plugins=("$name"/build/*.so)
  [ "${#plugins[@]}" -eq 1 ]
  grevy validate "${plugins[0]}" --quiet
  echo "$kind: $(grep -cvE '^[[:space:]]*(//.*)?$' "$name/$name.cpp") lines of C++; built, tested, trained and" \
    "validated in $((SECONDS - started)) s"
done
grep -q '"gradient_norm"' options-1.0/runs/experiment/log.jsonl
echo "new: ok"
