#!/usr/bin/env bash
# Makes a root of another Debian, with everything Grevy needs, for builds against its LibTorch: usage
# second_root.sh FOLDER [SUITE, default trixie]. Does nothing where the root is there already.
# Needs root, debootstrap and a Debian mirror, the one apt uses; ends with 77 without them.
set -euo pipefail
folder=$1 suite=${2:-trixie}
source "$(dirname "${BASH_SOURCE[0]}")/../../examples/setup.sh"

skip() { echo "second-root: $*" >&2; exit 77; }

[ -f "$folder/complete" ] && exit 0
[ "$(id -u)" -eq 0 ] || skip "needs root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Label: Debian' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian/}
wget -q --tries=2 --timeout=20 --spider "${mirror}dists/$suite/Release" || skip "no ${mirror}dists/$suite/Release"

rm -rf --one-file-system "$folder"
mkdir -p "$folder"
say "debootstrap $suite from $mirror into $folder"
debootstrap --variant=minbase "$suite" "$folder" "$mirror" >"$folder.log" || { tail -n 20 "$folder.log"; exit 1; }
say "installing ${packages[*]}"
chroot "$folder" apt-get update -q >>"$folder.log"
chroot "$folder" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" \
  >>"$folder.log" 2>&1 || { tail -n 20 "$folder.log"; exit 1; }
chroot "$folder" apt-get clean
chroot "$folder" dpkg-query -W libtorch-dev g++ cmake >"$folder/complete"
cat "$folder/complete"
