/* Registers a component that no note speaks of. */
#include "raw_plugin.h"

static const grevy_component secret = {sizeof(secret), GREVY_KIND_CRITERION, RAW_TEXT("{}"),
                                       RAW_TEXT("secret"), &raw_criterion};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "undeclared", &raw_criterion);
RAW_PLUGIN("zoo.undeclared", 1, 0, "", &component, &secret);
