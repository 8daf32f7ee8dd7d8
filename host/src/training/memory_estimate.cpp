#include "training/memory_estimate.hpp"

#include "sampling/sampling_spec.hpp"
#include "training/memory_probe.hpp"
#include "training/memory_step.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <unistd.h>

namespace grevy::host {
namespace {

constexpr double bytes_of_float = sizeof(float);
constexpr std::int64_t bytes_of_code = 12 << 20;  // LibTorch's, of what a run uses first; measured
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
  bool found = false;
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode;
    words >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode;
    if (wanted >= begin && wanted < end) found = inode != "0";
  }
  return found;
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

class Estimator {
 public:
  Estimator(const Network& network, const Experiment& experiment)
      : network_(network),
        experiment_(experiment),
        solver_(network.solver_info),
        device_(parse_device(experiment.device())) {}

  MemoryEstimate make(const std::vector<Recording>& train, const std::vector<Recording>& held_out) {
    const SamplingSpec spec = resolve_sampling(experiment_, train);
    const double mapped = mapped_bytes(train, held_out);
    MemoryEstimate estimate;
    // The recordings have been read, and the network is given back.
    estimate.in_use = std::max<std::int64_t>(
        resident_bytes() - whole(mapped + bytes_of(network_.tensors(), false)), 0);
    const bool validates = !experiment_.at("/training/valid_frequency").is_null();
    double labels = label_bytes(spec, train), batches = 0;
    if (validates) labels += label_bytes(spec, held_out);
    for (std::size_t s = 0; s < train.size(); ++s)
      batches += batch_bytes(spec, size_of_step(network_, spec, train, s), train[s], validates);
    estimate.parts = {{"recording", whole(mapped), "", true},
                      {"libraries", bytes_of_code, "", true},
                      {"label search", whole(labels), "", false},
                      {"batches", whole(batches), "/training/batch_size", false}};
    // Another device has activations and gradients in a memory of its own.
    if (device_.is_cpu()) add_step(spec, train, estimate.parts);
    return estimate;
  }

 private:
  void add_step(const SamplingSpec& spec, const std::vector<Recording>& train,
                std::vector<MemoryPart>& parts) {
    const StepUse use = use_of_training_step(network_, spec, train);
    const char* of_batch = solver_.full_batch ? "/model/num_units" : "/training/batch_size";
    const char* of_loss = solver_.full_batch ? "" : of_batch;
    parts.push_back({"gradients", whole(gradient_bytes() + use.copies), "/model/num_units", false});
    parts.push_back({"kept activations", whole(use.kept), of_batch, false});
    parts.push_back({step_part, whole(use.activations - use.kept), of_batch, false});
    parts.push_back({loss_part, whole(use.loss), of_loss, false});
  }

  // Two sets of buffers: those of the step in progress and those of the next one.
  double batch_bytes(const SamplingSpec& spec, const StepSize& size, const Recording& recording,
                     bool validates) const {
    const auto count = static_cast<double>(size.windows());
    const double indices = count * sizeof(std::int64_t);
    if (solver_.full_batch) return 3 * indices;
    if (gives_samples(network_, spec)) return (validates ? 2 : 1) * 3 * indices;
    const double windows =
        count * static_cast<double>(size.length * recording.num_channels()) * bytes_of_float;
    const double copies = 2 + (spec.masks.empty() ? 0 : 2) + (network_.is_joined() ? 1 : 0);
    return (validates ? 2 : 1) * copies * windows + indices;
  }

  // With what is kept to go back to where non-finite steps are left out. The optimiser's own state
  // is there already.
  double gradient_bytes() const {
    const double trained = bytes_of(network_.tensors(), true);
    const bool keeps = experiment_.at("/training/non_finite") == "skip";
    const double moments = experiment_.at("/optimizer/amsgrad").get<bool>() ? 3 : 2;
    return trained + (keeps ? bytes_of(network_.tensors(), false) + moments * trained : 0);
  }

