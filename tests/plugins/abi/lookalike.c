/* Does without LibTorch, although its symbols look much like those of LibTorch. They are weak and
 * nowhere. */
#include "raw_plugin.h"

#define WEAK(function, symbol) extern __attribute__((weak)) void function(void) __asm__(symbol)
WEAK(in_identifier, "_ZN7my_N2at4loadEv");
WEAK(in_argument, "_Z4load7N2at_xsN4my_c3c10E");
WEAK(second_component, "_ZN2my2at4loadEv");
WEAK(longer_name, "_ZN4atom4loadEv");
WEAK(no_mangled_name, "torch_N3c10");

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  if (in_identifier || in_argument || second_component || longer_name || no_mangled_name)
    return GREVY_ERROR_INTERNAL;
  return raw_create(args, self, errors);
}

static const grevy_criterion_table table = {sizeof(table),
                                            0,
                                            create,
                                            raw_destroy,
                                            raw_describe,
                                            raw_evaluate,
                                            raw_visit_tensors,
                                            raw_visit_statistics,
                                            raw_extension};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "lookalike", &table);
RAW_PLUGIN("abi.lookalike", 1, 0, "", &component);
