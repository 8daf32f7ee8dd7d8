#include "archive.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace grevy::fuzz {
namespace {

std::string little_endian(std::uint32_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xffU);
  return bytes;
}

// CRC-32 of ISO 3309, as zip uses it.
std::uint32_t checksum(std::string_view bytes) {
  std::uint32_t sum = 0xffffffffU;
  for (const char byte : bytes) {
    sum ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1U) ^ ((sum & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return ~sum;
}

// From "version needed" to the length of the extra field: the same in both headers of a member.
std::string description(const std::string& name, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  return little_endian(20, 2) + little_endian(0, 2) + little_endian(0, 2) + little_endian(0, 2) +
         little_endian(0x21, 2) + little_endian(checksum(bytes), 4) + little_endian(size, 4) +
         little_endian(size, 4) + little_endian(static_cast<std::uint32_t>(name.size()), 2) +
         little_endian(0, 2);
}

std::string_view take(std::string_view& text, std::size_t count) {
  const std::string_view piece = text.substr(0, count);
  text.remove_prefix(piece.size());
  return piece;
}

std::string_view take_member(std::string_view& input) {
  const std::string_view length = take(input, 2);
  std::size_t bytes = 0;
  for (std::size_t i = length.size(); i-- > 0;) {
    bytes = bytes << 8U | static_cast<unsigned char>(length[i]);
  }
  return take(input, bytes);
}

}  // namespace

std::string zip_of(const Members& members) {
  std::string archive, directory;
  for (const auto& [name, bytes] : members) {
    const std::string both = description(name, bytes);
    const auto offset = static_cast<std::uint32_t>(archive.size());
    directory += "PK\x01\x02" + little_endian(20, 2) + both + std::string(10, '\0') +
                 little_endian(offset, 4) + name;
    archive += "PK\x03\x04" + both + name;
    archive += bytes;
  }
  const auto count = static_cast<std::uint32_t>(members.size());
  return archive + directory + "PK\x05\x06" + little_endian(0, 4) + little_endian(count, 2) +
         little_endian(count, 2) + little_endian(static_cast<std::uint32_t>(directory.size()), 4) +
         little_endian(static_cast<std::uint32_t>(archive.size()), 4) + little_endian(0, 2);
}

std::string torch_archive(std::string_view input) {
  if (is_zip(input)) return std::string(input);
  Members members{{"archive/data.pkl", take_member(input)}};
  while (!input.empty()) {
    members.emplace_back("archive/data/" + std::to_string(members.size() - 1), take_member(input));
  }
  return zip_of(members);
}

}  // namespace grevy::fuzz
