// Stands in for grevy/stamp.hpp in portable plugins, which fit every LibTorch.
#ifndef GREVY_STAMP_HPP
#define GREVY_STAMP_HPP

#include <grevy/portable/library.hpp>

#define GREVY_STAMP ""
// Says to grevy/detail/trampoline.hpp that tensors need the host's table.
#define GREVY_ENTER(host) ::grevy::portable::enter(host)

namespace grevy::detail {

// Every slot of a component runs in guarded(), with a place that is made for the call. This
// overload takes such a place, not one that has a name, and notes on the way whose code is running.
template <class Body>
std::int32_t guarded(const grevy_error_sink* sink, Place&& place, Body&& body) noexcept {
  const portable::RunningScope running(place.plugin, place.component);
  const Place& kept = place;
  return guarded(sink, kept, std::forward<Body>(body));
}

}  // namespace grevy::detail

#endif
