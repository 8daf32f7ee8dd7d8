#include "golden_sampling.inc"

#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace grevy::host;
using grevy::Error;
using grevy::ErrorCode;

namespace {

using Conditional = SamplingOptions::Conditional;
using Prior = SamplingOptions::Prior;
using Samples = std::vector<std::int64_t>;

constexpr double infinity = std::numeric_limits<double>::infinity();

Samples rows_to(std::int64_t count) {
  Samples rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

double distance(const float* row, const double* query, std::int64_t width) {
  double sum = 0;
  for (std::int64_t c = 0; c < width; ++c) {
    const double difference = query[c] - static_cast<double>(row[c]);
    sum += difference * difference;
  }
  return sum;
}

// Looks at every row: the smallest row number among the exactly nearest.
std::int64_t brute_force(const std::vector<float>& labels, std::int64_t width, const Samples& rows,
                         const double* query) {
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
std::vector<float> lattice(Random& random, std::int64_t count, std::int64_t width,
                           std::int64_t side, float offset) {
  std::vector<float> labels;
  for (std::int64_t i = 0; i < count * width; ++i) {
    labels.push_back(offset + static_cast<float>(random.below(side)));
  }
  return labels;
}

std::vector<float> scatter(Random& random, std::int64_t count, std::int64_t width, double offset,
                           double scale) {
  std::vector<float> labels;
  for (std::int64_t i = 0; i < count * width; ++i) {
    labels.push_back(static_cast<float>(offset + scale * random.normal()));
  }
  return labels;
}

void check_exact(Random& random, const std::vector<float>& labels, std::int64_t width,
                 const Samples& rows, double query_step) {
  const NearestLabel tree(labels.data(), width, rows);
  std::vector<double> query(static_cast<std::size_t>(width));
  const auto count = static_cast<std::int64_t>(labels.size()) / width;
  for (int i = 0; i < 200; ++i) {
    const std::int64_t base = random.below(count) * width;
    for (std::int64_t c = 0; c < width; ++c) {
      query[static_cast<std::size_t>(c)] =
          static_cast<double>(labels[static_cast<std::size_t>(base + c)]) +
          query_step * static_cast<double>(random.below(9) - 4);
    }
    REQUIRE(tree.find(query.data()) == brute_force(labels, width, rows, query.data()));
  }
}

void check_exact_and_subset(Random& random, const std::vector<float>& labels, std::int64_t width,
                            double query_step) {
  Samples rows = rows_to(static_cast<std::int64_t>(labels.size()) / width);
  check_exact(random, labels, width, rows, query_step);
  Samples some;
  for (const std::int64_t row : rows) {
    if (random.below(3) == 0) some.push_back(row);
  }
  std::reverse(some.begin(), some.end());
  some.push_back(some.front());  // any order, repeated too
  check_exact(random, labels, width, some, query_step);
}

SamplingLabels with_labels(const std::vector<float>& continuous, std::int64_t width,
                           const Samples* discrete = nullptr) {
  return {static_cast<std::int64_t>(continuous.size()) / width, continuous.data(), width, discrete};
}

SamplingLabels only_samples(std::int64_t count) { return {count, nullptr, 0, nullptr}; }

SamplingLabels only_classes(const Samples& discrete) {
  return {static_cast<std::int64_t>(discrete.size()), nullptr, 0, &discrete};
}

SamplingOptions options_for(Conditional conditional, std::int64_t time_offset = 1,
                            double delta = 0.1) {
  SamplingOptions options;
  options.conditional = conditional;
  options.time_offset = time_offset;
  options.delta = delta;
  return options;
}

SamplingOptions uniform(SamplingOptions options) {
  options.prior = Prior::uniform;
  return options;
}

Samples draw_prior(const Distribution& distribution, Random& random, std::int64_t count) {
  Samples samples(static_cast<std::size_t>(count), -1);
  distribution.prior(random, count, samples.data());
  return samples;
}

Samples draw_positives(const Distribution& distribution, Random& random,
                       const Samples& references) {
  Samples samples(references.size(), -1);
  distribution.conditional(random, references.data(), static_cast<std::int64_t>(references.size()),
                           samples.data());
  return samples;
}

// Pearson's statistic against given masses; also that nothing else occurs.
void check_masses(const Samples& drawn, const std::map<std::int64_t, double>& masses) {
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

std::map<std::int64_t, double> equal_masses(std::int64_t count) {
  std::map<std::int64_t, double> masses;
  for (std::int64_t i = 0; i < count; ++i) masses[i] = 1.0 / static_cast<double>(count);
  return masses;
}

Samples map_samples(const Samples& samples, const Samples& labels) {
  Samples mapped;
  for (const std::int64_t s : samples) mapped.push_back(labels[static_cast<std::size_t>(s)]);
  return mapped;
}

void check_error(const SamplingOptions& options, const SamplingLabels& labels, ErrorCode code,
                 const char* piece) {
  try {
    make_distribution(options, labels);
    FAIL_CHECK("no error with: " << piece);
  } catch (const Error& error) {
    CAPTURE(error.what());
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find(piece) != std::string::npos);
  }
}

// Labels of the worked example: (sin 0.7 k, cos 0.4 k), k = 0..11.
std::vector<float> wave() {
  std::vector<float> labels;
  for (int k = 0; k < 12; ++k) {
    labels.push_back(static_cast<float>(std::sin(0.7 * k)));
    labels.push_back(static_cast<float>(std::cos(0.4 * k)));
  }
  return labels;
}

std::vector<double> moved(const std::vector<float>& labels, std::int64_t width, std::int64_t r,
                          std::int64_t k, std::int64_t offset) {
  std::vector<double> query;
  for (std::int64_t c = 0; c < width; ++c) {
    const auto at = [&](std::int64_t row) {
      return static_cast<double>(labels[static_cast<std::size_t>(row * width + c)]);
    };
    query.push_back(at(r) + (k < offset ? 0.0 : at(k) - at(k - offset)));
  }
  return query;
}

}  // namespace

TEST_CASE("nearest label agrees with brute force") {
  Random random(1, "nearest");
  const auto scattered = [&](std::int64_t width, double offset, double scale) {
    return scatter(random, 700, width, offset, scale);
  };
  const auto on_lattice = [&](std::int64_t width, std::int64_t side, float offset) {
    return lattice(random, 700, width, side, offset);
  };
  for (const std::int64_t width : {1, 2, 3, 5, 10}) {
    CAPTURE(width);
    check_exact_and_subset(random, scattered(width, 0, 1), width, 0.173);
    check_exact_and_subset(random, scattered(width, 0, 1), width, 0);     // queries on rows
    check_exact_and_subset(random, on_lattice(width, 4, 0), width, 0.5);  // ties half way
    check_exact_and_subset(random, on_lattice(width, 2, -1), width, 0.25);
    check_exact_and_subset(random, on_lattice(width, 5, 0), width, 1e7);  // queries far away
    check_exact_and_subset(random, scattered(width, 1e6, 3), width, 0.3);
    check_exact_and_subset(random, on_lattice(width, 5, 1e6F), width, 0.5);
    check_exact_and_subset(random, scattered(width, 0, 1e-41), width, 1e-42);
    check_exact_and_subset(random, scattered(width, 0, 5e37), width, 1e37);
  }
}

TEST_CASE("nearest label: the smallest row wins ties") {
  const std::vector<float> labels = {1, 0, 1, 0};
  const NearestLabel tree(labels.data(), 4, 1);
  CHECK(tree.find(std::vector<double>{1.0}.data()) == 0);
  CHECK(tree.find(std::vector<double>{0.0}.data()) == 1);
  CHECK(tree.find(std::vector<double>{0.5}.data()) == 0);

  const NearestLabel later(labels.data(), 1, Samples{3, 2});
  CHECK(later.find(std::vector<double>{0.5}.data()) == 2);

  const std::vector<float> zeros = {0.0F, -0.0F, 0.0F};
  CHECK(NearestLabel(zeros.data(), 3, 1).find(std::vector<double>{0.0}.data()) == 0);
  CHECK(NearestLabel(zeros.data(), 1, {2, 1}).find(std::vector<double>{-0.0}.data()) == 1);

  // All corners of a cube are equally far from its centre; they lie in several leaves.
  std::vector<float> cube;
  for (int i = 63; i >= 0; --i) {
    for (int bit = 0; bit < 6; ++bit) cube.push_back(static_cast<float>((i >> bit) & 1));
  }
  const NearestLabel corners(cube.data(), 64, 6);
  CHECK(corners.find(std::vector<double>(6, 0.5).data()) == 0);
}

TEST_CASE("nearest label: queries beyond every difference answer with the smallest row") {
  const std::vector<float> labels = {5, 3, 4, 3, 5};
  const NearestLabel tree(labels.data(), 1, Samples{4, 3, 2});
  for (const double far : {1e99, -1e99, 1e101, 1e160, -1e300, infinity, -infinity}) {
    CAPTURE(far);
    CHECK(tree.find(&far) == brute_force(labels, 1, {4, 3, 2}, &far));
  }
  const double not_a_number = std::nan("");
  CHECK(tree.find(&not_a_number) == 2);

  std::vector<float> many;
  for (int i = 0; i < 100; ++i) many.push_back(static_cast<float>(i));
  const double edge = 1.2e154;  // its square is finite, twice its square is not
  CHECK(NearestLabel(many.data(), 100, 1).find(&edge) == 0);
}

TEST_CASE("nearest label: one row, moving, own copy") {
  std::vector<float> labels = {1, 2, 3, 4};
  NearestLabel tree(labels.data(), 2, 2);
  labels.assign(4, 0.0F);
  const std::vector<double> query = {3, 4};
  NearestLabel other = std::move(tree);
  CHECK(other.find(query.data()) == 1);
  other = NearestLabel(labels.data(), 1, 2);
  CHECK(other.find(query.data()) == 0);
}

TEST_CASE("nearest label: errors") {
  const std::vector<float> labels = {1, 2, std::nanf(""), 4};
  const float* data = labels.data();
  CHECK_THROWS_WITH_AS(NearestLabel(data, 0, 2), doctest::Contains("0 rows of width 2"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 4, 0), doctest::Contains("4 rows of width 0"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, std::int64_t{1} << 62, 8),
                       doctest::Contains("width of 1 to"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, Samples{}), doctest::Contains("0 rows"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, Samples{0, -1}), doctest::Contains("row -1"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, 2), doctest::Contains("sample 1, column 0: found nan"),
                       Error);
  const float infinite = -std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(NearestLabel(&infinite, 1, 1), doctest::Contains("found -inf"), Error);
}

TEST_CASE("class table: negative labels, gaps, stable order") {
  const Samples labels = {7, -3, 7, 0, -3, 7};
  const ClassTable table(labels);
  CHECK(table.num_samples() == 6);
  CHECK(table.num_classes() == 3);
  CHECK(table.values() == Samples{-3, 0, 7});
  CHECK(table.samples(0) == Samples{1, 4});
  CHECK(table.samples(1) == Samples{3});
  CHECK(table.samples(2) == Samples{0, 2, 5});
  CHECK(table.count(2) == 3);
  for (std::int64_t s = 0; s < 6; ++s) {
    CHECK(table.values()[static_cast<std::size_t>(table.class_of(s))] ==
          labels[static_cast<std::size_t>(s)]);
  }
}

TEST_CASE("class table: draws") {
  const ClassTable table({9, 4, 9, 9, 4, 9, -2});
  Random random(2, "classes");
  Samples inside;
  Samples uniform_class;
  for (int i = 0; i < 12000; ++i) {
    inside.push_back(table.draw_from_class(random, 2));
    uniform_class.push_back(table.draw_uniform_class(random));
  }
  check_masses(inside, {{0, 0.25}, {2, 0.25}, {3, 0.25}, {5, 0.25}});
  const double third = 1.0 / 3;
  check_masses(uniform_class, {{0, third / 4},
                               {2, third / 4},
                               {3, third / 4},
                               {5, third / 4},
                               {1, third / 2},
                               {4, third / 2},
                               {6, third}});
}

TEST_CASE("class table: errors") {
  CHECK_THROWS_WITH_AS(ClassTable(Samples{}), doctest::Contains("at least one"), Error);
  const ClassTable table({0, 1});
  Random random(3, "errors");
  CHECK_THROWS_WITH_AS(table.count(2), doctest::Contains("class 2"), Error);
  CHECK_THROWS_WITH_AS(table.samples(-1), doctest::Contains("class -1"), Error);
  CHECK_THROWS_WITH_AS(table.draw_from_class(random, 5), doctest::Contains("classes 0 to 1"),
                       Error);
  CHECK_THROWS_WITH_AS(ClassTable({-1, 2}).reference_prior_rank(0), doctest::Contains("label -1"),
                       Error);
  for (const double u : {-0.001, 2.0, std::nan(""), infinity}) {
    CHECK_THROWS_WITH_AS(table.reference_prior_rank(u),
                         doctest::Contains("allowed is 0 to below 2"), Error);
  }
}

TEST_CASE("reference prior rank: worked example and golden numbers") {
  const ClassTable example({2, 0, 2, 2, 0, 4});
  CHECK(example.reference_prior_rank(0.0) == 0);
  CHECK(example.reference_prior_rank(1.2) == 2);
  CHECK(example.reference_prior_rank(3.0) == 3);  // 3.5
  CHECK(example.reference_prior_rank(5.0) == 5);  // 5.1667
  CHECK(example.reference_prior_rank(5.9999999999999) == 5);
  CHECK(example.reference_prior_rank(1.8) == 2);  // the flat piece of the missing value 1
  CHECK(example.reference_prior_rank(4.0) == 5);  // and of 3

  const ClassTable table(golden::discrete_labels);
  std::int64_t below = 0;
  REQUIRE(table.num_classes() == 6);
  for (std::size_t c = 0; c < 6; ++c) {
    CHECK(golden::discrete_cdf[c] == below);
    below += table.count(static_cast<std::int64_t>(c));
  }
  CHECK(golden::discrete_cdf[6] == below);
  for (std::size_t i = 0; i < golden::discrete_prior_u.size(); ++i) {
    CAPTURE(i);
    CHECK(table.reference_prior_rank(golden::discrete_prior_u[i]) ==
          golden::discrete_prior_rank[i]);
  }
}

TEST_CASE("reference prior rank: huge labels cost nothing") {
  const std::int64_t max = std::numeric_limits<std::int64_t>::max();
  const ClassTable table({0, max, 5});
  CHECK(table.reference_prior_rank(0.0) == 0);
  CHECK(table.reference_prior_rank(1.5) == 2);
  CHECK(table.reference_prior_rank(std::nextafter(3.0, 0.0)) == 2);
}

TEST_CASE("golden: positives of time differences reach the reference's distance") {
  const std::vector<float>& labels = golden::delta_labels;
  const NearestLabel tree(labels.data(), 200, 3);
  for (std::size_t i = 0; i < golden::delta_references.size(); ++i) {
    CAPTURE(i);
    const auto query =
        moved(labels, 3, golden::delta_references[i], golden::delta_differences[i], 7);
    double scale = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      const auto stored = static_cast<double>(golden::delta_queries[3 * i + c]);
      CHECK(query[c] == doctest::Approx(stored).epsilon(1e-6));
      scale += stored * stored;
    }
    const float* row = labels.data() + 3 * tree.find(query.data());
    for (std::size_t c = 0; c < 3; ++c)
      scale += static_cast<double>(row[c]) * static_cast<double>(row[c]);

    // The stored distance is |x|^2 + |q|^2 - 2 xq in float32 and rounds at the size of its terms.
    const auto stored = static_cast<double>(golden::delta_distances[i]);
    const double reached = distance(row, query.data(), 3);
    CHECK(std::abs(reached - stored) <= 1e-4 * stored + scale * 0x1.0p-22);
    CHECK(reached <= distance(labels.data() + 3 * golden::delta_positives[i], query.data(), 3));
  }
}

TEST_CASE("time differences: worked example") {
  const std::vector<float> labels = wave();
  const Samples references = {0, 4, 11, 7};
  const Samples differences = {0, 5, 9, 11};
  const Samples expected = {0, 7, 11, 11};
  const Samples expected_in_class = {0, 8, 11, 11};
  const NearestLabel all(labels.data(), 12, 2);
  const NearestLabel even(labels.data(), 2, {0, 2, 4, 6, 8, 10});
  const NearestLabel odd(labels.data(), 2, {1, 3, 5, 7, 9, 11});
  for (std::size_t i = 0; i < 4; ++i) {
    const auto query = moved(labels, 2, references[i], differences[i], 3);
    CHECK(all.find(query.data()) == expected[i]);
    CHECK((references[i] % 2 == 0 ? even : odd).find(query.data()) == expected_in_class[i]);
  }
}

TEST_CASE("time: exact offset, prior stops before the end") {
  const auto distribution = make_distribution(options_for(Conditional::time, 10), only_samples(25));
  Random random(4, "time");
  check_masses(draw_prior(*distribution, random, 30000), equal_masses(15));

  const auto state = random.state();
  CHECK(draw_positives(*distribution, random, {0, 14, 3, 3}) == Samples{10, 24, 13, 13});
  CHECK(random.state() == state);

  Samples out(1);
  for (const std::int64_t reference : {-1, 15, 25}) {
    CHECK_THROWS_WITH_AS(distribution->conditional(random, &reference, 1, out.data()),
                         doctest::Contains("samples 0 to 14"), Error);
  }
}

TEST_CASE("time ignores a continuous label; an offset of N - 1 leaves one reference") {
  const std::vector<float> labels = {1, 2, 3};
  const auto distribution =
      make_distribution(options_for(Conditional::time, 2), with_labels(labels, 1));
  Random random(5, "time");
  CHECK(draw_prior(*distribution, random, 3) == Samples{0, 0, 0});
  CHECK(draw_positives(*distribution, random, {0}) == Samples{2});
}

TEST_CASE("time_delta: nearest sample after a random difference") {
  Random random(6, "time_delta");
  const std::vector<float> labels = scatter(random, 60, 2, 0, 1);
  const auto distribution =
      make_distribution(options_for(Conditional::time_delta, 4), with_labels(labels, 2));
  check_masses(draw_prior(*distribution, random, 30000), equal_masses(60));

  Random replay = random;  // one difference a reference, in the order of the references
  const Samples references = draw_prior(*distribution, replay, 300);
  random.restore(replay.state());
  const Samples positives = draw_positives(*distribution, random, references);
  for (std::size_t i = 0; i < references.size(); ++i) {
    const auto query = moved(labels, 2, references[i], replay.below(60), 4);
    CHECK(positives[i] == brute_force(labels, 2, rows_to(60), query.data()));
  }
  CHECK(random.state() == replay.state());
}

TEST_CASE("time_delta: the first time_offset differences are zero and stay in the pool") {
  // Steps of 10 after sample 2: from sample 0 every real difference leads one sample of 10 on.
  const std::vector<float> labels = {0, 0, 0, 10, 20, 30, 40, 50, 60, 70};
  const auto distribution =
      make_distribution(options_for(Conditional::time_delta, 3), with_labels(labels, 1));
  Random random(7, "pool");
  // d = 0 0 0 10 20 30 30 30 30 30; sample 3 is 10 and 4 is 20, 5 is 30.
  check_masses(draw_positives(*distribution, random, Samples(20000, 0)),
               {{0, 0.3}, {3, 0.1}, {4, 0.1}, {5, 0.5}});
}

TEST_CASE("delta_normal: steps of the given standard deviation") {
  std::vector<float> labels;
  for (int i = 0; i <= 2000; ++i) labels.push_back(static_cast<float>(i) * 0.01F);
  const auto distribution =
      make_distribution(options_for(Conditional::delta_normal, 1, 0.5), with_labels(labels, 1));
  Random random(8, "normal");
  check_masses(draw_prior(*distribution, random, 100000), equal_masses(2001));

  constexpr int draws = 40000;
  const Samples positives = draw_positives(*distribution, random, Samples(draws, 1000));
  double mean = 0;
  double variance = 0;
  for (const std::int64_t p : positives) mean += static_cast<double>(p - 1000) * 0.01 / draws;
  for (const std::int64_t p : positives) {
    variance += std::pow(static_cast<double>(p - 1000) * 0.01, 2) / draws;
  }
  CHECK(std::abs(mean) < 4 * 0.5 / std::sqrt(double{draws}));
  CHECK(std::abs(variance - 0.25) < 4 * 0.25 * std::sqrt(2.0 / draws));
}

TEST_CASE("delta_normal: isotropic, one normal per column in order") {
  Random random(9, "normal");
  const std::vector<float> labels = scatter(random, 500, 3, 0, 1);
  const auto distribution =
      make_distribution(options_for(Conditional::delta_normal, 1, 0.7), with_labels(labels, 3));
  Random replay = random;
  const Samples references = {5, 0, 499, 5};
  const Samples positives = draw_positives(*distribution, random, references);
  for (std::size_t i = 0; i < references.size(); ++i) {
    std::vector<double> query;
    for (std::int64_t c = 0; c < 3; ++c) {
      const float value = labels[static_cast<std::size_t>(references[i] * 3 + c)];
      query.push_back(static_cast<double>(value) + 0.7 * replay.normal());
    }
    CHECK(positives[i] == brute_force(labels, 3, rows_to(500), query.data()));
  }
  CHECK(random.state() == replay.state());
}

TEST_CASE("discrete: empirical and uniform prior, positives of the same class") {
  const Samples labels = {4, -1, 4, 4, 4, 0, 4, -1};
  Random random(10, "discrete");
  SUBCASE("empirical") {
    const auto distribution =
        make_distribution(options_for(Conditional::discrete), only_classes(labels));
    check_masses(draw_prior(*distribution, random, 30000), equal_masses(8));
  }
  SUBCASE("uniform, over the present classes only") {
    const auto distribution =
        make_distribution(uniform(options_for(Conditional::discrete)), only_classes(labels));
    const Samples drawn = draw_prior(*distribution, random, 30000);
    const double third = 1.0 / 3;
    check_masses(map_samples(drawn, labels), {{-1, third}, {0, third}, {4, third}});
    std::map<std::int64_t, double> masses = {{1, third / 2}, {7, third / 2}, {5, third}};
    for (const std::int64_t s : {0, 2, 3, 4, 6}) masses[s] = third / 5;
    check_masses(drawn, masses);
  }
  SUBCASE("conditional") {
    const auto distribution =
        make_distribution(options_for(Conditional::discrete), only_classes(labels));
    check_masses(draw_positives(*distribution, random, Samples(20000, 2)),
                 {{0, 0.2}, {2, 0.2}, {3, 0.2}, {4, 0.2}, {6, 0.2}});
    check_masses(draw_positives(*distribution, random, Samples(20000, 7)), {{1, 0.5}, {7, 0.5}});
    CHECK(draw_positives(*distribution, random, Samples(5, 5)) == Samples(5, 5));
  }
}

TEST_CASE("discrete: labels with gaps give equal mass") {
  const Samples labels = {0, 2, 2, 4, 4, 4};
  const auto distribution =
      make_distribution(uniform(options_for(Conditional::discrete)), only_classes(labels));
  Random random(11, "gaps");
  const double third = 1.0 / 3;
  check_masses(map_samples(draw_prior(*distribution, random, 30000), labels),
               {{0, third}, {2, third}, {4, third}});
}

TEST_CASE("mixed: positives stay in the reference's class, differences come from all samples") {
  Random random(12, "mixed");
  const std::vector<float> labels = lattice(random, 90, 2, 6, 0);
  Samples classes;
  for (std::int64_t i = 0; i < 90; ++i) classes.push_back(random.below(3) * 5 - 5);
  for (const Conditional conditional : {Conditional::time_delta, Conditional::delta_normal}) {
    const auto distribution =
        make_distribution(options_for(conditional, 4, 2.0), with_labels(labels, 2, &classes));
    Samples references = rows_to(90);
    Random replay = random;
    const Samples positives = draw_positives(*distribution, random, references);
    for (std::size_t i = 0; i < 90; ++i) {
      Samples same;
      for (std::int64_t s = 0; s < 90; ++s) {
        if (classes[static_cast<std::size_t>(s)] == classes[i]) same.push_back(s);
      }
      std::vector<double> query = moved(labels, 2, references[i], 0, 4);
      if (conditional == Conditional::time_delta) {
        query = moved(labels, 2, references[i], replay.below(90), 4);
      } else {
        for (double& value : query) value += 2.0 * replay.normal();
      }
      CHECK(positives[i] == brute_force(labels, 2, same, query.data()));
    }
  }
}

TEST_CASE("mixed: both priors") {
  const std::vector<float> labels = {0, 1, 2, 3, 4, 5};
  const Samples classes = {1, 1, 1, 1, 1, 8};
  Random random(13, "mixed");
  const auto options = options_for(Conditional::time_delta);
  const auto empirical = make_distribution(options, with_labels(labels, 1, &classes));
  check_masses(draw_prior(*empirical, random, 30000), equal_masses(6));
  const auto balanced = make_distribution(uniform(options), with_labels(labels, 1, &classes));
  check_masses(draw_prior(*balanced, random, 30000),
               {{0, 0.1}, {1, 0.1}, {2, 0.1}, {3, 0.1}, {4, 0.1}, {5, 0.5}});
}

TEST_CASE("same seed, same batch; labels may go away after construction") {
  std::vector<float> labels = wave();
  Samples classes(12, 3);
  const auto distribution = make_distribution(uniform(options_for(Conditional::time_delta, 3)),
                                              with_labels(labels, 2, &classes));
  labels.clear();
  labels.shrink_to_fit();
  classes = {};
  Random one(14, "batch");
  Random two(14, "batch");
  const Samples references = draw_prior(*distribution, one, 64);
  CHECK(references == draw_prior(*distribution, two, 64));
  CHECK(draw_positives(*distribution, one, references) ==
        draw_positives(*distribution, two, references));
  Random other(15, "batch");
  CHECK(references != draw_prior(*distribution, other, 64));
}

TEST_CASE("an empty batch draws nothing") {
  const auto distribution = make_distribution(options_for(Conditional::time, 1), only_samples(2));
  Random random(16, "empty");
  const auto state = random.state();
  distribution->prior(random, 0, nullptr);
  distribution->conditional(random, nullptr, 0, nullptr);
  CHECK(random.state() == state);
}

TEST_CASE("references outside the data are rejected by every conditional") {
  const std::vector<float> labels = {0, 1, 2};
  const Samples classes = {0, 0, 1};
  Random random(17, "references");
  for (const auto& options :
       {options_for(Conditional::time_delta), options_for(Conditional::delta_normal),
        options_for(Conditional::discrete)}) {
    const auto distribution = make_distribution(options, with_labels(labels, 1, &classes));
    for (const std::int64_t reference :
         {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 62}) {
      try {
        draw_positives(*distribution, random, {reference});
        FAIL_CHECK("accepted");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::out_of_range);
        CHECK(std::string(error.what()).find("samples 0 to 2") != std::string::npos);
      }
    }
  }
}

