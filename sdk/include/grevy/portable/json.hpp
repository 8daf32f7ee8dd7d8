// JSON for the options of portable plugins: the part of nlohmann::json that grevy/options.hpp uses,
// with its results: numbers of up to 64 bits are whole, of two members with one key the last one
// counts, numbers are written with as few digits as give them again. No locale has a say.
#ifndef GREVY_PORTABLE_JSON_HPP
#define GREVY_PORTABLE_JSON_HPP

#include <grevy/detail/text.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace grevy::portable {

class Json {
 public:
  using Object = std::map<std::string, Json>;
  using Array = std::vector<Json>;

  Json() = default;
  explicit Json(double number) : value_(number) {}
  template <class Value>
  static Json of(Value value) {
    Json json;
    json.value_ = std::move(value);
    return json;
  }

  // Text that is no JSON, is no UTF-8, has a number beyond what a double holds or is nested deeper
  // than 32 levels throws std::invalid_argument; with `allow_exceptions` false it gives null.
  static Json parse(std::string_view text, std::nullptr_t = nullptr, bool allow_exceptions = true);

  bool is_null() const { return holds<std::nullptr_t>(); }
  bool is_boolean() const { return holds<bool>(); }
  bool is_number_integer() const { return holds<std::int64_t>() || holds<std::uint64_t>(); }
  bool is_number() const { return is_number_integer() || holds<double>(); }
  bool is_string() const { return holds<std::string>(); }
  bool is_array() const { return holds<Array>(); }
  bool is_object() const { return holds<Object>(); }

  // The caller has asked for the type; a number is of any kind. Errors: std::bad_variant_access.
  template <class T>
  T get() const {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (holds<std::int64_t>()) return static_cast<T>(std::get<std::int64_t>(value_));
      if (holds<std::uint64_t>()) return static_cast<T>(std::get<std::uint64_t>(value_));
      return static_cast<T>(std::get<double>(value_));
    } else {
      return std::get<T>(value_);
    }
  }
  template <class T>
  T get_ref() const {
    return std::get<std::decay_t<T>>(value_);
  }

  // Of an array.
  const Array& items() const { return std::get<Array>(value_); }
  // Of an object.
  struct Iterator : Object::iterator {
    Iterator(Object::iterator at) : Object::iterator(at) {}
    const std::string& key() const { return Object::iterator::operator*().first; }
    Json& operator*() const { return Object::iterator::operator*().second; }
    Json* operator->() const { return &**this; }
  };
  Iterator begin() { return object().begin(); }
  Iterator end() { return object().end(); }
  Iterator find(const std::string& key) { return object().find(key); }
  void erase(const Iterator& at) { object().erase(static_cast<const Object::iterator&>(at)); }
  void erase(const std::string& key) { object().erase(key); }
  bool contains(const std::string& key) const { return object().count(key) != 0; }
  const Json& at(const std::string& key) const { return object().at(key); }
  bool empty() const { return object().empty(); }

  std::string dump() const;

 private:
  template <class T>
  bool holds() const {
    return std::holds_alternative<T>(value_);
  }
  Object& object() { return std::get<Object>(value_); }
  const Object& object() const { return std::get<Object>(value_); }

  // Of whole numbers std::uint64_t has those above the greatest std::int64_t.
  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;
};

namespace json_detail {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json whole() {
    Json json = value(0);
    skip_space();
    if (at_ != text_.size()) fail();
    return json;
  }

 private:
  [[noreturn]] void fail() const {
    throw std::invalid_argument("is not JSON, at byte " + std::to_string(at_));
  }
  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  void need(std::string_view token) {
    if (!take(token)) fail();
  }

  Json value(int depth) {
    constexpr int max_depth = 32;
    if (depth > max_depth) fail();
    if (take("{")) return object(depth);
    if (take("[")) return array(depth);
    if (take("true")) return Json::of(true);
    if (take("false")) return Json::of(false);
    if (take("null")) return {};
    return peek() == '"' ? Json::of(string()) : number();
  }
  Json object(int depth) {
    Json::Object members;
    if (take("}")) return Json::of(std::move(members));
    do {
      skip_space();
      std::string key = string();
      need(":");
      members[std::move(key)] = value(depth + 1);
    } while (take(","));
    need("}");
    return Json::of(std::move(members));
  }
  Json array(int depth) {
    Json::Array values;
    if (take("]")) return Json::of(std::move(values));
    do values.push_back(value(depth + 1));
    while (take(","));
    need("]");
    return Json::of(std::move(values));
  }

