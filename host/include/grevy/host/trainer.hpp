// grevy/host/trainer.hpp: trains an experiment on a recording in memory, embeds new samples, stores
// and restores the whole state.
#ifndef GREVY_HOST_TRAINER_HPP
#define GREVY_HOST_TRAINER_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/host.hpp>
#include <grevy/host/memory.hpp>
#include <grevy/host/recording.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

namespace grevy::host {

// After a step of the training; lent for the call.
struct StepReport {
  std::int64_t step = 0;                  // counted from 0
  std::int64_t num_steps = 0;             // of the whole training
  const Statistics& statistics;           // "pos", "neg", "total", "temperature", ...
  std::optional<double> validation_loss;  // set when this step ended with a validation
  const Statistics& validation_parts;     // and means of the parts of that loss
  // Why the step was left out (/training/non_finite is "skip"); empty: it was not. There are no
  // statistics then.
  std::string skipped = {};
};

// What an application may do while training goes on; all optional, called on the training thread.
// What they throw ends fit(), which throws it on. The Trainer may be asked and saved, not trained.
struct FitCallbacks {
  std::function<void(const StepReport&)> on_step;  // after every step
  std::function<bool()> should_stop;  // asked after every step; true: this was the last
  std::function<void(std::int64_t step)>
      on_checkpoint;  // every save_frequency steps, and at the end
};

// Where the time of a training has gone, seconds of the clock.
struct Phases {
  double batches = 0;    // waiting for batches: sampling and cutting windows, unless done ahead
  double optimizer = 0;  // zeroing gradients and steps
  double services = 0;   // after steps: callbacks, log, checkpoints
  double total = 0;      // of all steps
  // The rest: embeddings, loss, gradients, validation.
  double solver() const { return total - batches - optimizer - services; }
};

// Rows go out in order; each call gets (rows, D) float32, contiguous, on the CPU.
using RowSink = std::function<void(const at::Tensor& rows)>;

// How new samples are embedded.
struct TransformOptions {
  std::int64_t session = 0;  // whose encoder embeds
  // Repeats the first row `left` times and the last `right - 1` times, so that T samples give T
  // embeddings; otherwise T - L + 1.
  bool pad = true;
  // Samples embedded at a time, less than 1 counts as 1: bounds the memory. Results do not depend
  // on it but for rounding. Models that resample see all samples at once.
  std::int64_t chunk = 10000;
};

// A mean loss, and what the criterion gives for an embedding that does not tell samples apart:
// known for those that are then the logarithm of the number of negatives, as InfoNCE is; for each
// set of positives. NaN for all others and for supervised training.
struct HeldOut {
  double loss = 0;    // mean over the batches, nats for InfoNCE
  double chance = 0;  // nats
};

// A Trainer owns model, criterion, solver, optimiser and loaders of one experiment. Keep the Host
// alive longer; the experiment and the recordings are copied, which shares the recordings' memory.
// Threads: one at a time; several Trainers may be made and run in several threads, of one Host or
// of several. Movable; one that was moved from throws invalid_state whatever is asked of it.
class Trainer {
 public:
  // `train` is what is trained on, one recording per session, `held_out` what validation draws
  // from, a part of every session (none: no validation). Errors: non_finite for NaN or infinity in
  // either (names row and column); invalid_value for a recording shorter than the receptive field,
  // a batch_size larger than the training part, sampling options, labels or targets that do not fit
  // (with their JSON pointer), a training that cannot fit the memory that is there (says what it
  // needs, for what, and what to lower); PluginError from the components; whatever check_model
  // finds.
  Trainer(Host& host, const Experiment& experiment, const std::vector<Recording>& train,
          const std::vector<Recording>& held_out = {});
  Trainer(Host& host, const Experiment& experiment, const Recording& train,
          const std::optional<Recording>& held_out = std::nullopt);
  // A stored state, ready to embed new samples but not to be trained. `run`: a checkpoint, or a run
  // folder; of that the newest checkpoint that can be read, which the Host's log tells where it is
  // not the newest of all. `device` replaces the experiment's when not empty. Errors: those of
  // load(); not_found for a plugin that is missing.
  static Trainer from_checkpoint(Host& host, const std::filesystem::path& run,
                                 const std::string& device = {});
  // An experiment at its start, ready to be given tensors and to embed but not to be trained.
  // num_inputs: channels of each session. Errors: as the constructor, less those of recordings.
  static Trainer without_data(Host& host, const Experiment& experiment,
                              const std::vector<std::int64_t>& num_inputs);
  ~Trainer();
  Trainer(Trainer&&) noexcept;

  const Experiment& experiment() const;  // that it was made with

