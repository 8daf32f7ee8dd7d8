#include "session_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/session_sampling.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace grevy::host;
using namespace grevy::host::sampling_tests;
using grevy::ErrorCode;

namespace {

const Session& session_of(const Sessions& sessions, std::int64_t slot, std::int64_t n) {
  return sessions[static_cast<std::size_t>(slot / n)];
}

Samples draw_references(const SessionDistribution& distribution, Random& random, std::int64_t n) {
  Samples references(static_cast<std::size_t>(distribution.num_sessions() * n), -1);
  for (std::int64_t s = 0; s < distribution.num_sessions(); ++s) {
    distribution.prior(random, s, n, references.data() + s * n);
  }
  return references;
}

// Fisher and Yates, as the order of the draws is promised.
Samples permuted(Random& random, Samples numbers) {
  for (auto i = static_cast<std::int64_t>(numbers.size()) - 1; i > 0; --i) {
    std::swap(numbers[static_cast<std::size_t>(i)],
              numbers[static_cast<std::size_t>(random.below(i + 1))]);
  }
  return numbers;
}

// What holds for every draw, whatever its conditional.
void check_draw(const SessionDraw& draw, const Sessions& sessions, const Samples& references,
                std::int64_t n) {
  const auto slots = static_cast<std::int64_t>(sessions.size()) * n;
  REQUIRE(static_cast<std::int64_t>(draw.positives.size()) == slots);
  CHECK(draw.index_reversed == reverse_permutation(draw.index));
  for (std::int64_t slot = 0; slot < slots; ++slot) {
    const Session& holder = session_of(sessions, slot, n);
    const std::int64_t positive = at(draw.positives, slot);
    const std::int64_t reference = at(draw.index, slot);
    CHECK(at(draw.index_reversed, reference) == slot);
    REQUIRE(positive >= 0);
    REQUIRE(positive < holder.size());
    if (holder.classes.empty()) continue;
    const Session& asker = session_of(sessions, reference, n);
    CHECK(at(holder.classes, positive) == at(asker.classes, at(references, reference)));
  }
}

}  // namespace

TEST_CASE("permutation: reversed, or refused") {
  CHECK(reverse_permutation({2, 0, 3, 1}) == Samples{1, 3, 0, 2});
  CHECK(reverse_permutation({}).empty());
  const auto bad = ErrorCode::invalid_value;
  check_error(bad, "entry 2 of the index is 1; each of 0 to 2 is needed once", [] {
    reverse_permutation({0, 1, 1});
  });
  check_error(bad, "entry 0 of the index is 2", [] { reverse_permutation({2, 0}); });
  check_error(bad, "entry 1 of the index is -1", [] { reverse_permutation({0, -1}); });
}

TEST_CASE("sessions: the prior is that of the session alone") {
  Random random(1, "sessions");
  const Sessions sessions = random_sessions(random, {20, 30}, {{1, 2, 3}, {3, 7}});
  const auto labels = labels_of(sessions);
  for (const auto& options :
       {options_for(Conditional::time_delta), uniform(options_for(Conditional::delta_normal)),
        uniform(options_for(Conditional::discrete))}) {
    const SessionDistribution distribution(options, labels);
    CHECK(distribution.num_sessions() == 2);
    for (const std::int64_t session : {0, 1}) {
      const auto alone = make_distribution(options, labels[static_cast<std::size_t>(session)]);
      Random replay = random;
      Samples drawn(50, -1);
      distribution.prior(random, session, 50, drawn.data());
      CHECK(drawn == draw_prior(*alone, replay, 50));
      CHECK(random.state() == replay.state());
    }
    for (const std::int64_t session : {-1, 2}) {
      check_error(ErrorCode::out_of_range, "there are sessions 0 to 1",
                  [&] { distribution.prior(random, session, 0, nullptr); });
    }
  }
}

