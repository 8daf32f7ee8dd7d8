#include "ops/option_rules.hpp"

#include "files/json_text.hpp"

#include <grevy/detail/text.hpp>

#include <cmath>
#include <limits>

namespace grevy::host {
namespace {

using nlohmann::json;

// Whole numbers as people write them.
std::string written(double value) {
  const bool is_whole = std::fabs(value) < 1e15 && value == std::floor(value);
  return is_whole ? std::to_string(static_cast<std::int64_t>(value)) : json(value).dump();
}

// " above 0 of at most 1"; empty texts are no bounds.
std::string bounds(const std::string& lowest, const std::string& highest, std::uint32_t flags) {
  std::string text;
  if (!lowest.empty()) text += (flags & GREVY_OPTION_ABOVE ? " above " : " of at least ") + lowest;
  if (!highest.empty()) text += (flags & GREVY_OPTION_BELOW ? " below " : " of at most ") + highest;
  return text;
}

template <class T>
bool is_within(T value, T lowest, T highest, std::uint32_t flags) {
  const bool low = flags & GREVY_OPTION_ABOVE ? value > lowest : value >= lowest;
  const bool high = flags & GREVY_OPTION_BELOW ? value < highest : value <= highest;
  return low && high;
}

}  // namespace

void refuse_option(std::string_view name, const json& found, const std::string& allowed) {
  throw Error(ErrorCode::invalid_value, "option \"" + std::string(name) + "\": found " +
                                            found.dump().substr(0, 60) + "; must be " + allowed);
}

void refuse_missing(std::string_view name) {
  throw Error(ErrorCode::invalid_value, "option \"" + std::string(name) + "\" is missing");
}

double number_of(std::string_view name, const json& found, const NumberRule& rule) {
  const bool is_integer = (rule.flags & GREVY_OPTION_INTEGER) != 0;
  const bool has_type = is_integer ? found.is_number_integer() : found.is_number();
  const double value = has_type ? found.get<double>() : std::nan("");
  if (std::isfinite(value) && is_within(value, rule.lowest, rule.highest, rule.flags)) return value;
  const auto bound = [](double b) { return std::isfinite(b) ? written(b) : std::string(); };
  refuse_option(name, found,
                (is_integer ? "an integer" : "a finite number") +
                    bounds(bound(rule.lowest), bound(rule.highest), rule.flags));
}

std::int64_t integer_of(std::string_view name, const json& found, std::int64_t lowest,
                        std::int64_t highest, std::uint32_t flags) {
  using Limits = std::numeric_limits<std::int64_t>;
  const bool is_beyond = found.is_number_unsigned() &&
                         found.get<std::uint64_t>() > static_cast<std::uint64_t>(Limits::max());
  if (found.is_number_integer() && !is_beyond &&
      is_within(found.get<std::int64_t>(), lowest, highest, flags))
    return found.get<std::int64_t>();
  refuse_option(
      name, found,
      "an integer" + bounds(lowest == Limits::min() ? "" : std::to_string(lowest),
                            highest == Limits::max() ? "" : std::to_string(highest), flags));
}

bool boolean_of(std::string_view name, const json& found) {
  if (!found.is_boolean()) refuse_option(name, found, "true or false");
  return found.get<bool>();
}

json parse_options_text(grevy_text options) {
  const std::string_view text = detail::view(options);
  json object =
      parse_shallow(text.empty() ? "{}" : text, ErrorCode::invalid_type, /*discard=*/true);
  if (!object.is_object()) throw Error(ErrorCode::invalid_type, "options must be a JSON object");
  return object;
}

}  // namespace grevy::host
