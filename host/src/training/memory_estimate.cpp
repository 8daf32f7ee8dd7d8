#include "training/memory_estimate.hpp"

#include "sampling/sampling_spec.hpp"
#include "training/memory_probe.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <unistd.h>

namespace grevy::host {
namespace {

constexpr double bytes_of_float = sizeof(float);
constexpr const char* step_part = "activations";  // given back after the step
constexpr const char* loss_part = "loss";

std::int64_t resident_bytes() {
  std::ifstream stream("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  stream >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Whether memory is pages of a file: a line "BEGIN-END PERMISSIONS OFFSET DEVICE INODE" of the
// process's map.
bool is_of_file(const void* memory) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(memory);
  std::ifstream stream("/proc/self/maps");
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode;
    words >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode;
    if (wanted >= begin && wanted < end) return inode != "0";
  }
  return false;
}

std::int64_t whole(double bytes) { return static_cast<std::int64_t>(bytes); }

// Recordings share memory with their parts.
double mapped_bytes(const std::vector<Recording>& train, const std::vector<Recording>& held_out) {
  double bytes = 0;
  for (const auto* part : {&train, &held_out})
    for (const Recording& recording : *part)
      if (is_of_file(recording.neural().data_ptr()))
        bytes += static_cast<double>(recording.neural().nbytes());
  return bytes;
}

// Of a label search: values twice, rows, and a tree's nodes and order.
double label_bytes(const SamplingSpec& spec, const std::vector<Recording>& sessions) {
  double bytes = 0;
  for (const PositiveSpec& set : spec.positives)
    for (const Recording& session : sessions) {
      double width = 0;
      for (const std::string& name : set.continuous)
        width += static_cast<double>(session.label(name).values.size(1));
      const auto samples = static_cast<double>(session.num_samples());
      constexpr double per_row = 28;  // a row's number twice, and its share of a tree
      if (width > 0) bytes += samples * (2 * bytes_of_float * width + per_row);
      if (!set.discrete.empty()) bytes += samples * 2 * sizeof(std::int64_t);
    }
  return bytes;
}

// Samples of a step, per session.
struct StepSize {
  double reference = 0, negative = 0;
  double sets = 0;  // of positives that are embedded
  double windows() const { return reference * (1 + sets) + negative; }
  double most() const { return std::max(reference, negative); }
};

class Estimator {
 public:
  Estimator(const Network& network, const Experiment& experiment)
      : network_(network), experiment_(experiment), solver_(network.solver_info) {}

  MemoryEstimate make(const std::vector<Recording>& train, const std::vector<Recording>& held_out) {
    MemoryEstimate estimate;
    if (experiment_.device() != "cpu") {
      estimate.in_use = resident_bytes();
      return estimate;
    }
    const SamplingSpec spec = resolve_sampling(experiment_, train);
    const bool validates = !experiment_.at("/training/valid_frequency").is_null();
    double labels = label_bytes(spec, train), batches = 0, held = 0, most = 0, loss = 0, rows = 0;
    if (validates) labels += label_bytes(spec, held_out);
    for (std::size_t s = 0; s < train.size(); ++s) {
      const StepSize size = size_of(spec, train[s]);
      const auto session = static_cast<std::int64_t>(s);
      batches += batch_bytes(size, session, train[s], validates);
      rows += size.reference;
      if (s > 0 && network_.is_joined()) continue;
      const MemoryUse row = row_of(session);
      const double all = solver_.full_batch ? size.reference : size.windows();
      const double at_once = solver_.full_batch ? size.reference : size.most();
      held += row.held * all;
      most = std::max(most, (row.most - row.held) * at_once);
    }
    const StepSize first = size_of(spec, train.front());
    loss = loss_bytes(rows, first.negative * rows / first.reference, spec);
    estimate.in_use = resident_bytes();
    const char* of_batch = solver_.full_batch ? "/model/num_units" : "/training/batch_size";
    estimate.parts = {
        {"recording", whole(mapped_bytes(train, held_out)), "", true},
        {"label search", whole(labels), "", false},
        {"batches", whole(batches), "/training/batch_size", false},
        {"gradients and optimiser", whole(optimizer_bytes()), "/model/num_units", false},
        {step_part, whole(held + most), of_batch, false},
        {loss_part, whole(loss), solver_.full_batch ? "" : "/training/batch_size", false}};
    return estimate;
  }

 private:
  StepSize size_of(const SamplingSpec& spec, const Recording& session) const {
    const auto samples = static_cast<double>(session.num_samples());
    StepSize size;
    size.reference = solver_.full_batch ? samples : static_cast<double>(experiment_.batch_size());
    size.negative = solver_.full_batch ? samples : static_cast<double>(experiment_.num_negatives());
    if (solver_.supervised) size.negative = 0;
    size.sets = static_cast<double>(spec.positives.size());
    return size;
  }

