#include "training/network.hpp"

#include "plugins/used_plugins.hpp"

#include <grevy/host/random.hpp>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

namespace grevy::host {
namespace {

using nlohmann::json;

std::string name_of(const json& spec) { return spec.at("name").get<std::string>(); }

std::string options_of(json spec) {
  spec.erase("name");
  return spec.dump();
}

void append(NamedTensors& all, const std::string& prefix, const NamedTensors& tensors) {
  for (const NamedTensor& t : tensors) all.push_back({prefix + t.name, t.tensor, t.trained});
}

std::optional<PluginHashes> allowed_plugins(const Experiment& experiment) {
  const json& list = experiment.at("/plugins");
  if (list.is_null()) return std::nullopt;
  return list.get<PluginHashes>();
}

}  // namespace

Network::Network(Host& the_host, const Experiment& the_experiment, at::Device device,
                 const std::vector<std::int64_t>& the_num_inputs)
    : host(the_host),
      experiment(the_experiment),
      num_inputs(the_num_inputs),
      used_(std::make_shared<UsedPlugins>()) {
  const UsedPlugins::Scope scope(used_);
  CreateOptions create = create_options(device);
  experiment.at_place("/solver", [&] {
    const json& spec = experiment.at("/solver");
    create.seed = derive_seed(experiment.seed(), "solver");
    create.num_input = num_inputs.front();
    solver = host.create_solver(name_of(spec), options_of(spec), create);
    solver_info = solver->info();
  });
  if (solver_info.sessions == SolverInfo::Sessions::one && num_inputs.size() > 1)
    throw Error(ErrorCode::invalid_value, experiment.where("/data/sessions") + "found " +
                                              std::to_string(num_inputs.size()) + "; the solver " +
                                              solver->component() + " works with one");
  make_models(device);
  make_reference_models(device);
  criterion = make_criterion(device);
  experiment.at_place("/solver", [&] {
    std::vector<ModelRef> refs;
    for (const auto* owned : {&models, &reference_models})
      for (const Owned<ModelRef>& model : *owned) refs.push_back(*model);
    solver->attach(refs, {*criterion});
  });
  if (solver_info.num_positives == 0) solver_info.num_positives = num_losses();
  collect_tensors();
}

std::size_t Network::model_of(std::int64_t session) const {
  if (session < 0 || session >= num_sessions())
    throw Error(ErrorCode::out_of_range, "session " + std::to_string(session) +
                                             " does not exist; there are " +
                                             std::to_string(num_sessions()) + ", counted from 0");
  return is_joined() ? 0 : static_cast<std::size_t>(session);
}

std::vector<Offset> Network::offsets() const {
  std::vector<Offset> offsets;
  for (std::int64_t s = 0; s < num_sessions(); ++s) offsets.push_back(info(s).offset);
  return offsets;
}

bool Network::takes_samples() const {
  const auto embeds = [](const Owned<ModelRef>& model) { return model->embeds_samples(); };
  return solver->takes_samples() && std::all_of(models.begin(), models.end(), embeds) &&
         std::all_of(reference_models.begin(), reference_models.end(), embeds);
}

CreateOptions Network::create_options(at::Device device) const {
  CreateOptions create;
  create.device = device;
  create.allowed_plugins = allowed_plugins(experiment);
  return create;
}

Owned<CriterionRef> Network::make_criterion(at::Device device) const {
  return experiment.at_place("/criterion", [&] {
    const json& spec = experiment.at("/criterion");
    CreateOptions create = create_options(device);
    create.seed = derive_seed(experiment.seed(), "criterion");
    return host.create_criterion(name_of(spec), options_of(spec), create);
  });
}

// The first has the seed of a single session's, so that one session among several starts as it
// would alone.
Owned<ModelRef> Network::make_model(const char* place, std::size_t number, at::Device device,
                                    std::int64_t num_input) const {
  return experiment.at_place(place, [&] {
    const json& spec = experiment.at(place);
    CreateOptions create = create_options(device);
    create.num_input = num_input;
    create.seed =
        derive_seed(experiment.seed(), number == 0 ? "model" : "model " + std::to_string(number));
    auto made = host.create_model(name_of(spec), options_of(spec), create);
    check_model(*made, create);
    return made;
  });
}

void Network::make_models(at::Device device) {
  std::vector<std::int64_t> inputs = num_inputs;
  if (is_joined())
    inputs = {std::accumulate(num_inputs.begin(), num_inputs.end(), std::int64_t{0})};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    models.push_back(make_model("/model", i, device, inputs[i]));
    infos.push_back(models.back()->info());
  }
}

// One like the model starts from the same seed, and so from the same weights.
void Network::make_reference_models(at::Device device) {
  const bool given = !experiment.at("/reference_model").is_null();
  if (!solver_info.reference_models) {
    if (given)
      throw Error(ErrorCode::invalid_value, experiment.where("/reference_model") + "the solver " +
                                                solver->component() + " has no use for it");
    return;
  }
  for (std::size_t i = 0; i < models.size(); ++i) {
    reference_models.push_back(
        make_model(given ? "/reference_model" : "/model", i, device, infos[i].num_input));
    check_reference_model(*reference_models.back(), infos[i]);
  }
}

// Windows are cut once, for both encoders, and their embeddings are compared.
void Network::check_reference_model(const ModelRef& reference, const ModelInfo& info) const {
  const ModelInfo other = reference.info();
  if (other.offset == info.offset && other.num_output == info.num_output) return;
  throw Error(ErrorCode::invalid_value,
              experiment.where("/reference_model") + reference.component() +
                  " must have the receptive field and num_output of " + models[0]->component());
}

void Network::collect_tensors() {
  const bool many = solver_info.sessions == SolverInfo::Sessions::several;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string number = many ? std::to_string(i) + "." : "";
    append(tensors_, "model." + number, models[i]->tensors());
  }
  for (std::size_t i = 0; i < reference_models.size(); ++i) {
    const std::string number = many ? std::to_string(i) + "." : "";
    append(tensors_, "reference_model." + number, reference_models[i]->tensors());
  }
  append(tensors_, "criterion.", criterion->tensors());
  append(tensors_, "solver.", solver->tensors());
}

// A solver that works with any number of sets of positives gives each a loss where the criterion
// has one for each.
std::int64_t Network::num_losses() const {
  const CriterionInfo info = criterion->info();
  return info.parts_are_losses ? static_cast<std::int64_t>(info.parts.size()) : 0;
}

void Network::freeze(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const NamedTensor& t) { return t.name == name; });
    if (found == tensors_.end())
      throw Error(ErrorCode::not_found, "there is no tensor \"" + name + "\" to freeze");
    found->trained = false;
    found->tensor.requires_grad_(false);
  }
}

void Network::warn_about_length() const {
  if (criterion->info().expects_normalized && !infos.front().normalized)
    host.log(LogLevel::warning, criterion->component(),
             "is meant for embeddings of length 1, but " + models.front()->component() +
                 " does not normalise");
}

json Network::plugins() const {
  const std::set<std::filesystem::path> used = used_->files();
  json list = json::array();
  for (const PluginManifest& plugin : host.plugins())
    if (used.count(plugin.file) != 0) list.push_back(describe_plugin(host, plugin));
  return list;
}

void Network::take_over_plugins(const json& stored) {
  for (const json& description : stored)
    if (const PluginManifest* plugin = find_unchanged(host, description)) used_->add(plugin->file);
}

}  // namespace grevy::host
