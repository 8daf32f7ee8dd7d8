// What options of components in C may be, and the errors of those that are not.
#ifndef GREVY_HOST_OPS_OPTION_RULES_HPP
#define GREVY_HOST_OPS_OPTION_RULES_HPP

#include <grevy/error.hpp>
#include <grevy/options.h>

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace grevy::host {

constexpr std::uint64_t max_options = 4096;  // rows, choices, places in a list

// A number within bounds; flags are GREVY_OPTION_*.
struct NumberRule {
  double lowest, highest;
  std::uint32_t flags;
};
// Errors of all: invalid_value with the name, what was found and what is allowed.
[[noreturn]] void refuse_option(std::string_view name, const nlohmann::json& found,
                                const std::string& allowed);
[[noreturn]] void refuse_missing(std::string_view name);

double number_of(std::string_view name, const nlohmann::json& found, const NumberRule& rule);
std::int64_t integer_of(std::string_view name, const nlohmann::json& found, std::int64_t lowest,
                        std::int64_t highest, std::uint32_t flags);
bool boolean_of(std::string_view name, const nlohmann::json& found);

// The JSON object of options; empty text is an empty one. Errors: invalid_type.
nlohmann::json parse_options_text(grevy_text options);

}  // namespace grevy::host

#endif
