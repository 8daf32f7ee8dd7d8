#include "files/atomic_file.hpp"
#include "training/checkpoint_files.hpp"
#include "training/data_identity.hpp"
#include "training/memory_estimate.hpp"
#include "training/run_changes.hpp"
#include "training/run_embeddings.hpp"
#include "training/run_errors.hpp"
#include "training/run_log.hpp"
#include "training/run_summary.hpp"

#include <grevy/host/run.hpp>

#include <algorithm>
#include <chrono>
#include <optional>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void check_folder(const RunFolder& folder, const RunOptions& options) {
  if (options.folder.empty()) throw Error(ErrorCode::invalid_value, "a run needs a folder");
  if (fs::exists(folder.path) && !fs::is_directory(folder.path))
    throw Error(ErrorCode::invalid_value,
                folder.path.string() + ": is a file; a run needs a folder");
  // A run that was killed early has no checkpoint yet.
  const bool has_begun = fs::exists(folder.experiment()) && !fs::exists(folder.summary());
  if (options.resume && folder.checkpoints().empty() && !has_begun)
    throw Error(ErrorCode::not_found,
                folder.checkpoint().string() + ": no such file; there is nothing to resume");
  check_allowed_names(options.allow);
  if (folder.is_used() && !options.resume && !options.force)
    throw Error(ErrorCode::invalid_value,
                folder.path.string() +
                    ": exists and is not empty; use --resume to go on, --force to replace the run");
}

// A folder that another run has made and filled meanwhile is not emptied.
void prepare(const RunFolder& folder, const RunOptions& options, std::optional<FolderLock>& lock) {
  const bool is_new = !lock;
  if (is_new) {
    std::error_code error;
    fs::create_directories(folder.path, error);
    if (error)
      throw Error(ErrorCode::io, folder.path.string() + ": cannot be made: " + error.message());
    lock.emplace(folder.path);
  }
  while_writing(*lock, [&] {
    if (!is_new) lock->require_in_place();
    const RunFolder held(lock->held());
    remove_files(held.leftovers());
    if (options.resume) return;
    check_folder(folder, options);
    remove_files(held.files());
  });
}

void write_json(const fs::path& file, const json& document) {
  const std::string text = document.dump(2) + "\n";
  write_file_atomically(file, {text});
}

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// A run from its first step, or that of its checkpoint, to its report.
class Run {
 public:
  Run(Host& host, const Experiment& experiment, const RunOptions& options)
      : host_(host), experiment_(experiment), options_(options), folder_(options.folder) {}

  Summary go() {
    check_folder(folder_, options_);
    if (fs::exists(folder_.path)) lock_.emplace(folder_.path);
    data_ = split_recordings(experiment_, load_recordings(experiment_));
    trainer_.emplace(host_, experiment_, data_.train, data_.held_out);
    trainer_->plugins();  // their files as they are now
    memory_ = with_evaluation(trainer_->memory(), *trainer_, data_);
    experiment_.at_place("/evaluation", [&] { require_memory(memory_, available_for(memory_)); });
    state_.data = identify(experiment_, data_.whole);
    if (options_.resume) take_up();
    if (options_.on_begin) options_.on_begin();
    prepare(folder_, options_, lock_);
    written_.emplace(lock_->held());
    return while_writing(*lock_, [&] {
      begin();
      train();
      return finish();
    });
  }

 private:
  void warn(const std::string& text) { host_.log(LogLevel::warning, "run", text); }

  void take_up() {
    if (folder_.checkpoints().empty())
      return warn(folder_.path.string() + ": has no checkpoint yet; the run begins anew");
    from_ = open_checkpoint(folder_.path);
    if (!from_->warning.empty()) warn(from_->warning);
    from_->content = {};  // read once more by load()
    try {
      const std::vector<Change> changes = changes_since(from_->info, host_, *trainer_, state_.data);
      check_allowed(changes, folder_, experiment_, options_.allow);
      trainer_->load(from_->file);
      check_steps(experiment_, trainer_->step());
      json data = std::move(state_.data);
      state_ = RunState::from_json(from_->info.value("run", json()));
      state_.data = std::move(data);
      note(changes);
    } catch (const json::exception& e) {
      throw Error(ErrorCode::invalid_value,
                  from_->file.string() + ": its metadata is damaged: " + e.what());
    }
  }

  void note(const std::vector<Change>& changes) {
    for (const Change& change : changes)
      state_.allowed.push_back({{"step", trainer_->step()},
                                {"name", change.name},
                                {"from", change.from},
                                {"to", change.to}});
    has_changed_ = !changes.empty();
    if (std::any_of(changes.begin(), changes.end(), changes_validation)) state_.best.reset();
  }

  void begin() {
    first_step_ = trainer_->step();
    files_.emplace(*written_, experiment_.at("/training/keep_checkpoints"));
    if (from_) go_on_from(*from_);
    // They would tell of fewer steps than the checkpoint has, or of another experiment.
    if (first_step_ < experiment_.num_steps() || has_changed_) remove_files(written_->results());
    write_json(written_->experiment(), experiment_.document());
    log_.emplace(written_->log(), RunLog::Position{first_step_, state_.log_bytes});
    if (log_->was_shortened())
      warn(folder_.log().string() + ": is shorter than it was; what was lost stays lost");
  }

