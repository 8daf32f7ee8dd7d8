#!/usr/bin/env bash
# abi.h against the kept types of every release of its major, by libabigail. Members may be added at
# the end of structs that begin with struct_size, enumerators and types anywhere; all else fails.
#   abidiff.sh                      compares, and shows that what must fail does
#   abidiff.sh --keep HEADER FILE   writes the types of a header: once per release
# Ends with 77 (skipped) where libabigail is not installed.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
header=$root/sdk/include/grevy/abi.h
if ! command -v abidiff >/dev/null || ! command -v abidw >/dev/null; then
  echo "abidiff: not installed (Debian: abigail-tools)" >&2
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nobody's own rules may hide a change.
export LIBABIGAIL_DEFAULT_USER_SUPPRESSION_FILE=$work/none LIBABIGAIL_DEFAULT_SYSTEM_SUPPRESSION_FILE=$work/none

# A library that mentions every type of a header, and every number as the length of an array.
compile() { # header library
  {
    printf '#include "%s"\n' "$1"
    sed -nE 's/^(typedef struct|\}) (grevy_[a-z_]+)( grevy_[a-z_]+)?;.*/\2/p' "$1" | sort -u |
      sed -E 's/.*/& *abi_&(void);\n& *abi_&(void) { return 0; }/'
    { grep -oE '\bGREVY_[A-Z_]+ =' "$1" | tr -d ' ='; echo GREVY_ABI_MAJOR; } | sort -u | sed 's/.*/char abi_&[1 + &];/'
    printf 'char abi_entry_name[] = GREVY_ENTRY_NAME;\ngrevy_plugin_entry_function abi_entry;\n'
  } >"$2.c"
  "${CC:-cc}" -std=c11 -g -O0 -fPIC -shared -Wl,-soname,abi.so "$2.c" -o "$2"
}

dump() { # library
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-architecture --no-elf-needed "$1"
}

# The structs that say their size: they may grow.
growing() { # header
  awk '/^(typedef )?struct grevy_[a-z_]+ \{/ { sub(/^(typedef )?struct /, ""); name = $1
         getline; if ($0 ~ /^  uint32_t struct_size;/) print name }' "$1"
}

# Reads a report; fails unless all that changed is members behind the end of structs that may grow.
only_growth() { # report
  awk -v names="$may_grow" '
    BEGIN { split(names, list); for (i in list) grows["\x27struct " list[i] "\x27 changed:"] = 1 }
    /^$/ || /summary: / { next }
    $0 in grows { end = -1; next }
    /^  type size changed from [0-9]+ to [0-9]+ \(in bits\)$/ { end = $5; next }
    /^  [0-9]+ data member insertions?:$/ { next }
    /^    \x27.*\x27, at offset [0-9]+ \(in bits\)$/ && end > 0 && $(NF - 2) >= end { next }
    { bad = 1 }
    END { exit bad }' "$1"
}

# Whether a header keeps what an older one promised; what it changes is in $work/report. The exit
# status of abidiff: 1 and 2 are failures of its own, 4 a change, 8 one that cannot be compatible.
keeps() { # header, types of the older one
  local status=0
  compile "$1" "$work/new.so" || { echo "does not compile" >"$work/report"; return 1; }
  abidiff --leaf-changes-only --no-added-syms --no-architecture --no-show-locs --harmless \
    "$2" "$work/new.so" >"$work/report" 2>&1 || status=$?
  [ $((status & ~4)) -eq 0 ] && only_growth "$work/report"
}

if [ "${1:-}" = --keep ]; then
  compile "$(realpath "$2")" "$work/kept.so"
  dump "$work/kept.so" >"$3"
  exit 0
fi

failed=0
major=$(sed -nE 's/^#define GREVY_ABI_MAJOR ([0-9]+)u$/\1/p' "$header")
may_grow=$(growing "$header")
[ "$(wc -w <<<"$may_grow")" -ge 20 ] || { echo "abidiff: abi.h is not read as expected"; exit 1; }

for kept in "$root"/tests/plugins/released/"$major".*/abi.abixml; do
  [ -e "$kept" ] || continue # a major without a release
  keeps "$header" "$kept" && continue
  echo "abidiff: abi.h breaks $kept:"
  cat "$work/report"
  failed=1
done

# ---- Does it see? Changes to a copy of the header, as sed scripts --------------------------------
compile "$header" "$work/now.so"
dump "$work/now.so" >"$work/now.abixml"
try() { # yes|no, what, sed script
  local kept=no
  sed -E "$3" "$header" >"$work/changed.h"
  if cmp -s "$header" "$work/changed.h"; then echo "abidiff: \"$2\" changes nothing"; failed=1; return; fi
  keeps "$work/changed.h" "$work/now.abixml" && kept=yes
  [ "$kept" = "$1" ] && ! grep -q "does not compile" "$work/report" && return
  echo "abidiff: $2: must be compatible: $1; it is: $kept"
  cat "$work/report"
  failed=1
}
grow() { printf '/^\\} %s;/i\\  int64_t later;' "$1"; }

for struct in $may_grow; do
  [ "$struct" = grevy_host ] || try yes "a member at the end of $struct" "$(grow "$struct")"
done
try yes "a slot at the end of grevy_host" '/\(\*extension\)\(const grevy_host\*/a\  void (*later)(void);'
try yes "a new error code" 's/( GREVY_ERROR_INCOMPATIBLE = 11)/  GREVY_ERROR_LATER = 12,\n\1/'
try yes "a new flag" 's/(GREVY_ACTION_VALIDATE = )/GREVY_ACTION_LATER = 1u << 2, \1/'
try yes "a new struct" '/^typedef struct grevy_plugin /i\typedef struct grevy_later { uint32_t struct_size; } grevy_later;'
try yes "the next minor" 's/(GREVY_ABI_MINOR) .*/\1 99u/'

for struct in grevy_text grevy_statistic grevy_instance grevy_prediction grevy_component_name; do
  try no "a member at the end of $struct, which is frozen" "$(grow "$struct")"
done
try no "a member removed from the middle" '/int64_t num_output; /d'
try no "a member removed from the end" '/int64_t num_tensors; /d'
try no "a member in the middle" '/int64_t num_output; /i\  int64_t later;'
try no "a member of another type" 's/int64_t (num_output); /int32_t \1; /'
try no "a member of another type of the same size" 's/int64_t (num_output); /double \1; /'
try no "a member renamed" 's/int64_t num_output; /int64_t width; /'
try no "two members that change places" 's/int64_t (offset_left|offset_right); /int64_t \1_; /; s/offset_left_/offset_right/; s/offset_right_/offset_left/'
try no "a slot removed" '/int32_t \(\*save_state\)/d'
try no "a slot that takes something else" 's/(\*transform\)\(void\* self, )int64_t/\1int32_t/'
try no "a slot that returns something else" 's/void (\(\*destroy\)\(void\* self\);)/int32_t \1/'
try no "a number changed" 's/(GREVY_ERROR_IO = )8/\112/'
try no "a number removed" '/GREVY_MODEL_NORMALIZED = /d'
try no "a struct renamed" 's/grevy_loader/grevy_feeder/'
try no "another major" 's/(GREVY_ABI_MAJOR) .*/\1 99u/'
try no "another entry" 's/grevy_plugin_entry_v1"/grevy_plugin_entry_v12"/'

[ $failed -eq 0 ] && echo "abidiff: ok"
exit $failed