TEST_CASE("sessions: time_delta draws as promised and finds the nearest") {
  Random random(2, "sessions");
  Sessions sessions = random_sessions(random, {20, 3, 45});  // the second has no difference
  std::vector<std::pair<std::int64_t, std::int64_t>> pool;   // session and later sample
  SUBCASE("whole sessions") {
    for (std::int64_t k = 4; k < 20; ++k) pool.emplace_back(0, k);
    for (std::int64_t k = 4; k < 45; ++k) pool.emplace_back(2, k);
  }
  SUBCASE("trials") {
    sessions[0].trials = {0, 4, 15};
    sessions[2].trials = {0, 40};
    for (std::int64_t k = 8; k < 15; ++k) pool.emplace_back(0, k);
    pool.emplace_back(0, 19);
    for (std::int64_t k = 4; k < 40; ++k) pool.emplace_back(2, k);
    pool.emplace_back(2, 44);
  }
  const SessionDistribution distribution(options_for(Conditional::time_delta, 4),
                                         labels_of(sessions));
  const auto num_differences = static_cast<std::int64_t>(pool.size());
  CHECK(distribution.num_differences() == num_differences);

  constexpr std::int64_t n = 40;
  const Samples references = draw_references(distribution, random, n);
  Random replay = random;
  const SessionDraw draw = distribution.conditional(random, references, n);
  check_draw(draw, sessions, references, n);

  Samples differences;
  std::vector<double> queries;
  for (std::int64_t i = 0; i < 3 * n; ++i) {
    differences.push_back(replay.below(num_differences));
    const auto [from, k] = pool[static_cast<std::size_t>(differences.back())];
    const auto& steps = sessions[static_cast<std::size_t>(from)].values;
    const float* label = session_of(sessions, i, n).values.data() + at(references, i) * width;
    for (std::int64_t c = 0; c < width; ++c) {
      const auto value = [&](std::int64_t row) {
        return static_cast<double>(steps[static_cast<std::size_t>(row * width + c)]);
      };
      queries.push_back(static_cast<double>(label[c]) + (value(k) - value(k - 4)));
    }
  }
  CHECK(draw.index == permuted(replay, rows_to(3 * n)));
  CHECK(random.state() == replay.state());
  for (std::int64_t slot = 0; slot < 3 * n; ++slot) {
    const Session& holder = session_of(sessions, slot, n);
    CHECK(at(draw.positives, slot) == brute_force(holder.values, width, rows_to(holder.size()),
                                                  queries.data() + at(draw.index, slot) * width));
  }
  CHECK(distribution.queries(references, n, differences) == queries);
  CHECK(distribution.answer(references, n, differences, draw.index) == draw.positives);
}

TEST_CASE("sessions: delta_normal draws as promised and finds the nearest") {
  Random random(3, "sessions");
  const Sessions sessions = random_sessions(random, {30, 50});
  const SessionDistribution distribution(options_for(Conditional::delta_normal, 1, 0.7),
                                         labels_of(sessions));
  constexpr std::int64_t n = 30;
  const Samples references = draw_references(distribution, random, n);
  Random replay = random;
  const SessionDraw draw = distribution.conditional(random, references, n);
  check_draw(draw, sessions, references, n);
  std::vector<double> queries;
  for (std::int64_t i = 0; i < 2 * n; ++i) {
    const float* label = session_of(sessions, i, n).values.data() + at(references, i) * width;
    for (std::int64_t c = 0; c < width; ++c) {
      queries.push_back(static_cast<double>(label[c]) + 0.7 * replay.normal());
    }
  }
  CHECK(draw.index == permuted(replay, rows_to(2 * n)));
  CHECK(random.state() == replay.state());
  for (std::int64_t slot = 0; slot < 2 * n; ++slot) {
    const Session& holder = session_of(sessions, slot, n);
    CHECK(at(draw.positives, slot) == brute_force(holder.values, width, rows_to(holder.size()),
                                                  queries.data() + at(draw.index, slot) * width));
  }
}

TEST_CASE("sessions: every permutation is equally likely") {
  const Session session{{0, 0, 1, 1, 2, 2}, {}, {}};
  const SessionDistribution distribution(options_for(Conditional::time_delta),
                                         labels_of({session, session}));
  Random random(4, "sessions");
  std::map<Samples, std::int64_t> numbers;
  Samples order = rows_to(4);
  do {
    numbers.emplace(order, static_cast<std::int64_t>(numbers.size()));
  } while (std::next_permutation(order.begin(), order.end()));
  Samples drawn;
  for (int i = 0; i < 24000; ++i) {
    drawn.push_back(numbers.at(distribution.conditional(random, {0, 1, 2, 0}, 2).index));
  }
  check_masses(drawn, equal_masses(24));
}

