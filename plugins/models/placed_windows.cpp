#include "placed_windows.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <string>

namespace grevy::models {

at::Tensor cut(const at::Tensor& series, const at::Tensor& starts, std::int64_t length) {
  const at::Tensor rows = starts.unsqueeze(1) + at::arange(length, starts.options());
  return series.index_select(0, rows.flatten().to(series.device()))
      .view({starts.size(0), length, series.size(1)})
      .transpose(1, 2);
}

void check_starts(const at::Tensor& starts, std::int64_t most) {
  if (starts.dim() != 1 || starts.scalar_type() != at::kLong)
    throw Error(ErrorCode::invalid_type, "samples must be int64 with one axis");
  if (starts.numel() == 0) return;
  const auto lowest = starts.min().item<std::int64_t>(),
             highest = starts.max().item<std::int64_t>();
  if (lowest < 0 || highest > most)
    throw Error(ErrorCode::out_of_range, "windows begin at rows " + std::to_string(lowest) +
                                             " to " + std::to_string(highest) + "; must be 0 to " +
                                             std::to_string(most));
}

PlacedWindows PlacedWindows::of(const at::Tensor& windows, std::int64_t reach) {
  PlacedWindows all{windows, {}, {}};
  const std::int64_t count = windows.size(0), length = windows.size(2);
  all.starts.reserve(static_cast<std::size_t>(count * (length - reach)));
  for (std::int64_t w = 0; w < count; ++w)
    for (std::int64_t t = 0; t < length - reach; ++t) all.starts.push_back(w * length + t);
  return all;
}

PlacedWindows PlacedWindows::of(const at::Tensor& series, const std::vector<at::Tensor>& sets) {
  PlacedWindows all{series, {}, {}};
  struct Place {
    std::int64_t start;
    std::size_t set, row;
  };
  std::vector<Place> places;
  for (std::size_t s = 0; s < sets.size(); ++s) {
    const auto count = static_cast<std::size_t>(sets[s].size(0));
    all.sets.emplace_back(count);
    const at::Tensor starts = sets[s].contiguous();
    for (std::size_t r = 0; r < count; ++r)
      places.push_back({starts.data_ptr<std::int64_t>()[r], s, r});
  }
  std::sort(places.begin(), places.end(),
            [](const Place& a, const Place& b) { return a.start < b.start; });
  for (const Place& p : places) {
    if (all.starts.empty() || all.starts.back() != p.start) all.starts.push_back(p.start);
    all.sets[p.set][p.row] = all.starts.size() - 1;
  }
  return all;
}

at::Tensor PlacedWindows::cut(const std::vector<std::size_t>& set, std::int64_t length) const {
  std::vector<std::int64_t> rows;
  for (const std::size_t window : set) rows.push_back(starts[window]);
  return models::cut(memory, at::tensor(rows, at::kLong), length);
}

}  // namespace grevy::models
