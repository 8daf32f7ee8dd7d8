#include "exchange/exchange_experiment.hpp"
#include "exchange/exchange_tensors.hpp"
#include "files/atomic_file.hpp"
#include "files/file_hash.hpp"
#include "files/utf8_text.hpp"
#include "training/run_errors.hpp"
#include "training/run_folder.hpp"

#include <grevy/host/exchange.hpp>
#include <grevy/host/trainer.hpp>
#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <utility>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Form = CebraCheckpoint::Form;

const char* to_text(Form form) {
  if (form == Form::model) return "model";
  return form == Form::solver ? "solver" : "estimator";
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_value, message);
}

std::string join(const Notes& parts, const char* between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

// ---- folder -------------------------------------------------------------------------------------

void check_free(const RunFolder& folder, const ImportOptions& options) {
  if (!options.force && folder.is_used())
    refuse(folder.path.string() + ": exists and is not empty; use --force to replace the run");
}

void check_folder(const ImportOptions& options) {
  const fs::path& folder = options.folder;
  if (folder.empty()) refuse("an imported run needs a folder");
  if (fs::exists(folder) && !fs::is_directory(folder))
    refuse(folder.string() + ": is a file; a run needs a folder");
  check_free(RunFolder(folder), options);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, folder.string() + ": cannot be made: " + error.message());
}

void write_json(const fs::path& file, const json& document) {
  write_file_atomically(file, {document.dump(2) + "\n"});
}

// ---- the whole ----------------------------------------------------------------------------------

class Import {
 public:
  Import(Host& host, const fs::path& file, const ImportOptions& options)
      : host_(host), file_(file), options_(options), checkpoint_(read_cebra_checkpoint(file)) {}

  ImportReport run() {
    check_folder(options_);
    encoders_ = split_encoders(checkpoint_.model);
    const Experiment experiment = make_experiment();
    Trainer trainer = Trainer::without_data(host_, experiment, num_inputs());
    const MatchedTensors tensors = match_tensors(trainer, checkpoint_, encoders_);
    note_criterion(tensors.of_no_place);
    put(tensors.content, trainer);
    take_moments(trainer);
    if (checkpoint_.decode.is_array() && !checkpoint_.decode.empty())
      left_out_.push_back("decode: scores from during the training");
    const std::string log = log_lines(checkpoint_, left_out_);
    write(trainer, log, describe_run(trainer, tensors.content.tensors.size()));
    return std::move(report_);
  }

 private:
  Experiment make_experiment() {
    if (options_.experiment) return *options_.experiment;
    DescribedExperiment described = describe_experiment(checkpoint_, encoders_, options_.model);
    assumed_ = std::move(described.assumed);
    left_out_ = std::move(described.left_out);
    return Experiment(host_, std::move(described.document), file_);
  }

  // Channels of each session: what the file says and what the first layer takes, or either.
  std::vector<std::int64_t> num_inputs() const {
    const auto& said = checkpoint_.n_features;
    const std::size_t sessions = encoders_.sessions.size();
    if (!said.empty() && said.size() != sessions)
      refuse("n_features has " + std::to_string(said.size()) +
             " entries; the file holds encoders of " + std::to_string(sessions) + " session(s)");
    std::vector<std::int64_t> channels;
    for (std::size_t s = 0; s < sessions; ++s) {
      const auto widths = widths_of(encoders_.sessions[s]);
      if (!widths && said.empty())
        refuse(
            "the number of channels is not in the file: there is neither \"n_features\" nor a "
            "tensor \"net.N.weight\"");
      if (widths && !said.empty() && widths->num_input != said[s])
        refuse("n_features is " + std::to_string(said[s]) + "; the first layer takes " +
               std::to_string(widths->num_input) + " channels");
      channels.push_back(widths ? widths->num_input : said[s]);
    }
    return channels;
  }

  // Of a file with several objectives the encoder alone may be wanted.
  void note_criterion(const Notes& extra) {
    if (extra.empty()) return;
    if (!encoders_.wrapped || options_.experiment)
      refuse("the criterion tensor \"" + extra.front() +
             "\" is none of the experiment's criterion");
    left_out_.push_back("the criterion's tensors " + join(extra, ", "));
  }

