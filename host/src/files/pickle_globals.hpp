// The classes and functions that a pickle may name, and what stands for them here.
#ifndef GREVY_HOST_PICKLE_GLOBALS_HPP
#define GREVY_HOST_PICKLE_GLOBALS_HPP

#include "files/pickle_arena.hpp"

#include <string>
#include <string_view>

namespace grevy::host {

// Null for what is not on the list.
const PickleGlobal* find_global(std::string_view module, std::string_view name);

std::string global_name(const PickleGlobal& global);  // "torch.FloatStorage"
bool is_constant(const PickleGlobal& global);         // "torch.float32": a value by itself

// What Python would get from callee(*args) or callee.__new__(callee, *args).
PickleId call_global(PickleArena& arena, PickleId callee, PickleId args);

// What Python would do by object.__setstate__(state). Attributes of a dict are dropped.
void set_state(PickleArena& arena, PickleId object, PickleId state);

// The storage of ("storage", class, key, location, number of elements).
PickleId load_storage(PickleArena& arena, PickleId identity);

}  // namespace grevy::host

#endif
