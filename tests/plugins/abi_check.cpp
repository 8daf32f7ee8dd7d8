// The C headers alone, in every language that abi.h promises; see CMakeLists.txt.
#include "extensions_layout.h"

#include <grevy/abi.h>
#include <grevy/kernel.h>
#include <grevy/ops.h>
#include <grevy/options.h>
#include <grevy/plugin.h>
#include <grevy/stream.h>

int grevy_abi_check(const grevy_plugin* plugin);
int grevy_abi_check(const grevy_plugin* plugin) { return plugin->abi_major == GREVY_ABI_MAJOR; }