  void take_moments(Trainer& trainer) {
    const MatchedMoments moments = match_moments(trainer, checkpoint_);
    put(moments.content, trainer);
    trainer.set_steps(steps_done(checkpoint_), moments.steps);
    has_moments_ = !moments.content.tensors.empty();
    if (!moments.problem.empty()) left_out_.push_back("the optimiser's state: " + moments.problem);
    if (!moments.missing.empty())
      assumed_.push_back("the optimiser: no moments yet of " + join(moments.missing, ", "));
  }

  json describe_run(const Trainer& trainer, std::size_t num_tensors) {
    json& document = report_.document;
    document = {{"file", require_utf8(fs::absolute(file_).string(), "the checkpoint's path: ")},
                {"folder", options_.folder.string()},
                {"form", to_text(checkpoint_.form)},
                {"version", checkpoint_.version},
                {"model", trainer.model().component()},
                {"tensors", num_tensors},
                {"step", trainer.step()},
                {"optimizer", has_moments_},
                {"assumed", assumed_},
                {"left_out", left_out_}};
    json imported = document;
    imported.erase("folder");
    imported["sha256"] = sha256_of_file(file_);
    return {{"finished", trainer.step() >= trainer.experiment().num_steps()},
            {"step", trainer.step()},
            {"seed", trainer.experiment().seed()},
            {"versions", {{"grevy", version()}, {"libtorch", GREVY_STAMP}}},
            {"model",
             {{"name", trainer.model().component()}, {"parameters", trainer.num_parameters()}}},
            {"criterion", trainer.criterion().component()},
            {"solver", trainer.solver().component()},
            {"imported", imported}};
  }

  void write(const Trainer& trainer, const std::string& log, json summary) const {
    make_folder(options_.folder);
    const FolderLock lock(options_.folder);
    summary["plugins"] = trainer.plugins();
    while_writing(lock, [&] {
      const RunFolder folder(lock.held());
      check_free(folder, options_);  // another one may have filled it meanwhile
      remove_files(folder.leftovers());
      remove_files(folder.files());
      const auto put = [&](const fs::path& file, auto&& write) {
        lock.require_in_place();
        write(file);
      };
      put(folder.experiment(),
          [&](const fs::path& file) { write_json(file, trainer.experiment().document()); });
      put(folder.log(), [&](const fs::path& file) { write_file_atomically(file, {log}); });
      put(folder.checkpoint(), [&](const fs::path& file) { trainer.save(file); });
      put(folder.summary(), [&](const fs::path& file) { write_json(file, summary); });
    });
  }

  Host& host_;
  fs::path file_;
  const ImportOptions& options_;
  CebraCheckpoint checkpoint_;
  StoredEncoders encoders_;  // in checkpoint_
  Notes assumed_, left_out_;
  bool has_moments_ = false;
  ImportReport report_;
};

void append(std::string& text, const char* title, const json& notes) {
  if (notes.empty()) return;
  text += std::string("\n") + title;
  for (const json& note : notes) text += "\n  " + note.get<std::string>();
}

}  // namespace

ImportReport import_checkpoint(Host& host, const fs::path& pt_file, const ImportOptions& options) {
  require_utf8(pt_file.string(), "the checkpoint's path: ");
  try {
    return Import(host, pt_file, options).run();
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorCode::io, e.path1().string() + ": cannot be used: " + e.code().message());
  } catch (const PluginError& e) {
    throw e.at(pt_file.string() + ": ");
  } catch (const Error& e) {
    const std::string message = e.what();
    for (const fs::path& place : {pt_file, options.folder})
      if (!place.empty() && message.rfind(place.string(), 0) == 0) throw;
    throw Error(e.code(), pt_file.string() + ": " + message);
  }
}

std::string ImportReport::report() const {
  const std::string version = document.at("version").get<std::string>();
  const std::string form = document.at("form").get<std::string>();
  std::string text = document.at("file").get<std::string>() + ": " + form + "'s state" +
                     (version.empty() ? "" : " of CEBRA " + version) + "\n" +
                     document.at("model").get<std::string>() + ": " +
                     document.at("tensors").dump() + " tensors, " + document.at("step").dump() +
                     " steps, " + (document.at("optimizer").get<bool>() ? "with" : "without") +
                     " the optimiser's state";
  append(text, "assumed, since the file does not say it:", document.at("assumed"));
  append(text, "left out:", document.at("left_out"));
  return text;
}

}  // namespace grevy::host
