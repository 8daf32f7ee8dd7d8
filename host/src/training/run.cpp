#include "files/atomic_file.hpp"
#include "training/folder_lock.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/run.hpp>
#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sys/resource.h>
#include <system_error>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Folder {
  explicit Folder(fs::path folder) : path(std::move(folder)) {}
  fs::path path;
  fs::path experiment() const { return path / "experiment.json"; }
  fs::path log() const { return path / "log.jsonl"; }
  fs::path checkpoint() const { return path / "checkpoint.safetensors"; }
  fs::path summary() const { return path / "summary.json"; }
  // Of one session "embedding.npy", of several "embedding_0.npy", ...
  fs::path embedding(std::size_t session, std::size_t count) const {
    return path / (count == 1 ? "embedding.npy" : "embedding_" + std::to_string(session) + ".npy");
  }
  // What an earlier run has left.
  std::vector<fs::path> files() const {
    // The checkpoint first: what is left when the process dies must not pass for a whole run.
    std::vector<fs::path> found = {checkpoint(), experiment(), log(), summary()};
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.path().filename().string().rfind("embedding", 0) == 0 &&
          entry.path().extension() == ".npy")
        found.push_back(entry.path());
    return found;
  }
};

void check_folder(const Folder& folder, const RunOptions& options) {
  if (options.folder.empty()) throw Error(ErrorCode::invalid_value, "a run needs a folder");
  if (fs::exists(folder.path) && !fs::is_directory(folder.path))
    throw Error(ErrorCode::invalid_value,
                folder.path.string() + ": is a file; a run needs a folder");
  const bool used = fs::exists(folder.path) && !fs::is_empty(folder.path);
  if (options.resume && !fs::exists(folder.checkpoint()))
    throw Error(ErrorCode::not_found,
                folder.checkpoint().string() + ": no such file; there is nothing to resume");
  if (used && !options.resume && !options.force)
    throw Error(ErrorCode::invalid_value,
                folder.path.string() +
                    ": exists and is not empty; use --resume to go on, --force to replace the run");
}

// A folder that another run has made and filled meanwhile is not emptied.
void prepare(const Folder& folder, const RunOptions& options, std::optional<FolderLock>& lock) {
  std::error_code error;
  fs::create_directories(folder.path, error);
  if (error)
    throw Error(ErrorCode::io, folder.path.string() + ": cannot be made: " + error.message());
  if (!lock) lock.emplace(folder.path);
  if (options.resume) return;
  check_folder(folder, options);
  for (const fs::path& file : folder.files())
    if (!fs::remove(file, error) && error)
      throw Error(ErrorCode::io, file.string() + ": cannot be removed: " + error.message());
}

void write_json(const fs::path& file, const json& document) {
  const std::string text = document.dump(2) + "\n";
  write_file_atomically(file, {text});
}

// What differs between two experiments that a resume must not change.
void check_same_experiment(const Experiment& experiment, const Folder& folder) {
  json stored = read_checkpoint_info(folder.checkpoint()).at("experiment");
  json wanted = experiment.document();
  const auto steps = nlohmann::json::json_pointer("/training/num_steps");
  stored[steps] = wanted[steps];
  const json changes = json::diff(stored, wanted);
  if (changes.empty()) return;
  const std::string pointer = changes[0].at("path");
  const auto value = [place = json::json_pointer(pointer)](const json& document) {
    return document.contains(place) ? document[place].dump() : "nothing";
  };
  throw Error(ErrorCode::invalid_value, experiment.where(pointer) + "found " + value(wanted) +
                                            "; the run in " + folder.path.string() + " has " +
                                            value(stored) +
                                            "; a resumed run may change /training/num_steps only");
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

// Of a line of the log; after all others where it is none.
std::int64_t step_of(const json& entry) {
  const bool has_step =
      entry.is_object() && entry.contains("step") && entry.at("step").is_number_integer();
  return has_step ? entry.at("step").get<std::int64_t>() : std::numeric_limits<std::int64_t>::max();
}

// One JSON object a line, each line whole when the process dies.
class Log {
 public:
  // Keeps the lines of steps before `first_step`, which a checkpoint may be behind of.
  Log(const fs::path& file, std::int64_t first_step) : file_(file) {
    std::string kept;
    std::ifstream old(file);
    for (std::string line; first_step > 0 && std::getline(old, line);) {
      const json entry = json::parse(line, nullptr, false);
      if (step_of(entry) < first_step) kept += line + "\n";
    }
    write_file_atomically(file, {kept});
    stream_.open(file, std::ios::app);
    check("opening it");
  }
  void add(const StepReport& report) {
    json line = statistics_of(report);
    line["step"] = report.step;
    if (report.validation_loss) line["validation"] = *report.validation_loss;
    for (const Statistic& s : report.validation_parts) line["validation_" + s.name] = s.value;
    stream_ << line.dump() + "\n" << std::flush;
    check("adding a line");
  }

 private:
  // Reads errno: call it right after what may have failed.
  void check(const char* step) const {
    if (stream_) return;
    const std::string reason = std::generic_category().message(errno);
    throw Error(ErrorCode::io, file_.string() + ": cannot be written: " + step + ": " + reason);
  }

  fs::path file_;
  std::ofstream stream_;
};

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
                     const fs::path& file) {
  TransformOptions options;
  options.session = session;
  NpyWriter writer(file, trainer.num_rows(recording, options),
                   trainer.model_info(session).num_output);
  trainer.transform(
      recording,
      [&](const at::Tensor& rows) { writer.append(rows.data_ptr<float>(), rows.size(0)); },
      options);
  writer.finish();
}

