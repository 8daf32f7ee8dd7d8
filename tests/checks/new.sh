#!/usr/bin/env bash
# Installs the build into a prefix, makes a project of each kind and front with `grevy new`, and runs
# the commands of its README, the last one for a few steps: usage new.sh BUILD
set -euo pipefail
build_dir=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if command -v ccache >/dev/null; then
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR CCACHE_BASEDIR=$work CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
export HOME=$work XDG_DATA_HOME=$work GREVY_PLUGIN_PATH= CMAKE_GENERATOR=Ninja
export CFLAGS="-Wall -Wextra -Wpedantic -Wshadow -Werror"
export CXXFLAGS=$CFLAGS

cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log"
export PATH=$work/prefix/bin:$PATH
cd "$work"

# check_torch NAME TARGET: the plugin is what it should be; its test has looked at values alone.
check_torch() {
  grevy validate "$1/build/$2.so" --quiet
}

# The same without LibTorch: its headers, here on the compiler's own path, and the library are not used.
check_portable() {
  if ninja -C "$1/build" -t deps | grep -E '/(torch|ATen|c10|nlohmann)/' | grep -v /grevy/portable/libtorch/; then exit 1; fi
  if readelf -d "$1/build/$2.so" | grep -E 'NEEDED.*(torch|c10)'; then exit 1; fi
  [[ $(grevy plugins list "$1" --plugin-path "$1/build" --json) == *'"stamp": ""'* ]]
}
check_raw() { check_portable "$@"; }

# Names that LibTorch's targets, the SDK's classes or CMake have as well.
for project in "torch criterion loss" "torch model torch" "torch solver options-1.0" \
  "portable criterion at" "portable model tensor" "portable solver portable" \
  "raw criterion calls" "raw model table" "raw solver options-1.1"; do
  read -r front kind name <<<"$project"
  echo "== grevy new $kind $name --front $front"
  started=$SECONDS
  grevy new "$kind" "$name" --front "$front"
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
  "check_$front" "$name" "$name-$kind"
  echo "$kind: $(cat "$name/$name".c* | grep -cvE '^[[:space:]]*((//|/?\*).*)?$') lines of code; built, tested, trained and" \
    "validated in $((SECONDS - started)) s"
done
for name in options-1.0 portable options-1.1; do
  grep -q '"gradient_norm"' "$name/runs/experiment/log.jsonl"
done
echo "new: ok"
