// grevy/options.hpp: the options of a component, from one table of fields.
//
//   struct Options {
//     double temperature = 1.0;
//     std::optional<double> min_temperature;
//     static constexpr auto fields() {
//       return grevy::fields(
//           grevy::field("temperature", &Options::temperature, "Softmax temperature.").above(0),
//           grevy::field("min_temperature", &Options::min_temperature, "Lower bound.").above(0));
//     }
//   };
//
// The table gives the JSON Schema in the manifest (defaults come from the member initialisers) and
// the parser of the options text. Member types: bool, std::int64_t, double, std::string_view
// (text), grevy::Nested (the JSON of another component), grevy::Json (lists and whatever else the
// others cannot say), and std::optional of these (null allowed, and the default unless the
// initialiser says otherwise). Options must be a literal type.
#ifndef GREVY_OPTIONS_HPP
#define GREVY_OPTIONS_HPP

#include <grevy/detail/json_text.hpp>
#include <grevy/error.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace grevy {

// The JSON object {"name": ..., options ...} of a component that this one asks the host for.
struct Nested {
  std::string_view json;  // for Context::create; lives until the process ends
};

// Any JSON value, as text. Its row names the keywords of its JSON Schema, which the host checks;
// the component reads it with nlohmann::json.
struct Json {
  std::string_view text = "null";  // lives until the process ends
  nlohmann::json parse() const { return nlohmann::json::parse(text); }  // the value
};

namespace detail {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
struct Plain {
  using type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using type = T;
};

template <class T>
constexpr std::string_view json_type() {
  if constexpr (std::is_same_v<T, bool>) return "boolean";
  if constexpr (std::is_same_v<T, std::int64_t>) return "integer";
  if constexpr (std::is_same_v<T, double>) return "number";
  if constexpr (std::is_same_v<T, std::string_view>) return "string";
  if constexpr (std::is_same_v<T, Nested>) return "object";
  if constexpr (std::is_same_v<T, Json>) return "any";
}

// Text options outlive the JSON they came from: the few distinct texts of a process are kept.
inline std::string_view keep(std::string text) {
  static std::mutex mutex;
  static std::set<std::string> kept;
  const std::lock_guard<std::mutex> lock(mutex);
  return *kept.insert(std::move(text)).first;
}

}  // namespace detail

// One row of the table. Immutable: each rule returns a changed copy. Written by field(); the rules
// are what an author calls, the members are what the schema and the parser read.
template <class Options, class Value>
struct Field {
  using Plain = typename detail::Plain<Value>::type;  // Value without std::optional
  static_assert(!detail::json_type<Plain>().empty(),
                "options are bool, int64, double, text, Nested, Json");
  static constexpr double inf = std::numeric_limits<double>::infinity();  // as a bound: none

  std::string_view name;                             // the key in the options object
  Value Options::*member;                            // where the value goes
  std::string_view description;                      // a line for people
  double minimum = -inf, maximum = inf;              // inclusive
  double exclusive_minimum = -inf;                   // not included
  double exclusive_maximum = inf;                    // likewise
  std::array<std::string_view, 8> choices{};         // for text; empty: any
  std::size_t choice_count = 0;                      // how many of them are set
  std::string_view keywords{};                       // for Json: what schema() gave
  bool is_required = std::is_same_v<Value, Nested>;  // no default

  // Must be given: there is no default. Nested options always are.
  constexpr Field required() const {
    return with([](Field& f) { f.is_required = true; });
  }
  // The members of the JSON Schema object, without its braces.
  constexpr Field schema(std::string_view members) const {
    static_assert(std::is_same_v<Value, Json>);
    return with([&](Field& f) { f.keywords = members; });
  }
  // Bounds of a number: at_least and at_most include theirs, above and below do not.
  constexpr Field at_least(double bound) const {
    return with([&](Field& f) { f.minimum = bound; });
  }
  constexpr Field at_most(double bound) const {
    return with([&](Field& f) { f.maximum = bound; });
  }
  constexpr Field above(double bound) const {
    return with([&](Field& f) { f.exclusive_minimum = bound; });
  }
  constexpr Field below(double bound) const {
    return with([&](Field& f) { f.exclusive_maximum = bound; });
  }
  // The texts that are allowed, at most 8.
  template <class... Texts>
  constexpr Field one_of(Texts... texts) const {
    static_assert(std::is_same_v<Plain, std::string_view> && sizeof...(Texts) <= 8);
    return with([&](Field& f) { ((f.choices[f.choice_count++] = texts), ...); });
  }

