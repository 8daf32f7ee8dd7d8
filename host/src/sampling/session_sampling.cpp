#include "sampling/sampling_rules.hpp"
#include "sampling/session_parts.hpp"

#include <grevy/host/session_sampling.hpp>

#include <algorithm>
#include <numeric>
#include <utility>

// Order of the draws, part of the repeatability promise. A prior: as in sampling.cpp.
// conditional(): first the queries, reference after reference: below(differences of all sessions)
// (time_delta) or one normal per column (delta_normal). Then the permutation, group after group:
// the m slots of a group ascending, for i = m - 1 down to 1 below(i + 1) says which one changes
// places with slot i (Fisher & Yates 1938, in Durstenfeld's order). Then, slot after slot,
// below(samples in the class) (discrete). `time` draws nothing.

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Samples = std::vector<std::int64_t>;

Samples identity(std::size_t size) {
  Samples numbers(size);
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  return numbers;
}

void shuffle(Random& random, Samples& numbers) {
  for (std::size_t left = numbers.size(); left > 1; --left) {
    const std::int64_t chosen = random.below(static_cast<std::int64_t>(left));
    std::swap(numbers[left - 1], numbers[static_cast<std::size_t>(chosen)]);
  }
}

// The session of each of (S, n).
Samples owners_of(const Samples& references, std::int64_t n) {
  Samples owners;
  for (std::size_t i = 0; i < references.size(); ++i)
    owners.push_back(static_cast<std::int64_t>(i) / n);
  return owners;
}

}  // namespace

Samples reverse_permutation(const Samples& permutation) {
  Samples reversed(permutation.size(), -1);
  const auto size = static_cast<std::int64_t>(permutation.size());
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t number = permutation[static_cast<std::size_t>(i)];
    const bool fresh =
        number >= 0 && number < size && reversed[static_cast<std::size_t>(number)] < 0;
    if (!fresh) {
      refuse_sampling("entry " + std::to_string(i) + " of the index is " + std::to_string(number) +
                      "; each of 0 to " + std::to_string(size - 1) + " is needed once");
    }
    reversed[static_cast<std::size_t>(number)] = i;
  }
  return reversed;
}

struct SessionDistribution::Parts {
  Parts(const SamplingOptions& options, const std::vector<SamplingLabels>& labels);

  bool is(Conditional conditional) const { return sessions.options().conditional == conditional; }
  std::size_t width() const {
    return static_cast<std::size_t>(sessions.parts(0).search()->width());
  }
  std::int64_t num_differences() const { return first_difference.back(); }
  void check_differences(const Samples& differences, std::size_t num_references) const;
  void add_difference(std::int64_t difference, double* query) const;
  std::vector<double> labels_of(const Samples& references, const Samples& owners) const;
  std::vector<double> draw_queries(Random& random, const Samples& references,
                                   const Samples& owners) const;

  Samples classes_of(const Samples& references, const Samples& owners) const;
  Samples draw_index(Random& random, const Samples& classes) const;
  Samples own_classes(const Samples& classes, const Samples& index, const Samples& owners) const;

  Samples answer_time(const Samples& references) const;
  Samples answer_discrete(Random& random, const Samples& own_classes, const Samples& owners) const;
  Samples answer_nearest(const std::vector<double>& queries, const Samples& index,
                         const Samples& own_classes, const Samples& owners) const;

  SessionParts sessions;
  Samples first_difference;  // of each session in the pool; then the size of the pool
};

SessionDistribution::Parts::Parts(const SamplingOptions& options,
                                  const std::vector<SamplingLabels>& labels)
    : sessions(options, labels, Differences::shared), first_difference{0} {
  for (std::int64_t s = 0; s < sessions.count(); ++s) {
    const DifferencePool* pool = sessions.parts(s).pool();
    first_difference.push_back(first_difference.back() + (pool ? pool->count() : 0));
  }
}

