#include "sampling/sampling_spec.hpp"
#include "training/memory_estimate.hpp"
#include "training/trainer_impl.hpp"
#include "training/trial.hpp"

#include <ATen/Parallel.h>

#include <cmath>

namespace grevy::host {

using nlohmann::json;

std::string Trainer::Impl::place_of(std::size_t session) const {
  return experiment.at("/data/sessions").is_null()
             ? "/data/neural"
             : "/data/sessions/" + std::to_string(session) + "/neural";
}

void Trainer::Impl::check_lengths(const std::vector<Recording>& sessions, const char* place) const {
  for (std::size_t s = 0; s < sessions.size(); ++s)
    experiment.at_place(place != nullptr ? place : place_of(s), [&] {
      WindowGather(sessions[s].neural(), network.info(static_cast<std::int64_t>(s)).offset,
                   at::kCPU, sessions[s].trials());
    });
}

void Trainer::Impl::check_finite(const std::vector<Recording>& sessions) const {
  for (std::size_t s = 0; s < sessions.size(); ++s)
    experiment.at_place(place_of(s), [&] { sessions[s].check_finite(); });
}

void Trainer::Impl::check_batch_size(const std::vector<Recording>& train) const {
  if (network.solver_info.full_batch) {
    for (const char* key : {"/training/batch_size", "/training/num_negatives"})
      if (!experiment.at(key).is_null())
        throw Error(ErrorCode::invalid_value,
                    experiment.where(key) + "found " + experiment.at(key).dump() + "; the solver " +
                        network.solver->component() + " takes all samples; must be null");
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

LoaderOptions Trainer::Impl::loader_options(std::int64_t num_batches) const {
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

std::unique_ptr<Loader> Trainer::Impl::make_loader(const std::vector<Recording>& sessions,
                                                   const std::string& purpose,
                                                   const LoaderOptions& options) const {
  SamplingSpec spec = resolve_sampling(experiment, sessions);
  if (purpose != "train") spec.masks = json::object();
  return experiment.at_place("/sampling", [&] {
    return std::make_unique<Loader>(sessions, spec, options, Random(experiment.seed(), purpose),
                                    Random(experiment.seed(), purpose + " masks"));
  });
}

void Trainer::Impl::check_before_training(const std::vector<Recording>& train,
                                          const std::vector<Recording>& held_out) {
  const Network spare(network.host, experiment, device, network.num_inputs);
  memory = estimate_memory(spare, experiment, train, held_out);
  experiment.at_place("/training", [&] { require_memory(memory, available_for(memory)); });
  try_a_batch(spare, experiment, device, train, resolve_sampling(experiment, train));
}

void Trainer::Impl::set_data(const std::vector<Recording>& train,
                             const std::vector<Recording>& held_out) {
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
  valid_loader = make_loader(held_out, "validation", loader_options(training.at("valid_batches")));
}

void Trainer::Impl::check_evaluated(const std::vector<Recording>& sessions,
                                    std::int64_t num_batches) {
  if (num_batches < 1)
    throw Error(ErrorCode::invalid_value,
                "found num_batches " + std::to_string(num_batches) + "; must be at least 1");
  for (const Recording& session : sessions) session.check_finite();
}

HeldOut Trainer::Impl::loss_on(const std::vector<Recording>& sessions,
                               std::int64_t num_batches) const {
  check_evaluated(sessions, num_batches);
  const auto made = make_loader(sessions, "evaluation", loader_options(num_batches));
  return {network.solver->validate(*made->table()).loss, chance_of(*made)};
}

double Trainer::Impl::chance_of(const Loader& made) const {
  return is_log_of_negatives(network, device) ? made.chance() : std::nan("");
}

HeldOut Trainer::Impl::loss_on_session(const Recording& recording, std::int64_t session,
                                       std::int64_t num_batches) const {
  LoaderOptions options = loader_options(num_batches);
  options.offsets = {network.info(session).offset};
  options.first_session = session;
  check_evaluated({recording}, num_batches);
  const auto made = make_loader({recording}, "evaluation", options);
  return {network.solver->validate(*made->table()).loss, chance_of(*made)};
}

}  // namespace grevy::host
