#include "sampling/sampling_spec.hpp"

#include <algorithm>

namespace grevy::host {
namespace {

using nlohmann::json;
using Conditional = SamplingOptions::Conditional;

std::vector<std::string> names_of(const Recording& recording, bool discrete) {
  std::vector<std::string> names;
  for (const Label& label : recording.labels())
    if (label.discrete == discrete) names.push_back(label.name);
  return names;
}

// One "sampling" object, or an entry of its "positives", with the defaults of the schema.
class Resolver {
 public:
  Resolver(const Experiment& experiment, const std::vector<Recording>& sessions, std::string place)
      : experiment_(experiment),
        sessions_(sessions),
        place_(std::move(place)),
        spec_(experiment.at(place_.c_str())) {}

  PositiveSpec resolve() const {
    PositiveSpec set;
    set.options.conditional = conditional();
    set.options.time_offset = spec_.at("time_offset");
    set.options.delta = spec_.at("delta");
    const bool by_class = set.options.conditional == Conditional::discrete;
    const bool by_value = uses_values(set.options.conditional);
    at("/discrete", [&] { set.discrete = discrete(by_class, by_value); });
    at("/continuous", [&] { set.continuous = continuous(by_value); });
    check_time_offset(set.options);
    return set;
  }

  static bool uses_values(Conditional conditional) {
    return conditional == Conditional::time_delta || conditional == Conditional::delta_normal;
  }

 private:
  // Empty where nothing is chosen.
  template <class T>
  T chosen(const char* key) const {
    return spec_.at(key).is_null() ? T() : spec_.at(key).get<T>();
  }
  template <class Body>
  void at(const char* key, Body&& body) const {
    experiment_.at_place(place_ + key, std::forward<Body>(body));
  }
  const Recording& first() const { return sessions_.front(); }

  // The conditional is chosen by the labels.
  bool is_automatic() const { return spec_.at("conditional").is_null(); }
  std::string conditional_name() const {
    if (!is_automatic()) return spec_.at("conditional");
    if (!names_of(first(), false).empty()) return "time_delta";
    return names_of(first(), true).empty() ? "time" : "discrete";
  }
  Conditional conditional() const {
    const std::string name = conditional_name();
    if (name == "time") return Conditional::time;
    if (name == "time_delta") return Conditional::time_delta;
    if (name == "delta_normal") return Conditional::delta_normal;
    return Conditional::discrete;
  }

  std::string discrete(bool by_class, bool by_value) const {
    auto name = chosen<std::string>("discrete");
    const std::vector<std::string> known = names_of(first(), true);
    // A conditional chosen by the labels uses the discrete ones too.
    if (name.empty() && (by_class || (by_value && is_automatic() && !known.empty()))) {
      if (known.size() != 1)
        throw Error(ErrorCode::invalid_value,
                    "must name the discrete label to sample by; the recording has " +
                        std::to_string(known.size()));
      name = known.front();
    }
    if (!by_class && !by_value && !name.empty())
      throw Error(ErrorCode::invalid_value, "conditional \"" + conditional_name() +
                                                "\" uses no discrete label; must be null");
    if (!name.empty()) check_label(name, true);
    return name;
  }

  std::vector<std::string> continuous(bool by_value) const {
    auto names = chosen<std::vector<std::string>>("continuous");
    if (!by_value && !names.empty())
      throw Error(ErrorCode::invalid_value, "conditional \"" + conditional_name() +
                                                "\" uses no continuous label; must be null");
    if (by_value && names.empty()) names = names_of(first(), false);
    if (by_value && names.empty())
      throw Error(ErrorCode::invalid_value,
                  "conditional \"" + conditional_name() +
                      "\" needs a continuous label; the recording has none");
    for (const std::string& name : names) check_label(name, false);
    return names;
  }

  void check_label(const std::string& name, bool discrete) const {
    for (const Recording& session : sessions_)
      if (session.label(name).discrete != discrete)
        throw Error(ErrorCode::invalid_type,
                    "label \"" + name +
                        (discrete ? "\" is continuous; a discrete one is needed"
                                  : "\" is discrete; a continuous one is needed"));
  }