void SessionDistribution::Parts::check_differences(const Samples& differences,
                                                   std::size_t num_references) const {
  if (!is(Conditional::time_delta)) {
    throw Error(ErrorCode::invalid_state,
                "sampling: only conditional \"time_delta\" has numbered differences");
  }
  if (differences.size() != num_references) {
    refuse_sampling(std::to_string(differences.size()) + " differences were given for " +
                    std::to_string(num_references) + " references; one for each is needed");
  }
  for (const std::int64_t difference : differences) {
    if (difference >= 0 && difference < num_differences()) continue;
    throw Error(ErrorCode::out_of_range, "difference " + std::to_string(difference) +
                                             ": the pool has differences 0 to " +
                                             std::to_string(num_differences() - 1));
  }
}

void SessionDistribution::Parts::add_difference(std::int64_t difference, double* query) const {
  const auto after = std::upper_bound(first_difference.begin(), first_difference.end(), difference);
  const std::int64_t session = after - first_difference.begin() - 1;
  sessions.parts(session).pool()->add(difference - *(after - 1), query);
}

std::vector<double> SessionDistribution::Parts::labels_of(const Samples& references,
                                                          const Samples& owners) const {
  std::vector<double> labels;
  labels.reserve(references.size() * width());
  for (std::size_t i = 0; i < references.size(); ++i) {
    const LabelSearch& search = *sessions.parts(owners[i]).search();
    const float* label = search.label(references[i]);
    labels.insert(labels.end(), label, label + search.width());
  }
  return labels;
}

std::vector<double> SessionDistribution::Parts::draw_queries(Random& random,
                                                             const Samples& references,
                                                             const Samples& owners) const {
  std::vector<double> queries = labels_of(references, owners);
  if (is(Conditional::delta_normal)) {
    for (double& value : queries) value += sessions.options().delta * random.normal();
    return queries;
  }
  for (std::size_t i = 0; i < references.size(); ++i) {
    add_difference(random.below(num_differences()), queries.data() + i * width());
  }
  return queries;
}

Samples SessionDistribution::Parts::classes_of(const Samples& references,
                                               const Samples& owners) const {
  Samples classes;
  classes.reserve(references.size());
  for (std::size_t i = 0; i < references.size(); ++i) {
    classes.push_back(sessions.class_of(owners[i], references[i]));
  }
  return classes;
}

// The slots of a group's own references all lie in sessions that have the group's classes.
Samples SessionDistribution::Parts::draw_index(Random& random, const Samples& classes) const {
  const SessionClasses& all = sessions.classes();
  std::vector<Samples> slots(static_cast<std::size_t>(all.num_groups()));
  for (std::size_t i = 0; i < classes.size(); ++i) {
    slots[static_cast<std::size_t>(all.group(classes[i]))].push_back(static_cast<std::int64_t>(i));
  }
  Samples index(classes.size());
  for (const Samples& group : slots) {
    Samples references = group;
    shuffle(random, references);
    for (std::size_t i = 0; i < group.size(); ++i) {
      index[static_cast<std::size_t>(group[i])] = references[i];
    }
  }
  return index;
}

// The class that each slot is asked for, as its session numbers it.
Samples SessionDistribution::Parts::own_classes(const Samples& classes, const Samples& index,
                                                const Samples& owners) const {
  Samples own;
  own.reserve(index.size());
  for (std::size_t slot = 0; slot < index.size(); ++slot) {
    const std::int64_t session = owners[slot];
    const std::int64_t cls = classes[static_cast<std::size_t>(index[slot])];
    own.push_back(sessions.classes().own(session, cls));
    if (own.back() >= 0) continue;
    refuse_sampling("the index hands reference " + std::to_string(index[slot]) + " of class " +
                    std::to_string(sessions.classes().value(cls)) + " to session " +
                    std::to_string(session) + ", which does not have this class");
  }
  return own;
}

Samples SessionDistribution::Parts::answer_time(const Samples& references) const {
  Samples positives = references;
  for (std::int64_t& sample : positives) sample += sessions.options().time_offset;
  return positives;
}

Samples SessionDistribution::Parts::answer_discrete(Random& random, const Samples& own_classes,
                                                    const Samples& owners) const {
  Samples positives;
  positives.reserve(own_classes.size());
  for (std::size_t slot = 0; slot < own_classes.size(); ++slot) {
    const SamplingParts& session = sessions.parts(owners[slot]);
    positives.push_back(session.classes()->draw_from_class(random, own_classes[slot]));
  }
  return positives;
}

