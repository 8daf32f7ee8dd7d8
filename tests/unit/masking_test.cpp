#include "experiment/schema.hpp"

#include <grevy/error.hpp>
#include <grevy/host/masking.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::Masks;
using grevy::host::masks_schema;
using grevy::host::Random;
using nlohmann::json;

namespace {

Masks masks(const char* spec) { return Masks(json::parse(spec)); }
Masks masks(const char* kind, double ratio) { return Masks(json{{kind, ratio}}); }

struct Windows {
  std::int64_t n, length, channels;
  std::vector<float> rows;

  Windows(std::int64_t samples, std::int64_t times, std::int64_t width)
      : n(samples), length(times), channels(width) {
    for (std::int64_t i = 0; i < n * length * channels; ++i)
      rows.push_back(static_cast<float>(i + 1));
  }

  Windows& mask(const Masks& masks, Random& random) {
    masks.apply(random, rows.data(), n, length, channels);
    return *this;
  }
  bool is_zero(std::int64_t i, std::int64_t t, std::int64_t c) const {
    return rows[static_cast<std::size_t>((i * length + t) * channels + c)] == 0;
  }
  // The channels and the times of a sample that are zero as a whole.
  std::vector<std::int64_t> zero_channels(std::int64_t i) const {
    std::vector<std::int64_t> found;
    for (std::int64_t c = 0; c < channels; ++c) {
      bool all = true;
      for (std::int64_t t = 0; t < length; ++t) all = all && is_zero(i, t, c);
      if (all) found.push_back(c);
    }
    return found;
  }
  std::vector<std::int64_t> zero_times(std::int64_t i) const {
    std::vector<std::int64_t> found;
    for (std::int64_t t = 0; t < length; ++t) {
      bool all = true;
      for (std::int64_t c = 0; c < channels; ++c) all = all && is_zero(i, t, c);
      if (all) found.push_back(t);
    }
    return found;
  }
  std::int64_t num_zeros() const { return std::count(rows.begin(), rows.end(), 0.0F); }
};

// A count of independent draws, five standard deviations either way.
void check_share(std::int64_t count, std::int64_t draws, double probability) {
  const double expected = static_cast<double>(draws) * probability;
  const double sigma = std::sqrt(expected * (1 - probability));
  CHECK(std::abs(static_cast<double>(count) - expected) < 5 * sigma);
}

bool are_consecutive(const std::vector<std::int64_t>& numbers) {
  return numbers.back() - numbers.front() + 1 == static_cast<std::int64_t>(numbers.size());
}

// How often each number of channels was dropped in calls on one window of 4 channels.
std::map<std::size_t, int> dropped_channels(const char* spec, std::int64_t channels, int calls) {
  const Masks all = masks(spec);
  Random random(7, "ratios");
  std::map<std::size_t, int> counts;
  for (int i = 0; i < calls; ++i)
    ++counts[Windows(1, 2, channels).mask(all, random).zero_channels(0).size()];
  return counts;
}

void check_refused(const json& spec, ErrorCode code, const std::string& text) {
  CAPTURE(spec.dump());
  try {
    Masks refused(spec);
    FAIL_CHECK("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_MESSAGE(std::string(error.what()).find(text) == 0, error.what());
  }
}

const std::vector<const char*> one_of_each{
    R"({"RandomNeuronMask": 0.3})", R"({"RandomTimestepMask": 0.3})", R"({"NeuronBlockMask": 0.3})",
    R"({"TimeBlockMask": {"rate": 0.2, "length": 3}})"};

}  // namespace

TEST_CASE("masks: set to zero and change nothing else") {
  for (const char* spec : one_of_each) {
    CAPTURE(std::string(spec));
    Random random(1, "masks");
    const Windows before(50, 10, 8);
    const Windows after = Windows(50, 10, 8).mask(masks(spec), random);
    CHECK(after.num_zeros() > 0);
    CHECK(after.num_zeros() < 50 * 10 * 8);
    for (std::size_t i = 0; i < before.rows.size(); ++i)
      REQUIRE((after.rows[i] == 0 || after.rows[i] == before.rows[i]));
  }
}

TEST_CASE("masks: whatever stands there becomes 0, also what is not finite") {
  Random random(1, "masks");
  std::vector<float> rows{-1, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), 4};
  masks("RandomTimestepMask", 0.999999999).apply(random, rows.data(), 1, 1, 4);
  for (const float value : rows) CHECK((value == 0 && !std::signbit(value)));
}

