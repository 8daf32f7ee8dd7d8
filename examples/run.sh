#!/usr/bin/env bash
# Installs what is needed, builds Grevy, and runs the quickstart: a simulated recording, an experiment
# on it, a report. Run it again at any time: what is there already is not done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/setup.sh

install_packages
configure release
say "building"
cmake --build --preset release --target grevy
grevy=build/release/bin/grevy

say "simulating a recording (place cells on a track)"
[ -f runs/quickstart/recording/spikes.npy ] || $grevy simulate --out runs/quickstart/recording
cp examples/quickstart/experiment.json runs/quickstart/

say "running the experiment: $grevy run runs/quickstart/experiment.json"
$grevy run runs/quickstart/experiment.json --out runs/quickstart/run --force
