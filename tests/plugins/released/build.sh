#!/usr/bin/env bash
# Makes the kept files of a released version, once, when it is released: build.sh 1.0
# The sources must be there; abi.h comes from the SDK. A folder that is complete is never changed.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
sdk=../../../sdk/include/grevy
version=$1
mkdir -p "$version/include/grevy"
[ ! -e "$version/abi.abixml" ] || { echo "$version is released: it is never changed" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "the kept binaries are for x86-64" >&2; exit 1; }
cp "$sdk/abi.h" "$version/include/grevy/abi.h"
for source in "$version"/*.c; do
  gcc -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror -O2 -fPIC -shared \
    -fvisibility=hidden -I "$version/include" -s -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -Wl,-z,norelro \
    -Wl,--build-id=none "$source" -o "${source%.c}.so"
done
chmod 644 "$version"/*.so
bash ../../checks/abidiff.sh --keep "$version/include/grevy/abi.h" "$version/abi.abixml"
