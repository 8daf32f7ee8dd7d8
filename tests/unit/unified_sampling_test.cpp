#include "session_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/session_sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace grevy::host;
using namespace grevy::host::sampling_tests;
using grevy::ErrorCode;

TEST_CASE("unified: aligned are the samples with the nearest label") {
  Random random(14, "unified");
  Sessions sessions = random_sessions(random, {40, 60, 50}, {{0, 1}, {1, 0}, {0, 1}});
  SUBCASE("of all samples") {
    for (Session& session : sessions) session.classes.clear();
  }
  SUBCASE("inside the class") {}
  for (const Conditional conditional : {Conditional::time_delta, Conditional::delta_normal}) {
    const UnifiedDistribution distribution(options_for(conditional), labels_of(sessions));
    CHECK(distribution.num_sessions() == 3);
    const auto state = random.state();
    const Session& asker = sessions[1];
    for (std::int64_t sample = 0; sample < 60; ++sample) {
      const Samples aligned = distribution.align(random, 1, sample);
      REQUIRE(aligned.size() == 3);
      const float* label = asker.values.data() + sample * width;
      const std::vector<double> query(label, label + width);
      CHECK(aligned[1] == sample);
      for (const std::size_t other : {std::size_t{0}, std::size_t{2}}) {
        CHECK(aligned[other] == brute_force(sessions[other].values, width,
                                            candidates(sessions[other], asker, sample),
                                            query.data()));
      }
    }
    CHECK(random.state() == state);
  }
}

TEST_CASE("unified: with a discrete label alone, a random sample of the class is aligned") {
  const Sessions sessions = {{{}, {3, -2, 3}, {}}, {{}, {-2, 3, 3, -2, 3}, {}}};
  const UnifiedDistribution distribution(options_for(Conditional::discrete), labels_of(sessions));
  Random random(15, "unified");
  Samples partners;
  for (int i = 0; i < 9000; ++i) {
    const Samples aligned = distribution.align(random, 0, 2);
    REQUIRE(aligned[0] == 2);
    partners.push_back(aligned[1]);
  }
  const double third = 1.0 / 3;
  check_masses(partners, {{1, third}, {2, third}, {4, third}});
}

TEST_CASE("unified: one session's prior for the batch, the others aligned") {
  Random random(16, "unified");
  const Sessions values = random_sessions(random, {40, 60, 50}, {{0, 1}, {1, 0}, {0, 1}});
  const Sessions classes = only_classes_of(values);
  for (const auto& options :
       {options_for(Conditional::time_delta, 3), uniform(options_for(Conditional::delta_normal)),
        uniform(options_for(Conditional::discrete))}) {
    const bool discrete = options.conditional == Conditional::discrete;
    const auto labels = labels_of(discrete ? classes : values);
    const UnifiedDistribution distribution(options, labels);
    constexpr std::int64_t n = 20;
    const auto check = [&](const Samples& drawn, Random& replay, std::int64_t session) {
      const auto alone = make_distribution(options, labels[static_cast<std::size_t>(session)]);
      const Samples chosen = draw_prior(*alone, replay, n);
      REQUIRE(drawn.size() == 3 * n);
      for (std::int64_t b = 0; b < n; ++b) {
        const Samples aligned = distribution.align(replay, session, at(chosen, b));
        for (std::int64_t s = 0; s < 3; ++s) CHECK(at(drawn, s * n + b) == at(aligned, s));
      }
      CHECK(random.state() == replay.state());
    };
    for (int batch = 0; batch < 5; ++batch) {
      Random replay = random;
      const Samples drawn = distribution.prior(random, n);
      check(drawn, replay, replay.below(3));
    }
    Random replay = random;
    const Samples drawn = distribution.prior(random, 2, n);
    check(drawn, replay, 2);
  }
}

TEST_CASE("unified: positives are drawn in each session on its own") {
  Random random(17, "unified");
  const Sessions values = random_sessions(random, {40, 60}, {{0, 1}, {1, 0}});
  const Sessions classes = only_classes_of(values);
  const Samples whole = {0};  // no zero differences
  for (const auto& options :
       {options_for(Conditional::time_delta, 6), options_for(Conditional::delta_normal),
        options_for(Conditional::discrete)}) {
    const bool discrete = options.conditional == Conditional::discrete;
    auto labels = labels_of(discrete ? classes : values);
    const UnifiedDistribution distribution(options, labels);
    const Samples references = distribution.prior(random, 30);
    Random replay = random;
    const Samples positives = distribution.conditional(random, references, 30);
    REQUIRE(positives.size() == 60);
    for (std::size_t s = 0; s < 2; ++s) {
      labels[s].trials = &whole;
      const auto alone = make_distribution(options, labels[s]);
      const auto first = static_cast<std::ptrdiff_t>(30 * s);
      const Samples own(references.begin() + first, references.begin() + first + 30);
      const Samples expected = draw_positives(*alone, replay, own);
      CHECK(std::equal(expected.begin(), expected.end(), positives.begin() + first));
    }
    CHECK(random.state() == replay.state());
  }
}

TEST_CASE("unified: errors") {
  Random random(18, "unified");
  const Sessions plain = random_sessions(random, {20, 30});
  check_refused<UnifiedDistribution>(options_for(Conditional::time, 3), plain,
                                     "conditional \"time\" has no label to line sessions up by");
  const Sessions gaps = random_sessions(random, {40, 40}, {{0, 1, 8}, {0, 1}});
  for (const auto& sessions : {gaps, only_classes_of(gaps)}) {
    const bool discrete = sessions[0].values.empty();
    check_refused<UnifiedDistribution>(
        options_for(discrete ? Conditional::discrete : Conditional::time_delta), sessions,
        "session 1 has no sample of class 8");
  }

  const UnifiedDistribution distribution(options_for(Conditional::time_delta, 5), labels_of(plain));
  const auto outside = ErrorCode::out_of_range;
  for (const std::int64_t session : {-1, 2}) {
    const std::string piece = "session " + std::to_string(session) + ": there are sessions 0 to 1";
    check_error(outside, piece, [&] { distribution.prior(random, session, 4); });
    check_error(outside, piece, [&] { distribution.align(random, session, 0); });
  }
  check_error(outside, "session 0: reference sample 20",
              [&] { distribution.align(random, 0, 20); });
  check_error(outside, "session 1: reference sample -1", [&] {
    distribution.conditional(random, {0, -1}, 1);
  });
  const auto bad = ErrorCode::invalid_value;
  check_error(bad, "3 references were given for 2 sessions", [&] {
    distribution.conditional(random, {0, 0, 0}, 1);
  });
  for (const std::int64_t n : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    check_error(bad, std::to_string(n) + " samples were asked for",
                [&] { distribution.prior(random, 0, n); });
  }
}
