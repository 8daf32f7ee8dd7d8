/* A note whose values have other types than they should. */
#include "raw_plugin.h"

RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, "{\"plugin\":7,\"version\":null,\"abi\":\"1.0\",\"stamp\":[]}");
