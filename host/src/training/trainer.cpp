#include "sampling/line_up.hpp"
#include "sampling/sampling_spec.hpp"
#include "training/trainer_impl.hpp"
#include "training/transform.hpp"

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
template <class Body>
void for_trials(const Recording& recording, Body&& body) {
  std::vector<std::int64_t> borders = recording.trials();
  if (borders.empty()) borders = {0};
  borders.push_back(recording.num_samples());
  for (std::size_t i = 1; i < borders.size(); ++i) body(borders[i - 1], borders[i]);
}
}  // namespace

Trainer::Impl::Impl(Host& the_host, Experiment the_experiment,
                    const std::vector<std::int64_t>& num_inputs)
    : experiment(std::move(the_experiment)),
      device(parse_device(experiment.device())),
      network(the_host, experiment, device, num_inputs),
      skips(experiment.at("/training/non_finite") == "skip") {
  network.warn_about_length();
}

void Trainer::Impl::make_optimizer() {
  optimizer = std::make_unique<Adam>(network.tensors(), adam_options(experiment.at("/optimizer")));
}

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
