// Runs `grevy` as a person would, in a folder of its own, and keeps what it says.
#ifndef GREVY_TESTS_PROGRAM_HPP
#define GREVY_TESTS_PROGRAM_HPP

#include "unit/temporary_folder.hpp"

#include <grevy/host/simulate.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace grevy::tests {

using Arguments = std::vector<std::string>;

struct Outcome {
  int code = 0;  // as a shell gives it: 128 + N after signal N
  std::string out, err;
};

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The lines of stderr that are neither progress nor the log of a component.
inline std::vector<std::string> complaints(const Outcome& outcome) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(outcome.err))
    if (line.rfind("step ", 0) != 0 && line.rfind("warning: ", 0) != 0) found.push_back(line);
  return found;
}

class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_.data()) != 0) throw std::system_error(errno, std::generic_category());
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int operator[](std::size_t end) const { return ends_[end]; }
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }
  // Appends what is there; false at the end.
  bool read_into(std::string& text) {
    std::array<char, 4096> buffer{};
    const ssize_t got = ::read(ends_[0], buffer.data(), buffer.size());
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    if (got == 0) close(0);
    return got > 0;
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

// A folder with a small recording and the program in it.
class Workspace {
 public:
  // Called with the program's process and its stderr so far, at the start and whenever there is
  // more.
  using Watch = std::function<void(pid_t, const std::string&)>;

  Workspace() {
    host::SimulationOptions options;
    options.num_samples = 600;
    options.num_neurons = 6;
    host::write_recording(host::simulate(options), folder_ / "recording");
  }

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    return folder_.write(name, bytes);
  }
  std::string bytes(const std::string& name) const { return file_bytes(folder_ / name); }
  nlohmann::json json(const std::string& name) const { return nlohmann::json::parse(bytes(name)); }
  bool has(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  // Trains in well under a second.
  static nlohmann::json experiment() {
    return {
        {"seed", 3},
        {"threads", 1},
        {"data",
         {{"neural", "recording/spikes.npy"},
          {"labels",
           {{"position", "recording/position.npy"}, {"direction", "recording/direction.npy"}}}}},
        {"model", {{"name", "offset10-model"}, {"num_units", 4}, {"num_output", 3}}},
        {"training", {{"num_steps", 6}, {"batch_size", 32}}},
        {"evaluation", {{"num_batches", 2}, {"neighbours", 5}}}};
  }
  void write_experiment(const nlohmann::json& document = experiment(),
                        const std::string& name = "experiment.json") const {
    write(name, document.dump(2));
  }

  Outcome grevy(const Arguments& arguments, const Watch& watch = {}) const {
    Pipe out, err;
    const pid_t process = start(arguments, out, err);
    Outcome outcome;
    if (watch) watch(process, outcome.err);
    const bool in_time = collect(process, out, err, outcome, watch);
    if (!in_time) ::kill(process, SIGKILL);
    int status = 0;
    if (::waitpid(process, &status, 0) != process)
      throw std::system_error(errno, std::generic_category());
    if (!in_time) throw std::runtime_error("the program took too long: " + outcome.err);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds time_limit{120};

  // This process's environment without what would lead the program to plugins elsewhere.
  std::vector<std::string> environment() const {
    std::vector<std::string> variables;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string variable = *entry;
      const std::string name = variable.substr(0, variable.find('='));
      if (name != "GREVY_PLUGIN_PATH" && name != "HOME" && name != "XDG_DATA_HOME")
        variables.push_back(variable);
    }
    for (const char* name : {"HOME=", "XDG_DATA_HOME="})
      variables.push_back(name + folder_.path().string());
    return variables;
  }

  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
  }

  pid_t start(const Arguments& arguments, Pipe& out, Pipe& err) const {
    std::vector<std::string> words = {GREVY_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables = environment();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder_.path().c_str());
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    for (const int end : {out[0], out[1], err[0], err[1]})
      posix_spawn_file_actions_addclose(&actions, end);
    pid_t process = 0;
    const int problem = ::posix_spawn(&process, GREVY_PROGRAM, &actions, nullptr,
                                      pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) throw std::system_error(problem, std::generic_category(), GREVY_PROGRAM);
    out.close(1);
    err.close(1);
    return process;
  }

  // Reads both streams to their ends; false when the time is up.
  static bool collect(pid_t process, Pipe& out, Pipe& err, Outcome& outcome, const Watch& watch) {
    const auto end = Clock::now() + time_limit;
    while (out[0] >= 0 || err[0] >= 0) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      std::array<pollfd, 2> sources = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
      if (left <= 0 || ::poll(sources.data(), sources.size(), static_cast<int>(left)) == 0)
        return false;
      if (sources[0].revents != 0) out.read_into(outcome.out);
      if (sources[1].revents != 0 && err.read_into(outcome.err) && watch)
        watch(process, outcome.err);
    }
    return true;
  }

  TemporaryFolder folder_;
};

}  // namespace grevy::tests

#endif
