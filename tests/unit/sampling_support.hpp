// What the tests of sampling share: labels, brute force, masses.
#ifndef GREVY_TESTS_UNIT_SAMPLING_SUPPORT_HPP
#define GREVY_TESTS_UNIT_SAMPLING_SUPPORT_HPP

#include <grevy/host/sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace grevy::host::sampling_tests {

using Conditional = SamplingOptions::Conditional;
using Prior = SamplingOptions::Prior;
using Samples = std::vector<std::int64_t>;

constexpr double infinity = std::numeric_limits<double>::infinity();

inline Samples rows_to(std::int64_t count) {
  Samples rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

inline double distance(const float* row, const double* query, std::int64_t width) {
  double sum = 0;
  for (std::int64_t c = 0; c < width; ++c) {
    const double difference = query[c] - static_cast<double>(row[c]);
    sum += difference * difference;
  }
  return sum;
}

// Looks at every row: the smallest row number among the exactly nearest.
inline std::int64_t brute_force(const std::vector<float>& labels, std::int64_t width,
                                const Samples& rows, const double* query) {
  double best = infinity;
  std::int64_t found = *std::min_element(rows.begin(), rows.end());
  for (const std::int64_t row : rows) {
    const double here = distance(labels.data() + row * width, query, width);
    if (here > best || (here == best && row > found)) continue;
    best = here;
    found = row;
  }
  return found;
}

// Integer lattice of the given side: many equal rows, many exact ties.
inline std::vector<float> lattice(Random& random, std::int64_t count, std::int64_t width,
                                  std::int64_t side, float offset) {
  std::vector<float> labels;
  for (std::int64_t i = 0; i < count * width; ++i) {
    labels.push_back(offset + static_cast<float>(random.below(side)));
  }
  return labels;
}

inline std::vector<float> scatter(Random& random, std::int64_t count, std::int64_t width,
                                  double offset, double scale) {
  std::vector<float> labels;
  for (std::int64_t i = 0; i < count * width; ++i) {
    labels.push_back(static_cast<float>(offset + scale * random.normal()));
  }
  return labels;
}

inline SamplingLabels with_labels(const std::vector<float>& continuous, std::int64_t width,
                                  const Samples* discrete = nullptr) {
  return {static_cast<std::int64_t>(continuous.size()) / width, continuous.data(), width, discrete};
}

inline SamplingLabels only_samples(std::int64_t count) { return {count, nullptr, 0, nullptr}; }

inline SamplingLabels only_classes(const Samples& discrete) {
  return {static_cast<std::int64_t>(discrete.size()), nullptr, 0, &discrete};
}

inline SamplingOptions options_for(Conditional conditional, std::int64_t time_offset = 1,
                                   double delta = 0.1) {
  SamplingOptions options;
  options.conditional = conditional;
  options.time_offset = time_offset;
  options.delta = delta;
  return options;
}

inline SamplingOptions uniform(SamplingOptions options) {
  options.prior = Prior::uniform;
  return options;
}

inline Samples draw_prior(const Distribution& distribution, Random& random, std::int64_t count) {
  Samples samples(static_cast<std::size_t>(count), -1);
  distribution.prior(random, count, samples.data());
  return samples;
}

inline Samples draw_positives(const Distribution& distribution, Random& random,
                              const Samples& references) {
  Samples samples(references.size(), -1);
  distribution.conditional(random, references.data(), static_cast<std::int64_t>(references.size()),
                           samples.data());
  return samples;
}

// Pearson's statistic against given masses; also that nothing else occurs.
inline void check_masses(const Samples& drawn, const std::map<std::int64_t, double>& masses) {
  std::map<std::int64_t, double> counts;
  for (const std::int64_t sample : drawn) ++counts[sample];
  for (const auto& entry : counts) REQUIRE_MESSAGE(masses.count(entry.first) == 1, entry.first);
  double statistic = 0;
  for (const auto& [sample, mass] : masses) {
    const double expected = mass * static_cast<double>(drawn.size());
    const double excess = counts[sample] - expected;
    statistic += excess * excess / expected;
  }
  const double freedom = static_cast<double>(masses.size()) - 1;
  CHECK(statistic < freedom + 4 * std::sqrt(2 * freedom));
}

inline std::map<std::int64_t, double> equal_masses(std::int64_t count) {
  std::map<std::int64_t, double> masses;
  for (std::int64_t i = 0; i < count; ++i) masses[i] = 1.0 / static_cast<double>(count);
  return masses;
}

inline Samples map_samples(const Samples& samples, const Samples& labels) {
  Samples mapped;
  for (const std::int64_t s : samples) mapped.push_back(labels[static_cast<std::size_t>(s)]);
  return mapped;
}

// Labels of the worked example: (sin 0.7 k, cos 0.4 k), k = 0..11.
inline std::vector<float> wave() {
  std::vector<float> labels;
  for (int k = 0; k < 12; ++k) {
    labels.push_back(static_cast<float>(std::sin(0.7 * k)));
    labels.push_back(static_cast<float>(std::cos(0.4 * k)));
  }
  return labels;
}

// The label of sample r plus the difference that ends at sample k.
inline std::vector<double> moved(const std::vector<float>& labels, std::int64_t width,
                                 std::int64_t r, std::int64_t k, std::int64_t offset) {
  std::vector<double> query;
  for (std::int64_t c = 0; c < width; ++c) {
    const auto at = [&](std::int64_t row) {
      return static_cast<double>(labels[static_cast<std::size_t>(row * width + c)]);
    };
    query.push_back(at(r) + (k < offset ? 0.0 : at(k) - at(k - offset)));
  }
  return query;
}

}  // namespace grevy::host::sampling_tests

#endif
