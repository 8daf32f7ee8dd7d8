// JSON for the options of portable plugins: the part of nlohmann::json that grevy/options.hpp uses.
#ifndef GREVY_PORTABLE_JSON_HPP
#define GREVY_PORTABLE_JSON_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
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

  // Text that is no JSON, or nested deeper than 32 levels, throws std::invalid_argument; with
  // `allow_exceptions` false it gives null.
  static Json parse(std::string_view text, std::nullptr_t = nullptr, bool allow_exceptions = true);

  bool is_null() const { return holds<std::nullptr_t>(); }
  bool is_boolean() const { return holds<bool>(); }
  bool is_number_integer() const { return holds<std::int64_t>(); }
  bool is_number() const { return is_number_integer() || holds<double>(); }
  bool is_string() const { return holds<std::string>(); }
  bool is_array() const { return holds<Array>(); }
  bool is_object() const { return holds<Object>(); }

  // The caller has asked for the type; a number is either kind. Errors: std::bad_variant_access.
  template <class T>
  T get() const {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
      return is_number_integer() ? static_cast<T>(std::get<std::int64_t>(value_))
                                 : static_cast<T>(std::get<double>(value_));
    else
      return std::get<T>(value_);
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

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_;
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

  Json number() {
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
    const std::string digits(text_.substr(at_, end - at_));
    const std::size_t first = digits.find_first_not_of('-');
    const bool is_begun = first <= 1 && first < digits.size() && digits[first] >= '0' &&
                          digits[first] <= '9' &&
                          !(digits[first] == '0' && first + 1 < digits.size() &&
                            digits[first + 1] >= '0' && digits[first + 1] <= '9');
    char* stop = nullptr;
    const double value = std::strtod(digits.c_str(), &stop);
    if (!is_begun || *stop != '\0' || digits.back() == '.') fail();
    at_ = end;
    const bool is_whole = digits.find_first_of(".eE") == std::string::npos;
    if (is_whole && std::fabs(value) < 9.2e18)
      return Json::of(static_cast<std::int64_t>(std::strtoll(digits.c_str(), nullptr, 10)));
    return Json(value);
  }

  std::string string() {
    if (peek() != '"') fail();
    std::string result;
    for (++at_; peek() != '"'; ++at_) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < ' ') fail();
      if (peek() == '\\')
        escape(result);
      else
        result += peek();
    }
    ++at_;
    return result;
  }
  void escape(std::string& result) {
    constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    ++at_;
    const std::size_t letter = letters.find(peek());
    if (peek() == 'u')
      append(result, code_point());
    else if (letter == std::string_view::npos || at_ >= text_.size())
      fail();
    else
      result += meant[letter];
  }
  unsigned four_digits() {
    unsigned value = 0;
    for (int i = 0; i < 4; ++i) {
      ++at_;
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
      if (at_ >= text_.size() || digit == std::string_view::npos) fail();
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
  std::string result = "\"";
  for (const char c : text) {
    char code[8];
    std::snprintf(code, sizeof(code), "\\u%04x",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    if (c == '"' || c == '\\')
      (result += '\\') += c;
    else if (static_cast<unsigned char>(c) < ' ')
      result += code;
    else
      result += c;
  }
  return result + '"';
}

// As few digits as give the same number again.
inline std::string written(double number) {
  if (!std::isfinite(number)) return "null";
  char text[40];
  for (int digits = 15; digits <= 17; ++digits) {
    std::snprintf(text, sizeof(text), "%.*g", digits, number);
    if (std::strtod(text, nullptr) == number) break;
  }
  const std::string result = text;
  return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
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
