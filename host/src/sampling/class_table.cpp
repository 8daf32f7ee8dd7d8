#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace grevy::host {
namespace {

std::size_t checked_class(std::int64_t cls, std::int64_t num_classes) {
  if (cls < 0 || cls >= num_classes) {
    throw Error(ErrorCode::out_of_range, "class " + std::to_string(cls) +
                                             " of the discrete label: there are classes 0 to " +
                                             std::to_string(num_classes - 1));
  }
  return static_cast<std::size_t>(cls);
}

}  // namespace

ClassTable::ClassTable(const std::vector<std::int64_t>& labels) {
  require(!labels.empty(), ErrorCode::invalid_value,
          "discrete label: no samples were given, at least one is needed");
  order_.resize(labels.size());
  class_of_.resize(labels.size());
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  const auto label = [&](std::int64_t sample) { return labels[static_cast<std::size_t>(sample)]; };
  std::stable_sort(order_.begin(), order_.end(),
                   [&](std::int64_t a, std::int64_t b) { return label(a) < label(b); });
  for (std::size_t rank = 0; rank < order_.size(); ++rank) {
    const std::int64_t sample = order_[rank];
    if (values_.empty() || values_.back() != label(sample)) {
      values_.push_back(label(sample));
      start_.push_back(static_cast<std::int64_t>(rank));
    }
    class_of_[static_cast<std::size_t>(sample)] = num_classes() - 1;
  }
  start_.push_back(num_samples());
}

std::int64_t ClassTable::count(std::int64_t cls) const {
  const std::size_t c = checked_class(cls, num_classes());
  return start_[c + 1] - start_[c];
}

std::vector<std::int64_t> ClassTable::samples(std::int64_t cls) const {
  const std::size_t c = checked_class(cls, num_classes());
  return {order_.begin() + start_[c], order_.begin() + start_[c + 1]};
}

std::int64_t ClassTable::draw_from_class(Random& random, std::int64_t cls) const {
  const std::size_t c = checked_class(cls, num_classes());
  const std::int64_t rank = start_[c] + random.below(start_[c + 1] - start_[c]);
  return order_[static_cast<std::size_t>(rank)];
}

std::int64_t ClassTable::draw_uniform_class(Random& random) const {
  return draw_from_class(random, random.below(num_classes()));
}

// Linear between the knots (N * v / K, samples with a label below v), v = 0..K, K = max + 1.
// Values without samples take no memory, so a huge label is no danger.
std::int64_t ClassTable::reference_prior_rank(double u) const {
  const auto samples = static_cast<double>(num_samples());
  if (values_.front() < 0) {
    throw Error(ErrorCode::invalid_value, "reference prior: label " +
                                              std::to_string(values_.front()) +
                                              " is negative, labels must be 0 or above");
  }
  if (!(u >= 0 && u < samples)) {
    throw Error(ErrorCode::invalid_value, "reference prior: u = " + std::to_string(u) +
                                              ", allowed is 0 to below " +
                                              std::to_string(num_samples()));
  }
  const std::int64_t max = values_.back();
  const double step = samples / (static_cast<double>(max) + 1.0);
  const auto knot = [&](std::int64_t value) { return static_cast<double>(value) * step; };
  const double guess = std::floor(u / step);
  std::int64_t value = guess < static_cast<double>(max) ? static_cast<std::int64_t>(guess) : max;
  while (value > 0 && knot(value) > u) --value;  // the division may round across a knot
  while (value < max && knot(value + 1) <= u) ++value;

  const auto found = std::lower_bound(values_.begin(), values_.end(), value);
  const auto c = static_cast<std::size_t>(found - values_.begin());
  const double low = static_cast<double>(start_[c]);
  const double height = *found == value ? static_cast<double>(start_[c + 1]) - low : 0.0;
  const double rank = height / step * (u - knot(value)) + low;
  return std::min(static_cast<std::int64_t>(rank), num_samples() - 1);
}

}  // namespace grevy::host
