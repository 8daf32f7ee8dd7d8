/* Promises to do without LibTorch by its empty stamp, and is linked with it. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "needs-libtorch", &raw_criterion);
RAW_PLUGIN("zoo.needs-libtorch", 1, 0, "", &component);
