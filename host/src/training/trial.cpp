#include "training/trial.hpp"

#include "sampling/window_gather.hpp"

#include <algorithm>
#include <cmath>

namespace grevy::host {
namespace {

// A loader that gives the same batches every time.
class FixedLoader {
 public:
  explicit FixedLoader(std::vector<Batch> batches) : batches_(std::move(batches)), lent_(batches_) {
    table_.struct_size = sizeof(table_);
    table_.context = this;
    table_.num_batches = 1;
    table_.next = [](void* context, const grevy_batch* const** given, std::uint64_t* count,
                     const grevy_error_sink*) -> std::int32_t {
      const auto& self = *static_cast<FixedLoader*>(context);
      *given = self.lent_.data();
      *count = self.lent_.size();
      return GREVY_OK;
    };
  }
  FixedLoader(const FixedLoader&) = delete;
  FixedLoader& operator=(const FixedLoader&) = delete;
  const grevy_loader& table() const { return table_; }

 private:
  std::vector<Batch> batches_;
  detail::CBatches lent_;
  grevy_loader table_{};
};

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

// One session's share.
class BatchMaker {
 public:
  BatchMaker(const Network& network, at::Device device, const SamplingSpec& spec)
      : network_(network), device_(device), spec_(spec) {}

  Batch make(const Recording& session, std::int64_t number) const {
    Batch batch;
    batch.session = network_.is_joined() ? 0 : number;
    const std::vector<std::int64_t> samples = samples_of(session, spec_);
    const bool whole = network_.solver_info.full_batch;
    const Offset offset = network_.info(number).offset;
    if (whole) batch.series = session.neural().slice(0, 0, offset.length()).to(device_);
    const auto rows = [&] {
      return whole ? at::zeros({static_cast<std::int64_t>(samples.size())}, at::kLong).to(device_)
                   : windows(session, offset, samples);
    };
    batch.reference = rows();
    const at::Tensor picked = at::tensor(samples, at::kLong);
    for (const std::string& name : spec_.targets)
      batch.positives.push_back(session.label(name).values.index_select(0, picked).to(device_));
    for (std::size_t set = 0; set < spec_.positives.size(); ++set)
      batch.positives.push_back(rows());
    if (!network_.solver_info.supervised) batch.negative = rows();
    return batch;
  }

 private:
  at::Tensor windows(const Recording& session, Offset offset,
                     const std::vector<std::int64_t>& samples) const {
    at::Tensor buffer;
    return WindowGather(session.neural(), offset, at::kCPU, session.trials())
        .gather(samples, buffer)
        .to(device_);
  }

  const Network& network_;
  at::Device device_;
  const SamplingSpec& spec_;
};

// Channels side by side.
Batch join(const std::vector<Batch>& sessions) {
  Batch all = sessions.front();
  for (std::size_t s = 1; s < sessions.size(); ++s) {
    all.reference = at::cat({all.reference, sessions[s].reference}, 1);
    all.positives.front() = at::cat({all.positives.front(), sessions[s].positives.front()}, 1);
    all.negative = at::cat({all.negative, sessions[s].negative}, 1);
  }
  return all;
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
    const BatchMaker maker(network, device, spec);
    std::vector<Batch> batches;
    for (std::size_t s = 0; s < sessions.size(); ++s)
      batches.push_back(maker.make(sessions[s], static_cast<std::int64_t>(s)));
    if (network.is_joined()) batches = {join(batches)};
    const FixedLoader loader(std::move(batches));
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