TEST_CASE("sessions: discrete with the same classes everywhere") {
  Random random(5, "sessions");
  const Sessions sessions =
      only_classes_of(random_sessions(random, {40, 30, 50}, {{-1, 4, 9}, {9, 4, -1}, {4, -1, 9}}));
  const SessionDistribution distribution(options_for(Conditional::discrete), labels_of(sessions));
  constexpr std::int64_t n = 25;
  const Samples references = draw_references(distribution, random, n);
  Random replay = random;
  const SessionDraw draw = distribution.conditional(random, references, n);
  check_draw(draw, sessions, references, n);
  CHECK(draw.index == permuted(replay, rows_to(3 * n)));
  for (std::int64_t slot = 0; slot < 3 * n; ++slot) {
    const std::int64_t i = at(draw.index, slot);
    const Samples same =
        candidates(session_of(sessions, slot, n), session_of(sessions, i, n), at(references, i));
    CHECK(at(draw.positives, slot) ==
          at(same, replay.below(static_cast<std::int64_t>(same.size()))));
  }
  CHECK(random.state() == replay.state());
}

// Class 1 is everywhere, 2 and 3 are in sessions 0 and 1, 5 in session 2 only.
TEST_CASE("sessions: only sessions that have the class are asked for it") {
  Random random(6, "sessions");
  Sessions sessions = random_sessions(random, {60, 80, 40}, {{1, 2, 3}, {3, 1, 2}, {5, 1}});
  constexpr std::int64_t n = 30;
  for (const Conditional conditional :
       {Conditional::discrete, Conditional::time_delta, Conditional::delta_normal}) {
    const SessionDistribution distribution(uniform(options_for(conditional, 3, 2.0)),
                                           labels_of(sessions));
    const Samples references = draw_references(distribution, random, n);
    const SessionDraw draw = distribution.conditional(random, references, n);
    check_draw(draw, sessions, references, n);
    std::map<std::int64_t, std::int64_t> changed;  // class -> positives in another session
    for (std::int64_t slot = 0; slot < 3 * n; ++slot) {
      const std::int64_t i = at(draw.index, slot);
      const std::int64_t cls = at(session_of(sessions, i, n).classes, at(references, i));
      if (slot / n != i / n) ++changed[cls];
    }
    CHECK(changed[1] > 0);
    CHECK(changed[2] > 0);
    CHECK(changed[3] > 0);
    CHECK(changed[5] == 0);
  }
}

TEST_CASE("sessions: queries change places inside their group alone, all orders equally likely") {
  // References of classes 1 2 | 1 3 | 1 5: all sessions have 1; 2 and 3 are in the first two.
  const Sessions sessions = {{{}, {1, 2, 3}, {}}, {{}, {1, 3, 2}, {}}, {{}, {1, 5}, {}}};
  const SessionDistribution distribution(options_for(Conditional::discrete), labels_of(sessions));
  Random random(7, "sessions");
  Random replay = random;
  Samples everywhere;
  Samples somewhere;
  for (int i = 0; i < 12000; ++i) {
    const SessionDraw draw = distribution.conditional(random, {0, 1, 0, 1, 0, 1}, 2);
    REQUIRE(at(draw.index, 5) == 5);
    everywhere.push_back(at(draw.index, 0) * 100 + at(draw.index, 2) * 10 + at(draw.index, 4));
    somewhere.push_back(at(draw.index, 1) * 10 + at(draw.index, 3));
    if (i > 0) continue;
    const Samples first = permuted(replay, {0, 2, 4});  // the group of class 1 comes first
    const Samples second = permuted(replay, {1, 3});
    CHECK(draw.index == Samples{first[0], second[0], first[1], second[1], first[2], 5});
  }
  const double sixth = 1.0 / 6;
  check_masses(everywhere,
               {{24, sixth}, {42, sixth}, {204, sixth}, {240, sixth}, {402, sixth}, {420, sixth}});
  check_masses(somewhere, {{13, 0.5}, {31, 0.5}});
}

