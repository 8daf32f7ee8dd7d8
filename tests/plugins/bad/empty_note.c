/* A note without text. */
#include "raw_plugin.h"

RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, "");
