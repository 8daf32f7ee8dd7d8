#include <grevy/error.hpp>
#include <grevy/host/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::derive_seed;
using grevy::host::Random;

namespace {

constexpr std::uint64_t max_u64 = std::numeric_limits<std::uint64_t>::max();

std::vector<std::uint64_t> draw(Random random, int count) {
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(random.next());
  return numbers;
}

double chi_square(const std::vector<int>& counts, double expected) {
  double sum = 0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

}  // namespace

TEST_CASE("xoshiro256++ gives its published numbers from state 1 2 3 4") {
  Random random(0, "any");
  random.restore({1, 2, 3, 4});
  const std::vector<std::uint64_t> expected = {41943041U,
                                               58720359U,
                                               3588806011781223U,
                                               3591011842654386U,
                                               9228616714210784205U,
                                               9973669472204895162U,
                                               14011001112246962877U,
                                               12406186145184390807U,
                                               15849039046786891736U,
                                               10450023813501588000U};
  CHECK(draw(random, 10) == expected);
}

// Worked out apart from this code: SplitMix64 and FNV-1a over Python integers, checked there
// against their published vectors (SplitMix64 of 0 starts e220a8397b1dcdaf, FNV-1a of "foobar" is
// 85944171f73967e8).
TEST_CASE("seeding goes through FNV-1a and SplitMix64") {
  CHECK(derive_seed(0, "") == 0x5b21f68ffa77f14cU);
  CHECK(derive_seed(42, "sampling") == 0xd5732f5ea4c9b8b5U);
  CHECK(derive_seed(max_u64, "model") == 0xf751a4908020350cU);

  const Random random(42, "sampling");
  const Random::State expected = {0x6901c7fd5b2f5822U, 0xe0b4ab92f8b256bfU, 0xabbdb5d8871014ebU,
                                  0xfa26a5f33f425702U};
  CHECK(random.state() == expected);
  CHECK(draw(random, 3) ==
        std::vector<std::uint64_t>{0x614f00d4ed60ec58U, 0xeb031f65eb993f55U, 0x32a1310dd95979f2U});
}

TEST_CASE("seeds and purposes do not share numbers") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (const char* purpose : {"", "a", "b", "ab", "sampling", "sampling2", "model"}) {
      seen.insert(derive_seed(seed, purpose));
      seen.insert(Random(seed, purpose).next());
    }
  }
  CHECK(seen.size() == 50 * 7 * 2);
  CHECK(draw(Random(7, "x"), 100) == draw(Random(7, "x"), 100));

  Random first(7, "x");
  const Random second(7, "y");
  const auto untouched = second.state();
  for (int i = 0; i < 10; ++i) first.next();
  CHECK(second.state() == untouched);
}

TEST_CASE("two purposes of one seed are uncorrelated") {
  Random a(3, "references");
  Random b(3, "positives");
  double sum = 0;
  constexpr int count = 20000;
  for (int i = 0; i < count; ++i) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5);
  CHECK(std::abs(sum / count * 12) < 4 / std::sqrt(double{count}));
}

TEST_CASE("restore repeats") {
  Random random(5, "restore");
  random.normal();
  random.below(10);
  const auto state = random.state();
  std::vector<double> first;
  for (int i = 0; i < 20; ++i) first.push_back(random.normal() + random.uniform());
  Random other(99, "elsewhere");
  other.restore(state);
  for (const double value : first) CHECK(value == other.normal() + other.uniform());
  CHECK(other.state() == random.state());
}

