#include "exchange/exchange_tensors.hpp"

#include "training/checkpoint.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace grevy::host {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_value, message);
}

bool is_under(std::string_view prefix, const std::string& name) {
  return name.rfind(prefix, 0) == 0;
}

std::string describe(const StoredTensor& tensor) {
  std::ostringstream text;
  text << tensor.dtype << " " << at::IntArrayRef(tensor.shape);
  return text.str();
}

// Tensors whose names begin with a prefix, without it, as a file would hold them.
StoredTensors stored_under(const std::string& prefix, const NamedTensors& tensors) {
  NamedTensors chosen;
  for (const NamedTensor& t : tensors)
    if (is_under(prefix, t.name))
      chosen.push_back({t.name.substr(prefix.size()), t.tensor, t.trained});
  StoredTensors content;
  store(chosen, content);
  return content;
}

// ---- parameters and buffers ---------------------------------------------------------------------

class Matching {
 public:
  Matching(const Trainer& trainer, const CebraCheckpoint& checkpoint)
      : trainer_(trainer), checkpoint_(checkpoint) {}

  MatchedTensors match(const StoredEncoders& theirs) {
    match_models(theirs);
    match_criterion();
    check_rest();
    return std::move(result_);
  }

 private:
  void match_models(const StoredEncoders& theirs) {
    const StoredTensors stored = stored_under("model.", trainer_.tensors());
    const StoredEncoders ours = split_encoders(stored);
    if (ours.sessions.size() != theirs.sessions.size())
      refuse("the file holds encoders of " + std::to_string(theirs.sessions.size()) +
             " session(s); the experiment has " + std::to_string(ours.sessions.size()));
    for (std::size_t s = 0; s < ours.sessions.size(); ++s) match_encoder(ours, theirs, s);
  }

  void match_encoder(const StoredEncoders& ours, const StoredEncoders& theirs, std::size_t s) {
    const std::string component = trainer_.model(static_cast<std::int64_t>(s)).component();
    Names names;
    for (const auto& [name, tensor] : ours.sessions[s]) {
      const std::string shown = "model tensor \"" + theirs.full_name(s, name) + "\"";
      const auto found = theirs.sessions[s].find(name);
      names.push_back(name);
      if (found != theirs.sessions[s].end())
        take("model." + ours.full_name(s, name), shown, *tensor, *found->second);
      else if (!is_own_tensor(name))
        refuse("there is no " + shown + ", which " + component + " has");
    }
    check_extra(theirs, s, names, component);
  }

  // Only repetitions of a layer may be there beyond the model's own tensors.
  void check_extra(const StoredEncoders& theirs, std::size_t s, const Names& names,
                   const std::string& component) const {
    const auto& encoder = theirs.sessions[s];
    const auto tied = tied_names(trainer_.experiment().at("/model"), names);
    for (const auto& [name, tensor] : encoder) {
      if (std::binary_search(names.begin(), names.end(), name)) continue;
      const std::string shown = "the model tensor \"" + theirs.full_name(s, name) + "\"";
      const auto first = tied.find(name);
      if (first == tied.end()) refuse(shown + " is none of " + component + "'s");
      const StoredTensor& same = *encoder.at(first->second);
      if (tensor->shape != same.shape || tensor->bytes != same.bytes)
        refuse(shown + " differs from \"" + theirs.full_name(s, first->second) + "\"; " +
               component + " applies that layer several times");
    }
  }

  void match_criterion() {
    const StoredTensors ours = stored_under("criterion.", trainer_.tensors());
    const auto& theirs = checkpoint_.criterion.tensors;
    for (const auto& [name, tensor] : ours.tensors) {
      const std::string shown = "criterion tensor \"" + name + "\"";
      const auto found = theirs.find(name);
      if (found == theirs.end())
        refuse("there is no " + shown + ", which " + trainer_.criterion().component() + " has");
      take("criterion." + name, shown, tensor, found->second);
    }
    for (const auto& [name, tensor] : theirs)
      if (ours.tensors.count(name) == 0) result_.of_no_place.push_back(name);
  }

  // The reference stores neither a second encoder nor tensors of a solver.
  void check_rest() const {
    for (const NamedTensor& t : trainer_.tensors())
      if (!is_under("model.", t.name) && !is_under("criterion.", t.name))
        refuse("there is no tensor for \"" + t.name + "\", which the solver " +
               trainer_.solver().component() + " needs");
  }