  void check_time_offset(const SamplingOptions& options) const {
    if (options.conditional != Conditional::time && options.conditional != Conditional::time_delta)
      return;
    for (const Recording& session : sessions_)
      if (options.time_offset >= session.num_samples())
        throw Error(ErrorCode::invalid_value,
                    experiment_.where(place_ + "/time_offset") + "found " +
                        std::to_string(options.time_offset) +
                        "; must be below the number of samples of the part that is drawn from, " +
                        std::to_string(session.num_samples()));
  }

  const Experiment& experiment_;
  const std::vector<Recording>& sessions_;
  std::string place_;
  const json& spec_;
};

void add_hybrid(const Experiment& experiment, SamplingSpec& spec) {
  const PositiveSpec& behavior = spec.positives.front();
  if (!Resolver::uses_values(behavior.options.conditional) || !behavior.discrete.empty())
    throw Error(
        ErrorCode::invalid_value,
        experiment.where("/sampling/hybrid") +
            "found true; only for conditional time_delta or delta_normal without a discrete label");
  PositiveSpec time;
  time.options = behavior.options;
  time.options.conditional = Conditional::time;
  spec.positives.push_back(time);
}

// null: uniform where a discrete label restricts a continuous one.
void set_prior(const Experiment& experiment, SamplingSpec& spec) {
  const json& prior = experiment.at("/sampling/prior");
  PositiveSpec& first = spec.positives.front();
  const bool single = spec.positives.size() == 1;
  if (prior == "uniform" && (first.discrete.empty() || !single))
    throw Error(
        ErrorCode::invalid_value,
        experiment.where("/sampling/prior") +
            (single
                 ? "found \"uniform\", which needs a discrete label; must be \"empirical\" or null"
                 : "found \"uniform\"; several sets of positives share the prior \"empirical\""));
  const bool mixed =
      single && Resolver::uses_values(first.options.conditional) && !first.discrete.empty();
  for (PositiveSpec& set : spec.positives)
    set.options.prior = (prior.is_null() ? mixed : prior == "uniform")
                            ? SamplingOptions::Prior::uniform
                            : SamplingOptions::Prior::empirical;
}

// What chooses references by their positives has no effect without any.
void check_targets(const Experiment& experiment, const SamplingSpec& spec,
                   const Recording& recording) {
  experiment.at_place("/sampling/targets", [&] {
    for (const std::string& name : spec.targets) recording.label(name);
  });
  if (!experiment.at("/sampling/prior").is_null())
    throw Error(ErrorCode::invalid_value, experiment.where("/sampling/prior") + "found " +
                                              experiment.at("/sampling/prior").dump() +
                                              " beside targets; must be null");
  if (spec.clamp)
    throw Error(ErrorCode::invalid_value, experiment.where("/sampling/borders") +
                                              "found \"clamp\" beside targets; must be \"inside\"");
}

void check_borders(const Experiment& experiment, const SamplingSpec& spec) {
  const bool in_time = std::any_of(
      spec.positives.begin(), spec.positives.end(),
      [](const PositiveSpec& set) { return set.options.conditional == Conditional::time; });
  if (spec.clamp && !in_time)
    throw Error(ErrorCode::invalid_value,
                experiment.where("/sampling/borders") +
                    "found \"clamp\", which needs positives by conditional \"time\"; must be "
                    "\"inside\"");
}

}  // namespace

SamplingSpec resolve_sampling(const Experiment& experiment,
                              const std::vector<Recording>& sessions) {
  if (sessions.empty())
    throw Error(ErrorCode::invalid_value, "found 0 sessions; at least 1 is needed");
  const json& sampling = experiment.at("/sampling");
  SamplingSpec spec;
  spec.clamp = sampling.at("borders") == "clamp";
  spec.masks = sampling.at("masks");
  if (!sampling.at("targets").is_null()) {
    spec.targets = sampling.at("targets").get<std::vector<std::string>>();
    check_targets(experiment, spec, sessions.front());
    return spec;
  }
  const json& positives = sampling.at("positives");
  for (std::size_t i = 0; i < positives.size(); ++i)
    spec.positives.push_back(
        Resolver(experiment, sessions, "/sampling/positives/" + std::to_string(i)).resolve());
  if (positives.is_null()) {
    spec.positives.push_back(Resolver(experiment, sessions, "/sampling").resolve());
    if (sampling.at("hybrid")) add_hybrid(experiment, spec);
  }
  check_borders(experiment, spec);
  set_prior(experiment, spec);
  return spec;
}

}  // namespace grevy::host
