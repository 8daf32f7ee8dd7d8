#!/usr/bin/env bash
# Builds an InfoNCE, an encoder and a solver in each form of a plugin, times them, and prints
# docs/portable-plugins.md's table: forms.sh BUILD
# Times are CPU time, the least of several repetitions in random order.
set -euo pipefail
build_dir=$1
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source_dir"
fronts=tests/plugins/fronts link=(-shared -Wl,-z,nodelete -Wl,--no-undefined -Wl,--version-script=sdk/cmake/plugin.map)
flags=(-O3 -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden)

# LibTorch's flags are those of a built-in plugin.
read -ra words <<<"$(sed -n '\|-c [^ ]*/plugins/criterions/nce\.cpp"|s/.*"command": "\(.*\)".*/\1/p' "$build_dir/compile_commands.json")"
torch=()
for i in "${!words[@]}"; do
  case ${words[i]} in
    -D_* | -DUSE_*) torch+=("${words[i]}") ;;
    -isystem) torch+=(-isystem "${words[i + 1]}") ;;
  esac
done
libraries=$(dirname "$(ldd "$build_dir/lib/grevy/plugins/grevy-criterions.so" | awk '/libtorch_cpu/ { print $3 }')")

sources() { # form, component
  if [ "$1" = raw ]; then echo examples/plugins/raw-"$2"/*.[ch]; else echo "$fronts/$2.cpp"; fi
}
lines() { # without blank ones and comments
  cat "$@" | grep -cvE '^[[:space:]]*(//.*|/?\*.*)?$'
}
build() { # form, component
  local out=$work/$1-$2.so source=$work/$1-$2.cpp
  if [ "$1" = raw ]; then
    gcc -std=c11 "${flags[@]::4}" -Isdk/include "${link[@]}" examples/plugins/raw-"$2"/"$2".c -o "$out" -lm
    return
  fi
  { echo "#include \"$source_dir/$fronts/$2.cpp\""
    grep -q '^GREVY_PLUGIN' "$fronts/$2.cpp" || echo "GREVY_PLUGIN(\"$2.\" FRONT, \"1.0.0\")"; } >"$source"
  if [ "$1" = portable ]; then
    g++ -std=c++17 "${flags[@]}" -DFRONT='"portable"' -Isdk/include/grevy/portable/libtorch -Isdk/include "${link[@]}" "$source" -o "$out"
  else
    g++ -std=c++17 "${flags[@]}" -DFRONT='"torch"' "${torch[@]}" -Isdk/include "${link[@]}" "$source" -o "$out" \
      -L"$libraries" -ltorch_cpu -lc10
  fi
}
row() { printf '| %s | %s | %s | %s |\n' "$@"; }

row "" "LibTorch's types" portable "in C"
echo '|---|---|---|---|'
TIMEFORMAT='%U %S'
declare -A seconds
size=()
for component in infonce offset10 solver; do
  for form in torch portable raw; do
    seconds[$form]=$({ time build $form $component >&2; } 2>&1 | awk 'NF == 2 { printf "%.1f", $1 + $2 }')
    strip -o "$work/stripped" "$work/$form-$component.so"
    size[${#size[@]}]=$(($(stat -c %s "$work/stripped") / 1024))
  done
  # shellcheck disable=SC2046
  row "$component: lines of source" $(for form in torch portable raw; do lines $(sources $form $component); done)
  row "$component: build, CPU seconds" "${seconds[torch]}" "${seconds[portable]}" "${seconds[raw]}"
  row "$component: stripped, KiB" "${size[@]: -3}"
done

OMP_NUM_THREADS=1 "$build_dir/bin/grevy-forms-bench" "$work" --benchmark_format=csv \
  --benchmark_repetitions="${REPETITIONS:-7}" --benchmark_enable_random_interleaving=true \
  --benchmark_min_time="${MIN_TIME:-0.2}" 2>"$work/log" |
  awk -F, '
    /^"/ {
      gsub(/"/, "")
      split($1, part, "/")
      if ($1 ~ /_(mean|median|stddev|cv)$/ || part[1] == "name") next
      what = part[1]; form = part[2]
      if (!((what, form) in us) || $4 < us[what, form]) us[what, form] = $4
    }
    END {
      count = split("infonce offset10_forward offset10 solver_step training_step", names, " ")
      split("infonce: a call, forward and backward;offset10: forward alone;offset10: forward and backward;" \
            "a step, the solver alone in this form;a step, all three in this form", label, ";")
      for (i = 1; i <= count; ++i) {
        what = names[i]
        printf "| %s | %.2f ms | x %.2f | x %.2f |\n", label[i], us[what, "torch"] / 1000,
          us[what, "portable"] / us[what, "torch"], us[what, "raw"] / us[what, "torch"]
      }
    }' ||
  { cat "$work/log" >&2; false; }
