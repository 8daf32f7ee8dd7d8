/* A table whose size ends inside a slot. */
#include "raw_plugin.h"

#include <stddef.h>

static const grevy_criterion_table table = {offsetof(grevy_criterion_table, evaluate) + 4, 0,
                                            RAW_CRITERION_SLOTS};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "torn-table", &table);
RAW_PLUGIN("zoo.torn-table", 1, 0, "", &component);
