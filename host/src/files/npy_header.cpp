#include "files/npy_header.hpp"

#include "files/array_dtype.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

namespace grevy::host {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t max_header_bytes = 65536;
constexpr std::size_t max_dimensions = 8;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::invalid_value, where + ": " + what);
}

struct Fields {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

// The Python dictionary literal, as far as the format uses it.
class DictParser {
 public:
  DictParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Fields parse() {
    expect('{');
    while (!accept('}')) {
      pair();
      if (accept('}')) break;
      expect(',');
    }
    skip_space();
    if (position_ != text_.size()) malformed("text after the dictionary");
    if (!fields_.descr) malformed("the key 'descr' is missing");
    if (!fields_.fortran_order) malformed("the key 'fortran_order' is missing");
    if (!fields_.shape) malformed("the key 'shape' is missing");
    return std::move(fields_);
  }

 private:
  void pair() {
    const std::string key = string();
    expect(':');
    if (key == "descr") return store(key, fields_.descr, [this] { return descr(); });
    if (key == "fortran_order")
      return store(key, fields_.fortran_order, [this] { return truth(); });
    if (key == "shape") return store(key, fields_.shape, [this] { return tuple(); });
    malformed("unknown key '" + printable(key) + "'; allowed: descr, fortran_order, shape");
  }

  template <typename Field, typename Read>
  void store(const std::string& key, Field& field, Read read) {
    if (field) malformed("the key '" + key + "' appears twice");
    field = read();
  }

  std::string descr() {
    skip_space();
    if (peek() == '[' || peek() == '(' || peek() == '{') {
      refuse_dtype(where_, text_.substr(position_), " (structured)");
    }
    return string();
  }

  std::string string() {
    skip_space();
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed("expected a quoted string");
    const std::size_t end = text_.find(quote, position_ + 1);
    if (end == text_.npos) malformed("a string without an end");
    std::string result(text_.substr(position_ + 1, end - position_ - 1));
    if (result.find('\\') != result.npos) malformed("a string with an escape");
    position_ = end + 1;
    return result;
  }

