#!/usr/bin/env bash
# Keeps the portable plugins of a release, once, when it is released: build.sh 0.1.0 BUILD
# Copies the sources, compiles them and writes down what they compute in the hosts of BUILD. A
# folder that is complete is never changed.
set -euo pipefail
build_dir=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$1 sdk=../../../sdk examples=../../../examples/plugins
[ ! -e "$version/numbers.txt" ] || { echo "$version is released: it is never changed" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "the kept binaries are for x86-64" >&2; exit 1; }

rm -rf "$version"
mkdir -p "$version/portable"
cp ../fronts/{functions,infonce,offset10,solver}.cpp "$version/portable"
for example in "$examples"/raw-*; do
  mkdir "$version/${example##*/}"
  cp "$example"/*.[ch] "$version/${example##*/}"
done

flags=(-Wall -Wextra -Wpedantic -Wshadow -Werror -O2 -fPIC -shared -fvisibility=hidden -s
  -Wl,-z,nodelete -Wl,--no-undefined -Wl,--version-script="$sdk/cmake/plugin.map"
  -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,--build-id=none)
g++ -std=c++17 -fvisibility-inlines-hidden -DFRONT='"portable"' -I "$sdk/include/grevy/portable/libtorch" \
  -I "$sdk/include" "${flags[@]}" "$version"/portable/*.cpp -o "$version/portable.so"
for folder in "$version"/raw-*; do
  gcc -std=c11 -I "$sdk/include" "${flags[@]}" "$folder"/*.c -o "$folder.so" -lm
done
chmod 644 "$version"/*.so

plugins=$(mktemp -d)
trap 'rm -rf "$plugins"' EXIT
cp "$version"/*.so "$plugins"
"$build_dir/tests/grevy-portable-numbers" "$plugins" >"$plugins/numbers"
cp "$plugins/numbers" "$version/numbers.txt"
ls -l "$version"