TEST_CASE("masks: the same numbers for the same random state") {
  for (const char* spec : one_of_each) {
    Random first(3, "masks"), second(3, "masks"), other(4, "masks");
    const Windows once = Windows(20, 10, 8).mask(masks(spec), first);
    CHECK(once.rows == Windows(20, 10, 8).mask(masks(spec), second).rows);
    CHECK(first.state() == second.state());
    CHECK(once.rows != Windows(20, 10, 8).mask(masks(spec), first).rows);
    CHECK(once.rows != Windows(20, 10, 8).mask(masks(spec), other).rows);
  }
}

TEST_CASE("masks: an empty spec draws nothing") {
  Random random(5, "masks");
  const auto state = random.state();
  const Masks none = masks("{}");
  CHECK(none.empty());
  CHECK(Windows(3, 4, 5).mask(none, random).num_zeros() == 0);
  CHECK(random.state() == state);
  CHECK_FALSE(masks(one_of_each[0]).empty());
}

TEST_CASE("masks: one kind with one ratio draws for the samples alone") {
  Random random(6, "masks"), counted(6, "masks");
  const Windows block = Windows(2, 3, 10).mask(masks(R"({"NeuronBlockMask": 0.4})"), random);
  const std::int64_t first = counted.below(7), second = counted.below(7);
  CHECK(block.zero_channels(0).front() == first);
  CHECK(block.zero_channels(1).front() == second);
  CHECK(random.state() == counted.state());
}

TEST_CASE("masks: nothing to mask") {
  for (const char* spec : one_of_each) {
    Random random(7, "masks");
    const auto state = random.state();
    masks(spec).apply(random, nullptr, 0, 10, 8);
    CHECK(random.state() == state);
    CHECK_NOTHROW(masks(spec).apply(random, nullptr, 2, 0, 8));
    CHECK_NOTHROW(masks(spec).apply(random, nullptr, 2, 10, 0));
  }
}

TEST_CASE("masks: RandomNeuronMask drops channels at all times, each with the ratio") {
  constexpr std::int64_t samples = 2000;
  for (const double ratio : {0.05, 0.3, 0.9}) {
    CAPTURE(ratio);
    Random random(8, "neurons");
    const Windows masked = Windows(samples, 3, 6).mask(masks("RandomNeuronMask", ratio), random);
    std::vector<std::int64_t> counts(6);
    std::int64_t both = 0, total = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::vector<std::int64_t> zero = masked.zero_channels(i);
      for (const std::int64_t c : zero) ++counts[static_cast<std::size_t>(c)];
      both += std::count(zero.begin(), zero.end(), 0) * std::count(zero.begin(), zero.end(), 1);
      total += static_cast<std::int64_t>(zero.size());
    }
    CHECK(masked.num_zeros() == 3 * total);  // never a part of a channel
    for (const std::int64_t count : counts) check_share(count, samples, ratio);
    check_share(total, 6 * samples, ratio);
    check_share(both, samples, ratio * ratio);  // independent
  }
}

TEST_CASE("masks: RandomTimestepMask drops times in all channels, each with the ratio") {
  constexpr std::int64_t samples = 2000;
  for (const double ratio : {0.05, 0.3, 0.9}) {
    CAPTURE(ratio);
    Random random(9, "times");
    const Windows masked = Windows(samples, 6, 3).mask(masks("RandomTimestepMask", ratio), random);
    std::vector<std::int64_t> counts(6);
    std::int64_t both = 0, total = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::vector<std::int64_t> zero = masked.zero_times(i);
      for (const std::int64_t t : zero) ++counts[static_cast<std::size_t>(t)];
      both += std::count(zero.begin(), zero.end(), 0) * std::count(zero.begin(), zero.end(), 1);
      total += static_cast<std::int64_t>(zero.size());
    }
    CHECK(masked.num_zeros() == 3 * total);
    for (const std::int64_t count : counts) check_share(count, samples, ratio);
    check_share(total, 6 * samples, ratio);
    check_share(both, samples, ratio * ratio);
  }
}

