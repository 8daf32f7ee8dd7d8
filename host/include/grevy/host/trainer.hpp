// grevy/host/trainer.hpp: trains an experiment on a recording in memory, embeds new samples, stores
// and restores the whole state.
#ifndef GREVY_HOST_TRAINER_HPP
#define GREVY_HOST_TRAINER_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/host.hpp>
#include <grevy/host/recording.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

namespace grevy::host {

// After a step of the training.
struct StepReport {
  std::int64_t step = 0;  // counted from 0
  std::int64_t num_steps = 0;
  const Statistics& statistics;           // "pos", "neg", "total", "temperature", ...
  std::optional<double> validation_loss;  // set when this step ended with a validation
};

// What an application may do while training goes on; all optional, called on the training thread.
struct FitCallbacks {
  std::function<void(const StepReport&)> on_step;
  std::function<bool()> should_stop;  // asked after every step
  std::function<void(std::int64_t step)>
      on_checkpoint;  // every save_frequency steps, and at the end
};

// Rows go out in order; each call gets (rows, D) float32, contiguous, on the CPU.
using RowSink = std::function<void(const at::Tensor& rows)>;

struct TransformOptions {
  // Repeats the first row `left` times and the last `right - 1` times, so that T samples give T
  // embeddings; otherwise T - L + 1.
  bool pad = true;
  // Samples embedded at a time: bounds the memory. Results do not depend on it but for rounding.
  std::int64_t chunk = 10000;
};

// A Trainer owns model, criterion, solver, optimiser and loaders of one experiment. Keep the Host
// alive longer. Threads: one at a time; several Trainers may run in several threads.
class Trainer {
 public:
  // `train` is what is trained on, `held_out` what validation draws from (none: no validation).
  // Errors: non_finite for NaN or infinity in either (names row and column); invalid_value for a
  // recording shorter than the receptive field, a batch_size larger than the training part,
  // sampling options or labels that do not fit (with their JSON pointer); PluginError from the
  // components; whatever check_model finds.
  Trainer(Host& host, const Experiment& experiment, const Recording& train,
          const std::optional<Recording>& held_out = std::nullopt);
  // A stored state, ready to embed new samples but not to be trained. `device` replaces the
  // experiment's when not empty. Errors: those of load(); not_found for a plugin that is missing.
  static Trainer from_checkpoint(Host& host, const std::filesystem::path& file,
                                 const std::string& device = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;

  const Experiment& experiment() const;

  const ModelInfo& model_info() const;
  ModelRef model() const;
  CriterionRef criterion() const;
  SolverRef solver() const;
  std::int64_t num_parameters() const;  // of model, criterion and solver
  std::int64_t step() const;            // steps done so far

  // Runs the steps that are left of the experiment's. Returns whether all are done (false:
  // stopped). Errors: invalid_state for a Trainer without a recording. Errors: non_finite (names
  // the statistic and the step; the state is that of the step before), PluginError, whatever the
  // callbacks throw.
  bool fit(const FitCallbacks& callbacks = {});

  // samples (T, C), floating, on any device -> (T, D) float32 on the CPU, (T - L + 1, D) unpadded.
  // Errors: invalid_value (channels, too few samples).
  at::Tensor transform(const at::Tensor& samples, const TransformOptions& options = {}) const;
  // The same in constant memory beyond one chunk; returns the number of rows.
  std::int64_t transform(const at::Tensor& samples, const RowSink& sink,
                         const TransformOptions& options) const;
  std::int64_t num_rows(const at::Tensor& samples, const TransformOptions& options) const;

  // Mean loss on another recording with the experiment's sampling; repeatable, leaves the state
  // alone. Errors: as the constructor.
  double loss_on(const Recording& recording, std::int64_t num_batches) const;

  // The whole state in one file: parameters and buffers (as "model.NAME", "criterion.NAME",
  // "solver.NAME"), optimiser, generators, steps done, experiment, plugins. Errors: io.
  void save(const std::filesystem::path& file) const;
  // Takes a state back: training goes on as if it had not stopped. Errors: not_found,
  // invalid_value (damaged, or of other shapes; names the tensor).
  void load(const std::filesystem::path& file);

 private:
  struct Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a checkpoint says besides tensors: "format", "step", "num_input", "experiment", "plugins",
// ... as JSON. Errors: as Trainer::load.
nlohmann::json read_checkpoint_info(const std::filesystem::path& file);

}  // namespace grevy::host

#endif
