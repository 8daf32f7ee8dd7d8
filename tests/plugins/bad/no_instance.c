/* Says that it made an instance, and has made none. */
#include "raw_plugin.h"

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  (void)args, (void)self, (void)errors;
  return GREVY_OK;
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

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "no-instance", &table);
RAW_PLUGIN("zoo.no-instance", 1, 0, "", &component);
