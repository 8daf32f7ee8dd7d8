/* A component without a plugin. */
#include "raw_plugin.h"

RAW_NOTE(component, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST("criterion", "component-only"));