 private:
  template <class Change>
  constexpr Field with(Change change) const {
    Field copy = *this;
    change(copy);
    return copy;
  }
};

// A row: the option `name` sets `member`; the description is a line for people.
template <class Options, class Value>
constexpr Field<Options, Value> field(std::string_view name, Value Options::*member,
                                      std::string_view description) {
  return {name, member, description};
}

// The table: what the static function fields() of Options returns.
template <class... Fields>
constexpr auto fields(Fields... rows) {
  return std::tuple<Fields...>(rows...);
}

// For components without options.
struct NoOptions {
  // An empty table.
  static constexpr auto fields() { return grevy::fields(); }
};

namespace detail {

template <class Out, class T>
constexpr void write_value(Out& out, const T& value) {
  if constexpr (IsOptional<T>::value) {
    if (value) return write_value(out, *value);
    write_raw(out, "null");
  } else if constexpr (std::is_same_v<T, bool>) {
    write_raw(out, value ? "true" : "false");
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    write_integer(out, value);
  } else if constexpr (std::is_same_v<T, double>) {
    write_number(out, value);
  } else if constexpr (std::is_same_v<T, Nested>) {
    write_raw(out, value.json);
  } else if constexpr (std::is_same_v<T, Json>) {
    write_raw(out, value.text);
  } else {
    write_string(out, value);
  }
}

template <class Out>
constexpr void write_bound(Out& out, std::string_view key, double bound) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (bound == inf || bound == -inf) return;
  write_raw(out, ",\"");
  write_raw(out, key);
  write_raw(out, "\":");
  write_number(out, bound);
}

template <class Out, class Options, class Value>
constexpr void write_field(Out& out, const Field<Options, Value>& row) {
  write_string(out, row.name);
  write_raw(out, ":{\"description\":");
  write_string(out, row.description);
  constexpr auto type = json_type<typename Plain<Value>::type>();
  if constexpr (type == "any") {
    if (!row.keywords.empty()) out.put(',');
    write_raw(out, row.keywords);
  } else {
    write_raw(out, IsOptional<Value>::value ? ",\"type\":[\"" : ",\"type\":\"");
    write_raw(out, type);
    write_raw(out, IsOptional<Value>::value ? "\",\"null\"]" : "\"");
  }
  write_bound(out, "minimum", row.minimum);
  write_bound(out, "maximum", row.maximum);
  write_bound(out, "exclusiveMinimum", row.exclusive_minimum);
  write_bound(out, "exclusiveMaximum", row.exclusive_maximum);
  for (std::size_t i = 0; i < row.choice_count; ++i) {
    write_raw(out, i == 0 ? ",\"enum\":[" : ",");
    write_string(out, row.choices[i]);
  }
  if (row.choice_count != 0) write_raw(out, IsOptional<Value>::value ? ",null]" : "]");
  if constexpr (std::is_same_v<Value, Nested>) {
    write_raw(out, ",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"}}}");
  } else {
    if (!row.is_required) {
      write_raw(out, ",\"default\":");
      write_value(out, Options{}.*row.member);
    }
    write_raw(out, "}");
  }
}

