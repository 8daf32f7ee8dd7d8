#include "training/checkpoint_files.hpp"

#include "files/atomic_file.hpp"
#include "files/input_file.hpp"
#include "training/checkpoint_info.hpp"

#include <grevy/error.hpp>

#include <algorithm>
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

// -1 where there is none, or a damaged one. Errors: io, incompatible.
std::int64_t step_of(const fs::path& file) {
  try {
    const json step = open_file(file).info.value("step", json());
    return step.is_number_integer() ? step.get<std::int64_t>() : -1;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::invalid_value && e.code() != ErrorCode::not_found) throw;
    return -1;
  }
}

// Every checkpoint that is there, newest first. The best one is older than the present one, but may
// be newer than what else is kept; what it says of its step is read where that matters.
std::vector<fs::path> newest_first(const RunFolder& folder) {
  std::vector<Predecessor> earlier = folder.predecessors();
  if (is_there(folder.best())) earlier.push_back({step_of(folder.best()), folder.best()});
  std::stable_sort(earlier.begin(), earlier.end(),
                   [](const auto& a, const auto& b) { return a.step > b.step; });
  std::vector<fs::path> files;
  if (is_there(folder.checkpoint())) files.push_back(folder.checkpoint());
  for (const Predecessor& file : earlier) files.push_back(file.file);
  return files;
}

OpenedCheckpoint open_newest(const RunFolder& folder) {
  if (is_there(folder.checkpoint())) try {
      return open_file(folder.checkpoint());
    } catch (const Error& e) {
      if (e.code() != ErrorCode::invalid_value) throw;
    }
  const std::vector<fs::path> files = newest_first(folder);
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

void set_aside(const fs::path& file, const fs::path& name) {
  std::error_code error;
  fs::rename(file, name, error);
  if (error) throw Error(ErrorCode::io, file.string() + ": cannot be renamed: " + error.message());
}

// What becomes unreadable in one of them is whole in the other.
void write_copy(const fs::path& from, const fs::path& to) {
  InputFile input(from, ErrorCode::io, "a checkpoint");
  write_file_atomically(to, {input.read(0, input.size())});
}

}  // namespace

OpenedCheckpoint open_checkpoint(const fs::path& run) {
  std::error_code ignored;
  return fs::is_directory(run, ignored) ? open_newest(RunFolder(run)) : open_file(run);
}

CheckpointFiles::CheckpointFiles(RunFolder folder, std::int64_t keep)
    : folder_(std::move(folder)), keep_(static_cast<std::size_t>(keep)) {}

bool CheckpointFiles::resume(const OpenedCheckpoint& from, std::int64_t step,
                             std::optional<std::int64_t> best) {
  for (const fs::path& file : from.damaged) set_aside(file, file.string() + ".damaged");
  if (from.file == folder_.best())
    write_copy(from.file, folder_.checkpoint());
  else if (from.file != folder_.checkpoint())
    duplicate_file(from.file, folder_.checkpoint().filename().string());
  newest_ = step;
  const bool has_best = find_best(best);
  remove_old();  // a process that was killed may have had no time for it
  return has_best;
}

// The file may be gone or damaged, or, after a crash, that of the best one before.
bool CheckpointFiles::find_best(std::optional<std::int64_t> wanted) const {
  const std::int64_t found = is_there(folder_.best()) ? step_of(folder_.best()) : -1;
  if (wanted && found == *wanted) return true;
  if (wanted)
    for (const fs::path& file :
         {folder_.checkpoint(), folder_.predecessor(*wanted), folder_.best_before(*wanted)})
      if (step_of(file) == *wanted) {
        write_copy(file, folder_.best());
        return true;
      }
  if (found >= 0) set_aside(folder_.best(), folder_.best_before(found));
  if (found < 0 && is_there(folder_.best()))
    set_aside(folder_.best(), folder_.best().string() + ".damaged");
  return false;
}

void CheckpointFiles::store(std::int64_t step, bool is_best, const Write& write) {
  if (newest_ >= 0 && newest_ != step && keep_ > 1)
    duplicate_file(folder_.checkpoint(), folder_.predecessor(newest_).filename().string());
  write(folder_.checkpoint());
  newest_ = step;
  if (is_best) write(folder_.best());  // no link: see write_copy()
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
