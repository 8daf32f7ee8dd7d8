/* One of two plugins that claim a name. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "twin", &raw_criterion);
RAW_PLUGIN("zoo.twin-b", 1, 0, "", &component);
