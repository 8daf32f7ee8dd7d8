// The numbers, texts and lines in the bytes of a pickle.
#ifndef GREVY_HOST_PICKLE_READER_HPP
#define GREVY_HOST_PICKLE_READER_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace grevy::host {

// Goes forward only. Every function throws invalid_value where the bytes end too early.
class PickleReader {
 public:
  explicit PickleReader(std::string_view bytes) : bytes_(bytes) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  std::string_view take(std::uint64_t count);
  std::string_view text(std::uint64_t count);  // invalid_value unless it is UTF-8
  std::string_view line();                     // without its end
  std::uint64_t little_endian(std::size_t count);
  std::uint64_t big_endian(std::size_t count);

 private:
  std::string_view bytes_;
  std::size_t position_ = 0;
};

}  // namespace grevy::host

#endif
