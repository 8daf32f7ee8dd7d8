/* Promises to do without LibTorch by its empty stamp, and leaves a function of it to the host. */
#include "raw_plugin.h"

int get_num_threads(void) __asm__("_ZN2at15get_num_threadsEv");

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  return get_num_threads() > 0 ? raw_create(args, self, errors) : GREVY_ERROR_INTERNAL;
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

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "borrows-libtorch", &table);
RAW_PLUGIN("zoo.borrows-libtorch", 1, 0, "", &component);
