/* Notes, but no function to enter by. */
#include "raw_plugin.h"

RAW_NOTE(component, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST("criterion", "no-entry"));
RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.no-entry", 1, 0, ""));
