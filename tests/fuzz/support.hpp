// What the fuzz targets share: the input as a file, and the rule about what a reader may do.
#ifndef GREVY_FUZZ_SUPPORT_HPP
#define GREVY_FUZZ_SUPPORT_HPP

#include <grevy/error.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace grevy::fuzz {

// A reader broke its contract. No target catches it: libFuzzer then keeps the input.
class Finding : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void expect(bool holds, const std::string& what) {
  if (!holds) throw Finding(what);
}

// Files of this process, in memory where the machine has /dev/shm; gone at its end.
std::filesystem::path output_file();
// The one input file, with these bytes now.
std::filesystem::path write_input(std::string_view bytes);

inline std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Before and after the first `separator`; all of it before where there is none.
std::pair<std::string_view, std::string_view> split(std::string_view text, char separator);

// A message is for people: one line of UTF-8 of bounded length. A defect of ours is none.
void check_message(const Error& error, const std::string& start, std::size_t longest);

// Whether a reader takes its input. It may refuse with a grevy::Error whose message begins with
// `start`; whatever else it throws is a finding.
template <typename Read>
bool accepts(Read&& read, const std::string& start = "", std::size_t longest = 4096) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    check_message(error, start, longest);
    return false;
  }
}

}  // namespace grevy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#endif
