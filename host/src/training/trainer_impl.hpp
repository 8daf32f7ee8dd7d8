// What a Trainer is made of. Its parts: trainer_data.cpp (recordings and loaders), trainer_loop.cpp
// (the steps), trainer_state.cpp (storing and taking back), trainer.cpp (the public calls).
#ifndef GREVY_HOST_TRAINER_IMPL_HPP
#define GREVY_HOST_TRAINER_IMPL_HPP

#include "sampling/loader.hpp"
#include "training/adam.hpp"
#include "training/checkpoint_files.hpp"
#include "training/network.hpp"
#include "training/phases.hpp"
#include "training/skipped_steps.hpp"

#include <grevy/host/trainer.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

struct Trainer::Impl {
  Impl(Host& the_host, Experiment the_experiment, const std::vector<std::int64_t>& num_inputs);
  void make_optimizer();

  // ---- data ----

  void set_data(const std::vector<Recording>& train, const std::vector<Recording>& held_out);
  HeldOut loss_on(const std::vector<Recording>& sessions, std::int64_t num_batches) const;
  // Pairs inside the session alone.
  HeldOut loss_on_session(const Recording& recording, std::int64_t session,
                          std::int64_t num_batches) const;

  std::string place_of(std::size_t session) const;
  // `place`: what a part that is too short is the fault of; of the recording itself where null.
  void check_lengths(const std::vector<Recording>& sessions, const char* place) const;
  void check_finite(const std::vector<Recording>& sessions) const;
  void check_batch_size(const std::vector<Recording>& train) const;
  // With a network of its own, that the one to be trained starts as if nothing had been tried.
  void check_before_training(const std::vector<Recording>& train,
                             const std::vector<Recording>& held_out);
  static void check_evaluated(const std::vector<Recording>& sessions, std::int64_t num_batches);
  LoaderOptions loader_options(std::int64_t num_batches) const;
  // Masks are for training alone.
  std::unique_ptr<Loader> make_loader(const std::vector<Recording>& sessions,
                                      const std::string& purpose,
                                      const LoaderOptions& options) const;
  // The loader's is InfoNCE's.
  double chance_of(const Loader& made) const;

  // ---- steps ----

  bool fit(const FitCallbacks& given);
  // Runs the solver until it returns. False: a step was left out, and it is to go on after it.
  bool run_solver();
  grevy_training make_training(const MeasuredTables& measured);
  // Runs host code that a solver calls: what it throws is kept, to be thrown again as it was once
  // the solver has returned.
  template <class Body>
  std::int32_t service(const char* operation, const grevy_error_sink* errors, Body&& body);
  bool is_due(const char* key, std::int64_t done) const;
  void end_step(std::int64_t at, Statistics found, std::uint32_t* actions);
  // Reports and stores a step; after its validation, if it has one.
  void finish_step();
  void offer_checkpoint();
  // Whether fit() of the solver ended because a step has met what is not finite, and that step is
  // to be left out. Neither a validation nor what a callback throws is such a step.
  bool is_to_skip(const Error& e) const;
  // The state is that before the step, the generators go on. A validation of this step is left out
  // as well.
  void skip_step(const std::string& reason);
  template <class Call>
  auto ask_application(Call&& call);
  void ask_whether_to_stop();
  void tell(const StepReport& report);
  [[noreturn]] void rethrow(const Error& e, const std::string& where) const;
  // The step in progress, or the validation of the one that is done.
  std::string place_in_training() const;
  // What happened there. The optimiser is ours: its errors need no plugin's name.
  std::string in_step(const Error& e, const std::string& where) const;

  // ---- state ----

  // All tensors of the run's model but the first two, the first layer's, and those whose shape
  // follows from the number of channels, are taken over and kept; likewise of a reference model.
  void adapt();
  NamedTensors optimizer_tensors() const;
  NamedTensors all_tensors() const;
  const nlohmann::json& plugins();
  template <class Body>
  void for_generators(Body&& body) const;
  void save(const std::filesystem::path& file, const nlohmann::json& run);
  void load(const StoredTensors& content, const nlohmann::json& stored);
  // What of the tensors a checkpoint has; the rest stays.
  std::vector<std::string> load_partially(const StoredTensors& content,
                                          const nlohmann::json& stored);

  Experiment experiment;
  at::Device device;
  Network network;
  std::vector<std::string> frozen;  // tensors that another run has trained
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<Loader> loader, valid_loader;
  nlohmann::json plugin_list;

  std::int64_t step = 0;
  Phases phases;
  MemoryEstimate memory;
  const FitCallbacks* callbacks = nullptr;
  Statistics pending;
  bool is_pending = false, stopped = false;
  bool skips = false;  // steps that meet what is not finite
  // What ended the solver: a statistic that is not finite; what a callback has thrown.
  bool is_bad_statistic = false, is_of_application = false;
  SkippedSteps skipped;
  std::optional<double> validation;
  Statistics validation_parts;
  std::exception_ptr failure;
};

}  // namespace grevy::host

#endif
