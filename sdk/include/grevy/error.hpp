// grevy/error.hpp: the one exception type of the SDK and the host.
//
// A message says what was asked, what was found, what is allowed and where. The code tells the
// kinds apart; it crosses the C boundary as a number (abi.h, GREVY_ERROR_*) and decides the exit
// code of the program (docs/run.md).
#ifndef GREVY_ERROR_HPP
#define GREVY_ERROR_HPP

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace grevy {

// Values are part of the ABI: never renumber, only append.
enum class ErrorCode : std::int32_t {
  internal = 1,       // a defect of ours, or an exception of unknown type
  invalid_value = 2,  // right type, value outside what is allowed
  invalid_type = 3,   // wrong type of value, array or file
  not_found = 4,      // no such file, key, component, device
  out_of_range = 5,   // index or session outside the data
  invalid_state = 6,  // call in the wrong order
  unimplemented = 7,  // an optional operation that this component does not offer
  io = 8,             // reading or writing failed: disk full, no permission
  non_finite = 9,     // NaN or infinity where a number is needed
  cancelled = 10,     // stopped on request
  incompatible = 11,  // other ABI major, other LibTorch, damaged plugin
};

// what() is the message: one line that a person can act on.
class Error : public std::runtime_error {
 public:
  // message: what was found and what is allowed.
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }  // which kind of error

 private:
  ErrorCode code_;
};

// Throws Error(code, message) unless `condition` holds. For messages that cost nothing to build;
// where they do, write the if.
inline void require(bool condition, ErrorCode code, const char* message) {
  if (!condition) throw Error(code, message);
}

}  // namespace grevy

#endif
