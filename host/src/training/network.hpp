// Models, criterion and solver of an experiment, put together.
#ifndef GREVY_HOST_NETWORK_HPP
#define GREVY_HOST_NETWORK_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/host.hpp>

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

class UsedPlugins;

class Network {
 public:
  // num_inputs: channels of each session. Errors, with their JSON pointer: those of the components
  // and of check_model; invalid_value for a number of sessions that the solver does not work with,
  // for a reference_model that does not fit the model or that the solver has no use for.
  Network(Host& host, const Experiment& experiment, at::Device device,
          const std::vector<std::int64_t>& num_inputs);

  bool is_joined() const { return solver_info.sessions == SolverInfo::Sessions::joined; }
  // Of the model that embeds a session.
  std::size_t model_of(std::int64_t session) const;
  const ModelInfo& info(std::int64_t session = 0) const { return infos[model_of(session)]; }
  std::vector<Offset> offsets() const;
  // Whether solver and models want sample numbers rather than windows ("grevy.series/1").
  bool takes_samples() const;
  std::int64_t num_sessions() const { return static_cast<std::int64_t>(num_inputs.size()); }

  // "model.NAME", or "model.SESSION.NAME" where each session has a model of its own; likewise
  // "reference_model."; "criterion.NAME", "solver.NAME".
  const NamedTensors& tensors() const { return tensors_; }
  // Takes these out of what is trained. Errors: not_found.
  void freeze(const std::vector<std::string>& names);

  // Another one like the experiment's, to try something with.
  Owned<CriterionRef> make_criterion(at::Device device) const;
  // A line in the log where the criterion is meant for other embeddings than the model's.
  void warn_about_length() const;

  // Which plugins the experiment's components come from, and those that they have made themselves
  // so far, with the hashes of their files.
  nlohmann::json plugins() const;
  // What a checkpoint says of plugins: those that the host has as they were then count as used,
  // also where components have not asked for them yet.
  void take_over_plugins(const nlohmann::json& stored);

  Host& host;
  const Experiment& experiment;
  std::vector<std::int64_t> num_inputs;  // of each session
  // Destroyed in reverse: the solver refers to models and criterion.
  std::vector<Owned<ModelRef>> models, reference_models;
  std::vector<ModelInfo> infos;  // of the models
  Owned<CriterionRef> criterion;
  Owned<SolverRef> solver;
  SolverInfo solver_info;

 private:
  CreateOptions create_options(at::Device device) const;
  Owned<ModelRef> make_model(const char* place, std::size_t number, at::Device device,
                             std::int64_t num_input) const;
  void make_models(at::Device device);
  void make_reference_models(at::Device device);
  void check_reference_model(const ModelRef& reference, const ModelInfo& info) const;
  void collect_tensors();
  std::int64_t num_losses() const;

  NamedTensors tensors_;
  std::shared_ptr<UsedPlugins> used_;
};

}  // namespace grevy::host

#endif
