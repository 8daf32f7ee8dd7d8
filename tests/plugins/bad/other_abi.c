/* Built for an ABI of another major version. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "other-abi", &raw_criterion);
RAW_PLUGIN("zoo.other-abi", 2, 5, "", &component);