  // Digits from `at` on; where they end, or `at` where there are none.
  std::size_t digits_end(std::size_t at) const {
    while (at < text_.size() && text_[at] >= '0' && text_[at] <= '9') ++at;
    return at;
  }
  bool is_one_of(std::string_view letters, std::size_t at) const {
    return at < text_.size() && letters.find(text_[at]) != std::string_view::npos;
  }
  // -? whole part, without a leading zero. What follows may be a fraction and an exponent.
  Json number() {
    const std::size_t first = at_ + (peek() == '-' ? 1 : 0);
    const std::size_t whole_end = digits_end(first);
    if (whole_end == first || (text_[first] == '0' && whole_end > first + 1)) fail();
    std::size_t end = whole_end;
    if (is_one_of(".", end)) end = need_digits(end + 1);
    if (is_one_of("eE", end)) end = need_digits(end + (is_one_of("+-", end + 1) ? 2 : 1));
    const std::string_view token = text_.substr(at_, end - at_);
    const Json value = end == whole_end ? whole(token) : Json(real(token));
    at_ = end;
    return value;
  }
  std::size_t need_digits(std::size_t at) const {
    const std::size_t end = digits_end(at);
    if (end == at) fail();
    return end;
  }
  template <class T>
  static bool read(std::string_view token, T& value) {
    return std::from_chars(token.data(), token.data() + token.size(), value).ec == std::errc{};
  }
  Json whole(std::string_view token) const {
    std::int64_t value = 0;
    std::uint64_t large = 0;
    if (read(token, value)) return Json::of(value);
    return token[0] != '-' && read(token, large) ? Json::of(large) : Json(real(token));
  }
  // What is too near to 0 for a double is 0.
  double real(std::string_view token) const {
    double value = 0;
    if (read(token, value)) return value;
    if (leading_place(token) > 0) fail();
    return token[0] == '-' ? -0.0 : 0.0;
  }
  // The decimal place of the first digit that is not 0: 1 for 1 to 9, -1 for 0.01 to 0.09.
  static std::int64_t leading_place(std::string_view token) {
    constexpr std::int64_t far = std::int64_t{1} << 40;  // no text is as long
    const std::size_t mark = token.find_first_of("eE");
    const std::string_view digits = token.substr(0, mark);
    std::int64_t exponent = 0;
    if (mark != std::string_view::npos) {
      std::string_view written = token.substr(mark + 1);
      const bool is_negative = written[0] == '-';
      if (written[0] == '+') written.remove_prefix(1);
      if (!read(written, exponent)) exponent = is_negative ? -far : far;
      exponent = std::clamp(exponent, -far, far);
    }
    const auto first = static_cast<std::int64_t>(digits.find_first_of("123456789"));
    const auto point = static_cast<std::int64_t>(std::min(digits.find('.'), digits.size()));
    return exponent + (first < point ? point - first : point - first + 1);
  }