  // Two sets of buffers: those of the step in progress and those of the next one.
  double batch_bytes(const StepSize& size, std::int64_t session, const Recording& recording,
                     bool validates) const {
    const double indices = size.windows() * sizeof(std::int64_t);
    if (solver_.full_batch) return 3 * indices;
    const auto window =
        static_cast<double>(network_.info(session).offset.length() * recording.num_channels());
    const double windows = size.windows() * window * bytes_of_float;
    const bool masked = !experiment_.at("/sampling/masks").empty();
    // Sample numbers in place of windows, as the Loader decides it.
    if (network_.takes_samples() && !masked && !network_.is_joined())
      return (validates ? 2 : 1) * 3 * indices;
    const double copies = 2 + (masked ? 2 : 0) + (network_.is_joined() ? 1 : 0);
    return (validates ? 2 : 1) * copies * windows + indices;
  }

  MemoryUse row_of(std::int64_t session) const {
    const ModelInfo& info = network_.info(session);
    const std::size_t number = network_.model_of(session);
    MemoryUse row = use_of_row(*network_.models[number], info, solver_.full_batch, true);
    if (network_.reference_models.empty()) return row;
    const MemoryUse other =
        use_of_row(*network_.reference_models[number], info, solver_.full_batch, true);
    return {std::max(row.held, other.held), std::max(row.most, other.most)};
  }

  double loss_bytes(double references, double negatives, const SamplingSpec& spec) const {
    if (solver_.supervised) return 0;
    const CriterionInfo info = network_.criterion->info();
    const std::size_t losses = info.parts_are_losses ? info.parts.size() : 1;
    const MemoryUse use = use_of_loss(*network_.criterion, losses, whole(references),
                                      whole(negatives), network_.infos.front().num_output);
    const double times = info.parts_are_losses ? 1 : static_cast<double>(spec.positives.size());
    return use.most + (times - 1) * use.held;
  }

  double optimizer_bytes() const {
    double parameters = 0, all = 0;
    for (const NamedTensor& t : network_.tensors()) {
      const auto bytes = static_cast<double>(t.tensor.nbytes());
      all += bytes;
      if (t.trained) parameters += bytes;
    }
    const double moments = experiment_.at("/optimizer/amsgrad").get<bool>() ? 3 : 2;
    const bool keeps = experiment_.at("/training/non_finite") == "skip";
    return parameters * (1 + moments) + (keeps ? all + moments * parameters : 0);
  }

  const Network& network_;
  const Experiment& experiment_;
  const SolverInfo& solver_;
};

// Windows of both sides beside each other, those of the reference in float64 thrice: converted,
// scaled, and an intermediate.
double decoding_bytes(const Trainer& trainer, const TrainingData& data, std::size_t session) {
  if (data.held_out.empty() || data.whole[session].labels().empty()) return 0;
  const auto most = trainer.experiment().at("/evaluation/max_samples").get<std::int64_t>();
  const auto rows = [&](const std::vector<Recording>& part) {
    return static_cast<double>(std::min(most, part[session].num_samples()));
  };
  const ModelInfo info = trainer.model_info(static_cast<std::int64_t>(session));
  const auto window = static_cast<double>(info.offset.length() * info.num_input);
  constexpr double blocks = 3.0 * (32 << 20);
  const double train = rows(data.train), held_out = rows(data.held_out);
  return window * ((2 * train + held_out) * bytes_of_float + 3 * train * sizeof(double)) + blocks;
}

}  // namespace

MemoryEstimate estimate_memory(const Network& network, const Experiment& experiment,
                               const std::vector<Recording>& train,
                               const std::vector<Recording>& held_out) {
  return Estimator(network, experiment).make(train, held_out);
}

MemoryEstimate with_evaluation(MemoryEstimate training, const Trainer& trainer,
                               const TrainingData& data) {
  if (training.parts.empty()) return training;
  double most = 0;
  for (std::size_t s = 0; s < data.whole.size(); ++s) {
    const auto session = static_cast<std::int64_t>(s);
    const ModelInfo info = trainer.model_info(session);
    const double rows =
        static_cast<double>(std::min(TransformOptions().chunk, data.whole[s].num_samples()));
    const ModelRef model = trainer.model(session);
    const double embedding = use_of_row(model, info, true, false).most * rows;
    model.set_training(true);
    most = std::max({most, embedding, decoding_bytes(trainer, data, s)});
  }
  for (const MemoryPart& part : training.parts)
    if (part.name == step_part || part.name == loss_part) most -= static_cast<double>(part.bytes);
  training.parts.push_back(
      {"evaluation beyond a step", whole(std::max(most, 0.0)), "/evaluation/max_samples", false});
  return training;
}

}  // namespace grevy::host
