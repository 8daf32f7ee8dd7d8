// log.jsonl: one JSON object a line.
#ifndef GREVY_HOST_RUN_LOG_HPP
#define GREVY_HOST_RUN_LOG_HPP

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>

namespace grevy::host {

// Each line is whole when the process dies, and on the disk after sync().
class RunLog {
 public:
  // Where a checkpoint left off.
  struct Position {
    std::int64_t step = 0;               // lines of this step and later ones are not kept
    std::optional<std::uint64_t> bytes;  // the file's length then, where the checkpoint says it
  };

  // Goes on with a file at a position, or begins an empty one. Errors: io.
  RunLog(std::filesystem::path file, const Position& position);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // Whether lines before the position were missing.
  bool was_shortened() const { return was_shortened_; }
  // Errors: io.
  void add(const nlohmann::json& line);
  // What was added survives a power cut. Errors: io, also where the file was removed meanwhile.
  void sync();
  std::uint64_t bytes() const { return bytes_; }  // the file's length

 private:
  explicit RunLog(std::filesystem::path file) : file_(std::move(file)) {}
  void open();
  [[noreturn]] void fail(const char* step) const;
  void keep_steps_before(std::int64_t step);

  std::filesystem::path file_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
  bool was_shortened_ = false;
};

}  // namespace grevy::host

#endif
