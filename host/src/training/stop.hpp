// Stopping between two pieces of work.
#ifndef GREVY_HOST_STOP_HPP
#define GREVY_HOST_STOP_HPP

#include <grevy/error.hpp>

#include <functional>

namespace grevy::host {

// Null: nobody asks to stop.
using ShouldStop = std::function<bool()>;

// Errors: cancelled where it says so.
inline void stop_if_asked(const ShouldStop& should_stop) {
  if (should_stop && should_stop()) throw Error(ErrorCode::cancelled, "stopped on request");
}

}  // namespace grevy::host

#endif
