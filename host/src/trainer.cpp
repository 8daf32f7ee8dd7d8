#include "adam.hpp"
#include "checkpoint.hpp"
#include "file_hash.hpp"
#include "loader.hpp"
#include "sampling_spec.hpp"
#include "transform.hpp"

#include <grevy/host/trainer.hpp>
#include <grevy/host/version.hpp>

#include <algorithm>
#include <cmath>

namespace grevy::host {
namespace {

using nlohmann::json;

std::string name_of(const json& spec) { return spec.at("name").get<std::string>(); }

std::string options_of(json spec) {
  spec.erase("name");
  return spec.dump();
}

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

void append(NamedTensors& all, const std::string& prefix, const NamedTensors& tensors) {
  for (const NamedTensor& t : tensors) all.push_back({prefix + "." + t.name, t.tensor, t.trained});
}

// 64-bit words as text: JSON numbers of other programs are doubles.
json words(const Random::State& state) {
  json list = json::array();
  for (const std::uint64_t word : state) list.push_back(std::to_string(word));
  return list;
}

Random::State parse_words(const json& list) {
  Random::State state{};
  for (std::size_t i = 0; i < state.size(); ++i)
    state[i] = std::stoull(list.at(i).get<std::string>());
  if (state == Random::State{})
    throw Error(ErrorCode::invalid_value, "a generator's state is all zero");
  return state;
}

}  // namespace

struct Trainer::Impl {
  Impl(Host& the_host, Experiment the_experiment, std::int64_t num_input)
      : host(the_host),
        experiment(std::move(the_experiment)),
        device(parse_device(experiment.device())) {
    CreateOptions create;
    create.device = device;
    const auto seeded = [&](const char* purpose, std::int64_t input) {
      create.seed = derive_seed(experiment.seed(), purpose);
      create.num_input = input;
      return create;
    };
    const auto make_model = [&](const char* pointer) {
      return experiment.at_place(pointer, [&] {
        const json& spec = experiment.at(pointer);
        auto made = host.create_model(name_of(spec), options_of(spec), seeded("model", num_input));
        check_model(*made, create);
        return made;
      });
    };
    model = make_model("/model");
    info = model->info();
    experiment.at_place("/criterion", [&] {
      const json& spec = experiment.at("/criterion");
      criterion = host.create_criterion(name_of(spec), options_of(spec), seeded("criterion", 0));
    });
    experiment.at_place("/solver", [&] {
      const json& spec = experiment.at("/solver");
      solver = host.create_solver(name_of(spec), options_of(spec), seeded("solver", num_input));
    });
    std::vector<ModelRef> models = {*model};
    if (solver->info().num_models == 2) {
      // One like the model starts from the same seed, and so from the same weights.
      reference_model =
          make_model(experiment.at("/reference_model").is_null() ? "/model" : "/reference_model");
      models.push_back(*reference_model);
      check_reference_model();
    } else if (!experiment.at("/reference_model").is_null()) {
      throw Error(ErrorCode::invalid_value, experiment.where("/reference_model") + "the solver " +
                                                solver->component() + " has no use for it");
    }
    experiment.at_place("/solver", [&] { solver->attach(models, {*criterion}); });
    append(tensors, "model", model->tensors());
    if (reference_model) append(tensors, "reference_model", reference_model->tensors());
    append(tensors, "criterion", criterion->tensors());
    append(tensors, "solver", solver->tensors());
    optimizer = std::make_unique<Adam>(tensors, adam_options(experiment.at("/optimizer")));
    if (criterion->info().expects_normalized && !info.normalized)
      host.log(
          LogLevel::warning, criterion->component(),
          "is meant for embeddings of length 1, but " + model->component() + " does not normalise");
  }

  // Windows are cut once, for both encoders, and their embeddings are compared.
  void check_reference_model() const {
    const ModelInfo other = reference_model->info();
    if (other.offset == info.offset && other.num_output == info.num_output) return;
    throw Error(ErrorCode::invalid_value,
                experiment.where("/reference_model") + reference_model->component() +
                    " must have the receptive field and num_output of " + model->component());
  }

  std::unique_ptr<Loader> make_loader(const Recording& recording, const char* purpose,
                                      std::int64_t num_batches) const {
    const SamplingSpec spec = resolve_sampling(experiment, recording);
    return experiment.at_place("/sampling", [&] {
      return std::make_unique<Loader>(recording, spec, info.offset, experiment.batch_size(),
                                      num_batches, device, Random(experiment.seed(), purpose));
    });
  }

