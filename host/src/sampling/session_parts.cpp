#include "sampling/session_parts.hpp"

#include "sampling/sampling_rules.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace grevy::host {
namespace {

using Parts = std::vector<std::shared_ptr<const SamplingParts>>;

// A session may be too short for a difference, but not all may.
void check_shared_differences(const SamplingOptions& options,
                              const std::vector<SamplingLabels>& sessions) {
  if (options.conditional != SamplingOptions::Conditional::time_delta) return;
  std::int64_t longest = 0;
  for (std::size_t s = 0; s < sessions.size(); ++s) {
    in_session(static_cast<std::int64_t>(s), [&] { check_sampling(options, sessions[s]); });
    longest = std::max(longest, longest_trial(sessions[s]));
  }
  check_time_offset(options, longest, "the samples of the longest session or trial");
}

void check_alike(const SamplingParts& first, const SamplingParts& other, std::int64_t session) {
  const auto refuse = [&](const std::string& text) {
    refuse_sampling("session " + std::to_string(session) + ' ' + text);
  };
  if ((first.classes() == nullptr) != (other.classes() == nullptr)) {
    refuse(other.classes() ? "has a discrete label but session 0 has none; give it to all or none"
                           : "has no discrete label but session 0 has one; give it to all or none");
  }
  if (first.search() == nullptr || first.search()->width() == other.search()->width()) return;
  refuse("has a continuous label of width " + std::to_string(other.search()->width()) +
         ", session 0 one of width " + std::to_string(first.search()->width()) +
         "; all sessions need the same width");
}

Parts make_parts(const SamplingOptions& options, const std::vector<SamplingLabels>& sessions,
                 Differences differences) {
  if (sessions.empty()) refuse_sampling("no session was given, at least one is needed");
  if (differences == Differences::shared) check_shared_differences(options, sessions);
  Parts parts;
  for (const SamplingLabels& labels : sessions) {
    const auto session = static_cast<std::int64_t>(parts.size());
    parts.push_back(in_session(session, [&] {
      return std::make_shared<const SamplingParts>(options, labels, differences);
    }));
    check_alike(*parts.front(), *parts.back(), session);
  }
  return parts;
}

std::vector<std::unique_ptr<Distribution>> make_distributions(const Parts& parts) {
  std::vector<std::unique_ptr<Distribution>> made;
  for (const auto& session : parts) made.push_back(make_distribution(session));
  return made;
}

std::vector<const ClassTable*> class_tables(const Parts& parts) {
  std::vector<const ClassTable*> tables;
  for (const auto& session : parts) tables.push_back(session->classes());
  return tables;
}

// Position of a value among ascending ones, -1 where it is missing.
std::int64_t position(const std::vector<std::int64_t>& values, std::int64_t value) {
  const auto found = std::lower_bound(values.begin(), values.end(), value);
  return found != values.end() && *found == value ? found - values.begin() : -1;
}

}  // namespace

SessionClasses::SessionClasses(const std::vector<const ClassTable*>& sessions) {
  for (const ClassTable* table : sessions) {
    own_values_.push_back(table ? table->values() : std::vector<std::int64_t>{0});
    values_.insert(values_.end(), own_values_.back().begin(), own_values_.back().end());
  }
  std::sort(values_.begin(), values_.end());
  values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
  find_groups();
}

void SessionClasses::find_groups() {
  std::map<std::vector<bool>, std::int64_t> groups;  // by the sessions that have the class
  for (std::int64_t cls = 0; cls < static_cast<std::int64_t>(values_.size()); ++cls) {
    std::vector<bool> present;
    for (std::size_t s = 0; s < own_values_.size(); ++s) {
      present.push_back(own(static_cast<std::int64_t>(s), cls) >= 0);
    }
    group_.push_back(groups.emplace(present, num_groups_).first->second);
    num_groups_ = static_cast<std::int64_t>(groups.size());
  }
}

std::int64_t SessionClasses::common(std::int64_t session, std::int64_t own) const {
  const auto& values = own_values_[static_cast<std::size_t>(session)];
  return position(values_, values[static_cast<std::size_t>(own)]);
}

std::int64_t SessionClasses::own(std::int64_t session, std::int64_t common) const {
  return position(own_values_[static_cast<std::size_t>(session)], value(common));
}

SessionParts::SessionParts(const SamplingOptions& options,
                           const std::vector<SamplingLabels>& sessions, Differences differences)
    : parts_(make_parts(options, sessions, differences)),
      distributions_(make_distributions(parts_)),
      classes_(class_tables(parts_)) {}

void SessionParts::check_session(std::int64_t session) const {
  if (session >= 0 && session < count()) return;
  throw Error(ErrorCode::out_of_range, "session " + std::to_string(session) +
                                           ": there are sessions 0 to " +
                                           std::to_string(count() - 1));
}

void SessionParts::check_references(const std::vector<std::int64_t>& references,
                                    std::int64_t n) const {
  const auto found = static_cast<std::int64_t>(references.size());
  if (n < 0 || found % count() != 0 || found / count() != n) {
    refuse_sampling(std::to_string(found) + " references were given for " +
                    std::to_string(count()) + " sessions; " + std::to_string(n) +
                    " (0 or more) are needed for each");
  }
  for (std::int64_t i = 0; i < found; ++i) {
    const std::int64_t reference = references[static_cast<std::size_t>(i)];
    in_session(i / n, [&] { parts(i / n).check_reference(reference); });
  }
}

std::vector<std::int64_t> SessionParts::owners(const std::vector<std::int64_t>& references,
                                               const std::vector<std::int64_t>& counts) const {
  std::vector<std::int64_t> owners;
  for (std::size_t s = 0; s < counts.size() && counts[s] >= 0; ++s) {
    const auto size = owners.size() + static_cast<std::size_t>(counts[s]);
    if (size <= references.size()) owners.resize(size, static_cast<std::int64_t>(s));
  }
  const std::int64_t wanted = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (static_cast<std::int64_t>(counts.size()) != count() || owners.size() != references.size() ||
      wanted != static_cast<std::int64_t>(references.size())) {
    refuse_sampling(std::to_string(references.size()) + " references were given with " +
                    std::to_string(counts.size()) + " counts that add up to " +
                    std::to_string(wanted) + "; one count for each of " + std::to_string(count()) +
                    " sessions is needed, and as many references");
  }
  for (std::size_t i = 0; i < references.size(); ++i) {
    in_session(owners[i], [&] { parts(owners[i]).check_reference(references[i]); });
  }
  return owners;
}

}  // namespace grevy::host
