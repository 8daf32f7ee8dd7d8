#!/usr/bin/env bash
# The SDK needs LibTorch and nlohmann/json, nothing else: no header of it includes, at any depth, the
# host or a library that only the host is made with. Headers without LibTorch are compiled one by
# one, all others at once with a small plugin, as LibTorch alone takes a compiler many seconds.
# Flags are those of a built-in plugin: usage sdk_alone.sh BUILD
set -euo pipefail
build_dir=$1
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
host_only='/(spdlog|fmt|boost|valijson|CLI|openssl|doctest|grevy/host)/|/(nanoflann\.hpp|zip\.h)$'
torch='/(torch|ATen|c10)/'

read -ra words <<<"$(sed -n '\|-c [^ ]*/plugins/criterions/nce\.cpp"|s/.*"command": "\(.*\)".*/\1/p' "$build_dir/compile_commands.json")"
compiler=${words[0]} flags=(-I"$source_dir/sdk/include")
for i in "${!words[@]}"; do
  case ${words[i]} in
    -D* | -std=*) flags+=("${words[i]}") ;;
    -isystem) flags+=(-isystem "${words[i + 1]}") ;;
  esac
done

# compiles SOURCE FORBIDDEN [FLAGS...]: it does, and nothing that it includes is forbidden.
compiles() {
  local source=$1 forbidden=$2
  shift 2
  "$compiler" "${flags[@]}" "$@" -Wall -Wextra -fsyntax-only -MD -MF "$work/included" "$source" || return 1
  if tr -s ' \\' '\n\n' <"$work/included" | grep -E "$forbidden"; then
    echo "^ included by $source"
    return 1
  fi
}

echo "== the check finds what it looks for"
for header in spdlog/spdlog.h boost/dll/shared_library.hpp valijson/validator.hpp grevy/host/host.hpp nanoflann.hpp; do
  mkdir -p "$(dirname "$work/fake/$header")"
  : >"$work/fake/$header"
  echo "#include <$header>" >"$work/deep.hpp"
  printf '#include <grevy/error.hpp>\n#include "deep.hpp"\n' >"$work/bad.cpp"
  if compiles "$work/bad.cpp" "$host_only" -I"$work/fake" >/dev/null; then
    echo "a source that includes $header was not refused"
    exit 1
  fi
done

echo "== headers without LibTorch"
for header in abi.h kernel.h ops.h options.h plugin.h stream.h error.hpp options.hpp scheduler.hpp detail/json_text.hpp detail/note.hpp; do
  echo "#include <grevy/$header>" >"$work/one.cpp"
  compiles "$work/one.cpp" "$host_only|$torch" || { echo "^ which is grevy/$header"; exit 1; }
done

echo "== all headers, and a plugin"
cd "$source_dir/sdk/include"
printf '#include <%s>\n' grevy/*.h grevy/*.hpp grevy/detail/*.hpp >"$work/plugin.cpp"
cat >>"$work/plugin.cpp" <<'SOURCE'
class Distance : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Distance(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor pos = (p.reference - p.positive).square().mean();
    const at::Tensor neg = -at::cdist(p.reference, p.negative).mean();
    return {pos + neg, pos, neg};
  }
};
GREVY_REGISTER(Distance, "distance", "Near or far.")
GREVY_PLUGIN("test.distance", "1.0.0")
SOURCE
compiles "$work/plugin.cpp" "$host_only"

echo "== portable plugins need the standard library alone"
stand_ins=$source_dir/sdk/include/grevy/portable/libtorch
for source in "$source_dir"/tests/plugins/fronts/*.cpp; do
  "$compiler" -std=c++17 -I"$stand_ins" -I"$source_dir/sdk/include" -DFRONT='"portable"' -Wall -Wextra -Wpedantic \
    -Wshadow -Werror -fsyntax-only -MD -MF "$work/included" "$source"
  if tr -s ' \\' '\n\n' <"$work/included" | grep -E "$torch|/nlohmann/" | grep -v "^$stand_ins/"; then
    echo "^ included by $source"
    exit 1
  fi
done

echo "== tensors in a list would get no gradient from a function"
cat >"$work/list.cpp" <<'SOURCE'
#include <torch/csrc/autograd/custom_function.h>
struct Sum : torch::autograd::Function<Sum> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const std::vector<at::Tensor>& x) { return x[0] + x[1]; }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list g) { return g; }
};
at::Tensor sum(const std::vector<at::Tensor>& x) { return Sum::apply(x); }
SOURCE
if "$compiler" -std=c++17 -I"$stand_ins" -I"$source_dir/sdk/include" -fsyntax-only "$work/list.cpp" 2>"$work/said"; then
  echo "a list of tensors was not refused"
  exit 1
fi
grep -q 'apply() takes tensors one by one' "$work/said" || { cat "$work/said"; exit 1; }
echo "sdk-alone: ok"
