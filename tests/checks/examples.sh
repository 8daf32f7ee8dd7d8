#!/usr/bin/env bash
# Installs the build into a prefix, moves the prefix, and builds, validates and runs outsiders'
# projects against it: usage examples.sh SOURCE BUILD
set -euo pipefail
source_dir=$1 build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Compilers' results are kept where they always are; paths below $work are relative to it.
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$work
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR
fi
cores=$(nproc)
export HOME=$work XDG_DATA_HOME=$work GREVY_PLUGIN_PATH='' OMP_NUM_THREADS=1
export CMAKE_GENERATOR=Ninja CXXFLAGS="-Wall -Wextra -Wpedantic -Wshadow -Werror"
export source_dir work grevy=$work/prefix/bin/grevy

# ---- what every project goes through: each in a process of its own, as many at once as there are cores

# Runs quietly; what it said is shown when it fails.
quietly() { # log, command...
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { cat "$log"; return 1; }
}

build() { # source, build
  quietly "$2.log" cmake -S "$1" -B "$2" -DCMAKE_PREFIX_PATH="$work/prefix" &&
    quietly "$2.log" cmake --build "$2"
}

# The mean loss of the last ten steps is below that of the first ten, and position is decoded from
# held-out samples; labels that are shifted in time give about -0.1.
has_learned() { # run folder
  sed 's/.*"total":\([-+.0-9e]*\).*/\1/' "$1/log.jsonl" |
    awk '{t[NR]=$1} END{for(i=0;i<10;++i){a+=t[1+i];b+=t[NR-i]} exit !(NR>=20 && b<a)}' ||
    { echo "$1: the loss has not fallen"; return 1; }
  awk -F'[:,]' '/"mean_r2"/{r=$2; exit} END{exit !(r>0.7)}' "$1/summary.json" ||
    { echo "$1: position is not decoded"; grep mean_r2 "$1/summary.json"; return 1; }
}

check_plugin() { # name of a folder of examples/plugins
  local folder=$work/$1 experiment name
  mkdir "$folder"
  cp "$source_dir/examples/plugins/$1"/*.* "$folder"  # files, not what somebody built there
  build "$folder" "$folder/build" || return 1
  quietly "$folder/validate.log" "$grevy" validate "$folder"/build/*.so || return 1
  grep ' failed, ' "$folder/validate.log"
  ln -s ../recording "$folder/recording"
  for experiment in "$folder"/*.json; do
    name=$(basename "$experiment" .json)
    quietly "$folder/$name.log" "$grevy" run "$experiment" --plugin-path "$folder/build" \
      --set evaluation.num_batches=10 --out "$folder/runs/$name" || return 1
    has_learned "$folder/runs/$name" || return 1
    sed -n "/^finished/p; /position: R2/s|^|$1/$name|p" "$folder/$name.log"
  done
}

check_docs_plugin() { # the shortest useful criterion
  local folder=$work/docs-plugin lines
  mkdir "$folder"
  awk '/^```cmake/{f="CMakeLists.txt";next} /^```cpp/{f="my_loss.cpp";next} /^```/{f="";next} f{print > (dir "/" f)}' \
    dir="$folder" "$source_dir/docs/plugins.md"
  lines=$(grep -cvE '^[[:space:]]*(//.*)?$' "$folder/my_loss.cpp")
  echo "docs/plugins.md: a criterion in $lines lines"
  [ "$lines" -le 20 ] || { echo "docs/plugins.md promises at most 20"; return 1; }
  build "$folder" "$folder/build" || return 1
  "$grevy" plugins info margin --plugin-path "$folder/build" || return 1
  quietly "$folder/validate.log" "$grevy" validate "$folder"/build/*.so || return 1
  cp "$source_dir/examples/quickstart/experiment.json" "$folder"
  ln -s ../recording "$folder/recording"
  "$grevy" run "$folder/experiment.json" --plugin-path "$folder/build" --set 'criterion={"name":"margin"}' \
    --set training.num_steps=20 --set training.batch_size=64 --set training.valid_frequency=null \
    --set threads=1 --quiet --out "$folder/run"
}

check() {
  local began=$SECONDS
  "$@" >"$work/$2.out" 2>&1 || { echo "== $2: FAILED"; cat "$work/$2.out"; return 1; }
  printf '== %s: %s s\n%s\n' "$2" $((SECONDS - began)) "$(<"$work/$2.out")"
}
export -f quietly build has_learned check_plugin check_docs_plugin check

# ---- the checks ---------------------------------------------------------------------------------

cmake --install "$build_dir" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/prefix"

echo "== the installed program finds its plugins"
"$grevy" plugins list offset10-model | grep 'model offset10-model'
"$grevy" simulate --out "$work/recording" --samples 4000 --neurons 20

projects=("check_docs_plugin docs-plugin" "build_host_app host-app")
for folder in "$source_dir"/examples/plugins/*/; do
  projects+=("check_plugin $(basename "$folder")")
done
build_host_app() { build "$source_dir/examples/host-app" "$work/host-app"; }
export -f build_host_app
printf '%s\n' "${projects[@]}" | xargs -P "$cores" -I{} bash -euo pipefail -c 'check {}'

echo "== host-app"
"$work/host-app/host-app" | tee "$work/output"
grep -q 'step 100 ' "$work/output"
grep -q 'embedding of the newest window' "$work/output"
"$work/host-app/host-app" "$work/debiased-loss/build" debiased-infonce >"$work/output"
grep -q 'step 100 ' "$work/output"
if "$work/host-app/host-app" "$work/debiased-loss/build" no-such-loss 2>"$work/output"; then exit 1; fi
grep 'no-such-loss' "$work/output"
echo "examples: ok"
