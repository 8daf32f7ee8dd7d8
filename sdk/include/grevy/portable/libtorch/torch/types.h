// Stands in for LibTorch's header in portable plugins: at:: is grevy::portable.
#ifndef GREVY_PORTABLE_TORCH_TYPES_H
#define GREVY_PORTABLE_TORCH_TYPES_H

#include <grevy/portable/functions.hpp>

namespace at = ::grevy::portable;

#endif
