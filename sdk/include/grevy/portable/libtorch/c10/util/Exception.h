// Stands in for LibTorch's header in portable plugins, where errors of operations are grevy::Error.
#ifndef GREVY_PORTABLE_C10_EXCEPTION_H
#define GREVY_PORTABLE_C10_EXCEPTION_H

#include <stdexcept>
#include <string>

namespace grevy::portable {

// Never thrown.
struct LibTorchError : std::runtime_error {
  using std::runtime_error::runtime_error;
  std::string what_without_backtrace() const { return what(); }
};

}  // namespace grevy::portable

namespace c10 {
using Error = ::grevy::portable::LibTorchError;
}

#endif
