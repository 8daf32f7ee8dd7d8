// Work split among threads in a way that sums can be repeated.
#ifndef GREVY_PLUGINS_KERNELS_SHARES_HPP
#define GREVY_PLUGINS_KERNELS_SHARES_HPP

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace grevy::kernels {

// One per thread, but no more than are worth a thread each; at least one. The same number for the
// same work and thread count: what shares sum up, added in their order, is the same to the byte.
inline std::int64_t num_shares(std::int64_t worth_a_thread) {
  return std::clamp<std::int64_t>(worth_a_thread, 1, at::get_num_threads());
}

// body(share, begin, end) for each share of the items 0 .. count - 1, several at the same time.
template <class Body>
void for_shares(std::size_t count, std::int64_t shares, Body&& body) {
  const auto items = static_cast<std::int64_t>(count);
  at::parallel_for(0, shares, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t s = first; s < last; ++s)
      body(static_cast<std::size_t>(s), static_cast<std::size_t>(items * s / shares),
           static_cast<std::size_t>(items * (s + 1) / shares));
  });
}

}  // namespace grevy::kernels

#endif
