/* Knows a shorter table, which ends in the middle of what we have. */
#include "raw_plugin.h"

#include <stddef.h>

static const grevy_criterion_table table = {offsetof(grevy_criterion_table, visit_tensors), 0,
                                            RAW_CRITERION_SLOTS};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "older-minor", &table);
RAW_PLUGIN("zoo.older-minor", 1, 0, "", &component);
