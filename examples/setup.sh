# Sourced by examples/run.sh and tests/run.sh: installs what is missing and configures the build.
# Needs Debian 12 and root or sudo, and only when something is missing.
packages=(g++ cmake ninja-build ccache pkg-config
  libtorch-dev libopenblas0-openmp libboost-dev libboost-filesystem-dev nlohmann-json3-dev libspdlog-dev
  libcli11-dev libvalijson-dev libnanoflann-dev libzip-dev libssl-dev doctest-dev)

say() { printf '\n== %s\n' "$*"; }

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all installed"
    return
  fi
  say "packages: installing ${missing[*]}"
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "root or sudo is needed to install packages" >&2; exit 1; }
    sudo=sudo
  fi
  $sudo apt-get update -q
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# configure PRESET [cmake options]
configure() {
  local preset=$1
  shift
  say "configuring build/$preset"
  local output
  output=$(cmake --preset "$preset" "$@" 2>&1) || { printf '%s\n' "$output"; exit 1; }
}
