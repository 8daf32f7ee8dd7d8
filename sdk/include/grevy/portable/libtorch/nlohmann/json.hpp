// Stands in for nlohmann/json in portable plugins, which need the standard library alone.
#ifndef GREVY_PORTABLE_NLOHMANN_JSON_HPP
#define GREVY_PORTABLE_NLOHMANN_JSON_HPP

#include <grevy/portable/json.hpp>

namespace nlohmann {
using json = ::grevy::portable::Json;
}

#endif
