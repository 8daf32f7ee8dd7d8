// The options of components that are written in C: the slots of grevy/options.h.
#include "ops/boundary.hpp"
#include "ops/functions.hpp"
#include "ops/option_rules.hpp"
#include "ops/options_reader.hpp"

#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;
using Reader = grevy_options_reader;

// ---- Numbers alone -----------------------------------------------------------------------------

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

void check_rows(const json& object, const grevy_number_option* rows, std::uint64_t count) {
  if (count > max_options)
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(count) +
                                              " rows; allowed: " + std::to_string(max_options));
  needed_room(rows, "the rows", count);
  for (std::uint64_t i = 0; i < count; ++i) {
    needed_room(rows[i].value, "the value of a row");
    const std::string name(detail::view(rows[i].name));
    if ((rows[i].flags & GREVY_OPTION_REQUIRED) && !object.contains(name)) refuse_missing(name);
  }
}

double value_of(const std::string& key, const json& found, const grevy_number_option& row) {
  if (row.flags & GREVY_OPTION_BOOLEAN) return boolean_of(key, found) ? 1 : 0;
  return number_of(key, found, {row.lowest, row.highest, row.flags});
}

std::int32_t read_numbers(grevy_text options, const grevy_number_option* rows, std::uint64_t count,
                          const grevy_error_sink* errors) {
  return detail::guarded(errors, {}, [&] {
    const json object = parse_options_text(options);
    check_rows(object, rows, count);
    std::vector<std::pair<double*, double>> values;
    for (const auto& [key, found] : object.items()) {
      const grevy_number_option& row = row_of(key, rows, count);
      values.emplace_back(row.value, value_of(key, found, row));
    }
    for (const auto& [place, value] : values) *place = value;
  });
}

// ---- One by one --------------------------------------------------------------------------------

std::int32_t open(grevy_text options, Reader** reader, const grevy_error_sink* errors) {
  return detail::guarded(errors, {}, [&] {
    needed_room(reader, "the reader");
    *reader = new Reader(parse_options_text(options));
  });
}

std::uint32_t kind_of(const json& value) {
  if (value.is_null()) return GREVY_VALUE_NULL;
  if (value.is_boolean()) return GREVY_VALUE_BOOLEAN;
  if (value.is_number_integer()) return GREVY_VALUE_INTEGER;
  if (value.is_number()) return GREVY_VALUE_NUMBER;
  if (value.is_string()) return GREVY_VALUE_TEXT;
  return value.is_array() ? GREVY_VALUE_LIST : GREVY_VALUE_OBJECT;
}

std::uint32_t kind(Reader* reader, grevy_text pointer) {
  std::uint32_t found = GREVY_VALUE_MISSING;
  detail::guarded(nullptr, {}, [&] {
    needed_room(reader, "the reader");
    if (const json* value = reader->find(detail::view(pointer), false)) found = kind_of(*value);
  });
  return found;
}

// Runs read(name, found) on the value at a pointer, if there is one.
template <class Read>
std::int32_t read(Reader* reader, grevy_text pointer, std::uint32_t flags, bool whole,
                  const grevy_error_sink* errors, Read&& read) {
  return detail::guarded(errors, {}, [&] {
    needed_room(reader, "the reader");
    const std::string_view name = detail::view(pointer);
    if (const json* found = reader->find(name, whole)) return read(name, *found);
    if (flags & GREVY_OPTION_REQUIRED) refuse_missing(name);
  });
}

// The same, where it gives the one value that `room` is for.
template <class T, class Read>
std::int32_t read_one(Reader* reader, grevy_text pointer, std::uint32_t flags, T* room,
                      const grevy_error_sink* errors, Read&& convert, bool whole = false) {
  if (room == nullptr) return detail::guarded(errors, {}, [&] { needed_room(room, "the value"); });
  return read(reader, pointer, flags, whole, errors,
              [&](std::string_view name, const json& found) { *room = convert(name, found); });
}

std::int32_t number(Reader* reader, grevy_text pointer, double lowest, double highest,
                    std::uint32_t flags, double* value, const grevy_error_sink* errors) {
  return read_one(reader, pointer, flags, value, errors, [&](auto name, const json& found) {
    return number_of(name, found, {lowest, highest, flags});
  });
}

std::int32_t integer(Reader* reader, grevy_text pointer, std::int64_t lowest, std::int64_t highest,
                     std::uint32_t flags, std::int64_t* value, const grevy_error_sink* errors) {
  return read_one(reader, pointer, flags, value, errors, [&](auto name, const json& found) {
    return integer_of(name, found, lowest, highest, flags);
  });
}

