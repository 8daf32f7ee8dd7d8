#include "golden_sampling.inc"
#include "sampling_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

using namespace grevy::host;
using namespace grevy::host::sampling_tests;
using grevy::Error;

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