TEST_CASE("sessions: mixed finds the nearest inside the class") {
  Random random(8, "sessions");
  const Sessions sessions = random_sessions(random, {50, 40}, {{0, 2}, {2, 6}});
  const SessionDistribution distribution(options_for(Conditional::time_delta, 4),
                                         labels_of(sessions));
  constexpr std::int64_t n = 40;
  const Samples references = draw_references(distribution, random, n);
  Random replay = random;
  const SessionDraw draw = distribution.conditional(random, references, n);
  check_draw(draw, sessions, references, n);
  Samples differences;
  for (std::int64_t i = 0; i < 2 * n; ++i) differences.push_back(replay.below(46 + 36));
  const auto queries = distribution.queries(references, n, differences);
  for (std::int64_t slot = 0; slot < 2 * n; ++slot) {
    const std::int64_t i = at(draw.index, slot);
    const Session& holder = session_of(sessions, slot, n);
    const Samples same = candidates(holder, session_of(sessions, i, n), at(references, i));
    CHECK(at(draw.positives, slot) ==
          brute_force(holder.values, width, same, queries.data() + i * width));
  }
  CHECK(distribution.answer(references, n, differences, draw.index) == draw.positives);
}

TEST_CASE("sessions: time stays in the own session") {
  Random random(9, "sessions");
  Sessions sessions = random_sessions(random, {20, 30});
  sessions[1].trials = {0, 6, 10};
  const SessionDistribution distribution(options_for(Conditional::time, 5), labels_of(sessions));
  CHECK(distribution.num_differences() == 0);
  const Samples references = draw_references(distribution, random, 50);
  const auto state = random.state();
  const SessionDraw draw = distribution.conditional(random, references, 50);
  CHECK(random.state() == state);
  CHECK(draw.index == rows_to(100));
  CHECK(draw.index_reversed == rows_to(100));
  for (std::int64_t i = 0; i < 100; ++i) {
    CHECK(at(draw.positives, i) == at(references, i) + 5);
  }
  check_error(ErrorCode::out_of_range, "session 1: reference sample 3", [&] {
    distribution.conditional(random, {0, 3}, 1);
  });
  check_error(ErrorCode::invalid_state, "only conditional \"time_delta\"", [&] {
    distribution.queries({0, 0}, 1, {0, 0});
  });
}

TEST_CASE("sessions: labels may go away after construction; moving; empty batches") {
  Random random(10, "sessions");
  Sessions sessions = random_sessions(random, {20, 30}, {{0, 1}, {1, 0}});
  SessionDistribution first(options_for(Conditional::time_delta), labels_of(sessions));
  SessionDistribution second(options_for(Conditional::time_delta), labels_of(sessions));
  UnifiedDistribution unified(options_for(Conditional::time_delta), labels_of(sessions));
  sessions.clear();
  Random other = random;
  const SessionDistribution moved_to = std::move(first);
  const Samples references = draw_references(moved_to, random, 30);
  CHECK(references == draw_references(second, other, 30));
  const SessionDraw draw = moved_to.conditional(random, references, 30);
  CHECK(draw.positives == second.conditional(other, references, 30).positives);

  const UnifiedDistribution unified_moved = std::move(unified);
  const auto state = random.state();
  CHECK(moved_to.conditional(random, {}, 0).positives.empty());
  CHECK(unified_moved.prior(random, 1, 0).empty());
  CHECK(unified_moved.conditional(random, {}, 0).empty());
  CHECK(random.state() == state);
}

