/* Its descriptor has another name than its note. */
#include "raw_plugin.h"

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "disagrees", &raw_criterion);
RAW_NOTE(note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.disagrees", 1, 0, ""));
RAW_DESCRIPTOR("zoo.somebody-else", 1, 0, "", &component);
