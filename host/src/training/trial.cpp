#include "training/trial.hpp"

#include "training/trial_batch.hpp"

#include <algorithm>
#include <cmath>

namespace grevy::host {
namespace {

// The first two samples, and those with the smallest and the largest class of every target.
std::vector<std::int64_t> samples_of(const Recording& session, const SamplingSpec& spec) {
  std::vector<std::int64_t> samples = {0, std::min<std::int64_t>(1, session.num_samples() - 1)};
  for (const std::string& name : spec.targets) {
    const Label& label = session.label(name);
    if (!label.discrete) continue;
    samples.push_back(label.values.argmin().item<std::int64_t>());
    samples.push_back(label.values.argmax().item<std::int64_t>());
  }
  return samples;
}

// Targets alone are of a kind that model and criterion may not have been made for. Whether spec and
// solver agree is for the Loader to say.
bool has_targets(const SolverInfo& solver, const SamplingSpec& spec) {
  const auto sets = static_cast<std::int64_t>(spec.targets.size());
  return solver.supervised && sets > 0 &&
         (solver.num_positives == 0 || solver.num_positives == sets);
}

}  // namespace

void try_a_batch(const Network& network, const Experiment& experiment, at::Device device,
                 const std::vector<Recording>& sessions, const SamplingSpec& spec) {
  if (!has_targets(network.solver_info, spec)) return;
  experiment.at_place("/sampling/targets", [&] {
    std::vector<TrialSamples> samples;
    for (const Recording& session : sessions) {
      samples.push_back({samples_of(session, spec), 0});
      samples.back().num_negatives = static_cast<std::int64_t>(samples.back().references.size());
    }
    const FixedLoader loader(trial_batches(network, device, spec, sessions, samples));
    try {
      network.solver->validate(loader.table());
    } catch (const PluginError& e) {
      const bool is_of_a_step = e.code() == ErrorCode::non_finite;  // the training says of which
      if (!is_of_a_step && e.code() != ErrorCode::unimplemented) throw;
    }
  });
}

bool is_log_of_negatives(const Network& network, at::Device device) {
  if (network.solver_info.supervised) return false;
  const at::NoGradGuard no_grad;
  const auto criterion = network.make_criterion(device);
  const CriterionInfo info = criterion->info();
  const std::size_t losses = info.parts_are_losses ? info.parts.size() : 1;
  // Slices of the embedding are as wide as the model says.
  const nlohmann::json slices =
      network.experiment.at("/model").value("feature_ranges", nlohmann::json::array());
  const auto same = [&](std::size_t loss) {
    std::int64_t width = network.infos.front().num_output;
    if (loss < slices.size())
      width = slices[loss].at(1).get<std::int64_t>() - slices[loss].at(0).get<std::int64_t>();
    at::Tensor row = at::zeros({1, width}, at::kFloat);
    row[0][0] = 1;
    return row.repeat({8, 1}).to(device);
  };
  const auto is_log = [&](std::int64_t negatives) {
    std::vector<Prediction> predictions;
    for (std::size_t i = 0; i < losses; ++i)
      predictions.push_back({same(i), same(i), same(i).slice(0, 0, negatives)});
    const double loss = criterion->evaluate(predictions, info.parts.size()).loss.item<double>();
    const double wanted = static_cast<double>(losses) * std::log(static_cast<double>(negatives));
    return std::abs(loss - wanted) <= 1e-4 * std::max(1.0, wanted);
  };
  try {
    return is_log(2) && is_log(8);
  } catch (const PluginError&) {  // it compares other things
    return false;
  }
}

}  // namespace grevy::host
