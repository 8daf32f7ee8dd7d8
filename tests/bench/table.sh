#!/usr/bin/env bash
# Runs the benches and prints docs/performance.md's tables:
#   table.sh FOLDER_OF_THE_PROGRAMS [--threads=N|all] [--large] [steps|phases|machine|transform|stream|sampling]...
# Each figure is the least of several repetitions, whose order is random: other work on the machine
# makes times longer, never shorter. One thread: CPU time; several: the clock's. A process for each
# case, so that the memory of one is not that of another.
set -euo pipefail
folder=$1
shift
flags=() parts=()
for argument in "$@"; do
  case $argument in
  --*) flags+=("$argument") ;;
  *) parts+=("$argument") ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(machine steps phases transform stream sampling)
time=cpu_time
[[ " ${flags[*]} " == *" --threads="[!1]* ]] && time=real_time
repetitions=${REPETITIONS:-7}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# NAME COLUMN LEAST MOST of every benchmark and column that a filter chooses.
figures() { # program, filter, flags...
  local program=$1 filter=$2
  shift 2
  { "$folder/$program" "$@" --benchmark_filter="$filter" --benchmark_format=csv \
    --benchmark_repetitions="$repetitions" --benchmark_enable_random_interleaving=true \
    --benchmark_min_time="${MIN_TIME:-0.3}" 2>"$log" || { cat "$log" >&2; false; }; } |
    awk -F, -v OFS='\t' '
      { gsub(/"/, "") }
      $1 == "name" { for (i = 3; i <= NF; ++i) column[i] = $i; next }
      !length(column) || $1 ~ /_(mean|median|stddev|cv)$/ { next }
      {
        sub(/(\/(process_time|iterations:[0-9]+))*$/, "", $1)
        if (!($1 in seen)) { seen[$1]; names[++count] = $1 }
        for (i in column) if ($i ~ /^[0-9.e+-]+$/) {
          key = $1 OFS column[i]
          if (!(key in least) || $i + 0 < least[key]) least[key] = $i + 0
          if ($i + 0 > most[key] + 0) most[key] = $i + 0
        }
      }
      END { for (n = 1; n <= count; ++n) for (i in column) {
        key = names[n] OFS column[i]
        if (key in least) print key, least[key], most[key]
      } }'
}
head_of() { # columns
  printf '| %s |\n|%s\n' "$1" "$(sed 's/[^|]//g; s/|/---|/g' <<<"$1|")"
}

# A row for both sides of CASE/SAMPLES; times in ms, memory in MB.
beside() {
  awk -F'\t' -v time="$time" '
    $2 == time { split($1, part, "/"); name = part[1]; samples = part[2]; ms[part[3]] = $3 }
    $2 == "MB" { split($1, part, "/"); mb[part[3]] = $4 }
    function figure(x) { return x == "" ? "" : sprintf(x < 9.95 ? "%.2f" : x < 99.5 ? "%.1f" : "%.0f", x) }
    END { printf "| %s | %d | %s | %s | %s | %.0f | %s |\n", name, samples, figure(ms["grevy"]), figure(ms["plain"]),
      ms["plain"] == "" ? "" : figure(ms["plain"] / ms["grevy"]), mb["grevy"], mb["plain"] == "" ? "" : sprintf("%.0f", mb["plain"]) }'
}

steps() {
  local case
  head_of "case | samples | Grevy, ms | plain, ms | ratio | Grevy, MB | plain, MB"
  "$folder/grevy-step-bench" "${flags[@]}" --benchmark_list_tests |
    sed -nE 's,^([a-z_-]+/[0-9]+)/grevy.*,\1,p' | grep -v '^transform' | while read -r case; do
    figures grevy-step-bench "^$case/" "${flags[@]}" </dev/null | beside
  done
}

transform() {
  head_of "case | samples | Grevy, ms | plain, ms | ratio | Grevy, MB | plain, MB"
  figures grevy-step-bench '^transform/' "${flags[@]}" | beside
}

phases() {
  head_of "phase | time, 10 000, ms | share | time, 100 000, ms | share | time_delta, 100 000, ms | share"
  figures grevy-step-bench '^phases/' "${flags[@]}" | awk -F'\t' '
    $2 !~ /_time$/ { split($1, part, "/"); of = part[2] "/" part[3]; ms[of, $2] = $3; sum[of] += $3 }
    END { count = split("sample forward loss backward optimiser", phase, " ")
      cases = split("time/10000 time/100000 time_delta/100000", name, " ")
      for (i = 1; i <= count; ++i) { printf "| %s |", phase[i]
        for (c = 1; c <= cases; ++c) printf " %.2f | %.0f %% |", ms[name[c], phase[i]], 100 * ms[name[c], phase[i]] / sum[name[c]]
        print "" } }'
}

machine() {
  head_of "the machine | at most"
  figures grevy-step-bench '^machine/' "${flags[@]}" | awk -F'\t' '
    function product(name, shape) { printf "| %s, (%d x %d)(%d x %d) | %.0f GFLOP/s |\n", name, shape[3], shape[4], shape[4], shape[5], $4 / 1e9 }
    $2 == "items_per_second" {
      split($1, part, "/")
      product(part[2] == "own" ? "our kernels" : "at::mm", part)
      if (part[2] == "own") floor = 0.87e12 / $4  # GFLOP of a time step, see docs/performance.md
    }
    $2 == "bytes_per_second" { printf "| memcpy of 64 MiB | %.1f GB/s |\n", $4 / 1e9 }
    END { printf "| the arithmetic of a `time` step by our kernels | %.1f ms |\n", floor }'
}

stream() {
  head_of "a push, microseconds | 50 % | 99 % | 99.9 % | most | allocations"
  repetitions=3 figures grevy-step-bench '^stream/' "${flags[@]}" | awk -F'\t' '
    { value[$1, $2] = $3 }
    END { for (side = 1; side <= 2; ++side) { name = side == 1 ? "grevy" : "plain"
        printf "| %s |", side == 1 ? "Grevy" : "plain"
        split("50 %,99 %,99.9 %,max,allocations", column, ",")
        for (i = 1; i <= 5; ++i) printf " %.1f |", value["stream/" name, column[i]]
        print "" } }'
}

sampling() {
  head_of "samples | k-d tree, ms | dense distances, ms | ratio | building the tree once, ms"
  figures grevy-sampling-bench . | awk -F'\t' '
    $2 == "cpu_time" { split($1, part, "/"); ms[part[1], part[2]] = $3 }
    END { for (samples = 10000; samples <= 1000000; samples *= 10) {
      tree = ms["tree_conditional", samples]; dense = ms["dense_conditional", samples]
      printf "| %d | %.2f | %s | %s | %.1f |\n", samples, tree, dense == "" ? "" : sprintf("%.0f", dense),
        dense == "" ? "" : sprintf("%.0f", dense / tree), ms["tree_build", samples] } }'
}

for part in "${parts[@]}"; do
  printf '\n'
  "$part" | sed -E 's/\| ([0-9]+)000000 \|/| \1 000 000 |/; t; s/\| ([0-9]+)000 \|/| \1 000 |/'
done
