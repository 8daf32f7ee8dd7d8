// JSON of an input, as the program would hand it on.
#ifndef GREVY_FUZZ_JSON_SUPPORT_HPP
#define GREVY_FUZZ_JSON_SUPPORT_HPP

#include "files/json_text.hpp"
#include "support.hpp"

#include <optional>
#include <string_view>

namespace grevy::fuzz {

// Nothing where it is refused.
inline std::optional<nlohmann::json> read_json(std::string_view text) {
  nlohmann::json value;
  const bool taken = accepts([&] { value = host::parse_json(text, "input"); }, "input: ");
  return taken ? std::optional(value) : std::nullopt;
}

}  // namespace grevy::fuzz

#endif
