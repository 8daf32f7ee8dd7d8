// What the tests of sampling over several sessions share.
#ifndef GREVY_TESTS_UNIT_SESSION_SUPPORT_HPP
#define GREVY_TESTS_UNIT_SESSION_SUPPORT_HPP

#include "sampling_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/session_sampling.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace grevy::host::sampling_tests {

constexpr std::int64_t width = 2;

struct Session {
  std::vector<float> values;
  Samples classes;  // empty: none
  Samples trials;   // empty: none

  std::int64_t size() const {
    return values.empty() ? static_cast<std::int64_t>(classes.size())
                          : static_cast<std::int64_t>(values.size()) / width;
  }
};

using Sessions = std::vector<Session>;

inline std::vector<SamplingLabels> labels_of(const Sessions& sessions) {
  std::vector<SamplingLabels> labels;
  for (const Session& session : sessions) {
    labels.emplace_back();
    labels.back().num_samples = session.size();
    if (!session.values.empty()) labels.back().continuous = session.values.data();
    labels.back().width = session.values.empty() ? 0 : width;
    if (!session.classes.empty()) labels.back().discrete = &session.classes;
    if (!session.trials.empty()) labels.back().trials = &session.trials;
  }
  return labels;
}

// `classes`: one list of possible classes for each session, or none.
inline Sessions random_sessions(Random& random, const Samples& sizes,
                                const std::vector<Samples>& classes = {}) {
  Sessions sessions;
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    sessions.push_back({scatter(random, sizes[s], width, 0, 1), {}, {}});
    if (classes.empty()) continue;
    const Samples& allowed = classes[s];
    for (std::int64_t i = 0; i < sizes[s]; ++i) {
      const auto chosen = random.below(static_cast<std::int64_t>(allowed.size()));
      sessions.back().classes.push_back(allowed[static_cast<std::size_t>(chosen)]);
    }
  }
  return sessions;
}

// Without values: for `discrete`.
inline Sessions only_classes_of(Sessions sessions) {
  for (Session& session : sessions) session.values.clear();
  return sessions;
}

inline std::int64_t at(const Samples& samples, std::int64_t i) {
  return samples[static_cast<std::size_t>(i)];
}

// Samples of a session that have the class, or all where there are none.
inline Samples candidates(const Session& session, const Session& asker, std::int64_t reference) {
  Samples found;
  for (std::int64_t i = 0; i < session.size(); ++i) {
    if (session.classes.empty() || at(session.classes, i) == at(asker.classes, reference)) {
      found.push_back(i);
    }
  }
  return found;
}

template <class Work>
void check_error(ErrorCode code, const std::string& piece, const Work& work) {
  try {
    work();
    FAIL_CHECK("no error with: " << piece);
  } catch (const Error& error) {
    CAPTURE(error.what());
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find(piece) != std::string::npos);
  }
}

// The errors that both distributions share.
template <class Made>
void check_refused(const SamplingOptions& options, const Sessions& sessions,
                   const std::string& piece, ErrorCode code = ErrorCode::invalid_value) {
  check_error(code, piece, [&] { Made(options, labels_of(sessions)); });
}

}  // namespace grevy::host::sampling_tests

#endif
