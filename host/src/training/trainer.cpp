#include "sampling/line_up.hpp"
#include "sampling/loader.hpp"
#include "sampling/sampling_spec.hpp"
#include "training/adam.hpp"
#include "training/checkpoint.hpp"
#include "training/checkpoint_files.hpp"
#include "training/checkpoint_info.hpp"
#include "training/memory_estimate.hpp"
#include "training/network.hpp"
#include "training/phases.hpp"
#include "training/skipped_steps.hpp"
#include "training/transform.hpp"
#include "training/trial.hpp"

#include <grevy/host/trainer.hpp>
#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace grevy::host {
namespace {

using nlohmann::json;

AdamOptions adam_options(const json& spec) {
  AdamOptions options;
  options.learning_rate = spec.at("learning_rate");
  options.beta1 = spec.at("betas").at(0);
  options.beta2 = spec.at("betas").at(1);
  options.eps = spec.at("eps");
  options.weight_decay = spec.at("weight_decay");
  options.amsgrad = spec.at("amsgrad");
  return options;
}

bool has_shape(const StoredTensors& content, const NamedTensor& tensor) {
  const auto found = content.tensors.find(tensor.name);
  return found != content.tensors.end() && tensor.tensor.sizes() == found->second.shape;
}

Statistics read_statistics(const grevy_statistic* statistics, std::uint64_t count) {
  if (count > detail::max_count || (statistics == nullptr && count != 0))
    throw Error(ErrorCode::invalid_value, "the solver reported " + std::to_string(count) +
                                              " statistics; must be at most " +
                                              std::to_string(detail::max_count) + ", and there");
  Statistics found;
  for (std::uint64_t i = 0; i < count; ++i)
    found.push_back({detail::repaired(detail::view(statistics[i].name), detail::max_name),
                     statistics[i].value});
  return found;
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
    const std::string message = e.what();
    if (message.rfind(file.string(), 0) == 0) throw;
    throw Error(e.code(), file.string() + ": " + message);
  }
}

template <class Body>
void for_trials(const Recording& recording, Body&& body) {
  std::vector<std::int64_t> borders = recording.trials();
  if (borders.empty()) borders = {0};
  borders.push_back(recording.num_samples());
  for (std::size_t i = 1; i < borders.size(); ++i) body(borders[i - 1], borders[i]);
}

}  // namespace

struct Trainer::Impl {
  Impl(Host& the_host, Experiment the_experiment, const std::vector<std::int64_t>& num_inputs)
      : experiment(std::move(the_experiment)),
        device(parse_device(experiment.device())),
        network(the_host, experiment, device, num_inputs),
        skips(experiment.at("/training/non_finite") == "skip") {
    network.warn_about_length();
  }

  void make_optimizer() {
    optimizer =
        std::make_unique<Adam>(network.tensors(), adam_options(experiment.at("/optimizer")));
  }

  // ---- data ----

  std::string place_of(std::size_t session) const {
    return experiment.at("/data/sessions").is_null()
               ? "/data/neural"
               : "/data/sessions/" + std::to_string(session) + "/neural";
  }

  // `place`: what a part that is too short is the fault of; of the recording itself where null.
  void check_lengths(const std::vector<Recording>& sessions, const char* place) const {
    for (std::size_t s = 0; s < sessions.size(); ++s)
      experiment.at_place(place != nullptr ? place : place_of(s), [&] {
        WindowGather(sessions[s].neural(), network.info(static_cast<std::int64_t>(s)).offset,
                     at::kCPU, sessions[s].trials());
      });
  }

  void check_finite(const std::vector<Recording>& sessions) const {
    for (std::size_t s = 0; s < sessions.size(); ++s)
      experiment.at_place(place_of(s), [&] { sessions[s].check_finite(); });
  }

