#include "training/checkpoint.hpp"
#include "training/checkpoint_info.hpp"
#include "training/trainer_impl.hpp"

#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <map>

namespace grevy::host {
namespace {

using nlohmann::json;

void check_steps(std::int64_t steps, std::int64_t of_optimizer) {
  if (steps < 0 || of_optimizer < 0)
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(steps) + " steps and " +
                                              std::to_string(of_optimizer) +
                                              " of the optimiser; must be at least 0");
}

bool has_shape(const StoredTensors& content, const NamedTensor& tensor) {
  const auto found = content.tensors.find(tensor.name);
  return found != content.tensors.end() && tensor.tensor.sizes() == found->second.shape;
}
// Says so where it is not the newest one of a run folder.
OpenedCheckpoint open_and_warn(const Host& host, const std::filesystem::path& run) {
  OpenedCheckpoint opened = open_checkpoint(run);
  if (!opened.warning.empty()) host.log(LogLevel::warning, "checkpoint", opened.warning);
  return opened;
}
// Errors about a file's content begin with its name.
template <class Body>
auto in_file(const std::filesystem::path& file, Body&& body) {
  try {
    return body();
  } catch (const json::exception& e) {
    throw Error(ErrorCode::invalid_value, file.string() + ": its metadata is damaged: " + e.what());
  } catch (const PluginError& e) {
    throw e.at(file.string() + ": ");
  } catch (const Error& e) {
    throw Error(e.code(), file.string() + ": " + e.what());
  }
}
}  // namespace

void Trainer::Impl::adapt() {
  if (experiment.at("/adapt").is_null()) return;
  experiment.at_place("/adapt/run", [&] {
    if (network.models.size() != 1) throw Error(ErrorCode::unimplemented, "works with one session");
    const OpenedCheckpoint opened =
        open_and_warn(network.host, experiment.at("/adapt/run").get<std::string>());
    const StoredTensors& content = opened.content;
    NamedTensors kept;
    std::string fresh;  // what of the run is not taken over
    for (const char* prefix : {"model.", "reference_model."}) {
      std::size_t number = 0;
      for (const NamedTensor& t : network.tensors()) {
        if (t.name.rfind(prefix, 0) != 0 || number++ < 2) continue;
        if (!has_shape(content, t)) {
          fresh += (fresh.empty() ? "" : ", ") + t.name;
          continue;
        }
        kept.push_back(t);
        frozen.push_back(t.name);
      }
    }
    if (kept.empty())
      throw Error(ErrorCode::invalid_value,
                  opened.file.string() + ": holds no layer of " + network.models[0]->component());
    if (!fresh.empty())
      network.host.log(LogLevel::warning, network.models[0]->component(),
                       "is trained anew where " + opened.file.string() +
                           " has no tensor of the same shape: " + fresh);
    restore(kept, content);
    network.freeze(frozen);
  });
}

NamedTensors Trainer::Impl::optimizer_tensors() const {
  NamedTensors tensors = optimizer->state();
  for (NamedTensor& t : tensors) t.name = "optimizer." + t.name;
  return tensors;
}
NamedTensors Trainer::Impl::all_tensors() const {
  NamedTensors all = network.tensors();
  for (NamedTensor& t : optimizer_tensors()) all.push_back(std::move(t));
  return all;
}

const json& Trainer::Impl::plugins() {
  return plugin_list = network.plugins();  // components may have made others since
}

void Trainer::Impl::save(const std::filesystem::path& file, const json& run) {
  StoredTensors content;
  store(all_tensors(), content);
  json state = {{"grevy", version()},
                {"step", step},
                {"optimizer_steps", optimizer->num_steps()},
                {"skipped", skipped.state()},
                {"num_input", network.num_inputs},
                {"frozen", frozen},
                {"experiment", experiment.document()},
                {"file", experiment.file().string()},
                {"plugins", plugins()},
                {"libtorch", GREVY_STAMP},
                {"threads", at::get_num_threads()},
                {"run", run},
                {"solver_state", network.solver->save_state()},
                {"generators", json::object()}};
  for_generators([&](const char* name, Random& random) {
    state["generators"][name] = to_words(random.state());
  });
  store_info(state, content);
  write_safetensors(file, content);
}

