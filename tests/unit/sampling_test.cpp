#include "sampling_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

using namespace grevy::host;
using namespace grevy::host::sampling_tests;
using grevy::Error;
using grevy::ErrorCode;

namespace {

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

}  // namespace

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

TEST_CASE("trials: time draws references whose positive is in the same trial") {
  const Samples trials = {0, 5, 6, 9};  // 5, 1, 3 and 3 samples
  SamplingLabels labels = only_samples(12);
  labels.trials = &trials;
  const auto distribution = make_distribution(options_for(Conditional::time, 2), labels);
  CHECK(distribution->num_references() == 5);
  const double fifth = 1.0 / 5;
  Random random(18, "trials");
  check_masses(draw_prior(*distribution, random, 20000),
               {{0, fifth}, {1, fifth}, {2, fifth}, {6, fifth}, {9, fifth}});

  const auto state = random.state();
  CHECK(draw_positives(*distribution, random, {9, 0, 6, 2, 1}) == Samples{11, 2, 8, 4, 3});
  CHECK(random.state() == state);
  for (const std::int64_t reference : {-1, 3, 4, 5, 7, 10, 12}) {
    CAPTURE(reference);
    CHECK_FALSE(distribution->has_positive(reference));
    try {
      draw_positives(*distribution, random, {reference});
      FAIL_CHECK("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::out_of_range);
      CHECK(std::string(error.what()).find("samples 0 to 9, as far as") != std::string::npos);
    }
  }
}

TEST_CASE("trials: differences never cross a border, none is zero for want of a sample") {
  Random random(19, "trials");
  const std::vector<float> values = scatter(random, 60, 2, 0, 1);
  const Samples trials = {0, 3, 20, 24, 50};
  const Samples ends = [&] {  // of the differences over 4 samples
    Samples found;
    for (std::int64_t k = 0; k < 60; ++k) {
      const auto next = std::upper_bound(trials.begin(), trials.end(), k);
      if (k - 4 >= *(next - 1)) found.push_back(k);
    }
    return found;
  }();
  REQUIRE(ends.size() == 41);
  SamplingLabels labels = with_labels(values, 2);
  labels.trials = &trials;
  const auto distribution = make_distribution(options_for(Conditional::time_delta, 4), labels);
  CHECK(distribution->num_references() == 60);
  check_masses(draw_prior(*distribution, random, 30000), equal_masses(60));

  Random replay = random;
  const Samples references = rows_to(60);
  const Samples positives = draw_positives(*distribution, random, references);
  for (std::size_t i = 0; i < references.size(); ++i) {
    const std::int64_t k = ends[static_cast<std::size_t>(replay.below(41))];
    const auto query = moved(values, 2, references[i], k, 4);
    CHECK(positives[i] == brute_force(values, 2, rows_to(60), query.data()));
  }
  CHECK(random.state() == replay.state());
}

TEST_CASE("trials: one trial has no zero differences") {
  const std::vector<float> values = {0, 0, 0, 10, 20, 30, 40, 50, 60, 70};
  const Samples trials = {0};
  SamplingLabels labels = with_labels(values, 1);
  labels.trials = &trials;
  Random random(20, "trials");
  const auto distribution = make_distribution(options_for(Conditional::time_delta, 3), labels);
  // d = 10 20 30 30 30 30 30; sample 3 is 10 and 4 is 20, 5 is 30.
  check_masses(draw_positives(*distribution, random, Samples(20000, 0)),
               {{3, 1.0 / 7}, {4, 1.0 / 7}, {5, 5.0 / 7}});
}

TEST_CASE("trials change nothing where no step of time_offset is taken") {
  const std::vector<float> values = wave();
  const Samples classes = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  const Samples trials = {0, 1, 2, 3};
  SamplingLabels labels = with_labels(values, 2, &classes);
  for (const Conditional conditional : {Conditional::delta_normal, Conditional::discrete}) {
    labels.trials = nullptr;
    const auto without = make_distribution(options_for(conditional, 100), labels);
    labels.trials = &trials;
    const auto with = make_distribution(options_for(conditional, 100), labels);
    Random one(21, "trials");
    Random two(21, "trials");
    const Samples references = draw_prior(*without, one, 50);
    CHECK(references == draw_prior(*with, two, 50));
    CHECK(draw_positives(*without, one, references) == draw_positives(*with, two, references));
  }
  labels = only_samples(12);
  const Samples whole = {0};
  labels.trials = &whole;
  const auto time = make_distribution(options_for(Conditional::time, 5), labels);
  const auto plain = make_distribution(options_for(Conditional::time, 5), only_samples(12));
  Random one(22, "trials");
  Random two(22, "trials");
  CHECK(draw_prior(*time, one, 50) == draw_prior(*plain, two, 50));
}

TEST_CASE("trials: errors") {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5};
  SamplingLabels labels = with_labels(values, 1);
  const auto refused = [&](const Samples& trials, const char* piece) {
    labels.trials = &trials;
    check_error(options_for(Conditional::time_delta), labels, ErrorCode::invalid_value, piece);
    check_error(options_for(Conditional::time), labels, ErrorCode::invalid_value, piece);
    check_error(options_for(Conditional::delta_normal), labels, ErrorCode::invalid_value, piece);
  };
  refused({}, "no trial was given");
  refused({1, 3}, "trial 0 begins with sample 1; trials ascend from sample 0 to at most 5");
  refused({-1, 3}, "trial 0 begins with sample -1");
  refused({0, 3, 3}, "trial 2 begins with sample 3");
  refused({0, 4, 2}, "trial 2 begins with sample 2");
  refused({0, 6}, "trial 1 begins with sample 6");
  refused({0, -2}, "trial 1 begins with sample -2");

  const Samples trials = {0, 2, 5};
  labels.trials = &trials;
  for (const Conditional conditional : {Conditional::time, Conditional::time_delta}) {
    CHECK(make_distribution(options_for(conditional, 2), labels));
    for (const std::int64_t offset : {0, 3, 6}) {
      check_error(options_for(conditional, offset), labels, ErrorCode::invalid_value,
                  "1 to below the samples of the longest trial, 3");
    }
  }
}

TEST_CASE("which samples have a positive") {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5, 6};
  const Samples classes = {0, 0, 0, 1, 1, 1, 1};
  const auto references = [](const Distribution& distribution) {
    Samples found;
    for (std::int64_t sample = -3; sample < 12; ++sample) {
      if (distribution.has_positive(sample)) found.push_back(sample);
    }
    CHECK_FALSE(distribution.has_positive(std::numeric_limits<std::int64_t>::min()));
    CHECK_FALSE(distribution.has_positive(std::numeric_limits<std::int64_t>::max()));
    CHECK(distribution.num_references() == static_cast<std::int64_t>(found.size()));
    return found;
  };
  const auto time = make_distribution(options_for(Conditional::time, 3), only_samples(7));
  CHECK(references(*time) == rows_to(4));
  for (const Conditional conditional :
       {Conditional::time_delta, Conditional::delta_normal, Conditional::discrete}) {
    const auto made =
        make_distribution(options_for(conditional, 3), with_labels(values, 1, &classes));
    CHECK(references(*made) == rows_to(7));
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
