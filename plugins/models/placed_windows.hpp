// Windows by where they lie in memory, each once.
#ifndef GREVY_PLUGINS_MODELS_PLACED_WINDOWS_HPP
#define GREVY_PLUGINS_MODELS_PLACED_WINDOWS_HPP

#include "conv_stack.hpp"

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grevy::models {

// (n, C, length): the windows of a series (T, C) that begin at `starts`, int64 (n).
at::Tensor cut(const at::Tensor& series, const at::Tensor& starts, std::int64_t length);

// Errors: invalid_type for anything but int64 with one axis; out_of_range for values outside
// 0 .. most.
void check_starts(const at::Tensor& starts, std::int64_t most);

struct PlacedWindows {
  at::Tensor memory;  // (n, C, T) as rows (n, T, C), or a series (T, C); float32, CPU
  std::vector<std::int64_t> starts;  // first rows of the windows in memory, ascending
  // Per set the windows that it consists of, counted among `starts`; no sets: all of them, as the
  // embedding of (n, C, T).
  std::vector<std::vector<std::size_t>> sets;

  // All windows of reach + 1 rows in (n, C, T).
  static PlacedWindows of(const at::Tensor& windows, std::int64_t reach);
  // Those of a series that begin at `sets`, int64 (n_i) each, at least one set.
  static PlacedWindows of(const at::Tensor& series, const std::vector<at::Tensor>& sets);

  ConvStack::Input input() const {
    return {memory.data_ptr<float>(), starts.data(), starts.size()};
  }
  // The windows of a set, (n_i, C, length).
  at::Tensor cut(const std::vector<std::size_t>& set, std::int64_t length) const;
};

}  // namespace grevy::models

#endif