TEST_CASE("make_distribution: errors name the option, what was found and what is allowed") {
  const std::vector<float> labels = {0, 1, 2, 3, 4};
  const Samples classes = {0, 0, 1, 1, 1};
  const Samples few = {0, 1};
  const auto bad = ErrorCode::invalid_value;
  const auto both = with_labels(labels, 1, &classes);
  const auto plain = with_labels(labels, 1);

  for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{-4}, std::int64_t{5},
                                    std::numeric_limits<std::int64_t>::max()}) {
    const std::string piece = "time_offset is " + std::to_string(offset);
    check_error(options_for(Conditional::time, offset), only_samples(5), bad, piece.c_str());
    check_error(options_for(Conditional::time_delta, offset), plain, bad, piece.c_str());
  }
  check_error(options_for(Conditional::time, 9), only_samples(5), bad,
              "below the number of samples, 5");
  for (const double delta : {0.0, -1.0, std::nan(""), infinity}) {
    check_error(options_for(Conditional::delta_normal, 1, delta), plain, bad,
                "needs a finite number above 0");
  }
  check_error(options_for(Conditional::delta_normal, 1, -1), plain, bad, "delta is -1.0");
  check_error(options_for(Conditional::time_delta), only_samples(5), bad,
              "\"time_delta\" needs a continuous label");
  check_error(options_for(Conditional::delta_normal), only_classes(classes), bad,
              "\"delta_normal\" needs a continuous label");
  check_error(options_for(Conditional::discrete), plain, bad, "needs a discrete label");
  check_error(options_for(Conditional::time), both, bad, "takes no discrete label");
  check_error(uniform(options_for(Conditional::time)), only_samples(5), bad,
              "prior \"uniform\" needs a discrete label");
  check_error(uniform(options_for(Conditional::time_delta)), plain, bad, "\"empirical\"");
  check_error(options_for(Conditional::discrete), {5, nullptr, 0, &few}, bad,
              "2 entries for 5 samples");
  check_error(options_for(Conditional::time), only_samples(0), bad, "0 samples were given");
  check_error(options_for(Conditional::time_delta), {5, labels.data(), 0, nullptr}, bad,
              "rows of width 0");
  check_error(options_for(Conditional::time_delta),
              {5, labels.data(), std::numeric_limits<std::int64_t>::max() / 4, nullptr}, bad,
              "addressable");
  check_error(options_for(static_cast<Conditional>(77)), plain, bad, "conditional number 77");

  std::vector<float> holes = labels;
  holes[3] = std::nanf("");
  check_error(options_for(Conditional::time_delta), with_labels(holes, 1), ErrorCode::non_finite,
              "sample 3, column 0");
  check_error(options_for(Conditional::delta_normal), with_labels(holes, 1, &classes),
              ErrorCode::non_finite, "sample 3, column 0");
}

TEST_CASE("options that a conditional does not use are not judged") {
  const std::vector<float> labels = {0, 1};
  const Samples classes = {0, 1};
  CHECK(make_distribution(options_for(Conditional::delta_normal, 10), with_labels(labels, 1)));
  CHECK(make_distribution(options_for(Conditional::discrete, 10, -1), only_classes(classes)));
  CHECK(make_distribution(options_for(Conditional::time_delta, 1, -1), with_labels(labels, 1)));
}
