/* Built against a LibTorch that this host does not have. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "other-libtorch", &raw_criterion);
RAW_PLUGIN("zoo.other-libtorch", 1, 0, "libtorch 0.4.1 cxx11abi=0 cpu", &component);
