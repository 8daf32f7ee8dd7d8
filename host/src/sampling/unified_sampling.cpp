#include "sampling/sampling_rules.hpp"
#include "sampling/session_parts.hpp"

#include <grevy/host/session_sampling.hpp>

#include <limits>

// Order of the draws, part of the repeatability promise. prior(): below(S) unless the session is
// given; the n samples as in sampling.cpp; then, with a discrete label alone, sample after sample
// below(samples in the class) in each other session, ascending. conditional(): session after
// session as in sampling.cpp, with the session's own differences.

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Samples = std::vector<std::int64_t>;

SamplingOptions checked(const SamplingOptions& options) {
  if (options.conditional == Conditional::time) {
    refuse_sampling(
        "conditional \"time\" has no label to line sessions up by; allowed are \"time_delta\", "
        "\"delta_normal\" and \"discrete\"");
  }
  return options;
}

void check_classes(const SessionParts& sessions) {
  const SessionClasses& classes = sessions.classes();
  for (std::int64_t session = 0; session < sessions.count(); ++session) {
    for (std::int64_t cls = 0; cls < classes.num_classes(); ++cls) {
      if (classes.own(session, cls) >= 0) continue;
      refuse_sampling("session " + std::to_string(session) + " has no sample of class " +
                      std::to_string(classes.value(cls)) +
                      "; to line sessions up, each needs the classes of all");
    }
  }
}

}  // namespace

struct UnifiedDistribution::Parts {
  Parts(const SamplingOptions& options, const std::vector<SamplingLabels>& labels)
      : sessions(checked(options), labels, Differences::own) {
    check_classes(sessions);
  }

  // The sample of session `to` for that of session `from`.
  std::int64_t partner(Random& random, std::int64_t from, std::int64_t sample,
                       std::int64_t to) const {
    if (to == from) return sample;
    const SamplingParts& other = sessions.parts(to);
    const std::int64_t cls = sessions.classes().own(to, sessions.class_of(from, sample));
    if (other.search() == nullptr) return other.classes()->draw_from_class(random, cls);
    const LabelSearch& search = *sessions.parts(from).search();
    const float* label = search.label(sample);
    const std::vector<double> query(label, label + search.width());
    return other.search()->find(cls, query.data());
  }

  SessionParts sessions;
};

UnifiedDistribution::UnifiedDistribution(const SamplingOptions& options,
                                         const std::vector<SamplingLabels>& sessions)
    : parts_(std::make_unique<const Parts>(options, sessions)) {}

UnifiedDistribution::~UnifiedDistribution() = default;
UnifiedDistribution::UnifiedDistribution(UnifiedDistribution&&) noexcept = default;
UnifiedDistribution& UnifiedDistribution::operator=(UnifiedDistribution&&) noexcept = default;

std::int64_t UnifiedDistribution::num_sessions() const { return parts_->sessions.count(); }

Samples UnifiedDistribution::prior(Random& random, std::int64_t n) const {
  return prior(random, random.below(num_sessions()), n);
}

Samples UnifiedDistribution::prior(Random& random, std::int64_t session, std::int64_t n) const {
  parts_->sessions.check_session(session);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 8 / num_sessions();
  if (n < 0 || n > most) {
    refuse_sampling(std::to_string(n) + " samples were asked for; 0 to " + std::to_string(most) +
                    " are allowed");
  }
  Samples drawn(static_cast<std::size_t>(n));
  parts_->sessions.distribution(session).prior(random, n, drawn.data());
  Samples aligned(static_cast<std::size_t>(n * num_sessions()));
  for (std::int64_t b = 0; b < n; ++b) {
    for (std::int64_t s = 0; s < num_sessions(); ++s) {
      aligned[static_cast<std::size_t>(s * n + b)] =
          parts_->partner(random, session, drawn[static_cast<std::size_t>(b)], s);
    }
  }
  return aligned;
}

Samples UnifiedDistribution::conditional(Random& random, const Samples& references,
                                         std::int64_t n) const {
  parts_->sessions.check_references(references, n);
  Samples positives(references.size());
  for (std::int64_t s = 0; s < num_sessions(); ++s) {
    parts_->sessions.distribution(s).conditional(random, references.data() + s * n, n,
                                                 positives.data() + s * n);
  }
  return positives;
}

Samples UnifiedDistribution::align(Random& random, std::int64_t session,
                                   std::int64_t sample) const {
  parts_->sessions.check_session(session);
  in_session(session, [&] { parts_->sessions.parts(session).check_reference(sample); });
  Samples aligned;
  for (std::int64_t s = 0; s < num_sessions(); ++s) {
    aligned.push_back(parts_->partner(random, session, sample, s));
  }
  return aligned;
}

}  // namespace grevy::host