  void set_data(const Recording& train, const std::optional<Recording>& held_out) {
    const auto check_length = [&](const char* place, const Recording& part) {
      experiment.at_place(place, [&] { WindowGather(part.neural(), info.offset, at::kCPU); });
    };
    check_length("/data/neural", train);
    experiment.at_place("/data/neural", [&] {
      train.check_finite();
      if (held_out) held_out->check_finite();
    });
    if (experiment.batch_size() > train.num_samples())
      throw Error(ErrorCode::invalid_value,
                  experiment.where("/training/batch_size") + "found " +
                      std::to_string(experiment.batch_size()) +
                      "; must be at most the number of training samples, " +
                      std::to_string(train.num_samples()));
    loader = make_loader(train, "train", experiment.num_steps());
    const json& training = experiment.at("/training");
    if (training.at("valid_frequency").is_null()) return;
    if (!held_out)
      throw Error(ErrorCode::invalid_value,
                  experiment.where("/training/valid_frequency") +
                      "validation needs a held-out part; /data/train_fraction leaves none");
    check_length("/data/train_fraction", *held_out);
    valid_loader = make_loader(*held_out, "validation", training.at("valid_batches"));
  }

  // ---- fit ----

  bool is_due(const char* key, std::int64_t done) const {
    const json& frequency = experiment.at("/training").at(key);
    return !frequency.is_null() && done % frequency.get<std::int64_t>() == 0;
  }

  void end_step(std::int64_t at, Statistics found, std::uint32_t* actions) {
    finish_step();
    for (const Statistic& s : found)
      if (!std::isfinite(s.value))
        throw Error(ErrorCode::non_finite, "\"" + s.name + "\" is " + std::to_string(s.value));
    if (at != step)
      throw Error(ErrorCode::invalid_state, "the solver reported step " + std::to_string(at) +
                                                "; expected " + std::to_string(step));
    pending = std::move(found);
    is_pending = true;
    validation.reset();
    ++step;
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
      callbacks->on_step({step - 1, experiment.num_steps(), pending, validation});
    const bool last = stopped || step == experiment.num_steps();
    if (callbacks->on_checkpoint && (last || is_due("save_frequency", step)))
      callbacks->on_checkpoint(step);
  }

  // Runs host code that a solver calls: what it throws is kept, to be thrown again as it was once
  // the solver has returned.
  template <class Body>
  std::int32_t service(const char* operation, const grevy_error_sink* errors, Body&& body) {
    return detail::guarded(errors, {"host", "training", operation}, [&] {
      try {
        body();
      } catch (...) {
        failure = std::current_exception();
        throw;
      }
    });
  }

  grevy_training make_training() {
    grevy_training training{};
    training.struct_size = sizeof(training);
    training.context = this;
    training.loader = loader->table();
    training.valid_loader = valid_loader ? valid_loader->table() : nullptr;
    training.optimizer = optimizer->table();
    training.first_step = step;
    training.num_steps = experiment.num_steps();
    training.end_step = [](void* context, std::int64_t at, const grevy_statistic* statistics,
                           std::uint64_t count, std::uint32_t* actions,
                           const grevy_error_sink* errors) {
      auto& self = *static_cast<Impl*>(context);
      return self.service("end_step", errors, [&] {
        Statistics found;
        for (std::uint64_t i = 0; i < count; ++i)
          found.push_back({std::string(detail::view(statistics[i].name)), statistics[i].value});
        self.end_step(at, std::move(found), actions);
      });
    };
    training.end_validation = [](void* context, std::int64_t, double loss,
                                 const grevy_error_sink* errors) {
      auto& self = *static_cast<Impl*>(context);
      return self.service("end_validation", errors, [&] {
        if (!std::isfinite(loss))
          throw Error(ErrorCode::non_finite, "the validation loss is " + std::to_string(loss));
        self.validation = loss;
        self.finish_step();
      });
    };
    return training;
  }

  [[noreturn]] void rethrow(const Error& e) const {
    if (e.code() != ErrorCode::non_finite) throw;
    throw Error(e.code(), "step " + std::to_string(step) + " (counted from 0): " + e.what() +
                              " (criterion " + criterion->component() + ", model " +
                              model->component() + ", learning rate " +
                              experiment.at("/optimizer/learning_rate").dump() + ")");
  }

  bool fit(const FitCallbacks& given) {
    if (!loader) throw Error(ErrorCode::invalid_state, "this Trainer has no recording to train on");
    callbacks = &given;
    stopped = false;
    failure = nullptr;
    const grevy_training training = make_training();
    try {
      solver->fit(training);
      finish_step();
    } catch (const Error& e) {
      callbacks = nullptr;
      is_pending = false;
      if (!failure) rethrow(e);
      try {
        std::rethrow_exception(failure);
      } catch (const Error& original) {
        rethrow(original);
      }
    }
    callbacks = nullptr;
    if (!stopped && step != experiment.num_steps())
      throw PluginError(ErrorCode::invalid_state,
                        "returned after step " + std::to_string(step) + " of " +
                            std::to_string(experiment.num_steps()),
                        solver->plugin(), solver->component(), "fit");
    return !stopped;
  }

  // ---- state ----

  json plugins() const {
    json list = json::array();
    for (const PluginManifest& plugin : host.plugins()) {
      const std::string used[] = {model->plugin(), criterion->plugin(), solver->plugin()};
      if (std::find(std::begin(used), std::end(used), plugin.id) == std::end(used)) continue;
      list.push_back({{"id", plugin.id},
                      {"version", plugin.version},
                      {"file", plugin.file.string()},
                      {"sha256", sha256_of_file(plugin.file)}});
    }
    return list;
  }