void write_embeddings(const Trainer& trainer, const std::vector<Recording>& sessions,
                      const Folder& folder) {
  const bool joined = trainer.solver_info().sessions == SolverInfo::Sessions::joined;
  for (std::size_t s = 0; s < sessions.size(); ++s) {
    const auto number = static_cast<std::int64_t>(s);
    write_embedding(trainer, joined ? trainer.line_up(sessions, number) : sessions[s], number,
                    folder.embedding(s, sessions.size()));
  }
}

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
  const Clock total;
  const Folder folder(options.folder);
  check_folder(folder, options);
  std::optional<FolderLock> lock;
  if (fs::exists(folder.path)) lock.emplace(folder.path);
  const TrainingData data = split_recordings(experiment, load_recordings(experiment));
  Trainer trainer(host, experiment, data.train, data.held_out);
  if (options.resume) {
    check_same_experiment(experiment, folder);
    trainer.load(folder.checkpoint());
    check_steps(experiment, trainer.step());
  }
  prepare(folder, options, lock);
  write_json(folder.experiment(), experiment.document());
  Log log(folder.log(), trainer.step());

  const std::int64_t first_step = trainer.step();
  const std::int64_t log_frequency = experiment.at("/training/log_frequency");
  json first, last;  // statistics of the first and the last step
  FitCallbacks callbacks;
  callbacks.should_stop = options.should_stop;
  callbacks.on_checkpoint = [&](std::int64_t) { trainer.save(folder.checkpoint()); };
  callbacks.on_step = [&](const StepReport& report) {
    last = statistics_of(report);
    if (first.is_null()) first = last;
    if (report.step % log_frequency == 0 || report.validation_loss) log.add(report);
    if (options.on_step) options.on_step(report);
  };
  const Clock training;
  Summary summary;
  summary.finished = trainer.fit(callbacks);
  const double seconds = training.seconds();

  json& document = summary.document;
  document = describe(trainer, data);
  document["finished"] = summary.finished;
  document["step"] = trainer.step();
  if (!first.is_null()) document["training"] = {{"first", first}, {"last", last}};
  document["plugins"] = read_checkpoint_info(folder.checkpoint()).at("plugins");
  if (summary.finished) {
    write_embeddings(trainer, data.whole, folder);
    document.update(evaluate(trainer, data));
  }
  const json used = resources();
  const auto steps = static_cast<double>(trainer.step() - first_step);
  document["time"] = {{"total_s", total.seconds()},
                      {"train_s", seconds},
                      {"cpu_s", used.at("cpu_s")},
                      {"steps_per_s", seconds > 0 ? steps / seconds : 0},
                      {"phases_s", describe(trainer.phases())}};
  document["peak_memory_mb"] = used.at("peak_memory_mb");
  write_json(folder.summary(), document);
  return summary;
}

}  // namespace grevy::host
