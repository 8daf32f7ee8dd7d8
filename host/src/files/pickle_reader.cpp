#include "files/pickle_reader.hpp"

#include "files/pickle_arena.hpp"

namespace grevy::host {

namespace {

unsigned char byte_at(std::string_view text, std::size_t position) {
  return static_cast<unsigned char>(text[position]);
}

// Length of the UTF-8 sequence at the beginning of `text`, 0 where it is none.
std::size_t sequence_length(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) return 0;
  }
  // Longer than needed, a surrogate, above U+10FFFF.
  const unsigned char second = byte_at(text, 1);
  const bool strange = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                       (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return strange ? 0 : length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

std::string_view PickleReader::take(std::uint64_t count) {
  if (count > left()) {
    pickle_fail("is truncated: needs " + std::to_string(count) + " more bytes, has " +
                std::to_string(left()));
  }
  const std::string_view piece = bytes_.substr(position_, count);
  position_ += piece.size();
  return piece;
}

std::string_view PickleReader::text(std::uint64_t count) {
  const std::string_view piece = take(count);
  if (!is_utf8(piece)) pickle_fail("a text is not valid UTF-8");
  return piece;
}

std::string_view PickleReader::line() {
  const std::size_t end = bytes_.find('\n', position_);
  if (end == bytes_.npos) pickle_fail("is truncated: a line without an end");
  const std::string_view piece = take(end - position_);
  ++position_;
  return piece;
}

std::uint64_t PickleReader::little_endian(std::size_t count) {
  const std::string_view piece = take(count);
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | byte_at(piece, i);
  return value;
}

std::uint64_t PickleReader::big_endian(std::size_t count) {
  std::uint64_t value = 0;
  for (const char byte : take(count)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

}  // namespace grevy::host
