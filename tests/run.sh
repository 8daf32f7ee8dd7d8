#!/usr/bin/env bash
# Installs what is needed, builds everything and runs the tests. With --long the long ones too.
# In CI (CI=true) warnings in our own code are errors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/setup.sh

label=(-LE long)
[ "${1:-}" = --long ] && label=()
# For the checks of the ABI and of the reference pages.
packages+=(abigail-tools doxygen)
install_packages
configure release -DGREVY_WERROR="$([ "${CI:-}" = true ] && echo ON || echo OFF)"
say "building"
cmake --build --preset release
say "testing"
ctest --test-dir build/release --output-on-failure "${label[@]}"
