#include "golden_sampling.inc"
#include "sampling_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

using namespace grevy::host;
using namespace grevy::host::sampling_tests;
using grevy::Error;

namespace {

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
  CHECK_THROWS_WITH_AS(NearestLabel(data, 1, std::int64_t{1} << 31),
                       doctest::Contains("1 rows of width 2147483648"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, Samples{}), doctest::Contains("0 rows"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, Samples{0, -1}), doctest::Contains("row -1"), Error);
  CHECK_THROWS_WITH_AS(NearestLabel(data, 2, 2), doctest::Contains("sample 1, column 0: found nan"),
                       Error);
  const float infinite = -std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(NearestLabel(&infinite, 1, 1), doctest::Contains("found -inf"), Error);
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