  bool truth() {
    skip_space();
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    malformed("expected True or False");
  }

  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      if (shape.size() == max_dimensions) malformed("more than 8 dimensions");
      shape.push_back(dimension());
      if (shape.size() > 1 && accept(')')) break;
      expect(',');  // also after a lone dimension: (3) is a number, not a tuple
    }
    return shape;
  }

  std::int64_t dimension() {
    skip_space();
    std::int64_t value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) malformed("a dimension beyond 64 bits");
    if (error != std::errc()) malformed("expected a dimension");
    if (value < 0) malformed("negative dimension " + std::to_string(value));
    position_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  void skip_space() {
    position_ = std::min(text_.find_first_not_of(" \t\r\n\f", position_), text_.size());
  }

  bool accept(char wanted) {
    skip_space();
    if (position_ == text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  bool accept_word(std::string_view word) {
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) malformed(std::string("expected '") + wanted + "'");
  }

  [[noreturn]] void malformed(const std::string& what) const {
    fail(where_, "malformed .npy header: " + what + " (at character " + std::to_string(position_) +
                     " of " + printable(text_) + ")");
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t position_ = 0;
  Fields fields_;
};

struct Preamble {
  std::size_t bytes;  // magic, version and length field
  std::size_t dictionary_bytes;
};

std::size_t little_endian_number(std::string_view bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

Preamble parse_preamble(std::string_view prefix, const std::string& where) {
  if (prefix.size() < npy_prefix_bytes) {
    fail(where, "truncated: the .npy header needs at least " + std::to_string(npy_prefix_bytes) +
                    " bytes, has " + std::to_string(prefix.size()));
  }
  if (!has_npy_magic(prefix)) {
    throw Error(ErrorCode::invalid_type, where + ": not an array in .npy format");
  }
  const int major = static_cast<unsigned char>(prefix[6]);
  const int minor = static_cast<unsigned char>(prefix[7]);
  if (major < 1 || major > 3 || minor != 0) {
    fail(where, ".npy format version " + std::to_string(major) + "." + std::to_string(minor) +
                    " is unknown; allowed: 1.0, 2.0, 3.0");
  }
  const std::size_t width = major == 1 ? 2 : 4;
  return {8 + width, little_endian_number(prefix.substr(8, width))};
}

bool has_two_long_dimensions(const Shape& shape) {
  return std::count_if(shape.begin(), shape.end(), [](auto length) { return length > 1; }) > 1;
}

std::string format_shape(const Shape& shape) {
  std::string text = "(";
  for (const std::int64_t length : shape) text += std::to_string(length) + ", ";
  if (shape.size() == 1) text.pop_back();
  if (shape.size() > 1) text.resize(text.size() - 2);
  return text + ")";
}

}  // namespace

bool has_npy_magic(std::string_view bytes) { return bytes.substr(0, magic.size()) == magic; }

std::size_t npy_header_bytes(std::string_view prefix, const std::string& where) {
  const Preamble preamble = parse_preamble(prefix, where);
  if (preamble.dictionary_bytes > max_header_bytes) {
    fail(where, "the .npy header announces " + std::to_string(preamble.dictionary_bytes) +
                    " bytes; allowed: at most " + std::to_string(max_header_bytes));
  }
  const std::size_t total = preamble.bytes + preamble.dictionary_bytes;
  if (total < npy_prefix_bytes) fail(where, "malformed .npy header: its dictionary is empty");
  return total;
}

NpyHeader parse_npy_header(std::string_view header, const std::string& where) {
  const Preamble preamble = parse_preamble(header, where);
  Fields fields = DictParser(header.substr(preamble.bytes), where).parse();
  const Dtype dtype = parse_dtype(*fields.descr, where);
  NpyHeader result;
  result.type = dtype.type;
  result.element_bytes = dtype.element_bytes;
  result.swapped = dtype.swapped;
  result.shape = std::move(*fields.shape);
  result.fortran = *fields.fortran_order && has_two_long_dimensions(result.shape);
  result.data_offset = header.size();
  result.data_bytes = array_bytes(result.shape, result.element_bytes, where);
  return result;
}

std::string format_npy_header(const Shape& shape, ElementType type) {
  const std::size_t fixed = magic.size() + 4;
  std::string dictionary = "{'descr': '" + format_dtype(type) +
                           "', 'fortran_order': False, 'shape': " + format_shape(shape) + ", }";
  const std::size_t unpadded = fixed + dictionary.size() + 1;
  dictionary.append((64 - unpadded % 64) % 64, ' ').push_back('\n');
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xff),
             static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

std::uint64_t array_bytes(const Shape& shape, std::size_t element_bytes, const std::string& where) {
  if (shape.size() > max_dimensions) {
    fail(where, "the shape has " + std::to_string(shape.size()) + " dimensions; allowed: at most " +
                    std::to_string(max_dimensions));
  }
  // Room for the element, for the widest number and for a header: neither eight bytes for each nor
  // an offset added later can overflow.
  const auto unit = static_cast<std::int64_t>(2 * std::max(element_bytes, sizeof(std::int64_t)));
  std::int64_t bound = unit;
  bool empty = false;
  for (const std::int64_t length : shape) {
    if (length < 0) fail(where, "negative dimension in the shape " + format_shape(shape));
    empty = empty || length == 0;
    if (__builtin_mul_overflow(bound, std::max<std::int64_t>(length, 1), &bound)) {
      fail(where, "the shape " + format_shape(shape) + " is too large: its size overflows 64 bits");
    }
  }
  return empty ? 0 : static_cast<std::uint64_t>(bound / unit) * element_bytes;
}

std::uint64_t array_bytes(const Shape& shape, ElementType type, const std::string& where) {
  return array_bytes(shape, unit_bytes(type), where);
}

std::string printable(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string result(text.substr(0, longest));
  for (char& letter : result) {
    if (letter < ' ' || letter > '~') letter = letter == '\n' ? ' ' : '?';
  }
  return text.size() > longest ? result + "..." : result;
}

}  // namespace grevy::host
