#include "training/run_folder.hpp"

#include "files/atomic_file.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view predecessor_begin = "checkpoint-", checkpoint_end = ".safetensors";
constexpr const char *damaged_end = ".damaged", *before_end = ".before-";

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    found.push_back(at->path());
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    throw Error(ErrorCode::io, folder.string() + ": cannot be read: " + error.message());
  std::sort(found.begin(), found.end());
  return found;
}

// Of "checkpoint-STEP.safetensors".
std::optional<std::int64_t> step_in(const std::string& name) {
  const std::size_t around = predecessor_begin.size() + checkpoint_end.size();
  if (name.size() <= around || name.rfind(predecessor_begin, 0) != 0 ||
      name.substr(name.size() - checkpoint_end.size()) != checkpoint_end)
    return std::nullopt;
  std::int64_t step = 0;
  const char* begin = name.data() + predecessor_begin.size();
  const char* end = name.data() + name.size() - checkpoint_end.size();
  const auto [at, problem] = std::from_chars(begin, end, step);
  return problem == std::errc() && at == end && step >= 0 ? std::optional(step) : std::nullopt;
}

bool is_embedding(const fs::path& file) {
  return file.filename().string().rfind("embedding", 0) == 0 && file.extension() == ".npy";
}

bool is_set_aside(const fs::path& file) {
  const std::string end = file.extension().string(), name = file.filename().string();
  const bool is_ours = name.rfind("checkpoint", 0) == 0 || name.rfind("best", 0) == 0;
  return is_ours && (end == damaged_end || end.rfind(before_end, 0) == 0);
}

}  // namespace

bool is_there(const fs::path& file) {
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) return false;
  if (error)
    throw Error(ErrorCode::io, file.string() + ": cannot be looked for: " + error.message());
  return true;
}

fs::path RunFolder::predecessor(std::int64_t step) const {
  return path /
         (std::string(predecessor_begin) + std::to_string(step) + std::string(checkpoint_end));
}

fs::path RunFolder::best_before(std::int64_t step) const {
  return best().string() + before_end + std::to_string(step);
}

fs::path RunFolder::embedding(std::size_t session, std::size_t count) const {
  return path / (count == 1 ? "embedding.npy" : "embedding_" + std::to_string(session) + ".npy");
}

std::vector<Predecessor> RunFolder::predecessors() const {
  std::vector<Predecessor> found;
  for (const fs::path& file : entries(path))
    if (const auto step = step_in(file.filename().string())) found.push_back({*step, file});
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

std::vector<fs::path> RunFolder::checkpoints() const {
  std::vector<fs::path> files;
  if (is_there(checkpoint())) files.push_back(checkpoint());
  for (const Predecessor& earlier : predecessors()) files.push_back(earlier.file);
  if (is_there(best())) files.push_back(best());
  return files;
}

std::vector<fs::path> RunFolder::files() const {
  std::vector<fs::path> found = checkpoints();
  for (const fs::path& file : {experiment(), log(), summary()})
    if (is_there(file)) found.push_back(file);
  for (const fs::path& file : entries(path))
    if (is_embedding(file) || is_set_aside(file)) found.push_back(file);
  return found;
}

std::vector<fs::path> RunFolder::results() const {
  std::vector<fs::path> found;
  for (const fs::path& file : entries(path))
    if (file == summary() || is_embedding(file)) found.push_back(file);
  return found;
}

std::vector<fs::path> RunFolder::leftovers() const {
  std::vector<fs::path> found;
  for (const fs::path& file : entries(path))
    if (is_temporary_name(file.filename().string())) found.push_back(file);
  return found;
}

bool RunFolder::is_used() const { return entries(path).size() > leftovers().size(); }

void remove_files(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    std::error_code error;
    fs::remove(file, error);
    if (error)
      throw Error(ErrorCode::io, file.string() + ": cannot be removed: " + error.message());
  }
}

}  // namespace grevy::host
