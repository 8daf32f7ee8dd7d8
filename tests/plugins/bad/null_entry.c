/* An entry that gives nothing. */
#include "raw_plugin.h"

RAW_NOTE(component, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST("criterion", "null-entry"));
RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.null-entry", 1, 0, ""));

RAW_ENTRY { return 0; }
