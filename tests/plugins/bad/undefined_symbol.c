/* Calls a function that no library has. */
#include "raw_plugin.h"

int grevy_zoo_no_such_function(void);

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  return grevy_zoo_no_such_function() ? GREVY_ERROR_INTERNAL : raw_create(args, self, errors);
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

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "undefined-symbol", &table);
RAW_PLUGIN("zoo.undefined-symbol", 1, 0, "", &component);
