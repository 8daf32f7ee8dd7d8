#!/usr/bin/env bash
# abi.h against the kept types of every release of its major, and the headers of the extensions that
# are frozen against theirs, by libabigail. Members may be added at the end of structs that begin with
# struct_size, enumerators and types anywhere; all else fails.
#   abidiff.sh                      compares, and shows that what must fail does
#   abidiff.sh --keep HEADER FILE   writes the types of a header: once per release
# Ends with 77 (skipped) where libabigail is not installed.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
sdk=$root/sdk/include/grevy
if ! command -v abidiff >/dev/null || ! command -v abidw >/dev/null; then
  echo "abidiff: not installed (Debian: abigail-tools)" >&2
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nobody's own rules may hide a change.
export LIBABIGAIL_DEFAULT_USER_SUPPRESSION_FILE=$work/none LIBABIGAIL_DEFAULT_SYSTEM_SUPPRESSION_FILE=$work/none

# A library that mentions every type of a header, and every number as the length of an array, but for
# that of operations, which grows.
compile() { # header library
  {
    printf '#include "%s"\n' "$1"
    sed -nE 's/^(typedef struct|\}) (grevy_[a-z_]+)( grevy_[a-z_]+)?;.*/\2/p' "$1" | sort -u |
      sed -E 's/.*/& *abi_&(void);\n& *abi_&(void) { return 0; }/'
    { grep -oE '\bGREVY_[A-Z0-9_]+ =' "$1" | tr -d ' =' | grep -v '^GREVY_OP_COUNT$'; echo GREVY_ABI_MAJOR; } | sort -u | sed 's/.*/char abi_&[1 + &];/'
    printf 'char abi_entry_name[] = GREVY_ENTRY_NAME;\ngrevy_plugin_entry_function abi_entry;\n'
  } >"$2.c"
  "${CC:-cc}" -std=c11 -g -O0 -fPIC -shared -I "$root/sdk/include" -Wl,-soname,abi.so "$2.c" -o "$2"
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
# A header against kept types of it.
compare() { # header, types...
  local header=$1 kept
  may_grow=$(growing "$header")
  for kept in "${@:2}"; do
    keeps "$header" "$kept" && continue
    echo "abidiff: $header breaks $kept:"
    cat "$work/report"
    failed=1
  done
}

major=$(sed -nE 's/^#define GREVY_ABI_MAJOR ([0-9]+)u$/\1/p' "$sdk/abi.h")
shopt -s nullglob # a major without a release
compare "$sdk/abi.h" "$root"/tests/plugins/released/"$major".*/abi.abixml
for extension in ops kernel options; do
  compare "$sdk/$extension.h" "$root/tests/plugins/extensions/$extension-1.abixml"
done

# ---- Does it see? Changes to a copy of a header, as sed scripts ----------------------------------
look_at() { # header, how many structs at least may grow
  header=$1 may_grow=$(growing "$1")
  [ "$(wc -w <<<"$may_grow")" -ge "$2" ] || { echo "abidiff: $1 is not read as expected"; exit 1; }
  compile "$header" "$work/now.so"
  dump "$work/now.so" >"$work/now.abixml"
}
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

look_at "$sdk/abi.h" 20
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

look_at "$sdk/ops.h" 4
try yes "a member at the end of grevy_tensor_info" "$(grow grevy_tensor_info)"
try yes "a member at the end of grevy_op_info" "$(grow grevy_op_info)"
try yes "a member at the end of grevy_function" "$(grow grevy_function)"
try yes "a slot at the end of grevy_ops" '/^  void \(\*release_generator\)/a\  void (*later)(void);'
try yes "a new operation" 's/(GREVY_OP_COUNT = )76/GREVY_OP_LATER = 76, \177/'
try yes "a new kind of attribute" 's/(GREVY_ATTRIBUTE_NONE = 0,)/GREVY_ATTRIBUTE_LATER = 7, \1/'
try no "a member at the end of grevy_attribute, which is frozen" "$(grow grevy_attribute)"
try no "an operation with another number" 's/(GREVY_OP_ADD = )0/\177/'
try no "two operations that change places" 's/GREVY_OP_EXP = 20/GREVY_OP_EXP = 21/; s/GREVY_OP_LOG = 21/GREVY_OP_LOG = 20/'
try no "an operation removed" '/GREVY_OP_RECIPROCAL = /d'
try no "a type with another number" 's/(GREVY_FLOAT32 = )0/\19/'
try no "a kind of attribute with another number" 's/(GREVY_ATTRIBUTE_TEXT = )4/\19/'
try no "a member in the middle" '/grevy_text plugin; /i\  int64_t later;'
try no "a slot removed" '/^  uint32_t \(\*find\)/d'
try no "a slot that takes something else" 's/(\*set_recording\)\()uint32_t/\1uint64_t/'

look_at "$sdk/kernel.h" 3
try yes "a member at the end of grevy_kernel_views" "$(grow grevy_kernel_views)"
try yes "a member at the end of grevy_kernel" "$(grow grevy_kernel)"
try yes "a slot at the end of grevy_kernels" "$(grow grevy_kernels)"
try no "a member at the end of grevy_view, which is frozen" "$(grow grevy_view)"
try no "a member at the end of grevy_buffer, which is frozen" "$(grow grevy_buffer)"
try no "a member of another type" 's/uint8_t (type_bits); /uint16_t \1; /'
try no "a member renamed" 's/uint64_t kept_count; /uint64_t saved_count; /'

look_at "$sdk/options.h" 1
try yes "a slot at the end of grevy_options" '/^  int32_t \(\*finish\)/a\  void (*later)(void);'
try no "a member at the end of grevy_number_option, which is frozen" "$(grow grevy_number_option)"
try no "a flag with another number" 's/(GREVY_OPTION_INTEGER = )1u << 2/\11u << 6/'
try no "a kind of value with another number" 's/(GREVY_VALUE_TEXT = )5/\19/'
try no "a slot removed" '/^  uint32_t \(\*kind\)/d'

[ $failed -eq 0 ] && echo "abidiff: ok"
exit $failed
