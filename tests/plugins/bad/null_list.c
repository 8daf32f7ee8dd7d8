/* A descriptor that counts one component and has no list. */
#include "raw_plugin.h"

RAW_NOTE(component_note, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST("criterion", "null-list"));
RAW_NOTE(note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.null-list", 1, 0, ""));

static const grevy_plugin plugin = {
    sizeof(plugin), 1, 0, 1, RAW_TEXT("zoo.null-list"), RAW_TEXT("1.0.0"), RAW_TEXT(""), 0};
RAW_ENTRY { return &plugin; }