  NamedTensors all_tensors() const {
    NamedTensors all = tensors;
    append(all, "optimizer", optimizer->state());
    return all;
  }

  void save(const std::filesystem::path& file) {
    if (plugin_list.is_null()) plugin_list = plugins();
    StoredTensors content;
    store(all_tensors(), content);
    json state = {{"grevy", version()},
                  {"step", step},
                  {"optimizer_steps", optimizer->num_steps()},
                  {"num_input", info.num_input},
                  {"experiment", experiment.document()},
                  {"file", experiment.file().string()},
                  {"plugins", plugin_list},
                  {"solver_state", solver->save_state()},
                  {"generators", json::object()}};
    if (loader) state["generators"]["train"] = words(loader->random().state());
    if (valid_loader) state["generators"]["validation"] = words(valid_loader->random().state());
    store_info(state, content);
    write_safetensors(file, content);
  }

  void load(const StoredTensors& content) {
    const json stored = read_info(content);
    restore(all_tensors(), content);
    step = stored.at("step");
    optimizer->set_num_steps(stored.at("optimizer_steps"));
    solver->load_state(stored.at("solver_state").get<std::string>());
    const json& generators = stored.at("generators");
    if (loader && generators.contains("train"))
      loader->random().restore(parse_words(generators["train"]));
    if (valid_loader && generators.contains("validation"))
      valid_loader->random().restore(parse_words(generators["validation"]));
  }

  Host& host;
  Experiment experiment;
  at::Device device;
  // Destroyed in reverse: the solver refers to model and criterion.
  Owned<ModelRef> model, reference_model;
  Owned<CriterionRef> criterion;
  Owned<SolverRef> solver;
  ModelInfo info;
  NamedTensors tensors;
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<Loader> loader, valid_loader;
  json plugin_list;

  std::int64_t step = 0;
  const FitCallbacks* callbacks = nullptr;
  Statistics pending;
  bool is_pending = false, stopped = false;
  std::optional<double> validation;
  std::exception_ptr failure;
};

Trainer::Trainer(Host& host, const Experiment& experiment, const Recording& train,
                 const std::optional<Recording>& held_out)
    : impl_(std::make_unique<Impl>(host, experiment, train.num_channels())) {
  impl_->set_data(train, held_out);
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

namespace {

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

}  // namespace

Trainer Trainer::from_checkpoint(Host& host, const std::filesystem::path& file,
                                 const std::string& device) {
  return in_file(file, [&] {
    const StoredTensors content = read_safetensors(file);
    const json info = read_info(content);
    json document = info.at("experiment");
    if (!device.empty()) document["device"] = device;
    const Experiment experiment(host, document, info.at("file").get<std::string>());
    auto impl = std::make_unique<Impl>(host, experiment, info.at("num_input").get<std::int64_t>());
    impl->load(content);
    return Trainer(std::move(impl));
  });
}

const Experiment& Trainer::experiment() const { return impl_->experiment; }
const ModelInfo& Trainer::model_info() const { return impl_->info; }
ModelRef Trainer::model() const { return *impl_->model; }
CriterionRef Trainer::criterion() const { return *impl_->criterion; }
SolverRef Trainer::solver() const { return *impl_->solver; }
std::int64_t Trainer::step() const { return impl_->step; }

std::int64_t Trainer::num_parameters() const {
  std::int64_t count = 0;
  for (const NamedTensor& t : impl_->tensors) count += t.trained ? t.tensor.numel() : 0;
  return count;
}

bool Trainer::fit(const FitCallbacks& callbacks) { return impl_->fit(callbacks); }

double Trainer::loss_on(const Recording& recording, std::int64_t num_batches) const {
  const auto loader = impl_->make_loader(recording, "evaluation", num_batches);
  return impl_->solver->validate(*loader->table());
}

void Trainer::save(const std::filesystem::path& file) const { impl_->save(file); }

void Trainer::load(const std::filesystem::path& file) {
  in_file(file, [&] { impl_->load(read_safetensors(file)); });
}

json read_checkpoint_info(const std::filesystem::path& file) {
  return in_file(file, [&] { return read_info(read_safetensors(file)); });
}

std::int64_t Trainer::num_rows(const at::Tensor& samples, const TransformOptions& options) const {
  return num_embedded(impl_->info, samples.size(0), options.pad);
}

at::Tensor Trainer::transform(const at::Tensor& samples, const TransformOptions& options) const {
  std::vector<at::Tensor> parts;
  const auto keep = [&](const at::Tensor& rows) { parts.push_back(rows); };
  transform(samples, keep, options);
  return at::cat(parts);
}

std::int64_t Trainer::transform(const at::Tensor& samples, const RowSink& sink,
                                const TransformOptions& options) const {
  return transform_in_chunks(*impl_->solver, impl_->info, impl_->device, samples, sink, options);
}

}  // namespace grevy::host
