/* abi.h alone, in every language it promises; see CMakeLists.txt. */
#include <grevy/abi.h>

int grevy_abi_check(const grevy_plugin* plugin);
int grevy_abi_check(const grevy_plugin* plugin) { return plugin->abi_major == GREVY_ABI_MAJOR; }