  std::int64_t num_sessions() const;  // recordings, also where the solver sees them as one
  // Of the encoder that embeds a session. Errors: out_of_range.
  const ModelInfo& model_info(std::int64_t session = 0) const;
  ModelRef model(std::int64_t session = 0) const;
  // The components, valid as long as the Trainer.
  CriterionRef criterion() const;
  SolverRef solver() const;
  // What the solver wants, with the number of sets of positives that it is given.
  SolverInfo solver_info() const;
  // Parameters and buffers of models, criterion and solver, as checkpoints name them.
  const NamedTensors& tensors() const;
  // The plugins that the components come from, [{"id", "version", "file", "sha256"}, ...]; sha256
  // is null for one that is linked into the application. With those that components have asked for
  // so far, and those of the checkpoint that was loaded. The reference's content changes with the
  // next call.
  const nlohmann::json& plugins() const;
  std::int64_t num_parameters() const;   // elements of those that are trained
  std::int64_t step() const;             // steps done so far, those that were skipped included
  std::int64_t num_skipped() const;      // of them, left out because something was not finite
  const MemoryEstimate& memory() const;  // made before the training; without recordings, no parts

  // Runs the steps that are left of the experiment's. Returns whether all are done (false:
  // stopped). Errors: invalid_state for a Trainer without a recording, or from a callback of fit();
  // non_finite for a loss (names the component), a gradient or what a step would make of a
  // parameter (names it and the first index), each with the step, before any parameter changes; or
  // for a statistic, after they have. With /training/non_finite "skip", only after too many such
  // steps in a row. PluginError; whatever the callbacks throw.
  bool fit(const FitCallbacks& callbacks = {});
  const Phases& phases() const;  // of all calls of fit() so far

  // samples (T, C), floating, on any device -> (T, D) float32 on the CPU, (T - L + 1, D) unpadded.
  // The samples are not searched for NaN and infinity. Errors: invalid_value (channels, too few
  // samples), out_of_range (session), PluginError.
  at::Tensor transform(const at::Tensor& samples, const TransformOptions& options = {}) const;
  // The same in constant memory beyond one chunk; returns the number of rows.
  std::int64_t transform(const at::Tensor& samples, const RowSink& sink,
                         const TransformOptions& options) const;
  // Every trial by itself: padded where it begins and ends. num_rows() rows in all.
  std::int64_t transform(const Recording& recording, const RowSink& sink,
                         const TransformOptions& options) const;
  std::int64_t num_rows(const Recording& recording, const TransformOptions& options) const;
  // For solvers that see several sessions as one (unified-session): session `target` with the
  // channels of all, each sample beside those of the other sessions that its labels line it up
  // with. What transform() embeds. Errors: invalid_state for other solvers; those of
  // UnifiedDistribution.
  Recording line_up(const std::vector<Recording>& sessions, std::int64_t target) const;

  // Mean loss on other recordings, one per session, with the experiment's sampling; repeatable,
  // leaves the state alone. Errors: as the constructor.
  HeldOut loss_on(const std::vector<Recording>& sessions, std::int64_t num_batches) const;
  // The same for one session alone: its references, positives and negatives.
  HeldOut loss_on_session(const Recording& recording, std::int64_t session,
                          std::int64_t num_batches) const;

  // The whole state in one file: parameters and buffers (as "model.NAME", with an encoder per
  // session "model.SESSION.NAME", "criterion.NAME", "solver.NAME"), optimiser, generators, steps
  // done, threads, experiment, plugins. `run`: what the application wants kept beside them, the key
  // "run" of read_checkpoint_info(). docs/checkpoints.md describes the format. Errors: io.
  void save(const std::filesystem::path& file, const nlohmann::json& run = {}) const;
  // Takes a state back: training goes on as if it had not stopped. `run` as in from_checkpoint().
  // Errors: not_found, invalid_value (damaged, or of other shapes; names the tensor), incompatible
  // (of a newer format).
  void load(const std::filesystem::path& run);
  // What save() stores as tensors: tensors(), and the optimiser's as "optimizer.exp_avg/NAME",
  // "optimizer.exp_avg_sq/NAME", with amsgrad "optimizer.max_exp_avg_sq/NAME". They share storage.
  NamedTensors state() const;
  // How many steps have led to the tensors, and how many to the optimiser's. Errors: invalid_value
  // for negative ones.
  void set_steps(std::int64_t step, std::int64_t optimizer_steps);
  // Takes only the tensors that the file has, and neither the training's steps nor generators;
  // returns the names of those that it lacks. The optimiser's moments are taken together, with
  // their number of steps, where the file has all of them, and else none. Errors: as load(), but
  // for missing tensors.
  std::vector<std::string> load_partially(const std::filesystem::path& run);

 private:
  struct Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  Impl& impl() const;  // errors: invalid_state for one that was moved from
  std::unique_ptr<Impl> impl_;
};

// What a checkpoint says besides tensors: "format", "step", "num_input", "experiment", "plugins",
// ... as JSON. `run`: a checkpoint, or a run folder. Errors: as Trainer::load.
nlohmann::json read_checkpoint_info(const std::filesystem::path& run);

}  // namespace grevy::host

#endif
