#ifndef GREVY_TESTS_BENCH_ALLOCATIONS_HPP
#define GREVY_TESTS_BENCH_ALLOCATIONS_HPP

#include <cstdint>

namespace grevy::bench {

// Blocks that this program has asked the C library for, on any thread, directly or through operator
// new and LibTorch.
std::int64_t num_allocations();

}  // namespace grevy::bench

#endif
