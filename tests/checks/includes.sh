#!/usr/bin/env bash
# Arrows run one way: plugins -> sdk <- host. SDK headers stay light: torch/types.h at most, no spdlog,
# Boost or valijson.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
failed=0
forbid() { # what, pattern, folders...
  local what=$1 pattern=$2
  shift 2
  if grep -rnE "#[[:space:]]*include[[:space:]]*[<\"]$pattern" "$@"; then
    echo "^ $what"
    failed=1
  fi
}
forbid "the SDK and plugins may not see the host" '(grevy/host/|.*host/(src|include))' sdk plugins
forbid "the SDK and the host may not see plugins" '(.*/)?(criterions|kernels|models|solvers)/' sdk host
forbid "SDK headers include torch/types.h at most" '(torch/(torch|all|nn|optim)|spdlog|boost|valijson|CLI|nanoflann)' sdk
forbid "libgrevy's headers are for applications: no internal ones" '\.\./' host/include
[ $failed -eq 0 ] && echo "includes: ok"
exit $failed