TEST_CASE("masks: NeuronBlockMask drops floor(C r) consecutive channels anywhere") {
  struct Case {
    std::int64_t channels;
    double ratio;
    std::int64_t dropped;
  };
  constexpr std::int64_t samples = 3000;
  for (const Case& one : {Case{10, 0.3, 3}, Case{7, 0.5, 3}, Case{100, 0.29, 28}, Case{4, 0.99, 3},
                          Case{1, 0.99, 0}, Case{9, 0.1, 0}}) {
    CAPTURE(one.channels);
    CAPTURE(one.ratio);
    Random random(10, "block");
    const Windows masked =
        Windows(samples, 2, one.channels).mask(masks("NeuronBlockMask", one.ratio), random);
    CHECK(masked.num_zeros() == samples * 2 * one.dropped);
    if (one.dropped == 0) continue;
    const std::int64_t places = one.channels - one.dropped + 1;
    std::vector<std::int64_t> starts(static_cast<std::size_t>(places));
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::vector<std::int64_t> zero = masked.zero_channels(i);
      REQUIRE(static_cast<std::int64_t>(zero.size()) == one.dropped);
      REQUIRE(are_consecutive(zero));
      ++starts[static_cast<std::size_t>(zero.front())];
    }
    for (const std::int64_t count : starts)
      check_share(count, samples, 1 / static_cast<double>(places));
  }
}

TEST_CASE("masks: TimeBlockMask of length 1 drops floor(L rate) different times") {
  constexpr std::int64_t samples = 3000;
  Random random(11, "times");
  const Masks blocks = masks(R"({"TimeBlockMask": {"rate": 0.35, "length": 1}})");
  const Windows masked = Windows(samples, 10, 2).mask(blocks, random);
  CHECK(masked.num_zeros() == samples * 3 * 2);
  std::vector<std::int64_t> counts(10);
  std::int64_t first_and_last = 0;
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::vector<std::int64_t> zero = masked.zero_times(i);
    REQUIRE(zero.size() == 3);
    for (const std::int64_t t : zero) ++counts[static_cast<std::size_t>(t)];
    first_and_last += zero.front() == 0 && zero.back() == 9;
  }
  for (const std::int64_t count : counts) check_share(count, samples, 0.3);
  check_share(first_and_last, samples, 8.0 / 120);  // of the 120 sets of three
  const Masks rare = masks(R"({"TimeBlockMask": {"rate": 0.09, "length": 4}})");
  CHECK(Windows(20, 10, 2).mask(rare, random).num_zeros() == 0);
}

TEST_CASE("masks: TimeBlockMask clips its blocks at the end of the window") {
  constexpr std::int64_t samples = 3000;
  Random random(12, "times");
  const Masks single = masks(R"({"TimeBlockMask": {"rate": 0.1, "length": 4}})");
  const Windows masked = Windows(samples, 10, 2).mask(single, random);
  std::vector<std::int64_t> starts(10);
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::vector<std::int64_t> zero = masked.zero_times(i);
    const std::int64_t start = zero.front();
    REQUIRE(are_consecutive(zero));
    REQUIRE(static_cast<std::int64_t>(zero.size()) == std::min<std::int64_t>(4, 10 - start));
    ++starts[static_cast<std::size_t>(start)];
  }
  for (const std::int64_t count : starts) check_share(count, samples, 0.1);
  const Masks endless = masks(R"({"TimeBlockMask": {"rate": 0.1, "length": 9223372036854775807}})");
  CHECK(Windows(1, 10, 2).mask(endless, random).zero_times(0).back() == 9);
}

