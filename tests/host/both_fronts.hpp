// Expressions of tensors with LibTorch and with the portable front, which must be the same.
#ifndef GREVY_TESTS_BOTH_FRONTS_HPP
#define GREVY_TESTS_BOTH_FRONTS_HPP

#include "host/ops_support.hpp"

#include <grevy/portable/functions.hpp>

namespace grevy::tests {

// The portable front with the table of the tests' host.
inline void enter() {
  portable::table = nullptr;
  portable::enter(&plugin_host());
}

inline at::Tensor as_libtorch(const at::Tensor& x) { return x; }
inline at::Tensor as_libtorch(portable::Tensor x) { return take(x.released()); }

inline void check_same(const char* source, const at::Tensor& found, const at::Tensor& wanted) {
  CAPTURE(source);
  CHECK((found.scalar_type() == wanted.scalar_type()));
  CHECK(found.sizes() == wanted.sizes());
  CHECK(found.device() == wanted.device());
  CHECK(at::equal(found, wanted));
}

// An expression of the namespace `front`, with both.
#define SAME(...)                                   \
  check_same(#__VA_ARGS__, as_libtorch([] {         \
               namespace front = ::grevy::portable; \
               return __VA_ARGS__;                  \
             }()),                                  \
             as_libtorch([] {                       \
               namespace front = ::at;              \
               return __VA_ARGS__;                  \
             }()))

}  // namespace grevy::tests

#endif