Samples SessionDistribution::Parts::answer_nearest(const std::vector<double>& queries,
                                                   const Samples& index, const Samples& own_classes,
                                                   const Samples& owners) const {
  Samples positives;
  positives.reserve(index.size());
  for (std::size_t slot = 0; slot < index.size(); ++slot) {
    const SamplingParts& session = sessions.parts(owners[slot]);
    const double* query = queries.data() + static_cast<std::size_t>(index[slot]) * width();
    positives.push_back(session.search()->find(own_classes[slot], query));
  }
  return positives;
}

SessionDistribution::SessionDistribution(const SamplingOptions& options,
                                         const std::vector<SamplingLabels>& sessions)
    : parts_(std::make_unique<const Parts>(options, sessions)) {}

SessionDistribution::~SessionDistribution() = default;
SessionDistribution::SessionDistribution(SessionDistribution&&) noexcept = default;
SessionDistribution& SessionDistribution::operator=(SessionDistribution&&) noexcept = default;

std::int64_t SessionDistribution::num_sessions() const { return parts_->sessions.count(); }

std::int64_t SessionDistribution::num_differences() const { return parts_->num_differences(); }

void SessionDistribution::prior(Random& random, std::int64_t session, std::int64_t count,
                                std::int64_t* samples) const {
  parts_->sessions.check_session(session);
  parts_->sessions.distribution(session).prior(random, count, samples);
}

SessionDraw SessionDistribution::conditional(Random& random, const Samples& references,
                                             std::int64_t n) const {
  parts_->sessions.check_references(references, n);
  return conditional(random, references, Samples(static_cast<std::size_t>(num_sessions()), n));
}

SessionDraw SessionDistribution::conditional(Random& random, const Samples& references,
                                             const Samples& counts) const {
  const Samples owners = parts_->sessions.owners(references, counts);
  if (parts_->is(Conditional::time)) {
    const Samples index = identity(references.size());
    return {parts_->answer_time(references), index, index};
  }
  const bool discrete = parts_->is(Conditional::discrete);
  const auto queries =
      discrete ? std::vector<double>() : parts_->draw_queries(random, references, owners);
  const Samples classes = parts_->classes_of(references, owners);
  SessionDraw draw;
  draw.index = parts_->draw_index(random, classes);
  draw.index_reversed = reverse_permutation(draw.index);
  const Samples own = parts_->own_classes(classes, draw.index, owners);
  draw.positives = discrete ? parts_->answer_discrete(random, own, owners)
                            : parts_->answer_nearest(queries, draw.index, own, owners);
  return draw;
}

bool SessionDistribution::has_positive(std::int64_t session, std::int64_t sample) const {
  parts_->sessions.check_session(session);
  return parts_->sessions.distribution(session).has_positive(sample);
}

std::vector<double> SessionDistribution::queries(const Samples& references, std::int64_t n,
                                                 const Samples& differences) const {
  parts_->sessions.check_references(references, n);
  parts_->check_differences(differences, references.size());
  std::vector<double> moved = parts_->labels_of(references, owners_of(references, n));
  for (std::size_t i = 0; i < differences.size(); ++i) {
    parts_->add_difference(differences[i], moved.data() + i * parts_->width());
  }
  return moved;
}

Samples SessionDistribution::answer(const Samples& references, std::int64_t n,
                                    const Samples& differences, const Samples& index) const {
  const std::vector<double> moved = queries(references, n, differences);
  if (index.size() != references.size()) {
    refuse_sampling("the index has " + std::to_string(index.size()) + " entries for " +
                    std::to_string(references.size()) + " references; one for each is needed");
  }
  reverse_permutation(index);
  const Samples owners = owners_of(references, n);
  const Samples own = parts_->own_classes(parts_->classes_of(references, owners), index, owners);
  return parts_->answer_nearest(moved, index, own, owners);
}

}  // namespace grevy::host