  void check_batch_size(const std::vector<Recording>& train) const {
    if (network.solver_info.full_batch) {
      for (const char* key : {"/training/batch_size", "/training/num_negatives"})
        if (!experiment.at(key).is_null())
          throw Error(ErrorCode::invalid_value, experiment.where(key) + "found " +
                                                    experiment.at(key).dump() + "; the solver " +
                                                    network.solver->component() +
                                                    " takes all samples; must be null");
      return;
    }
    for (const Recording& session : train)
      if (experiment.batch_size() > session.num_samples())
        throw Error(ErrorCode::invalid_value,
                    experiment.where("/training/batch_size") + "found " +
                        std::to_string(experiment.batch_size()) +
                        "; must be at most the number of training samples, " +
                        std::to_string(session.num_samples()));
  }

  LoaderOptions loader_options(std::int64_t num_batches) const {
    LoaderOptions options;
    options.solver = network.solver_info;
    options.offsets = network.offsets();
    options.batch_size = experiment.batch_size();
    options.num_negatives = experiment.num_negatives();
    options.num_batches = num_batches;
    options.device = device;
    options.samples = network.takes_samples();
    return options;
  }

  // Masks are for training alone.
  std::unique_ptr<Loader> make_loader(const std::vector<Recording>& sessions,
                                      const std::string& purpose,
                                      const LoaderOptions& options) const {
    SamplingSpec spec = resolve_sampling(experiment, sessions);
    if (purpose != "train") spec.masks = json::object();
    return experiment.at_place("/sampling", [&] {
      return std::make_unique<Loader>(sessions, spec, options, Random(experiment.seed(), purpose),
                                      Random(experiment.seed(), purpose + " masks"));
    });
  }

  // With a network of its own, that the one to be trained starts as if nothing had been tried.
  void check_before_training(const std::vector<Recording>& train,
                             const std::vector<Recording>& held_out) {
    const Network spare(network.host, experiment, device, network.num_inputs);
    memory = estimate_memory(spare, experiment, train, held_out);
    experiment.at_place("/training", [&] { require_memory(memory, available_memory()); });
    try_a_batch(spare, experiment, device, train, resolve_sampling(experiment, train));
  }

  void set_data(const std::vector<Recording>& train, const std::vector<Recording>& held_out) {
    check_lengths(train, nullptr);
    check_finite(train);
    check_finite(held_out);
    check_batch_size(train);
    check_before_training(train, held_out);
    LoaderOptions options = loader_options(experiment.num_steps());
    // One thread is one thread.
    options.prefetch = at::get_num_threads() > 1;
    loader = make_loader(train, "train", options);
    const json& training = experiment.at("/training");
    if (training.at("valid_frequency").is_null()) return;
    if (held_out.empty())
      throw Error(ErrorCode::invalid_value,
                  experiment.where("/training/valid_frequency") +
                      "validation needs a held-out part; /data/train_fraction leaves none");
    check_lengths(held_out, "/data/train_fraction");
    valid_loader =
        make_loader(held_out, "validation", loader_options(training.at("valid_batches")));
  }

  static void check_evaluated(const std::vector<Recording>& sessions, std::int64_t num_batches) {
    if (num_batches < 1)
      throw Error(ErrorCode::invalid_value,
                  "found num_batches " + std::to_string(num_batches) + "; must be at least 1");
    for (const Recording& session : sessions) session.check_finite();
  }

  HeldOut loss_on(const std::vector<Recording>& sessions, std::int64_t num_batches) const {
    check_evaluated(sessions, num_batches);
    const auto made = make_loader(sessions, "evaluation", loader_options(num_batches));
    return {network.solver->validate(*made->table()).loss, chance_of(*made)};
  }

  // The loader's is InfoNCE's.
  double chance_of(const Loader& made) const {
    return is_log_of_negatives(network, device) ? made.chance() : std::nan("");
  }

  // Pairs inside the session alone.
  HeldOut loss_on_session(const Recording& recording, std::int64_t session,
                          std::int64_t num_batches) const {
    LoaderOptions options = loader_options(num_batches);
    options.offsets = {network.info(session).offset};
    options.first_session = session;
    check_evaluated({recording}, num_batches);
    const auto made = make_loader({recording}, "evaluation", options);
    return {network.solver->validate(*made->table()).loss, chance_of(*made)};
  }