TEST_CASE("masks: TimeBlockMask blocks may overlap") {
  Random random(13, "times");
  const Masks three = masks(R"({"TimeBlockMask": {"rate": 0.3, "length": 3}})");
  const Windows masked = Windows(2000, 10, 1).mask(three, random);
  std::set<std::size_t> sizes;
  for (std::int64_t i = 0; i < 2000; ++i) sizes.insert(masked.zero_times(i).size());
  CHECK(sizes == std::set<std::size_t>{3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("masks: of several kinds one is drawn a call") {
  const Masks both =
      masks(R"({"NeuronBlockMask": 0.5, "TimeBlockMask": {"rate": 0.1, "length": 1}})");
  Random random(14, "kinds");
  std::map<std::int64_t, std::int64_t> calls;
  for (int i = 0; i < 2000; ++i) ++calls[Windows(3, 10, 4).mask(both, random).num_zeros()];
  CHECK(calls.size() == 2);  // 2 of 4 channels or 1 of 10 times, the same kind for all samples
  check_share(calls[3 * 20], 2000, 0.5);
  CHECK(calls[3 * 20] + calls[3 * 4] == 2000);
}

TEST_CASE("masks: each of four kinds is drawn equally often") {
  const Masks all = masks(R"({"RandomNeuronMask": 0.999999999, "RandomTimestepMask": 0.000000001,
      "NeuronBlockMask": 0.5, "TimeBlockMask": {"rate": 0.1, "length": 1}})");
  Random random(15, "kinds");
  std::map<std::int64_t, std::int64_t> calls;
  for (int i = 0; i < 4000; ++i) ++calls[Windows(1, 10, 4).mask(all, random).num_zeros()];
  for (const std::int64_t zeros : {40, 0, 20, 4}) check_share(calls[zeros], 4000, 0.25);
  CHECK(calls.size() == 4);
}

TEST_CASE("masks: a ratio of several is drawn for the whole call") {
  const Masks list = masks(R"({"NeuronBlockMask": [0.25, 0.5, 0.75]})");
  Random random(16, "ratios");
  for (int call = 0; call < 50; ++call) {
    const Windows masked = Windows(5, 2, 4).mask(list, random);
    for (std::int64_t i = 1; i < 5; ++i)
      CHECK(masked.zero_channels(i).size() == masked.zero_channels(0).size());
  }
  const auto counts = dropped_channels(R"({"NeuronBlockMask": [0.25, 0.5, 0.75]})", 4, 3000);
  CHECK(counts.size() == 3);
  for (const std::size_t dropped : {1, 2, 3}) check_share(counts.at(dropped), 3000, 1.0 / 3);
}

TEST_CASE("masks: min, max and step include max and never go past it") {
  const auto draws = [](const char* spec, std::int64_t channels) {
    std::set<std::size_t> found;
    for (const auto& [dropped, count] : dropped_channels(spec, channels, 400))
      found.insert(dropped);
    return found;
  };
  using Set = std::set<std::size_t>;
  CHECK(draws(R"({"NeuronBlockMask": {"min": 0.25, "max": 0.75, "step": 0.25}})", 4) ==
        Set{1, 2, 3});
  CHECK(draws(R"({"NeuronBlockMask": {"min": 0, "max": 1, "step": 0.5}})", 4) == Set{0, 2, 4});
  CHECK(draws(R"({"NeuronBlockMask": {"min": 0.25, "max": 0.9, "step": 0.25}})", 4) ==
        Set{1, 2, 3});
  CHECK(draws(R"({"NeuronBlockMask": {"min": 0.1, "max": 0.3, "step": 0.1}})", 10) == Set{1, 2, 3});
  CHECK(draws(R"({"NeuronBlockMask": {"min": 0, "max": 1, "step": 0.0001}})", 2) == Set{0, 1});
  const auto counts =
      dropped_channels(R"({"NeuronBlockMask": {"min": 0.25, "max": 0.75, "step": 0.25}})", 4, 3000);
  for (const std::size_t dropped : {1, 2, 3}) check_share(counts.at(dropped), 3000, 1.0 / 3);
}

TEST_CASE("masks: what is refused") {
  constexpr auto value = ErrorCode::invalid_value;
  constexpr auto type = ErrorCode::invalid_type;
  const auto refused = [](const char* spec, ErrorCode code, const char* text) {
    check_refused(json::parse(spec), code, text);
  };
  refused("[]", type, "masks: found [] (an array); must be an object");
  refused("null", type, "masks: found null; must be an object");
  refused(
      R"({"RandomNeuronMas": 0.1})", value,
      "masks: /RandomNeuronMas: unknown key; did you mean \"RandomNeuronMask\"? allowed: Neuron");
  for (const std::string kind : {"RandomNeuronMask", "RandomTimestepMask", "NeuronBlockMask"}) {
    const auto check = [&](const char* ratio, ErrorCode code, const std::string& text) {
      check_refused({{kind, json::parse(ratio)}}, code, "masks: /" + kind + text);
    };
    check("0", value, ": found 0; must be a number above 0 and below 1, an array");
    check("1", value, ": found 1; must be a number above 0 and below 1, an array");
    check("-0.5", value, ": found -0.5; must be a number above 0 and below 1, an array");
    check("\"0.1\"", type, ": found \"0.1\" (a string); must be a number above 0");
    check("true", type, ": found true (a boolean); must be a number above 0");
    check("null", type, ": found null; must be a number above 0");
    check("[]", value, ": found [] (0 items); must be an array of at least 1 item");
    check("[0.1, 1.0]", value, "/1: found 1.0; must be a number above 0 and below 1");
    check("[0]", value, "/0: found 0; must be a number above 0 and below 1");
    check("[[0.1]]", type, "/0: found [0.1] (an array); must be a number");
    check("{}", value, ": the key \"min\" is missing; allowed keys: max, min, step");
    check(R"({"min": 0.1, "max": 0.2})", value, ": the key \"step\" is missing");
    check(R"({"min": 0.1, "max": 0.3, "step": 0.1, "n": 3})", value, "/n: unknown key");
    check(R"({"min": -0.1, "max": 0.3, "step": 0.1})", value, "/min: found -0.1; must be a number");
    check(R"({"min": 0.1, "max": 1.1, "step": 0.1})", value, "/max: found 1.1; must be a number");
    check(R"({"min": 0.1, "max": 0.3, "step": 0})", value,
          "/step: found 0; must be a number from 0.0001 to 1");
    check(R"({"min": 0.3, "max": 0.3, "step": 0.1})", value,
          ": found {\"max\": 0.3, \"min\": 0.3, \"step\": 0.1}; must be min below max, and step "
          "below max - min");
    check(R"({"min": 0.5, "max": 0.25, "step": 0.1})", value, ": found {\"max\": 0.25");
    check(R"({"min": 0.25, "max": 0.75, "step": 0.5})", value, ": found {\"max\": 0.75");
  }
}

TEST_CASE("masks: what TimeBlockMask refuses") {
  constexpr auto value = ErrorCode::invalid_value;
  constexpr auto type = ErrorCode::invalid_type;
  const auto check = [](const char* spec, ErrorCode code, const std::string& text) {
    check_refused({{"TimeBlockMask", json::parse(spec)}}, code, "masks: /TimeBlockMask" + text);
  };
  check("0.1", type, ": found 0.1 (a number); must be an object");
  check("[0.1, 3]", type, ": found [0.1, 3] (an array); must be an object");
  check(R"({"rate": 0.1})", value, ": the key \"length\" is missing; allowed keys: length, rate");
  check(R"({"length": 1})", value, ": the key \"rate\" is missing");
  check(R"({"rate": 0, "length": 1})", value,
        "/rate: found 0; must be a number above 0 and below 1");
  check(R"({"rate": 1.0, "length": 1})", value, "/rate: found 1.0; must be a number above 0");
  check(R"({"rate": [0.1], "length": 1})", type, "/rate: found [0.1] (an array); must be a number");
  check(R"({"rate": 0.1, "length": 0})", value,
        "/length: found 0; must be an integer of at least 1");
  check(R"({"rate": 0.1, "length": -3})", value, "/length: found -3; must be an integer");
  check(R"({"rate": 0.1, "length": 2.5})", type,
        "/length: found 2.5 (a number); must be an integer");
  check(R"({"rate": 0.1, "length": 1e300})", value, "/length: found 1e+300");
}

TEST_CASE("masks: numbers that only a document in memory holds") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  constexpr auto value = ErrorCode::invalid_value;
  check_refused({{"RandomNeuronMask", nan}}, value, "masks: /RandomNeuronMask: ");
  check_refused({{"RandomNeuronMask", infinity}}, value, "masks: /RandomNeuronMask: ");
  check_refused({{"NeuronBlockMask", {0.1, nan}}}, value, "masks: /NeuronBlockMask: ");
  check_refused({{"NeuronBlockMask", {{"min", nan}, {"max", 0.5}, {"step", 0.1}}}}, value,
                "masks: /NeuronBlockMask: ");
  check_refused({{"TimeBlockMask", {{"rate", nan}, {"length", 1}}}}, value,
                "masks: /TimeBlockMask: ");
}

TEST_CASE("masks: the schema embeds into another one") {
  constexpr const char* text = masks_schema();  // known at compile time
  const json outer = {{"type", "object"}, {"properties", {{"masks", json::parse(text)}}}};
  for (const char* spec : one_of_each)
    CHECK_NOTHROW(grevy::host::validate({{"masks", json::parse(spec)}}, outer, "run.json"));
  CHECK_THROWS_WITH_AS(
      grevy::host::validate({{"masks", {{"TimeBlockMask", {{"rate", 2}, {"length", 1}}}}}}, outer,
                            "run.json"),
      doctest::Contains("run.json: /masks/TimeBlockMask/rate: found 2"), Error);
}
