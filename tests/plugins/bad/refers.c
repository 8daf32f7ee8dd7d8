/* An options schema that refers to itself. */
#include "raw_plugin.h"

RAW_NOTE(component, GREVY_NOTE_COMPONENT,
         "{\"kind\":\"criterion\",\"name\":\"refers\",\"aliases\":[],\"version\":\"1\","
         "\"summary\":\"\",\"options\":{\"properties\":{\"inner\":{\"$ref\":\"#\"}}}}");
RAW_NOTE(plugin, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.refers", 1, 0, ""));