  // ---- adapt ----

  // All tensors of the run's model but the first two, the first layer's, and those whose shape
  // follows from the number of channels, are taken over and kept; likewise of a reference model.
  void adapt() {
    if (experiment.at("/adapt").is_null()) return;
    experiment.at_place("/adapt/run", [&] {
      if (network.models.size() != 1)
        throw Error(ErrorCode::unimplemented, "works with one session");
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

  // ---- fit ----

  bool is_due(const char* key, std::int64_t done) const {
    const json& frequency = experiment.at("/training").at(key);
    return !frequency.is_null() && done % frequency.get<std::int64_t>() == 0;
  }

  void end_step(std::int64_t at, Statistics found, std::uint32_t* actions) {
    finish_step();
    for (const Statistic& s : found)
      if (!std::isfinite(s.value)) {
        is_bad_statistic = true;
        throw Error(ErrorCode::non_finite, "\"" + s.name + "\" is " + std::to_string(s.value));
      }
    if (at != step)
      throw Error(ErrorCode::invalid_state, "the solver reported step " + std::to_string(at) +
                                                "; expected " + std::to_string(step));
    pending = std::move(found);
    is_pending = true;
    validation.reset();
    validation_parts.clear();
    ++step;
    skipped.done();
    if (skips) skipped.keep(all_tensors(), *optimizer);
    stopped = callbacks->should_stop && callbacks->should_stop();
    *actions = 0;
    if (stopped) *actions |= GREVY_ACTION_STOP;
    if (valid_loader && is_due("valid_frequency", step)) {
      *actions |= GREVY_ACTION_VALIDATE;
      return;
    }
    finish_step();
  }

  // Reports and stores a step; after its validation, if it has one.
  void finish_step() {
    if (!is_pending) return;
    is_pending = false;
    if (callbacks->on_step)
      callbacks->on_step({step - 1, experiment.num_steps(), pending, validation, validation_parts});
    offer_checkpoint();
  }

  void offer_checkpoint() {
    const bool last = stopped || step == experiment.num_steps();
    if (callbacks->on_checkpoint && (last || is_due("save_frequency", step)))
      callbacks->on_checkpoint(step);
  }

  // Whether fit() of the solver ended because a step has met what is not finite, and that step is
  // to be left out. Neither a validation nor what a callback throws is such a step.
  bool is_to_skip(const Error& e) const {
    return skips && e.code() == ErrorCode::non_finite && !is_pending &&
           (!failure || is_bad_statistic) && step < experiment.num_steps();
  }

  // The state is that before the step, the generators go on. A validation of this step is left out
  // as well.
  void skip_step(const std::string& reason) {
    skipped.put_back(*optimizer);
    skipped.left_out(reason);
    if (skipped.count() == 1)
      network.host.log(LogLevel::warning, network.solver->component(),
                       reason + "; the step is left out, as are others like it");
    failure = nullptr;
    ++step;
    stopped = callbacks->should_stop && callbacks->should_stop();
    const Statistics none;
    if (callbacks->on_step)
      callbacks->on_step({step - 1, experiment.num_steps(), none, std::nullopt, none, reason});
    offer_checkpoint();
  }

  // Runs host code that a solver calls: what it throws is kept, to be thrown again as it was once
  // the solver has returned.
  template <class Body>
  std::int32_t service(const char* operation, const grevy_error_sink* errors, Body&& body) {
    return detail::guarded(errors, {"host", "training", operation}, [&] {
      const Measured measured(phases.services);
      try {
        body();
      } catch (...) {
        failure = std::current_exception();
        throw;
      }
    });
  }

  grevy_training make_training(const MeasuredTables& measured) {
    grevy_training training{};
    training.struct_size = sizeof(training);
    training.context = this;
    training.loader = measured.loader();
    training.valid_loader = valid_loader ? valid_loader->table() : nullptr;
    training.optimizer = measured.optimizer();
    training.first_step = step;
    training.num_steps = experiment.num_steps();
    training.end_step = [](void* context, std::int64_t at, const grevy_statistic* statistics,
                           std::uint64_t count, std::uint32_t* actions,
                           const grevy_error_sink* errors) {
      auto& self = *static_cast<Impl*>(context);
      return self.service("end_step", errors,
                          [&] { self.end_step(at, read_statistics(statistics, count), actions); });
    };
    training.end_validation = [](void* context, std::int64_t, double loss,
                                 const grevy_statistic* statistics, std::uint64_t count,
                                 const grevy_error_sink* errors) {
      auto& self = *static_cast<Impl*>(context);
      return self.service("end_validation", errors, [&] {
        if (!std::isfinite(loss))
          throw Error(ErrorCode::non_finite, "the validation loss is " + std::to_string(loss));
        self.validation = loss;
        self.validation_parts = read_statistics(statistics, count);
        // A buffer may have changed since the step: the next one begins with it as it is now.
        if (self.skips) self.skipped.keep(self.all_tensors(), *self.optimizer);
        self.finish_step();
      });
    };
    return training;
  }

  [[noreturn]] void rethrow(const Error& e) const {
    if (e.code() != ErrorCode::non_finite) throw;
    throw Error(e.code(), in_step(e));
  }

  // What happened in the step in progress. The optimiser is ours: its errors need no plugin's name.
  std::string in_step(const Error& e) const {
    const auto* of_plugin = dynamic_cast<const PluginError*>(&e);
    const bool is_ours = of_plugin != nullptr && of_plugin->plugin() == "host";
    return "step " + std::to_string(step) +
           " (counted from 0): " + (is_ours ? of_plugin->message() : e.what()) + " (criterion " +
           network.criterion->component() + ", model " + network.models[0]->component() +
           ", learning rate " + experiment.at("/optimizer/learning_rate").dump() + ")";
  }

  // Runs the solver until it returns. False: a step was left out, and it is to go on after it.
  bool run_solver() {
    failure = nullptr;
    is_bad_statistic = false;
    const MeasuredTables measured(loader->table(), optimizer->table(), phases);
    const grevy_training training = make_training(measured);
    try {
      const Measured whole(phases.total);
      network.solver->fit(training);
      finish_step();
      return true;
    } catch (const Error& e) {
      const bool skipping = is_to_skip(e);
      is_pending = false;
      if (!failure && !skipping) rethrow(e);
      try {
        if (failure) std::rethrow_exception(failure);
        throw;
      } catch (const Error& original) {
        if (!skipping) rethrow(original);
        skip_step(in_step(original));
      }
      return false;
    }
  }

  bool fit(const FitCallbacks& given) {
    if (!loader) throw Error(ErrorCode::invalid_state, "this Trainer has no recording to train on");
    if (callbacks != nullptr)
      throw Error(ErrorCode::invalid_state, "fit() was called again before it had returned");
    struct Leave {
      const FitCallbacks*& callbacks;
      ~Leave() { callbacks = nullptr; }
    } leave{callbacks};
    if (step > experiment.num_steps())
      throw Error(ErrorCode::invalid_state, "has done " + std::to_string(step) +
                                                " steps already; the experiment has " +
                                                std::to_string(experiment.num_steps()));
    callbacks = &given;
    stopped = false;
    if (skips) skipped.keep(all_tensors(), *optimizer);
    while (!run_solver())
      if (stopped || step == experiment.num_steps()) return !stopped;
    if (!stopped && step != experiment.num_steps())
      throw PluginError(ErrorCode::invalid_state,
                        "returned after step " + std::to_string(step) + " of " +
                            std::to_string(experiment.num_steps()),
                        network.solver->plugin(), network.solver->component(), "fit");
    return !stopped;
  }

  // ---- state ----

  NamedTensors optimizer_tensors() const {
    NamedTensors tensors = optimizer->state();
    for (NamedTensor& t : tensors) t.name = "optimizer." + t.name;
    return tensors;
  }
  NamedTensors all_tensors() const {
    NamedTensors all = network.tensors();
    for (NamedTensor& t : optimizer_tensors()) all.push_back(std::move(t));
    return all;
  }

  const json& plugins() {
    if (plugin_list.is_null()) plugin_list = network.plugins();
    return plugin_list;
  }

  void save(const std::filesystem::path& file, const json& run) {
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
  void for_generators(Body&& body) const {
    if (loader) {
      body("train", loader->random());
      body("train masks", loader->mask_random());
    }
    if (valid_loader) body("validation", valid_loader->random());
  }

  void load(const StoredTensors& content, const json& stored) {
    restore(all_tensors(), content);
    step = stored.at("step");
    optimizer->set_num_steps(stored.at("optimizer_steps"));
    skipped.restore(stored.value("skipped", json::object()));
    network.solver->load_state(stored.at("solver_state").get<std::string>());
    const json& generators = stored.at("generators");
    for_generators([&](const char* name, Random& random) {
      if (generators.contains(name)) random.restore(parse_words(generators[name]));
    });
  }

  // What of the tensors a checkpoint has; the rest stays.
  std::vector<std::string> load_partially(const StoredTensors& content, const json& stored) {
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

  Experiment experiment;
  at::Device device;
  Network network;
  std::vector<std::string> frozen;  // tensors that another run has trained
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<Loader> loader, valid_loader;
  json plugin_list;

  std::int64_t step = 0;
  Phases phases;
  MemoryEstimate memory;
  const FitCallbacks* callbacks = nullptr;
  Statistics pending;
  bool is_pending = false, stopped = false;
  bool skips = false;             // steps that meet what is not finite
  bool is_bad_statistic = false;  // what `failure` is about
  SkippedSteps skipped;
  std::optional<double> validation;
  Statistics validation_parts;
  std::exception_ptr failure;
};

Trainer::Trainer(Host& host, const Experiment& experiment, const std::vector<Recording>& train,
                 const std::vector<Recording>& held_out) {
  if (train.empty()) throw Error(ErrorCode::invalid_value, "there is no session to train on");
  if (!held_out.empty() && held_out.size() != train.size())
    throw Error(ErrorCode::invalid_value,
                "found " + std::to_string(train.size()) + " sessions to train on and " +
                    std::to_string(held_out.size()) + " held-out parts; must be as many, or none");
  std::vector<std::int64_t> num_inputs;
  for (const auto* part : {&train, &held_out})
    for (const Recording& session : *part)
      if (!session.neural().defined())
        throw Error(ErrorCode::invalid_state, "a Recording was moved from: it has no samples");
  for (const Recording& session : train) num_inputs.push_back(session.num_channels());
  impl_ = std::move(without_data(host, experiment, num_inputs).impl_);
  impl_->set_data(train, held_out);
}

Trainer::Trainer(Host& host, const Experiment& experiment, const Recording& train,
                 const std::optional<Recording>& held_out)
    : Trainer(host, experiment, std::vector<Recording>{train},
              held_out ? std::vector<Recording>{*held_out} : std::vector<Recording>{}) {}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

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

Trainer Trainer::without_data(Host& host, const Experiment& experiment,
                              const std::vector<std::int64_t>& num_inputs) {
  if (num_inputs.empty()) throw Error(ErrorCode::invalid_value, "there is no session");
  auto impl = std::make_unique<Impl>(host, experiment, num_inputs);
  impl->adapt();
  impl->make_optimizer();
  return Trainer(std::move(impl));
}

Trainer::Impl& Trainer::impl() const {
  if (!impl_) throw Error(ErrorCode::invalid_state, "this Trainer was moved from");
  return *impl_;
}

const Experiment& Trainer::experiment() const { return impl().experiment; }
std::int64_t Trainer::num_sessions() const { return impl().network.num_sessions(); }
const ModelInfo& Trainer::model_info(std::int64_t session) const {
  return impl().network.info(session);
}
SolverInfo Trainer::solver_info() const { return impl().network.solver_info; }
ModelRef Trainer::model(std::int64_t session) const {
  return *impl().network.models[impl().network.model_of(session)];
}
CriterionRef Trainer::criterion() const { return *impl().network.criterion; }
SolverRef Trainer::solver() const { return *impl().network.solver; }
const NamedTensors& Trainer::tensors() const { return impl().network.tensors(); }
std::int64_t Trainer::step() const { return impl().step; }
std::int64_t Trainer::num_skipped() const { return impl().skipped.count(); }
const MemoryEstimate& Trainer::memory() const { return impl().memory; }

std::int64_t Trainer::num_parameters() const {
  std::int64_t count = 0;
  for (const NamedTensor& t : tensors()) count += t.trained ? t.tensor.numel() : 0;
  return count;
}

bool Trainer::fit(const FitCallbacks& callbacks) { return impl().fit(callbacks); }

const Phases& Trainer::phases() const { return impl().phases; }

HeldOut Trainer::loss_on(const std::vector<Recording>& sessions, std::int64_t num_batches) const {
  return impl().loss_on(sessions, num_batches);
}
HeldOut Trainer::loss_on_session(const Recording& recording, std::int64_t session,
                                 std::int64_t num_batches) const {
  return impl().loss_on_session(recording, session, num_batches);
}

const json& Trainer::plugins() const { return impl().plugins(); }

void Trainer::save(const std::filesystem::path& file, const json& run) const {
  impl().save(file, run);
}

void Trainer::load(const std::filesystem::path& run) {
  const OpenedCheckpoint opened = open_and_warn(impl().network.host, run);
  in_file(opened.file, [&] { impl().load(opened.content, opened.info); });
}

NamedTensors Trainer::state() const { return impl().all_tensors(); }

void Trainer::set_steps(std::int64_t step, std::int64_t optimizer_steps) {
  if (step < 0 || optimizer_steps < 0)
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(step) + " steps and " +
                                              std::to_string(optimizer_steps) +
                                              " of the optimiser; must be at least 0");
  impl().step = step;
  impl().optimizer->set_num_steps(optimizer_steps);
}

std::vector<std::string> Trainer::load_partially(const std::filesystem::path& run) {
  const OpenedCheckpoint opened = open_and_warn(impl().network.host, run);
  return in_file(opened.file, [&] { return impl().load_partially(opened.content, opened.info); });
}

json read_checkpoint_info(const std::filesystem::path& run) { return open_checkpoint(run).info; }

std::int64_t Trainer::num_rows(const Recording& recording, const TransformOptions& options) const {
  std::int64_t rows = 0;
  for_trials(recording, [&](std::int64_t begin, std::int64_t end) {
    rows += num_embedded(model_info(options.session), end - begin, options.pad);
  });
  return rows;
}

at::Tensor Trainer::transform(const at::Tensor& samples, const TransformOptions& options) const {
  std::vector<at::Tensor> parts;
  const auto keep = [&](const at::Tensor& rows) { parts.push_back(rows); };
  transform(samples, keep, options);
  return at::cat(parts);
}

std::int64_t Trainer::transform(const at::Tensor& samples, const RowSink& sink,
                                const TransformOptions& options) const {
  TransformOptions of_model = options;
  of_model.session = static_cast<std::int64_t>(impl().network.model_of(options.session));
  return transform_in_chunks(*impl().network.solver, model_info(options.session), impl().device,
                             samples, sink, of_model);
}

std::int64_t Trainer::transform(const Recording& recording, const RowSink& sink,
                                const TransformOptions& options) const {
  std::int64_t rows = 0;
  for_trials(recording, [&](std::int64_t begin, std::int64_t end) {
    rows += transform(recording.neural().slice(0, begin, end), sink, options);
  });
  return rows;
}

Recording Trainer::line_up(const std::vector<Recording>& sessions, std::int64_t target) const {
  const Experiment& e = impl().experiment;
  if (!impl().network.is_joined())
    throw Error(ErrorCode::invalid_state,
                solver().component() + " embeds sessions by themselves; nothing is to be lined up");
  return e.at_place("/sampling", [&] {
    return host::line_up(sessions, target, resolve_sampling(e, sessions).positives.front(),
                         Random(e.seed(), "line up"));
  });
}

}  // namespace grevy::host
