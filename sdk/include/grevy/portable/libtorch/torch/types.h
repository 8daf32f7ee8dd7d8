// Stands in for LibTorch's header in portable plugins: at:: and torch:: are grevy::portable.
#ifndef GREVY_PORTABLE_TORCH_TYPES_H
#define GREVY_PORTABLE_TORCH_TYPES_H

#include <grevy/portable/functions.hpp>

#include <optional>

namespace at = ::grevy::portable;
namespace torch {
using namespace ::grevy::portable;
}
namespace c10 {
using std::nullopt;
using std::optional;
}  // namespace c10

#endif
