#!/usr/bin/env bash
# What grevy_add_plugin says of a FRONT that is none.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# refuses ARGUMENTS FOUND: configuring fails with a text that shows what was found.
refuses() {
  cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.18)
project(front LANGUAGES NONE)
include($source_dir/sdk/cmake/GrevyPlugin.cmake)
grevy_add_plugin(my-loss $1)
CMAKE
  if cmake -S "$work" -B "$work/build" >"$work/log" 2>&1; then
    echo "grevy_add_plugin(my-loss $1) was not refused"
    exit 1
  fi
  if ! tr -s ' \n' ' ' <"$work/log" | grep -qF "grevy_add_plugin(my-loss): FRONT is torch, portable or raw; found \"$2\""; then
    echo "grevy_add_plugin(my-loss $1):"
    cat "$work/log"
    exit 1
  fi
  rm -rf "$work/build"
}

refuses 'FRONT' ''
refuses 'my_loss.cpp FRONT' ''
refuses 'FRONT "" my_loss.cpp' ''
refuses 'FRONT my_loss.cpp' 'my_loss.cpp'
refuses 'FRONT Portable my_loss.cpp' 'Portable'
echo "add-plugin: ok"
