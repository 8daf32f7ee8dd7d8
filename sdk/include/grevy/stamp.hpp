// grevy/stamp.hpp: which LibTorch a binary was compiled against.
//
// Objects of LibTorch's C++ types may pass between two binaries only if both were compiled against
// the same version, C++ ABI and flavour. The loader compares this text before it runs a plugin.
#ifndef GREVY_STAMP_HPP
#define GREVY_STAMP_HPP

#include <torch/version.h>

#include <cstddef>  // defines _GLIBCXX_USE_CXX11_ABI

#define GREVY_TEXT_OF_VALUE(value) #value
#define GREVY_TEXT_OF(macro) GREVY_TEXT_OF_VALUE(macro)

// "cuda" for a LibTorch with CUDA, else "cpu".
#if __has_include(<c10/cuda/impl/cuda_cmake_macros.h>)
#define GREVY_TORCH_FLAVOUR "cuda"
#else
#define GREVY_TORCH_FLAVOUR "cpu"
#endif

// "libtorch VERSION cxx11abi=0|1 cpu|cuda". A literal, so that it can stand in a manifest.
#define GREVY_STAMP \
  "libtorch " GREVY_TEXT_OF(TORCH_VERSION_MAJOR) "." GREVY_TEXT_OF(TORCH_VERSION_MINOR) "." \
  GREVY_TEXT_OF(TORCH_VERSION_PATCH) " cxx11abi=" GREVY_TEXT_OF(_GLIBCXX_USE_CXX11_ABI)   \
  " " GREVY_TORCH_FLAVOUR

#endif
