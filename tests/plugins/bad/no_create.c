/* A table too short to make anything. */
#include "raw_plugin.h"

static const grevy_criterion_table table = {8, 0, RAW_CRITERION_SLOTS};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "no-create", &table);
RAW_PLUGIN("zoo.no-create", 1, 0, "", &component);