  // A lowest loss without its checkpoint would keep later ones from being stored.
  void go_on_from(OpenedCheckpoint& from) {
    for (fs::path& file : from.damaged) file = written_->path / file.filename();
    from.file = written_->path / from.file.filename();
    std::optional<std::int64_t> best;
    if (state_.best) best = state_.best->step;
    if (files_->resume(from, first_step_, best) || !best) return;
    state_.best.reset();
    warn(folder_.best().string() + ": is not the checkpoint of step " + std::to_string(*best) +
         ", which had the lowest validation loss; the next one counts as the lowest");
  }

  void train() {
    FitCallbacks callbacks;
    callbacks.should_stop = options_.should_stop;
    // Solvers see what these throw.
    callbacks.on_checkpoint = [&](std::int64_t step) {
      if (step != stored_) with_names(*lock_, [&] { store(false); });
    };
    callbacks.on_step = [&](const StepReport& report) {
      with_names(*lock_, [&] { take(report); });
    };
    const Clock clock;
    finished_ = trainer_->fit(callbacks);
    seconds_ = clock.seconds();
    if (has_changed_ && stored_ != trainer_->step()) store(false);  // says what was allowed
  }

  void log(const StepReport& report) {
    if (!report.skipped.empty()) return log_->add(line_of_skipped(report, trainer_->num_skipped()));
    last_ = statistics_of(report);
    if (first_.is_null()) first_ = last_;
    const std::int64_t frequency = experiment_.at("/training/log_frequency");
    if (report.step % frequency == 0 || report.validation_loss) log_->add(line_of(report));
  }

  void take(const StepReport& report) {
    log(report);
    if (options_.on_step) options_.on_step(report);
    if (!report.validation_loss) return;
    if (state_.best && !(*report.validation_loss < state_.best->loss)) return;
    state_.best = RunState::Best{trainer_->step(), *report.validation_loss};
    store(true);
  }

  // The log first: a checkpoint is never ahead of it.
  void store(bool is_best) {
    lock_->require_in_place();
    log_->sync();
    state_.log_bytes = log_->bytes();
    stored_ = trainer_->step();
    files_->store(stored_, is_best, [&](const fs::path& file) {
      lock_->require_in_place();
      trainer_->save(file, state_.to_json());
    });
  }

  // What is stopped here is done by resuming: the steps are stored.
  void embed_and_evaluate(json& document) {
    try {
      write_embeddings(*trainer_, data_.whole, *written_, *lock_, options_.should_stop);
      document.update(evaluate(*trainer_, data_, options_.should_stop));
    } catch (const PluginError&) {
      throw;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::cancelled) throw;
      finished_ = false;
      document["evaluation_skipped"] = "stopped on request; --resume goes on with it";
    }
  }

  Summary finish() {
    Summary summary;
    json& document = summary.document;
    document = describe(*trainer_, data_, state_);
    if (!first_.is_null()) document["training"] = {{"first", first_}, {"last", last_}};
    if (finished_) embed_and_evaluate(document);
    document["plugins"] = trainer_->plugins();  // the evaluation may have asked for others
    document["finished"] = summary.finished = finished_;
    describe_use(*trainer_, {total_.seconds(), seconds_, trainer_->step() - first_step_}, document);
    document["memory"] = describe(memory_);
    lock_->require_in_place();
    write_json(written_->summary(), document);
    return summary;
  }

  const Clock total_;
  Host& host_;
  const Experiment& experiment_;
  const RunOptions& options_;
  RunFolder folder_;
  std::optional<FolderLock> lock_;
  std::optional<RunFolder> written_;  // the same, under the lock's descriptor
  TrainingData data_;
  std::optional<Trainer> trainer_;
  MemoryEstimate memory_;
  std::optional<OpenedCheckpoint> from_;  // less its tensors
  std::optional<CheckpointFiles> files_;
  RunState state_;
  std::optional<RunLog> log_;
  std::int64_t first_step_ = 0, stored_ = -1;
  json first_, last_;  // statistics of the first and the last step
  bool finished_ = false;
  bool has_changed_ = false;  // since the checkpoint, what was allowed to
  double seconds_ = 0;        // of all steps
};

}  // namespace

TrainingData split_recordings(const Experiment& experiment, std::vector<Recording> sessions) {
  TrainingData data;
  for (const Recording& session : sessions) {
    const std::int64_t middle = num_train_samples(experiment, session), end = session.num_samples();
    data.train.push_back(session.slice(0, middle));
    if (middle < end) data.held_out.push_back(session.slice(middle, end));
  }
  if (data.held_out.size() != sessions.size()) data.held_out.clear();
  data.whole = std::move(sessions);
  return data;
}

Summary run(Host& host, const Experiment& experiment, const RunOptions& options) {
  try {
    return Run(host, experiment, options).go();
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorCode::io, e.path1().string() + ": cannot be used: " + e.code().message());
  }
}

}  // namespace grevy::host
