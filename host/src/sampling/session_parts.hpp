// What the distributions over several sessions are made of.
#ifndef GREVY_HOST_SESSION_PARTS_HPP
#define GREVY_HOST_SESSION_PARTS_HPP

#include "sampling/sampling_parts.hpp"

#include <grevy/error.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

// The classes of all sessions, numbered by ascending label value. Without discrete labels all
// samples are of class 0.
class SessionClasses {
 public:
  // One table for each session, or null for all.
  explicit SessionClasses(const std::vector<const ClassTable*>& sessions);

  std::int64_t num_classes() const { return static_cast<std::int64_t>(group_.size()); }
  std::int64_t value(std::int64_t cls) const { return values_[static_cast<std::size_t>(cls)]; }
  // From a class of a session and back; -1: the session has no such class.
  std::int64_t common(std::int64_t session, std::int64_t own) const;
  std::int64_t own(std::int64_t session, std::int64_t common) const;
  // Classes that occur in the same sessions are a group. Groups are numbered in the order of their
  // first classes.
  std::int64_t num_groups() const { return num_groups_; }
  std::int64_t group(std::int64_t cls) const { return group_[static_cast<std::size_t>(cls)]; }

 private:
  void find_groups();

  std::vector<std::int64_t> values_;
  std::vector<std::vector<std::int64_t>> own_values_;  // session, class -> label value
  std::vector<std::int64_t> group_;
  std::int64_t num_groups_ = 0;
};

// All sessions for one set of options.
class SessionParts {
 public:
  // Errors: those that SessionDistribution and UnifiedDistribution share; with
  // Differences::shared no session at all has a difference.
  SessionParts(const SamplingOptions& options, const std::vector<SamplingLabels>& sessions,
               Differences differences);

  const SamplingOptions& options() const { return parts(0).options(); }
  std::int64_t count() const { return static_cast<std::int64_t>(parts_.size()); }
  const SamplingParts& parts(std::int64_t session) const {
    return *parts_[static_cast<std::size_t>(session)];
  }
  // What a session draws alone.
  const Distribution& distribution(std::int64_t session) const {
    return *distributions_[static_cast<std::size_t>(session)];
  }
  const SessionClasses& classes() const { return classes_; }
  std::int64_t class_of(std::int64_t session, std::int64_t sample) const {
    return classes_.common(session, parts(session).class_of(sample));
  }

  // Errors: out_of_range.
  void check_session(std::int64_t session) const;
  // (S, n) references. Errors: invalid_value, out_of_range.
  void check_references(const std::vector<std::int64_t>& references, std::int64_t n) const;
  // The session of each reference, `counts` of each session laid end to end. Errors: as above.
  std::vector<std::int64_t> owners(const std::vector<std::int64_t>& references,
                                   const std::vector<std::int64_t>& counts) const;

 private:
  std::vector<std::shared_ptr<const SamplingParts>> parts_;
  std::vector<std::unique_ptr<Distribution>> distributions_;
  SessionClasses classes_;
};

// Calls `work`; its errors name the session.
template <class Work>
auto in_session(std::int64_t session, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(error.code(), "session " + std::to_string(session) + ": " + error.what());
  }
}

}  // namespace grevy::host

#endif