  void take(const std::string& name, const std::string& shown, const StoredTensor& ours,
            const StoredTensor& theirs) {
    if (ours.dtype != theirs.dtype || ours.shape != theirs.shape)
      refuse("the " + shown + " is " + describe(theirs) + "; needed: " + describe(ours));
    result_.content.tensors[name] = theirs;
  }

  const Trainer& trainer_;
  const CebraCheckpoint& checkpoint_;
  MatchedTensors result_;
};

// ---- moments ------------------------------------------------------------------------------------

NamedTensors parameters_of(const Trainer& trainer) {
  NamedTensors parameters;
  for (const char* part : {"model.", "criterion."})
    for (const NamedTensor& t : trainer.tensors())
      if (t.trained && is_under(part, t.name)) parameters.push_back(t);
  return parameters;
}

std::size_t count_parameters(const json& param_groups) {
  const bool one = param_groups.size() == 1 && param_groups[0].contains("params");
  return one ? param_groups[0]["params"].size() : 0;
}

std::vector<const StoredTensor*> tensors_of(const AdamMoments& moments) {
  std::vector<const StoredTensor*> tensors = {&moments.exp_avg, &moments.exp_avg_sq};
  if (moments.max_exp_avg_sq) tensors.push_back(&*moments.max_exp_avg_sq);
  return tensors;
}

// What is wrong with one parameter's; empty: nothing.
std::string problem_of(const AdamMoments& moments, const NamedTensor& parameter, bool amsgrad) {
  if (amsgrad != moments.max_exp_avg_sq.has_value())
    return std::string("the experiment is ") + (amsgrad ? "with" : "without") + " amsgrad";
  for (const StoredTensor* moment : tensors_of(moments))
    if (moment->dtype != "F32" || parameter.tensor.sizes() != at::IntArrayRef(moment->shape))
      return "the moments of parameter " + parameter.name + " are " + describe(*moment) +
             "; needed: F32 " + c10::str(parameter.tensor.sizes());
  return "";
}

std::string problem_of(const CebraCheckpoint& checkpoint, const NamedTensors& parameters,
                       bool amsgrad) {
  const std::size_t count = count_parameters(checkpoint.param_groups);
  if (count != parameters.size())
    return "it is for " + std::to_string(count) + " parameters; there are " +
           std::to_string(parameters.size());
  const std::int64_t steps = checkpoint.optimizer.begin()->second.step;
  for (const auto& [number, moments] : checkpoint.optimizer) {
    if (number >= static_cast<std::int64_t>(count))
      return "it has moments of parameter " + std::to_string(number) + ", counted from 0, of " +
             std::to_string(count);
    if (moments.step != steps)
      return "parameters have " + std::to_string(steps) + " and " + std::to_string(moments.step) +
             " steps; must be the same";
    const std::string problem =
        problem_of(moments, parameters[static_cast<std::size_t>(number)], amsgrad);
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace

MatchedTensors match_tensors(const Trainer& trainer, const CebraCheckpoint& checkpoint,
                             const StoredEncoders& encoders) {
  return Matching(trainer, checkpoint).match(encoders);
}

MatchedMoments match_moments(const Trainer& trainer, const CebraCheckpoint& checkpoint) {
  MatchedMoments result;
  if (checkpoint.optimizer.empty()) return result;
  const NamedTensors parameters = parameters_of(trainer);
  result.problem =
      problem_of(checkpoint, parameters, trainer.experiment().at("/optimizer/amsgrad").get<bool>());
  if (!result.problem.empty()) return result;
  result.steps = checkpoint.optimizer.begin()->second.step;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto found = checkpoint.optimizer.find(static_cast<std::int64_t>(i));
    if (found == checkpoint.optimizer.end()) {
      result.missing.push_back(parameters[i].name);
      continue;
    }
    const auto keep = [&](const char* kind, const StoredTensor& moment) {
      result.content.tensors["optimizer." + std::string(kind) + "/" + parameters[i].name] = moment;
    };
    keep("exp_avg", found->second.exp_avg);
    keep("exp_avg_sq", found->second.exp_avg_sq);
    if (found->second.max_exp_avg_sq) keep("max_exp_avg_sq", *found->second.max_exp_avg_sq);
  }
  return result;
}

void put(const StoredTensors& content, const Trainer& trainer) {
  NamedTensors targets;
  for (const NamedTensor& t : trainer.state())
    if (content.tensors.count(t.name) != 0) targets.push_back(t);
  restore(targets, content);
}

}  // namespace grevy::host
