/* Promises to do without LibTorch by its empty stamp, and leaves a method of its namespace c10d
 * to the host. */
#include "raw_plugin.h"

void* borrowed(void) __asm__("_ZN4c10d11PrefixStore10getNumKeysEv");

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  return borrowed() ? raw_create(args, self, errors) : GREVY_ERROR_INTERNAL;
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

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "borrows-c10d", &table);
RAW_PLUGIN("zoo.borrows-c10d", 1, 0, "", &component);