TEST_CASE("below is uniform inside its bound") {
  Random random(11, "below");
  for (const std::int64_t bound : {2, 3, 7, 10, 64}) {
    std::vector<int> counts(static_cast<std::size_t>(bound));
    constexpr int draws = 64000;
    for (int i = 0; i < draws; ++i) {
      const std::int64_t value = random.below(bound);
      REQUIRE(value >= 0);
      REQUIRE(value < bound);
      ++counts[static_cast<std::size_t>(value)];
    }
    const double freedom = static_cast<double>(bound - 1);
    const double expected = draws / static_cast<double>(bound);
    CHECK(chi_square(counts, expected) < freedom + 4 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("below stays in range and unbiased for the smallest and for huge bounds") {
  Random random(12, "bounds");
  for (int i = 0; i < 100; ++i) CHECK(random.below(1) == 0);

  const std::int64_t max = std::numeric_limits<std::int64_t>::max();
  int upper = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t value = random.below(max);
    REQUIRE(value >= 0);
    REQUIRE(value < max);
    upper += value >= max / 2;
  }
  CHECK(std::abs(upper - 10000) < 4 * 71);

  // Plain 64 bits modulo 3 * 2^61 would put three quarters, not two thirds, below 2^62.
  constexpr std::int64_t bound = std::int64_t{3} << 61;
  int lower = 0;
  for (int i = 0; i < 20000; ++i) lower += random.below(bound) < (std::int64_t{1} << 62);
  CHECK(std::abs(lower - 13333) < 4 * 67);
}

TEST_CASE("below rejects bounds without numbers") {
  Random random(13, "errors");
  CHECK_THROWS_WITH_AS(random.below(0), doctest::Contains("below 0: the bound must be at least 1"),
                       Error);
  CHECK_THROWS_WITH_AS(random.below(-5), doctest::Contains("below -5"), Error);
  try {
    random.below(0);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_value);
  }
}

TEST_CASE("uniform covers [0, 1) in 53 bits") {
  Random random(14, "uniform");
  double sum = 0;
  double squares = 0;
  std::vector<int> counts(20);
  constexpr int draws = 100000;
  for (int i = 0; i < draws; ++i) {
    const double value = random.uniform();
    REQUIRE(value >= 0.0);
    REQUIRE(value < 1.0);
    REQUIRE(std::ldexp(value, 53) == std::floor(std::ldexp(value, 53)));
    sum += value;
    squares += value * value;
    ++counts[static_cast<std::size_t>(value * 20)];
  }
  CHECK(std::abs(sum / draws - 0.5) < 4 * 0.2887 / std::sqrt(double{draws}));
  CHECK(std::abs(squares / draws - 1.0 / 3) < 4 * 0.2981 / std::sqrt(double{draws}));
  CHECK(chi_square(counts, draws / 20.0) < 19 + 4 * std::sqrt(38.0));

  random.restore({0, 0, 0, max_u64});  // first output: rotate(2^64 - 1) = all ones
  CHECK(random.uniform() == 1.0 - 0x1.0p-53);
}

TEST_CASE("normal has the moments and the tails of a standard normal") {
  Random random(15, "normal");
  std::array<double, 4> moments{};
  int beyond_two = 0;
  double lag = 0;
  double previous = 0;
  constexpr int draws = 200000;
  for (int i = 0; i < draws; ++i) {
    const double value = random.normal();
    double power = 1;
    for (double& moment : moments) moment += (power *= value) / draws;
    beyond_two += std::abs(value) > 2;
    lag += value * previous / draws;
    previous = value;
  }
  const double error = 4 / std::sqrt(double{draws});
  CHECK(std::abs(moments[0]) < error);
  CHECK(std::abs(moments[1] - 1) < error * std::sqrt(2.0));
  CHECK(std::abs(moments[2]) < error * std::sqrt(15.0));
  CHECK(std::abs(moments[3] - 3) < error * std::sqrt(96.0));
  CHECK(std::abs(lag) < error);
  CHECK(std::abs(beyond_two / double{draws} - 0.0455) < error * 0.21);
}

TEST_CASE("normal takes two numbers a draw and keeps nothing back") {
  Random random(16, "normal");
  Random counted(16, "normal");
  random.normal();
  counted.next();
  counted.next();
  CHECK(random.state() == counted.state());
}

TEST_CASE("normal is finite for the extreme uniforms") {
  Random random(17, "normal");
  random.restore({0, 0, 0, max_u64});
  CHECK(std::isfinite(random.normal()));
}

TEST_CASE("the one state that a generator cannot leave is refused") {
  Random random(17, "zero");
  const Random::State before = random.state();
  CHECK_THROWS_WITH_AS(
      random.restore({0, 0, 0, 0}),
      "found a generator's state that is all zero; must be one that a generator had", grevy::Error);
  CHECK(random.state() == before);
}
