/* A note that is JSON and says nothing. */
#include "raw_plugin.h"

RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, "{}");
