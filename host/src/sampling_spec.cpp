#include "sampling_spec.hpp"

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;

Conditional parse_conditional(const std::string& text) {
  if (text == "time") return Conditional::time;
  if (text == "time_delta") return Conditional::time_delta;
  if (text == "delta_normal") return Conditional::delta_normal;
  return Conditional::discrete;
}

std::vector<std::string> names_of(const Recording& recording, bool discrete) {
  std::vector<std::string> names;
  for (const Label& label : recording.labels())
    if (label.discrete == discrete) names.push_back(label.name);
  return names;
}

std::string only_discrete(const Recording& recording) {
  const std::vector<std::string> names = names_of(recording, true);
  if (names.size() == 1) return names.front();
  throw Error(ErrorCode::invalid_value,
              "must name the discrete label to sample by; the recording has " +
                  std::to_string(names.size()));
}

}  // namespace

SamplingSpec resolve_sampling(const Experiment& experiment, const Recording& recording) {
  const nlohmann::json& json = experiment.at("/sampling");
  const std::string conditional = json.at("conditional");
  SamplingSpec spec;
  spec.options.conditional = parse_conditional(conditional);
  spec.options.time_offset = json.at("time_offset");
  spec.options.delta = json.at("delta");
  const bool by_class = spec.options.conditional == Conditional::discrete;
  const bool by_value = !by_class && spec.options.conditional != Conditional::time;
  experiment.at_place("/sampling/discrete", [&] {
    if (!json.at("discrete").is_null()) spec.discrete = json.at("discrete").get<std::string>();
    if (by_class && spec.discrete.empty()) spec.discrete = only_discrete(recording);
    if (!by_class && !by_value && !spec.discrete.empty())
      throw Error(ErrorCode::invalid_value,
                  "conditional \"" + conditional + "\" uses no discrete label; must be null");
    if (!spec.discrete.empty() && !recording.label(spec.discrete).discrete)
      throw Error(ErrorCode::invalid_type,
                  "label \"" + spec.discrete + "\" is continuous; a discrete one is needed");
  });
  experiment.at_place("/sampling/continuous", [&] {
    if (!json.at("continuous").is_null())
      spec.continuous = json.at("continuous").get<std::vector<std::string>>();
    if (!by_value && !spec.continuous.empty())
      throw Error(ErrorCode::invalid_value,
                  "conditional \"" + conditional + "\" uses no continuous label; must be null");
    if (by_value && spec.continuous.empty()) spec.continuous = names_of(recording, false);
    if (by_value && spec.continuous.empty())
      throw Error(
          ErrorCode::invalid_value,
          "conditional \"" + conditional + "\" needs a continuous label; the recording has none");
    for (const std::string& name : spec.continuous)
      if (recording.label(name).discrete)
        throw Error(ErrorCode::invalid_type,
                    "label \"" + name + "\" is discrete; a continuous one is needed");
  });
  spec.hybrid = json.at("hybrid");
  if (spec.hybrid && !(by_value && spec.discrete.empty()))
    throw Error(
        ErrorCode::invalid_value,
        experiment.where("/sampling/hybrid") +
            "found true; only for conditional time_delta or delta_normal without a discrete label");
  const nlohmann::json& prior = json.at("prior");
  if (prior == "uniform" && spec.discrete.empty())
    throw Error(
        ErrorCode::invalid_value,
        experiment.where("/sampling/prior") +
            "found \"uniform\", which needs a discrete label; must be \"empirical\" or null");
  const bool by_time = conditional == "time" || conditional == "time_delta";
  if (by_time && spec.options.time_offset >= recording.num_samples())
    throw Error(ErrorCode::invalid_value,
                experiment.where("/sampling/time_offset") + "found " +
                    std::to_string(spec.options.time_offset) +
                    "; must be below the number of samples of the part that is drawn from, " +
                    std::to_string(recording.num_samples()));
  const bool uniform = prior.is_null() ? by_value && !spec.discrete.empty() : prior == "uniform";
  spec.options.prior =
      uniform ? SamplingOptions::Prior::uniform : SamplingOptions::Prior::empirical;
  return spec;
}

}  // namespace grevy::host
