#include "files/atomic_file.hpp"
#include "training/checkpoint_files.hpp"
#include "training/data_identity.hpp"
#include "training/folder_lock.hpp"
#include "training/memory_estimate.hpp"
#include "training/run_log.hpp"
#include "training/run_state.hpp"
#include "training/stop.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/run.hpp>
#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>
#include <sys/resource.h>

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

// Files are written under the folder's descriptor, so that nothing goes into a folder that took its
// place; people know them by its name.
template <class Body>
auto with_names(const FolderLock& lock, Body&& body) {
  try {
    return body();
  } catch (const PluginError&) {
    throw;
  } catch (const Error& e) {
    const std::string text = lock.named(e.what());
    if (text == e.what()) throw;  // an application's own, perhaps
    throw Error(e.code(), text);
  } catch (const fs::filesystem_error& e) {
    throw fs::filesystem_error(e.what(), lock.named(e.path1().string()), e.code());
  }
}

// A folder that another run has made and filled meanwhile is not emptied.
void prepare(const RunFolder& folder, const RunOptions& options, std::optional<FolderLock>& lock) {
  if (lock) {
    lock->require_in_place();
  } else {
    std::error_code error;
    fs::create_directories(folder.path, error);
    if (error)
      throw Error(ErrorCode::io, folder.path.string() + ": cannot be made: " + error.message());
    lock.emplace(folder.path);
  }
  with_names(*lock, [&] {
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

// Made anew, since older versions have fewer keys; as it is where it fits no longer.
json stored_document(const json& info, const Host& host) {
  const json& document = info.at("experiment");
  try {
    return Experiment(host, document, info.at("file").get<std::string>()).document();
  } catch (const Error&) {
    return document;
  }
}

// What is not as it was when a checkpoint was written, but for /training/num_steps.
std::vector<Change> changes_since(const json& info, const Host& host, const Trainer& trainer,
                                  const json& data) {
  json stored = stored_document(info, host), wanted = trainer.experiment().document();
  const json::json_pointer steps("/training/num_steps"), threads("/threads");
  stored[steps] = wanted[steps];
  if (info.contains("threads")) {  // what they came to on that machine
    stored[threads] = info.at("threads");
    wanted[threads] = at::get_num_threads();
  }
  std::vector<Change> found = experiment_changes(stored, wanted);
  const RunState before = RunState::from_json(info.value("run", json()));
  for (Change& change : data_changes(before.data, data)) found.push_back(std::move(change));
  for (Change& change : plugin_changes(info.at("plugins"), trainer.plugins()))
    found.push_back(std::move(change));
  return found;
}

void check_allowed(const std::vector<Change>& changes, const RunFolder& folder,
                   const Experiment& experiment, const std::vector<std::string>& allow) {
  std::string text;
  std::set<std::string> names;
  for (const Change& change : changes) {
    if (is_allowed(change, allow)) continue;
    text += change.name + ": found " + change.to_text + "; the run in " + folder.path.string() +
            " has " + change.from_text + "; ";
    names.insert(" --allow " + change.name);  // a file may have another name and other content
  }
  if (text.empty()) return;
  text += "a resumed run may change /training/num_steps only, and what is allowed by name:";
  for (const std::string& name : names) text += name;
  throw Error(ErrorCode::invalid_value, experiment.file().string() + ": " + text);
}

void check_steps(const Experiment& experiment, std::int64_t done) {
  if (done > experiment.num_steps())
    throw Error(ErrorCode::invalid_value, experiment.where("/training/num_steps") + "found " +
                                              std::to_string(experiment.num_steps()) +
                                              "; must be at least " + std::to_string(done) +
                                              ", the steps that the run has done");
}

json statistics_of(const StepReport& report) {
  json values = json::object();
  for (const Statistic& s : report.statistics) values[s.name] = s.value;
  return values;
}

json line_of(const StepReport& report) {
  json line = statistics_of(report);
  line["step"] = report.step;
  if (report.validation_loss) line["validation"] = *report.validation_loss;
  for (const Statistic& s : report.validation_parts) line["validation_" + s.name] = s.value;
  return line;
}

// A step that was left out; `count`: how many so far.
json line_of_skipped(const StepReport& report, std::int64_t count) {
  return {{"step", report.step}, {"skipped", count}, {"reason", report.skipped}};
}

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

json resources() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {{"cpu_s", seconds(usage.ru_utime) + seconds(usage.ru_stime)},
          {"peak_memory_mb", static_cast<double>(usage.ru_maxrss) / 1024}};
}

json describe(const Recording& recording, std::int64_t num_train) {
  return {{"samples", recording.num_samples()},
          {"channels", recording.num_channels()},
          {"train_samples", num_train}};
}

json describe(const Phases& phases) {
  return {{"batches", phases.batches},
          {"optimizer", phases.optimizer},
          {"services", phases.services},
          {"solver", phases.solver()}};
}

double in_megabytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

json describe(const MemoryEstimate& memory) {
  if (memory.parts.empty()) return nullptr;
  json parts = {{"in use before", in_megabytes(memory.in_use)}};
  for (const MemoryPart& part : memory.parts) parts[part.name] = in_megabytes(part.bytes);
  return {{"estimated_peak_mb", in_megabytes(memory.peak())}, {"parts_mb", parts}};
}

json describe(const Trainer& trainer, const TrainingData& data) {
  const Experiment& experiment = trainer.experiment();
  json document = {
      {"seed", experiment.seed()},
      {"device", experiment.device()},
      {"threads", at::get_num_threads()},
      {"versions", {{"grevy", version()}, {"libtorch", GREVY_STAMP}}},
      {"model", {{"name", trainer.model().component()}, {"parameters", trainer.num_parameters()}}},
      {"criterion", trainer.criterion().component()},
      {"solver", trainer.solver().component()}};
  json recordings = json::array();
  for (std::size_t s = 0; s < data.whole.size(); ++s)
    recordings.push_back(describe(data.whole[s], data.train[s].num_samples()));
  document[recordings.size() == 1 ? "recording" : "recordings"] =
      recordings.size() == 1 ? recordings[0] : recordings;
  return document;
}

void write_embedding(const Trainer& trainer, const Recording& recording, std::int64_t session,
                     const fs::path& file, const FolderLock& lock, const ShouldStop& should_stop) {
  TransformOptions options;
  options.session = session;
  lock.require_in_place();
  NpyWriter writer(file, trainer.num_rows(recording, options),
                   trainer.model_info(session).num_output);
  const auto append = [&](const at::Tensor& rows) {
    stop_if_asked(should_stop);
    writer.append(rows.data_ptr<float>(), rows.size(0));
  };
  trainer.transform(recording, append, options);
  lock.require_in_place();
  writer.finish();
}

void write_embeddings(const Trainer& trainer, const std::vector<Recording>& sessions,
                      const RunFolder& folder, const FolderLock& lock,
                      const ShouldStop& should_stop) {
  const bool joined = trainer.solver_info().sessions == SolverInfo::Sessions::joined;
  for (std::size_t s = 0; s < sessions.size(); ++s) {
    const auto number = static_cast<std::int64_t>(s);
    stop_if_asked(should_stop);
    write_embedding(trainer, joined ? trainer.line_up(sessions, number) : sessions[s], number,
                    folder.embedding(s, sessions.size()), lock, should_stop);
  }
}

std::string what_is_left(const FolderLock& lock) {
  try {
    const OpenedCheckpoint opened = open_checkpoint(lock.held());
    const fs::path file = lock.path_now() / opened.file.filename();
    return file.string() + " is intact, of step " + opened.info.at("step").dump();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::not_found) return "no checkpoint is stored";
    return "the checkpoints cannot be read: " + lock.named(e.what());
  } catch (const std::exception& e) {
    return std::string("the checkpoints cannot be read: ") + e.what();
  }
}

// A failure to write says what there is all the same, wherever the folder is by now.
template <class Body>
auto while_writing(const FolderLock& lock, Body&& body) {
  try {
    return with_names(lock, std::forward<Body>(body));
  } catch (const PluginError&) {
    throw;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::io) throw;
    throw Error(e.code(), std::string(e.what()) + "; " + what_is_left(lock));
  }
}

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
    callbacks.on_checkpoint = [&](std::int64_t step) {
      if (step != stored_) store(false);
    };
    callbacks.on_step = [&](const StepReport& report) { take(report); };
    const Clock clock;
    finished_ = trainer_->fit(callbacks);
    seconds_ = clock.seconds();
    if (has_changed_ && stored_ != trainer_->step()) store(false);  // says what was allowed
  }

  void take(const StepReport& report) {
    if (!report.skipped.empty()) {
      log_->add(line_of_skipped(report, trainer_->num_skipped()));
      if (options_.on_step) options_.on_step(report);
      return;
    }
    last_ = statistics_of(report);
    if (first_.is_null()) first_ = last_;
    const std::int64_t frequency = experiment_.at("/training/log_frequency");
    if (report.step % frequency == 0 || report.validation_loss) log_->add(line_of(report));
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
    document = describe(*trainer_, data_);
    document["step"] = trainer_->step();
    document["skipped_steps"] = trainer_->num_skipped();
    if (!first_.is_null()) document["training"] = {{"first", first_}, {"last", last_}};
    document["plugins"] = trainer_->plugins();
    if (state_.best)
      document["best"] = {{"step", state_.best->step}, {"validation", state_.best->loss}};
    if (!state_.allowed.empty()) document["allowed"] = state_.allowed;
    if (finished_) embed_and_evaluate(document);
    document["finished"] = summary.finished = finished_;
    const json used = resources();
    const auto steps = static_cast<double>(trainer_->step() - first_step_);
    document["time"] = {{"total_s", total_.seconds()},
                        {"train_s", seconds_},
                        {"cpu_s", used.at("cpu_s")},
                        {"steps_per_s", seconds_ > 0 ? steps / seconds_ : 0},
                        {"phases_s", describe(trainer_->phases())}};
    document["peak_memory_mb"] = used.at("peak_memory_mb");
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