template <class Options>
struct SchemaWriter {
  template <class Out>
  static constexpr void write(Out& out) {
    write_raw(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    bool first = true;
    std::apply([&](const auto&... row) { ((separate(out, first), write_field(out, row)), ...); },
               Options::fields());
    write_raw(out, "},\"required\":[");
    first = true;
    std::apply([&](const auto&... row) { (write_required(out, first, row), ...); },
               Options::fields());
    write_raw(out, "]}");
  }

 private:
  template <class Out>
  static constexpr void separate(Out& out, bool& first) {
    if (!first) out.put(',');
    first = false;
  }
  template <class Out, class Value>
  static constexpr void write_required(Out& out, bool& first, const Field<Options, Value>& row) {
    if (!row.is_required) return;
    separate(out, first);
    write_string(out, row.name);
  }
};

[[noreturn]] inline void refuse(std::string_view name, const nlohmann::json& found,
                                const std::string& allowed) {
  throw Error(ErrorCode::invalid_value, "option \"" + std::string(name) + "\": found " +
                                            found.dump().substr(0, 60) + "; must be " + allowed);
}

template <class Options, class Value>
std::string describe_number(const Field<Options, Value>& row) {
  using T = typename Plain<Value>::type;
  std::string text = std::is_same_v<T, std::int64_t> ? "an integer" : "a finite number";
  const auto number = [](double v) {
    const bool whole = std::fabs(v) < 1e15 && v == std::floor(v);
    return whole ? std::to_string(static_cast<std::int64_t>(v)) : nlohmann::json(v).dump();
  };
  if (std::isfinite(row.minimum)) text += " of at least " + number(row.minimum);
  if (std::isfinite(row.exclusive_minimum)) text += " above " + number(row.exclusive_minimum);
  if (std::isfinite(row.maximum)) text += " of at most " + number(row.maximum);
  if (std::isfinite(row.exclusive_maximum)) text += " below " + number(row.exclusive_maximum);
  return text;
}

template <class Options, class Value>
typename Plain<Value>::type parse_value(const Field<Options, Value>& row,
                                        const nlohmann::json& found) {
  using T = typename Plain<Value>::type;
  if constexpr (std::is_same_v<T, bool>) {
    if (!found.is_boolean()) refuse(row.name, found, "true or false");
    return found.template get<bool>();
  } else if constexpr (std::is_arithmetic_v<T>) {
    const bool type_fits =
        std::is_same_v<T, double> ? found.is_number() : found.is_number_integer();
    const double value = type_fits ? found.template get<double>() : 0;
    if (!type_fits || !std::isfinite(value) || value < row.minimum || value > row.maximum ||
        value <= row.exclusive_minimum || value >= row.exclusive_maximum ||
        (std::is_same_v<T, std::int64_t> && std::fabs(value) > 9e18))
      refuse(row.name, found, describe_number(row));
    return found.template get<T>();
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    if (!found.is_string()) refuse(row.name, found, "a text");
    std::string allowed;
    for (std::size_t i = 0; i < row.choice_count; ++i) {
      if (row.choices[i] == found.template get_ref<const std::string&>()) return row.choices[i];
      allowed += (i == 0 ? "one of \"" : "\", \"") + std::string(row.choices[i]);
    }
    if (row.choice_count != 0) refuse(row.name, found, allowed + "\"");
    return keep(found.template get<std::string>());
  } else if constexpr (std::is_same_v<T, Json>) {
    return Json{keep(found.dump())};
  } else {
    if (!found.is_object() || !found.contains("name"))
      refuse(row.name, found, "an object with a \"name\"");
    return Nested{keep(found.dump())};
  }
}

template <class Options, class Value>
void parse_field(const Field<Options, Value>& row, nlohmann::json& object, Options& options) {
  const auto found = object.find(std::string(row.name));
  if (found == object.end()) {
    if (row.is_required)
      throw Error(ErrorCode::invalid_value, "option \"" + std::string(row.name) + "\" is missing");
    return;
  }
  if constexpr (IsOptional<Value>::value) {
    if (found->is_null())
      options.*row.member = std::nullopt;
    else
      options.*row.member = parse_value(row, *found);
  } else {
    options.*row.member = parse_value(row, *found);
  }
  object.erase(found);
}

}  // namespace detail

// Reads a JSON object into Options. Missing keys keep their defaults. Errors: invalid_value naming
// the option, what was found and what is allowed, or an unknown key with the list of the known;
// invalid_type for anything but an object. Texts in the result live until the process ends.
template <class Options>
Options parse_options(std::string_view json) {
  auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) throw Error(ErrorCode::invalid_type, "options must be a JSON object");
  Options options;
  std::string known;
  const auto parse = [&](const auto& row) {
    detail::parse_field(row, object, options);
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  };
  std::apply([&](const auto&... row) { (parse(row), ...); }, Options::fields());
  if (object.empty()) return options;
  throw Error(ErrorCode::invalid_value, "unknown option \"" + object.begin().key() +
                                            "\"; known: " + (known.empty() ? "none" : known));
}

// The JSON Schema of Options, a constant.
template <class Options>
constexpr std::string_view options_schema() {
  return detail::text<detail::SchemaWriter<Options>>.view();
}

}  // namespace grevy

#endif
