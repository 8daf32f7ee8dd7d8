// The options of components that are written in C.
#include "files/json_text.hpp"
#include "ops/boundary.hpp"
#include "ops/functions.hpp"

#include <cmath>

namespace grevy::host {
namespace {

using nlohmann::json;

std::string allowed(const grevy_number_option& row) {
  if (row.flags & GREVY_OPTION_BOOLEAN) return "true or false";
  std::string text = row.flags & GREVY_OPTION_INTEGER ? "an integer" : "a finite number";
  const auto bound = [&](double value, bool is_open, const char* open, const char* closed) {
    if (std::isfinite(value)) text += (is_open ? open : closed) + json(value).dump();
  };
  bound(row.lowest, row.flags & GREVY_OPTION_ABOVE, " above ", " of at least ");
  bound(row.highest, row.flags & GREVY_OPTION_BELOW, " below ", " of at most ");
  return text;
}

bool fits(const json& found, const grevy_number_option& row) {
  if (row.flags & GREVY_OPTION_BOOLEAN) return found.is_boolean();
  if (!(row.flags & GREVY_OPTION_INTEGER ? found.is_number_integer() : found.is_number()))
    return false;
  const double value = found.get<double>();
  const bool low = row.flags & GREVY_OPTION_ABOVE ? value > row.lowest : value >= row.lowest;
  const bool high = row.flags & GREVY_OPTION_BELOW ? value < row.highest : value <= row.highest;
  return std::isfinite(value) && low && high;
}

const grevy_number_option& row_of(const std::string& key, const grevy_number_option* rows,
                                  std::uint64_t count) {
  std::string known;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (detail::view(rows[i].name) == key) return rows[i];
    known += (known.empty() ? "" : ", ") + std::string(detail::view(rows[i].name));
  }
  throw Error(ErrorCode::invalid_value,
              "unknown option \"" + key + "\"; known: " + (known.empty() ? "none" : known));
}

std::int32_t read_numbers(grevy_text options, const grevy_number_option* rows, std::uint64_t count,
                          const grevy_error_sink* errors) {
  return detail::guarded(errors, {}, [&] {
    const std::string_view text = detail::view(options);
    const json object =
        parse_shallow(text.empty() ? "{}" : text, ErrorCode::invalid_type, /*discard=*/true);
    if (!object.is_object()) throw Error(ErrorCode::invalid_type, "options must be a JSON object");
    for (const auto& [key, found] : object.items()) {
      const grevy_number_option& row = row_of(key, rows, count);
      if (!fits(found, row))
        throw Error(ErrorCode::invalid_value, "option \"" + key + "\": found " +
                                                  found.dump().substr(0, 60) + "; must be " +
                                                  allowed(row));
    }
    for (const auto& [key, found] : object.items())
      *row_of(key, rows, count).value =
          found.is_boolean() ? (found.get<bool>() ? 1.0 : 0.0) : found.get<double>();
  });
}

}  // namespace

const grevy_options& ops::options() {
  static constexpr grevy_options table = {sizeof(grevy_options), 0, read_numbers};
  return table;
}

}  // namespace grevy::host
