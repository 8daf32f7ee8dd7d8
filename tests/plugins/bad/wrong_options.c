/* A component whose options schema is no object. */
#include "raw_plugin.h"

RAW_NOTE(component, GREVY_NOTE_COMPONENT,
         "{\"kind\":\"criterion\",\"name\":\"wrong-options\",\"aliases\":[],\"version\":\"1\","
         "\"summary\":\"\",\"options\":[]}");
RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.wrong-options", 1, 0, ""));