  std::string string() {
    if (peek() != '"') fail();
    std::string result;
    for (++at_; peek() != '"'; ++at_) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < ' ') fail();
      if (peek() == '\\')
        escape(result);
      else
        character(result);
    }
    ++at_;
    return result;
  }
  // Of UTF-8, and leaves the place at its last byte.
  void character(std::string& result) {
    const std::size_t size = detail::character_size(text_.substr(at_));
    if (size == 0) fail();
    result += text_.substr(at_, size);
    at_ += size - 1;
  }
  void escape(std::string& result) {
    constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    ++at_;
    const std::size_t letter = letters.find(peek());
    if (peek() == 'u')
      append(result, code_point());
    else if (letter == std::string_view::npos)
      fail();
    else
      result += meant[letter];
  }
  unsigned four_digits() {
    unsigned value = 0;
    for (int i = 0; i < 4; ++i) {
      ++at_;
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
      if (digit == std::string_view::npos) fail();
      value = value * 16 + static_cast<unsigned>(digit < 16 ? digit : digit - 6);
    }
    return value;
  }
  unsigned code_point() {
    const unsigned high = four_digits();
    if (high < 0xd800 || high > 0xdfff) return high;
    if (high > 0xdbff || text_.substr(at_ + 1, 2) != "\\u") fail();
    at_ += 2;
    const unsigned low = four_digits();
    if (low < 0xdc00 || low > 0xdfff) fail();
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  }
  static void append(std::string& result, unsigned code) {
    const auto tail = [&](unsigned shift) {
      result += static_cast<char>(0x80 | ((code >> shift) & 0x3f));
    };
    if (code < 0x80) {
      result += static_cast<char>(code);
    } else if (code < 0x800) {
      result += static_cast<char>(0xc0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      result += static_cast<char>(0xe0 | (code >> 12));
      tail(6), tail(0);
    } else {
      result += static_cast<char>(0xf0 | (code >> 18));
      tail(12), tail(6), tail(0);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

inline std::string quoted(const std::string& text) {
  constexpr std::string_view short_codes = "\b\f\n\r\t\"\\", letters = "bfnrt\"\\",
                             digits = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const std::size_t known = short_codes.find(c);
    const auto code = static_cast<unsigned char>(c);
    if (known != std::string_view::npos)
      (result += '\\') += letters[known];
    else if (code < ' ')
      ((result += "\\u00") += digits[code / 16]) += digits[code % 16];
    else
      result += c;
  }
  return result + '"';
}

// As few digits as give the same number again, with an exponent below 1e-4 and from 1e15 on.
inline std::string written(double number) {
  if (!std::isfinite(number)) return "null";
  const std::string sign = std::signbit(number) ? "-" : "";
  if (number == 0) return sign + "0.0";
  // d.ddde+XX: digits, and where the point is among them.
  char text[40];
  const char* end =
      std::to_chars(text, text + sizeof(text), std::fabs(number), std::chars_format::scientific)
          .ptr;
  const std::string_view scientific(text, static_cast<std::size_t>(end - text));
  const std::size_t mark = scientific.find('e');
  std::string digits(scientific.substr(0, mark));
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  int exponent = 0;
  std::from_chars(text + mark + (text[mark + 1] == '+' ? 2 : 1), end, exponent);
  const int point = exponent + 1, count = static_cast<int>(digits.size());
  const auto at = static_cast<std::size_t>(std::max(point, 0));
  if (point > 15 || point <= -4) {
    const std::string rest = count > 1 ? "." + digits.substr(1) : "";
    return sign + digits[0] + rest + std::string(scientific.substr(mark));
  }
  if (point <= 0) return sign + "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
  if (count <= point) return sign + digits + std::string(at - digits.size(), '0') + ".0";
  return sign + digits.substr(0, at) + "." + digits.substr(at);
}

}  // namespace json_detail

inline Json Json::parse(std::string_view text, std::nullptr_t, bool allow_exceptions) {
  try {
    return json_detail::Parser(text).whole();
  } catch (const std::invalid_argument&) {
    if (allow_exceptions) throw;
    return {};
  }
}

inline std::string Json::dump() const {
  if (is_null()) return "null";
  if (is_boolean()) return get<bool>() ? "true" : "false";
  if (holds<std::uint64_t>()) return std::to_string(get<std::uint64_t>());
  if (is_number_integer()) return std::to_string(get<std::int64_t>());
  if (is_number()) return json_detail::written(get<double>());
  if (is_string()) return json_detail::quoted(get_ref<const std::string&>());
  std::string text;
  if (is_array()) {
    for (const Json& value : items()) text += (text.empty() ? "" : ",") + value.dump();
    return "[" + text + "]";
  }
  for (const auto& [key, value] : object())
    text += (text.empty() ? "" : ",") + json_detail::quoted(key) + ":" + value.dump();
  return "{" + text + "}";
}

}  // namespace grevy::portable

#endif
