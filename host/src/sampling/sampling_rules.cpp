#include "sampling/sampling_rules.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Prior = SamplingOptions::Prior;

enum class Need { never, optional, always };

struct Rule {
  Conditional conditional;
  const char* name;
  Need continuous;  // never: not looked at
  Need discrete;
  bool uses_time_offset;
  bool uses_delta;
};

constexpr Rule rules[] = {
    {Conditional::time, "time", Need::never, Need::never, true, false},
    {Conditional::time_delta, "time_delta", Need::always, Need::optional, true, false},
    {Conditional::delta_normal, "delta_normal", Need::always, Need::optional, false, true},
    {Conditional::discrete, "discrete", Need::never, Need::always, false, false},
};

const Rule& rule_of(Conditional conditional) {
  for (const Rule& rule : rules) {
    if (rule.conditional == conditional) return rule;
  }
  refuse_sampling("conditional number " + std::to_string(static_cast<int>(conditional)) +
                  " is unknown; allowed are time, time_delta, delta_normal and discrete");
}

std::string quoted(const char* name) { return '"' + std::string(name) + '"'; }

void check_delta(const Rule& rule, double delta) {
  if (!rule.uses_delta || (delta > 0 && std::isfinite(delta))) return;
  refuse_sampling("delta is " + std::to_string(delta) + ", conditional " + quoted(rule.name) +
                  " needs a finite number above 0");
}

void check_continuous(const Rule& rule, const SamplingLabels& labels) {
  if (rule.continuous == Need::never) return;
  if (labels.continuous == nullptr) {
    refuse_sampling(
        "conditional " + quoted(rule.name) +
        " needs a continuous label and none was given; without one \"time\" and \"discrete\" are "
        "allowed");
  }
  if (labels.width < 1 ||
      labels.num_samples > std::numeric_limits<std::int64_t>::max() / 8 / labels.width) {
    refuse_sampling("the continuous label has " + std::to_string(labels.num_samples) +
                    " rows of width " + std::to_string(labels.width) +
                    "; the width must be at least 1 and the size addressable");
  }
}

void check_discrete(const Rule& rule, const SamplingOptions& options,
                    const SamplingLabels& labels) {
  const bool given = labels.discrete != nullptr;
  if (given && rule.discrete == Need::never) {
    refuse_sampling("conditional " + quoted(rule.name) +
                    " takes no discrete label but one was given; leave it out or use \"discrete\", "
                    "\"time_delta\" or \"delta_normal\"");
  }
  if (!given && rule.discrete == Need::always) {
    refuse_sampling("conditional " + quoted(rule.name) +
                    " needs a discrete label and none was given");
  }
  if (!given && options.prior == Prior::uniform) {
    refuse_sampling(
        "prior \"uniform\" needs a discrete label and none was given; without one \"empirical\" "
        "is allowed");
  }
  const auto found = given ? static_cast<std::int64_t>(labels.discrete->size()) : 0;
  if (given && found != labels.num_samples) {
    refuse_sampling("the discrete label has " + std::to_string(found) + " entries for " +
                    std::to_string(labels.num_samples) + " samples; one for each sample is needed");
  }
}

void check_trials(const SamplingLabels& labels) {
  if (labels.trials == nullptr) return;
  if (labels.trials->empty()) {
    refuse_sampling("no trial was given; the first begins with sample 0");
  }
  std::int64_t allowed = 0;
  std::int64_t last = 0;
  std::int64_t trial = 0;
  for (const std::int64_t first : *labels.trials) {
    if (first < allowed || first > last) {
      refuse_sampling("trial " + std::to_string(trial) + " begins with sample " +
                      std::to_string(first) + "; trials ascend from sample 0 to at most " +
                      std::to_string(labels.num_samples - 1) + ", each with a sample at least");
    }
    allowed = first + 1;
    last = labels.num_samples - 1;
    ++trial;
  }
}

}  // namespace

void refuse_sampling(const std::string& message) {
  throw Error(ErrorCode::invalid_value, "sampling: " + message);
}

void check_sampling(const SamplingOptions& options, const SamplingLabels& labels) {
  const Rule& rule = rule_of(options.conditional);
  if (labels.num_samples < 1) {
    refuse_sampling(std::to_string(labels.num_samples) +
                    " samples were given, at least one is needed");
  }
  check_discrete(rule, options, labels);
  check_continuous(rule, labels);
  check_trials(labels);
  check_delta(rule, options.delta);
}

std::int64_t longest_trial(const SamplingLabels& labels) {
  if (labels.trials == nullptr) return labels.num_samples;
  std::int64_t longest = 0;
  std::int64_t end = labels.num_samples;
  for (auto first = labels.trials->rbegin(); first != labels.trials->rend(); ++first) {
    longest = std::max(longest, end - *first);
    end = *first;
  }
  return longest;
}

void check_time_offset(const SamplingOptions& options, std::int64_t longest, const char* what) {
  const Rule& rule = rule_of(options.conditional);
  const std::int64_t offset = options.time_offset;
  if (!rule.uses_time_offset || (offset >= 1 && offset < longest)) return;
  refuse_sampling("time_offset is " + std::to_string(offset) + ", conditional " +
                  quoted(rule.name) + " allows 1 to below " + what + ", " +
                  std::to_string(longest));
}

}  // namespace grevy::host