TEST_CASE("sessions: bad references, differences and indices are refused") {
  Random random(11, "sessions");
  const Sessions sessions = random_sessions(random, {20, 30}, {{0, 1}, {2, 0}});
  const SessionDistribution distribution(options_for(Conditional::time_delta, 5),
                                         labels_of(sessions));
  const auto bad = ErrorCode::invalid_value;
  const auto state = random.state();
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{2}, std::int64_t{-1},
                               std::numeric_limits<std::int64_t>::max()}) {
    check_error(bad, "2 references were given for 2 sessions; " + std::to_string(n), [&] {
      distribution.conditional(random, {0, 0}, n);
    });
  }
  check_error(bad, "3 references were given", [&] {
    distribution.conditional(random, {0, 0, 0}, 1);
  });
  for (const std::int64_t reference : {-1, 20}) {
    check_error(ErrorCode::out_of_range, "session 0: reference sample " + std::to_string(reference),
                [&] {
                  distribution.conditional(random, {reference, 0}, 1);
                });
  }
  CHECK(random.state() == state);

  check_error(bad, "1 differences were given for 2 references", [&] {
    distribution.queries({0, 0}, 1, {0});
  });
  for (const std::int64_t difference : {-1, 40}) {
    check_error(ErrorCode::out_of_range, "the pool has differences 0 to 39", [&] {
      distribution.queries({0, 0}, 1, {0, difference});
    });
  }
  check_error(bad, "the index has 1 entries for 2 references", [&] {
    distribution.answer({0, 0}, 1, {0, 0}, {0});
  });
  check_error(bad, "entry 1 of the index is 0", [&] {
    distribution.answer({0, 0}, 1, {0, 0}, {0, 0});
  });
  const auto one = std::find(sessions[0].classes.begin(), sessions[0].classes.end(), 1);
  const std::int64_t reference = one - sessions[0].classes.begin();
  check_error(bad, "hands reference 0 of class 1 to session 1, which does not have this class",
              [&] {
                distribution.answer({reference, 0}, 1, {0, 0}, {1, 0});
              });
}

TEST_CASE("sessions: sets of sessions that do not fit are refused") {
  Random random(12, "sessions");
  const auto time_delta = options_for(Conditional::time_delta, 5);
  const auto refused = [&](const SamplingOptions& options, const Sessions& sessions,
                           const std::string& piece) {
    check_refused<SessionDistribution>(options, sessions, piece);
    check_refused<UnifiedDistribution>(options, sessions, piece);
  };
  refused(time_delta, {}, "no session was given");
  const Sessions plain = random_sessions(random, {20, 30});
  const Sessions mixed = random_sessions(random, {20, 30}, {{0, 1}, {0, 1}});
  refused(time_delta, {plain[0], mixed[1]},
          "session 1 has a discrete label but session 0 has none");
  refused(time_delta, {mixed[0], plain[1]},
          "session 1 has no discrete label but session 0 has one");
  refused(options_for(Conditional::discrete), {mixed[0], plain[1]},
          "session 1: sampling: conditional \"discrete\" needs a discrete label");
  refused(options_for(Conditional::delta_normal, 1, 0), plain, "session 0: sampling: delta is 0");
  refused(uniform(time_delta), plain, "session 0: sampling: prior \"uniform\"");
  Sessions crossed = plain;
  crossed[1].trials = {0, 40};
  refused(time_delta, crossed, "session 1: sampling: trial 1 begins with sample 40");
  Sessions holes = plain;
  holes[1].values[5] = std::nanf("");
  const std::string hole = "session 1: continuous label of sample 2, column 1";
  check_refused<SessionDistribution>(time_delta, holes, hole, ErrorCode::non_finite);
  check_refused<UnifiedDistribution>(time_delta, holes, hole, ErrorCode::non_finite);

  auto labels = labels_of(plain);
  labels[1].width = 1;
  const std::string widths =
      "session 1 has a continuous label of width 1, session 0 one of width 2; all sessions need";
  check_error(ErrorCode::invalid_value, widths, [&] { SessionDistribution(time_delta, labels); });
  check_error(ErrorCode::invalid_value, widths, [&] { UnifiedDistribution(time_delta, labels); });
}

TEST_CASE("sessions: one session at least has a difference, with time every one") {
  Random random(13, "sessions");
  Sessions sessions = random_sessions(random, {20, 30});
  sessions[1].trials = {0, 8, 16, 24};
  const std::string longest = "1 to below the samples of the longest session or trial, 20";
  for (const std::int64_t offset :
       {std::int64_t{0}, std::int64_t{-3}, std::int64_t{20},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    check_refused<SessionDistribution>(options_for(Conditional::time_delta, offset), sessions,
                                       longest);
  }
  const SessionDistribution distribution(options_for(Conditional::time_delta, 19),
                                         labels_of(sessions));
  CHECK(distribution.num_differences() == 1);
  check_refused<SessionDistribution>(options_for(Conditional::time, 8), sessions,
                                     "session 1: sampling: time_offset is 8, conditional \"time\" "
                                     "allows 1 to below the samples of "
                                     "the longest trial, 8");
  check_refused<UnifiedDistribution>(options_for(Conditional::time_delta, 8), sessions,
                                     "session 1: sampling: time_offset is 8");
}
