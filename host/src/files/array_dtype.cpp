#include "files/array_dtype.hpp"

#include "files/npy_header.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace grevy::host {
namespace {

constexpr std::size_t max_characters = 536870911;  // NumPy's own limit for UTF-32
constexpr bool little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
constexpr char native_order = little_endian ? '<' : '>';
constexpr char foreign_order = little_endian ? '>' : '<';

struct ElementInfo {
  const char* name;
  std::string_view code;  // of text: without the number of characters
  std::size_t bytes;      // of text: of one character
};

// In the order of ElementType.
constexpr std::array<ElementInfo, 14> elements{{
    {"bool", "b1", 1},
    {"int8", "i1", 1},
    {"int16", "i2", 2},
    {"int32", "i4", 4},
    {"int64", "i8", 8},
    {"uint8", "u1", 1},
    {"uint16", "u2", 2},
    {"uint32", "u4", 4},
    {"uint64", "u8", 8},
    {"float16", "f2", 2},
    {"float32", "f4", 4},
    {"float64", "f8", 8},
    {"str", "U", 4},
    {"bytes", "S", 1},
}};

const ElementInfo& info(ElementType type) { return elements.at(static_cast<std::size_t>(type)); }

std::string allowed_types() {
  std::string names;
  for (const ElementInfo& element : elements)
    names += (names.empty() ? "" : ", ") + std::string(element.name);
  return names;
}

const char* reason_against(std::string_view code) {
  if (code.empty()) return "";
  switch (code.front()) {
    case 'O':
      return " (an object array would need pickle, which Grevy never runs)";
    case 'U':
    case 'S':
      return " (text has 1 to 536870911 characters an element)";
    case 'c':
      return " (complex numbers)";
    case 'V':
      return " (structured or raw bytes)";
    case 'M':
    case 'm':
      return " (dates and durations)";
    default:
      return "";
  }
}

bool is_text_code(std::string_view code) {
  return !code.empty() && (code.front() == 'U' || code.front() == 'S');
}

// Of "U12": 12. 0 where the number is missing, malformed or not allowed.
std::size_t count_characters(std::string_view code) {
  std::size_t count = 0;
  const char* last = code.data() + code.size();
  const auto [end, error] = std::from_chars(code.data() + 1, last, count);
  return error == std::errc() && end == last && count <= max_characters ? count : 0;
}

}  // namespace

const char* to_string(ElementType type) { return info(type).name; }

std::size_t unit_bytes(ElementType type) { return info(type).bytes; }

void refuse_dtype(const std::string& where, std::string_view dtype, const char* why) {
  throw Error(ErrorCode::invalid_type, where + ": dtype " + printable(dtype) + " is not supported" +
                                           why + "; allowed: " + allowed_types());
}

Dtype parse_dtype(std::string_view descr, const std::string& where) {
  const bool has_order = !descr.empty() && std::string_view("<>=|").find(descr[0]) != descr.npos;
  std::string_view code = has_order ? descr.substr(1) : descr;
  if (code == "?") code = "b1";
  const bool is_text = is_text_code(code);
  const std::size_t units = is_text ? count_characters(code) : 1;
  const std::string_view name = is_text ? code.substr(0, 1) : code;
  const auto found = std::find_if(elements.begin(), elements.end(),
                                  [&](const ElementInfo& element) { return element.code == name; });
  if (found == elements.end() || units == 0) {
    refuse_dtype(where, "'" + std::string(descr) + "'", reason_against(code));
  }
  const bool swapped = has_order && descr[0] == foreign_order && found->bytes > 1;
  return {static_cast<ElementType>(found - elements.begin()), units * found->bytes, swapped};
}

std::string format_dtype(ElementType type) {
  const char order = unit_bytes(type) > 1 ? native_order : '|';
  return order + std::string(info(type).code);
}

}  // namespace grevy::host
