#include "plugins/mangled_name.hpp"

#include <cstddef>

namespace grevy::host {
namespace {

constexpr int max_depth = 256;  // of names in names

// Reads a mangled name piece by piece, only as far as needed to tell the pieces apart: what ends
// where, and which digits begin an identifier.
class Reader {
 public:
  Reader(std::string_view text, std::string_view space) : text_(text), space_(space) {}

  bool finds() {
    while (!is_done()) piece(Inside::name, 0);
    return found_;
  }

 private:
  // What a piece is part of: in arguments and expressions L begins a literal, elsewhere a name.
  enum class Inside { name, arguments, expression };

  bool is_done() const { return found_ || is_damaged_ || at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_in(char c, std::string_view letters) {
    return c != '\0' && letters.find(c) != std::string_view::npos;
  }
  void skip(std::size_t count) { at_ += count; }
  void skip_all(std::string_view letters) {
    while (is_in(peek(), letters)) ++at_;
  }
  // Numbers that are no lengths: "12_", "_".
  void skip_number() {
    skip_all("n0123456789");
    if (peek() == '_') ++at_;
  }

  // <length> <identifier>; what it is.
  std::string_view identifier() {
    std::size_t length = 0;
    for (; is_digit(peek()) && length <= text_.size(); ++at_)
      length = length * 10 + static_cast<std::size_t>(peek() - '0');
    if (length > text_.size() - at_ || length == 0) {
      is_damaged_ = true;
      return {};
    }
    const std::string_view name = text_.substr(at_, length);
    at_ += length;
    return name;
  }

  // Up to the E that ends what has begun.
  void until_end(Inside inside, int depth) {
    while (!is_done() && peek() != 'E') piece(inside, depth + 1);
    ++at_;
  }

  // After N: the first component is of the outermost level.
  void nested(int depth) {
    skip_all("rVKHRO");
    if (is_digit(peek())) found_ = identifier() == space_;
    until_end(Inside::name, depth);
  }

  // After L: a literal of some type, or the address of something.
  void literal(int depth) {
    if (peek() == '_' && peek(1) == 'Z') {
      skip(2);
      return until_end(Inside::name, depth);
    }
    type(depth);
    while (!is_done() && peek() != 'E') ++at_;
    ++at_;
  }
  void type(int depth) {
    skip_all("PROKVrCG");
    while (peek() == 'A') {
      ++at_, skip_number();
      skip_all("PROKVrCG");
    }
    piece(Inside::name, depth);
    if (peek() == 'I') piece(Inside::name, depth);
  }

  // S_, S12_, St, Ss: what was there before, or of std.
  void substitution() {
    ++at_;
    if (peek() == '_' || is_digit(peek()) || (peek() >= 'A' && peek() <= 'Z')) {
      while (!is_done() && peek() != '_') ++at_;
    }
    ++at_;
  }
  // T_, T12_, TL0__; or tables and the like, which begin a name: TV, TI, Th12_, Tv0_n24_.
  void after_t() {
    const char kind = peek();
    if (kind == '_' || is_digit(kind)) return skip_number();
    ++at_;
    if (kind == 'L') skip_number(), skip_number();
    skip_offset(kind);
    for (int i = 0; i < 2 && kind == 'c'; ++i) {
      const char offset = peek();
      ++at_;
      skip_offset(offset);
    }
  }
  // Of a thunk: h12_, v0_n24_.
  void skip_offset(char kind) {
    if (kind == 'h') skip_number();
    if (kind == 'v') skip_number(), skip_number();
  }
  // D0, Dv4_, DF16_, Dt...E: destructors and types of two letters.
  void after_d(int depth) {
    const char kind = peek();
    ++at_;
    if (is_in(kind, "vFBU") && is_digit(peek())) {
      skip_all("0123456789");
      if (is_in(peek(), "_bx")) ++at_;
    } else if (is_in(kind, "tTO")) {
      until_end(Inside::expression, depth);
    }
  }
  // Ul...E0_ a lambda, Ut0_ a type without a name, U5thing a qualifier.
  void after_u(int depth) {
    const char kind = peek();
    if (kind == 'l') {
      ++at_;
      until_end(Inside::name, depth);
      skip_number();
    } else if (kind == 't') {
      ++at_, skip_number();
    }
  }
  // _0 and __12_ tell entities of one name in a function apart.
  void discriminator() {
    if (peek() == '_' && is_digit(peek(1)))
      ++at_, skip_number();
    else if (is_digit(peek()))
      ++at_;
  }
  // fp_, fp12_, fL0p_: a parameter of the function.
  bool is_parameter() const { return peek() == 'p' || (peek() == 'L' && is_digit(peek(1))); }
  void parameter() {
    if (peek() == 'L') skip_all("L0123456789");
    ++at_;
    skip_all("rVK");
    skip_number();
  }
  // Operators that have an end of their own: calls, lists, packs.
  bool is_call() const {
    const std::string_view two = text_.substr(at_, 2);
    return two == "cl" || two == "cp" || two == "il" || two == "tl" || two == "sP";
  }

  void piece(Inside inside, int depth) {
    if (depth > max_depth) is_damaged_ = true;
    if (is_done()) return;
    if (is_digit(peek())) {
      identifier();
      return;
    }
    if (inside == Inside::expression && is_call()) {
      skip(2);
      return until_end(Inside::expression, depth);
    }
    if (peek() == 'S') return substitution();
    letter(text_[at_++], inside, depth);
  }
  // One that has been taken.
  void letter(char c, Inside inside, int depth) {
    switch (c) {
      case 'N':
        return nested(depth);
      case 'I':
      case 'J':
        return until_end(Inside::arguments, depth);
      case 'X':
        return until_end(Inside::expression, depth);
      case 'F':
      case 'Z':
        return until_end(Inside::name, depth);
      case 'L':
        if (inside != Inside::name) literal(depth);
        return;
      case 'T':
        return after_t();
      case 'A':
        if (is_digit(peek()) || peek() == '_') skip_number();
        return;
      case 'C':
        if (is_in(peek(), "12345")) ++at_;
        return;
      case 'D':
        return after_d(depth);
      case 'U':
        return after_u(depth);
      case '_':
        return discriminator();
      case 'f':
        if (is_parameter()) parameter();
        return;
      case '.':  // what the compiler adds to copies of a function
        at_ = text_.size();
        return;
      default:
        return;
    }
  }

  std::string_view text_, space_;
  std::size_t at_ = 0;
  bool found_ = false, is_damaged_ = false;
};

}  // namespace

bool names_namespace(std::string_view mangled, std::string_view space) {
  if (mangled.substr(0, 2) != "_Z") return false;
  return Reader(mangled.substr(2), space).finds();
}

}  // namespace grevy::host
