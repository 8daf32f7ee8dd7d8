#!/usr/bin/env bash
# Installs the build into a prefix, moves the prefix, and builds and runs outsiders' projects against
# it: usage examples.sh SOURCE BUILD
set -euo pipefail
source_dir=$1 build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work XDG_DATA_HOME=$work GREVY_PLUGIN_PATH=
ccache=$(command -v ccache || true)
launcher=${ccache:+-DCMAKE_CXX_COMPILER_LAUNCHER=$ccache}

cmake --install "$build_dir" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/prefix"

echo "== the installed program finds its plugins"
"$work/prefix/bin/grevy" plugins list offset10-model | grep 'model offset10-model'

echo "== host-app"
cmake -S "$source_dir/examples/host-app" -B "$work/host-app" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" $launcher >"$work/configure.log" 2>&1 ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work/host-app"
"$work/host-app/host-app" | tee "$work/output"
grep -q 'step 100 ' "$work/output"
grep -q 'embedding of the newest window' "$work/output"

echo "== the plugin of docs/plugins.md"
mkdir "$work/plugin"
awk '/^```cmake/{f="CMakeLists.txt";next} /^```cpp/{f="my_loss.cpp";next} /^```/{f="";next} f{print > (dir "/" f)}' dir="$work/plugin" \
  "$source_dir/docs/plugins.md"
cmake -S "$work/plugin" -B "$work/plugin/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" $launcher >"$work/configure.log" 2>&1 ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work/plugin/build"
cd "$work"
"$work/prefix/bin/grevy" plugins info margin --plugin-path plugin/build
"$work/prefix/bin/grevy" simulate --out recording --samples 1000 --neurons 10
cp "$source_dir/examples/quickstart/experiment.json" .
"$work/prefix/bin/grevy" run experiment.json --plugin-path plugin/build --set 'criterion={"name":"margin"}' \
  --set training.num_steps=20 --set training.batch_size=64 --set training.valid_frequency=null --quiet
echo "examples: ok"
