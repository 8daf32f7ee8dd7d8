// Options: the schema in the manifest and what create() accepts must be the same thing.
#include "check.hpp"
#include "experiment/schema.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace grevy::cli {
namespace {

using nlohmann::json;

bool is_refused(const Subject& subject, const std::string& option, const json& value) {
  json options = subject.options();
  options[option] = value;
  try {
    subject.create(options);
  } catch (const Error&) {
    return true;
  }
  return false;
}

json with_defaults(const Subject& subject) {
  json options = subject.options();
  host::apply_defaults(options, subject.schema());
  return options;
}

void schema(const Subject& subject) {
  const json rules = subject.schema();
  if (rules.value("type", json()) != "object" || !rules.contains("properties"))
    throw Failed("the schema is not that of an object with properties");
  host::validate(with_defaults(subject), rules, "the defaults");
}

void create(const Subject& subject) {
  subject.create(subject.options());
  subject.create(with_defaults(subject));
}

bool is_integer(const json& rule) {
  const json type = rule.value("type", json());
  return type == "integer" ||
         (type.is_array() && std::find(type.begin(), type.end(), "integer") != type.end());
}

// A number just outside a bound; nothing where it cannot be told from the bound.
std::optional<json> beyond(const json& rule, const std::string& keyword) {
  if (!rule.contains(keyword) || !rule.at(keyword).is_number()) return std::nullopt;
  const auto bound = rule.at(keyword).get<double>();
  if (keyword.rfind("exclusive", 0) == 0) return rule.at(keyword);
  const double step = is_integer(rule) ? 1 : std::max(1.0, std::abs(bound) * 1e-3);
  const double value = keyword == "minimum" ? bound - step : bound + step;
  if (!is_integer(rule)) return json(value);
  if (std::abs(value) > 9e15) return std::nullopt;
  return json(static_cast<std::int64_t>(value));
}

void bounds(const Subject& subject) {
  std::size_t count = 0;
  const json rules = subject.schema().at("properties");
  for (const auto& [option, rule] : rules.items())
    for (const char* keyword : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
      const auto value = beyond(rule, keyword);
      if (!value) continue;
      ++count;
      if (!is_refused(subject, option, *value))
        throw Failed("the schema says " + std::string(keyword) + " " + rule.at(keyword).dump() +
                     " for \"" + option + "\"; create() took " + value->dump());
    }
  if (count == 0) throw Skipped("no option has a bound");
}

void unknown_option(const Subject& subject) {
  const char* name = "no_such_option";
  if (!is_refused(subject, name, 1))
    throw Failed("create() took the option \"" + std::string(name) +
                 "\", which the schema does not have");
}

}  // namespace

Checks option_checks() {
  return {
      {"schema", schema, "the options' schema is valid and its defaults fit it",
       "a default in Options must obey the rules in its row of fields()", true},
      {"create", create, "the component is made with its defaults, written out or left out",
       "the constructor must accept a default-constructed Options", true},
      {"bounds", bounds, "numbers beyond a bound are refused",
       "state the bound in fields(), which checks it; in C check it in create()"},
      {"unknown-option", unknown_option, "options that the schema does not have are refused",
       "parse options with grevy::parse_options(); in C refuse what is left over"},
  };
}

}  // namespace grevy::cli
