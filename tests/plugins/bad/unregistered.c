/* Its descriptor has one component twice and lacks another; the number is right. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "registered", &raw_criterion);
RAW_COMPONENT(missing, GREVY_KIND_CRITERION, "criterion", "unregistered", &raw_criterion);
RAW_NOTE(note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.unregistered", 1, 0, ""));
RAW_DESCRIPTOR("zoo.unregistered", 1, 0, "", &component, &component);
const grevy_component* grevy_zoo_unused(void);
const grevy_component* grevy_zoo_unused(void) { return &missing; }
