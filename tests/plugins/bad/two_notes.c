/* Two plugin notes: which one is meant? */
#include "raw_plugin.h"

RAW_NOTE(first, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.first", 1, 0, ""));
RAW_NOTE(second, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.second", 1, 0, ""));
