/* A note that is no JSON. */
#include "raw_plugin.h"

RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, "\xff{plugin: \x01");
