#include "training/checkpoint_files.hpp"

#include "files/atomic_file.hpp"
#include "training/checkpoint_info.hpp"

#include <grevy/error.hpp>

#include <system_error>
#include <utility>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

OpenedCheckpoint open_file(const fs::path& file) {
  OpenedCheckpoint opened;
  opened.file = file;
  opened.content = read_safetensors(file);
  try {
    opened.info = read_info(opened.content);
  } catch (const Error& e) {
    throw Error(e.code(), file.string() + ": " + e.what());
  }
  return opened;
}

std::string joined(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += (text.empty() ? "" : "; ") + problem;
  return text;
}

std::string step_text(const json& info) { return info.value("step", json("unknown")).dump(); }

OpenedCheckpoint open_newest(const RunFolder& folder) {
  const std::vector<fs::path> files = folder.checkpoints();
  std::vector<fs::path> damaged;
  std::vector<std::string> problems;
  if (files.empty() || files.front() != folder.checkpoint())
    problems.push_back(folder.checkpoint().string() + ": no such file");
  for (const fs::path& file : files) try {
      OpenedCheckpoint opened = open_file(file);
      opened.damaged = damaged;
      if (!problems.empty())
        opened.warning = joined(problems) + "; " + file.string() + ", of step " +
                         step_text(opened.info) + ", is used instead";
      return opened;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::invalid_value) throw;
      damaged.push_back(file);
      problems.emplace_back(e.what());
    }
  throw Error(files.empty() ? ErrorCode::not_found : ErrorCode::invalid_value, joined(problems));
}

void set_aside(const fs::path& file) {
  std::error_code error;
  fs::rename(file, file.string() + ".damaged", error);
  if (error) throw Error(ErrorCode::io, file.string() + ": cannot be renamed: " + error.message());
}

}  // namespace

OpenedCheckpoint open_checkpoint(const fs::path& run) {
  std::error_code ignored;
  return fs::is_directory(run, ignored) ? open_newest(RunFolder(run)) : open_file(run);
}

CheckpointFiles::CheckpointFiles(RunFolder folder, std::int64_t keep)
    : folder_(std::move(folder)), keep_(static_cast<std::size_t>(keep)) {}

void CheckpointFiles::resume(const OpenedCheckpoint& from, std::int64_t step, bool is_best) {
  for (const fs::path& file : from.damaged) set_aside(file);
  if (from.file != folder_.checkpoint())
    duplicate_file(from.file, folder_.checkpoint().filename().string());
  if (is_best && from.file != folder_.best())
    duplicate_file(from.file, folder_.best().filename().string());
  newest_ = step;
  remove_old();  // a process that was killed may have had no time for it
}

void CheckpointFiles::store(std::int64_t step, bool is_best, const Write& write) {
  if (newest_ >= 0 && newest_ != step && keep_ > 1)
    duplicate_file(folder_.checkpoint(), folder_.predecessor(newest_).filename().string());
  write(folder_.checkpoint());
  newest_ = step;
  if (is_best) duplicate_file(folder_.checkpoint(), folder_.best().filename().string());
  remove_old();
}

// One of a later step is of a course that was given up; one of this step is the newest by another
// name, as after going on from it.
void CheckpointFiles::remove_old() const {
  std::vector<fs::path> old;
  std::size_t kept = 1;
  for (const Predecessor& earlier : folder_.predecessors())
    if (earlier.step > newest_ || (earlier.step < newest_ && ++kept > keep_))
      old.push_back(earlier.file);
  remove_files(old);
}

}  // namespace grevy::host