template <class Body>
void Trainer::Impl::for_generators(Body&& body) const {
  if (loader) {
    body("train", loader->random());
    body("train masks", loader->mask_random());
  }
  if (valid_loader) body("validation", valid_loader->random());
}

void Trainer::Impl::load(const StoredTensors& content, const json& stored) {
  const std::int64_t steps = stored.at("step"), of_optimizer = stored.at("optimizer_steps");
  check_steps(steps, of_optimizer);
  const std::string of_solver = stored.at("solver_state");
  std::map<std::string, Random::State> states;
  for (const auto& [name, words] : stored.at("generators").items())
    states[name] = parse_words(words);
  network.take_over_plugins(stored.at("plugins"));
  restore(all_tensors(), content);
  step = steps;
  optimizer->set_num_steps(of_optimizer);
  skipped.restore(stored.value("skipped", json::object()));
  network.solver->load_state(of_solver);
  for_generators([&](const char* name, Random& random) {
    const auto found = states.find(name);
    if (found != states.end()) random.restore(found->second);
  });
}

std::vector<std::string> Trainer::Impl::load_partially(const StoredTensors& content,
                                                       const json& stored) {
  const auto has = [&](const NamedTensor& t) { return content.tensors.count(t.name) != 0; };
  const NamedTensors moments = optimizer_tensors();
  const bool has_moments = std::all_of(moments.begin(), moments.end(), has);
  NamedTensors present;
  std::vector<std::string> missing;
  const auto add = [&](const NamedTensor& t, bool taken) {
    if (taken)
      present.push_back(t);
    else
      missing.push_back(t.name);
  };
  for (const NamedTensor& t : network.tensors()) add(t, has(t));
  for (const NamedTensor& t : moments) add(t, has_moments);
  restore(present, content);
  if (has_moments) optimizer->set_num_steps(stored.at("optimizer_steps"));
  return missing;
}

Trainer Trainer::from_checkpoint(Host& host, const std::filesystem::path& run,
                                 const std::string& device) {
  const OpenedCheckpoint opened = open_and_warn(host, run);
  return in_file(opened.file, [&] {
    const json& info = opened.info;
    json document = info.at("experiment");
    if (!device.empty()) document["device"] = device;
    const Experiment experiment(host, document, info.at("file").get<std::string>());
    auto impl = std::make_unique<Impl>(host, experiment,
                                       info.at("num_input").get<std::vector<std::int64_t>>());
    impl->network.freeze(info.at("frozen").get<std::vector<std::string>>());
    impl->make_optimizer();
    impl->load(opened.content, info);
    return Trainer(std::move(impl));
  });
}

void Trainer::save(const std::filesystem::path& file, const json& run) const {
  impl().save(file, run);
}

void Trainer::load(const std::filesystem::path& run) {
  const OpenedCheckpoint opened = open_and_warn(impl().network.host, run);
  in_file(opened.file, [&] { impl().load(opened.content, opened.info); });
}

NamedTensors Trainer::state() const { return impl().all_tensors(); }

void Trainer::set_steps(std::int64_t step, std::int64_t optimizer_steps) {
  check_steps(step, optimizer_steps);
  impl().step = step;
  impl().optimizer->set_num_steps(optimizer_steps);
}

std::vector<std::string> Trainer::load_partially(const std::filesystem::path& run) {
  const OpenedCheckpoint opened = open_and_warn(impl().network.host, run);
  return in_file(opened.file, [&] { return impl().load_partially(opened.content, opened.info); });
}

json read_checkpoint_info(const std::filesystem::path& run) { return open_checkpoint(run).info; }

}  // namespace grevy::host
