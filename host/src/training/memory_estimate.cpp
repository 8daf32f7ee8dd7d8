#include "training/memory_estimate.hpp"

#include "sampling/sampling_spec.hpp"
#include "training/memory_probe.hpp"
#include "training/trial_batch.hpp"

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
constexpr const char* solver_part = "solver";

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
      : network_(network),
        experiment_(experiment),
        solver_(network.solver_info),
        device_(parse_device(experiment.device())) {}

  MemoryEstimate make(const std::vector<Recording>& train, const std::vector<Recording>& held_out) {
    const SamplingSpec spec = resolve_sampling(experiment_, train);
    const bool validates = !experiment_.at("/training/valid_frequency").is_null();
    double labels = label_bytes(spec, train), batches = 0;
    if (validates) labels += label_bytes(spec, held_out);
    for (std::size_t s = 0; s < train.size(); ++s)
      batches +=
          batch_bytes(size_of(spec, train[s]), static_cast<std::int64_t>(s), train[s], validates);
    MemoryEstimate estimate;
    estimate.parts = {{"recording", whole(mapped_bytes(train, held_out)), "", true},
                      {"label search", whole(labels), "", false},
                      {"batches", whole(batches), "/training/batch_size", false}};
    // Another device has activations and gradients in a memory of its own.
    if (device_.is_cpu()) add_step(spec, train, estimate.parts);
    estimate.in_use = resident_bytes();
    return estimate;
  }

 private:
  void add_step(const SamplingSpec& spec, const std::vector<Recording>& train,
                std::vector<MemoryPart>& parts) {
    std::vector<StepSize> sizes;
    double references = 0;
    for (std::size_t s = 0; s < train.size(); ++s) {
      rows_.push_back(row_of(static_cast<std::int64_t>(s)));
      sizes.push_back(size_of(spec, train[s]));
      references += sizes.back().reference / static_cast<double>(train.size());
    }
    const char* of_batch = solver_.full_batch ? "/model/num_units" : "/training/batch_size";
    const char* of_loss = solver_.full_batch ? "" : of_batch;
    const double beyond = beyond_for_reference(spec, train) * references;
    parts.push_back(
        {"gradients and optimiser", whole(optimizer_bytes()), "/model/num_units", false});
    parts.push_back({step_part, whole(activation_bytes(sizes)), of_batch, false});
    parts.push_back({loss_part, whole(loss_bytes(sizes, spec)), of_loss, false});
    parts.push_back({solver_part, whole(beyond), of_batch, false});
  }

  // Sizes of a step, one per session.
  double activation_bytes(const std::vector<StepSize>& sizes) const {
    double held = 0, most = 0;
    for (std::size_t s = 0; s < (network_.is_joined() ? 1 : sizes.size()); ++s) {
      const StepSize& size = sizes[s];
      const double all = solver_.full_batch ? size.reference : size.windows();
      const double at_once = solver_.full_batch ? size.reference : size.most();
      held += rows_[s].held * all;
      most = std::max(most, (rows_[s].most - rows_[s].held) * at_once);
    }
    return held + most;
  }

  // What a step takes for each reference of a session beyond embeddings and losses, a graph of
  // gradients for a Jacobian, say: seen in two small steps.
  double beyond_for_reference(const SamplingSpec& spec, const std::vector<Recording>& train) const {
    constexpr std::int64_t few = 8;
    beyond(few, spec, train);  // what is made once
    const double more = beyond(2 * few, spec, train) - beyond(few, spec, train);
    return std::max(more / static_cast<double>(few), 0.0);
  }

  double beyond(std::int64_t count, const SamplingSpec& spec,
                const std::vector<Recording>& train) const {
    std::vector<TrialSamples> samples;
    std::vector<StepSize> sizes;
    for (const Recording& session : train) {
      TrialSamples some{{}, count};
      for (std::int64_t i = 0; i < count; ++i) some.references.push_back(i % session.num_samples());
      samples.push_back(some);
      StepSize size = size_of(spec, session);
      size.reference = static_cast<double>(count);
      size.negative = solver_.supervised ? 0 : size.reference;
      sizes.push_back(size);
    }
    const FixedLoader loader(trial_batches(network_, device_, spec, train, samples));
    const double step = use_of_step(*network_.solver, network_.tensors(), loader.table()).most;
    return step - activation_bytes(sizes) - loss_bytes(sizes, spec);
  }

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

  double loss_bytes(const std::vector<StepSize>& sizes, const SamplingSpec& spec) const {
    if (solver_.supervised) return 0;
    double references = 0, negatives = 0;
    for (const StepSize& size : sizes) {
      references += size.reference;
      negatives += size.negative;
    }
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
  at::Device device_;
  std::vector<MemoryUse> rows_;  // of each session's model
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
    const double rows =
        static_cast<double>(std::min(TransformOptions().chunk, data.whole[s].num_samples()));
    const ModelRef model = trainer.model(session);
    const double embedding = use_of_row(model, info, true, false).most * rows;
    model.set_training(true);
    most = std::max({most, lined_up.embedded + embedding,
                     lined_up.evaluated + decoding_bytes(trainer, data, s)});
  }
  for (const MemoryPart& part : training.parts)
    if (part.name == step_part || part.name == loss_part || part.name == solver_part)
      most -= static_cast<double>(part.bytes);
  training.parts.push_back(
      {"evaluation beyond a step", whole(std::max(most, 0.0)), "/evaluation/max_samples", false});
  return training;
}

}  // namespace grevy::host