  const Network& network_;
  const Experiment& experiment_;
  const SolverInfo& solver_;
  at::Device device_;
};

// Windows of both sides beside each other, those of the reference in float64 thrice (converted,
// scaled, and an intermediate) or once beside a block of distances to them.
double decoding_bytes(const Trainer& trainer, const TrainingData& data, std::size_t session) {
  if (data.held_out.empty() || data.whole[session].labels().empty()) return 0;
  const auto most = trainer.experiment().at("/evaluation/max_samples").get<std::int64_t>();
  const auto rows = [&](const std::vector<Recording>& part) {
    return static_cast<double>(std::min(most, part[session].num_samples()));
  };
  const ModelInfo info = trainer.model_info(static_cast<std::int64_t>(session));
  const auto window = static_cast<double>(info.offset.length() * info.num_input);
  const double train = rows(data.train), held_out = rows(data.held_out);
  const double compared = std::min(held_out, std::max((32 << 20) / (train * sizeof(double)), 1.0));
  const double block = compared * (train + 2 * window);
  return window * (train + held_out) * bytes_of_float +
         sizeof(double) * (train * window + std::max(2 * train * window, block));
}

// Sessions with the channels of all: while one is embedded, and while the held-out parts are kept
// for a comparison and a part to train on is decoded. Each is put together from its parts, one copy
// beside the other, with the number of a row of every session.
struct LinedUp {
  double embedded = 0, evaluated = 0;
};

LinedUp lined_up_bytes(const Trainer& trainer, const TrainingData& data) {
  if (trainer.solver_info().sessions != SolverInfo::Sessions::joined) return {};
  const auto channels = static_cast<double>(trainer.model_info().num_input);
  const auto rows = static_cast<double>(data.whole.size() * sizeof(std::int64_t));
  const auto made = [&](const Recording& session) {
    return static_cast<double>(session.num_samples()) * (2 * channels * bytes_of_float + rows);
  };
  LinedUp bytes;
  double kept = 0, train = 0;
  for (const Recording& session : data.whole)
    bytes.embedded = std::max(bytes.embedded, made(session));
  for (const Recording& session : data.held_out) kept += made(session) / 2;
  for (const Recording& session : data.train) train = std::max(train, made(session));
  if (!data.held_out.empty()) bytes.evaluated = kept + train;
  return bytes;
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
  const LinedUp lined_up = lined_up_bytes(trainer, data);
  double most = 0;
  for (std::size_t s = 0; s < data.whole.size(); ++s) {
    const auto session = static_cast<std::int64_t>(s);
    const ModelInfo info = trainer.model_info(session);
    const auto rows =
        static_cast<double>(std::min(TransformOptions().chunk, data.whole[s].num_samples()));
    const ModelRef model = trainer.model(session);
    // Samples are copied where rows are added at both ends.
    const double samples = 2 * bytes_of_float * static_cast<double>(info.num_input);
    const double embedding = (use_of_row(model, info) + samples) * rows;
    model.set_training(true);
    most = std::max({most, lined_up.embedded + embedding,
                     lined_up.evaluated + decoding_bytes(trainer, data, s)});
  }
  for (const MemoryPart& part : training.parts)
    if (part.name == step_part || part.name == loss_part) most -= static_cast<double>(part.bytes);
  training.parts.push_back(
      {"evaluation beyond a step", whole(std::max(most, 0.0)), "/evaluation/max_samples", false});
  return training;
}

std::optional<std::int64_t> available_for(const MemoryEstimate& estimate) {
  const std::optional<std::int64_t> available = available_memory();
  if (!available) return available;
  std::int64_t taken = resident_bytes() - estimate.in_use;
  for (const MemoryPart& part : estimate.parts) taken -= part.mapped ? part.bytes : 0;
  return *available + std::clamp<std::int64_t>(taken, 0, estimate.needed());
}

}  // namespace grevy::host
