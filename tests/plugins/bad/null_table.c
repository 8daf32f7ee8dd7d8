/* A component without a table. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "null-table", 0);
RAW_PLUGIN("zoo.null-table", 1, 0, "", &component);