std::int32_t boolean(Reader* reader, grevy_text pointer, std::uint32_t flags, std::uint32_t* value,
                     const grevy_error_sink* errors) {
  return read_one(reader, pointer, flags, value, errors,
                  [](auto name, const json& found) { return boolean_of(name, found) ? 1u : 0u; });
}

void check_choice(std::string_view name, const json& found, const grevy_text* choices,
                  std::uint64_t count) {
  std::string allowed;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (detail::view(choices[i]) == found.get_ref<const std::string&>()) return;
    allowed += (i == 0 ? "one of \"" : "\", \"") + std::string(detail::view(choices[i]));
  }
  if (count > 0) refuse_option(name, found, allowed + "\"");
}

std::int32_t text(Reader* reader, grevy_text pointer, const grevy_text* choices,
                  std::uint64_t choice_count, std::uint32_t flags, grevy_text* value,
                  const grevy_error_sink* errors) {
  return read_one(reader, pointer, flags, value, errors, [&](auto name, const json& found) {
    needed_room(choices, "the choices", choice_count);
    if (choice_count > max_options)
      throw Error(ErrorCode::invalid_value,
                  "found " + std::to_string(choice_count) +
                      " choices; allowed: " + std::to_string(max_options));
    if (!found.is_string()) refuse_option(name, found, "a text");
    check_choice(name, found, choices, choice_count);
    return detail::text_of(found.template get_ref<const std::string&>());
  });
}

std::int32_t json_text(Reader* reader, grevy_text pointer, std::uint32_t flags, grevy_text* value,
                       const grevy_error_sink* errors) {
  return read_one(
      reader, pointer, flags, value, errors,
      [&](auto, const json& found) { return reader->keep(found.dump()); }, /*whole=*/true);
}

std::int32_t count(Reader* reader, grevy_text pointer, std::uint32_t flags, std::uint64_t* value,
                   const grevy_error_sink* errors) {
  return read_one(reader, pointer, flags, value, errors, [](auto name, const json& found) {
    if (!found.is_structured()) refuse_option(name, found, "a list or an object");
    return std::uint64_t{found.size()};
  });
}

std::int32_t key(Reader* reader, grevy_text pointer, std::uint64_t index, grevy_text* value,
                 const grevy_error_sink* errors) {
  return read_one(
      reader, pointer, GREVY_OPTION_REQUIRED, value, errors, [&](auto name, const json& found) {
        if (!found.is_object()) refuse_option(name, found, "an object");
        if (index >= found.size())
          throw Error(ErrorCode::out_of_range,
                      "option \"" + std::string(name) + "\" has " + std::to_string(found.size()) +
                          " members; asked for number " + std::to_string(index));
        auto at = found.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(index));
        return detail::text_of(at.key());
      });
}

std::vector<double> numbers_of(std::string_view name, const json& found, const NumberRule& rule,
                               std::uint64_t capacity) {
  if (!found.is_array()) refuse_option(name, found, "a list of numbers");
  if (found.size() > capacity)
    refuse_option(name, found,
                  "a list of at most " + std::to_string(capacity) + "; it has " +
                      std::to_string(found.size()));
  std::vector<double> all;
  for (const json& element : found)
    all.push_back(number_of(std::string(name) + "/" + std::to_string(all.size()), element, rule));
  return all;
}

std::int32_t numbers(Reader* reader, grevy_text pointer, double lowest, double highest,
                     std::uint32_t flags, double* values, std::uint64_t capacity,
                     std::uint64_t* count, const grevy_error_sink* errors) {
  return read(reader, pointer, flags, /*whole=*/true, errors,
              [&](std::string_view name, const json& found) {
                needed_room(values, "the values", capacity);
                needed_room(count, "the count");
                const auto all = numbers_of(name, found, {lowest, highest, flags}, capacity);
                std::copy(all.begin(), all.end(), values);
                *count = all.size();
              });
}

std::int32_t finish(Reader* reader, const grevy_error_sink* errors) {
  return detail::guarded(errors, {}, [&] { needed_room(reader, "the reader")->check_known(); });
}

}  // namespace

const grevy_options& ops::options() {
  static constexpr grevy_options table = {sizeof(grevy_options),
                                          0,
                                          read_numbers,
                                          open,
                                          [](Reader* reader) { delete reader; },
                                          kind,
                                          number,
                                          integer,
                                          boolean,
                                          text,
                                          json_text,
                                          count,
                                          key,
                                          numbers,
                                          finish};
  return table;
}

}  // namespace grevy::host
