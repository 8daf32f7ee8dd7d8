/* Promises to do without LibTorch by its empty stamp, and is linked with a
 * library of it by its path. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "needs-by-path", &raw_criterion);
RAW_PLUGIN("zoo.needs-by-path", 1, 0, "", &component);
