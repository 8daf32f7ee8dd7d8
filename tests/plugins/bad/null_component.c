/* A descriptor with a hole where its component should be. */
#include "raw_plugin.h"

RAW_NOTE(component_note, GREVY_NOTE_COMPONENT,
         RAW_COMPONENT_MANIFEST("criterion", "null-component"));
RAW_PLUGIN("zoo.null-component", 1, 0, "", 0);
