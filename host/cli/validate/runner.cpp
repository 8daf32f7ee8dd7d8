#include "runner.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace grevy::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// Until LibTorch is loaded, on a busy machine too.
constexpr std::chrono::seconds kStart{120};

[[noreturn]] void fail(const char* what, int problem) {
  throw Error(ErrorCode::io, std::string(what) + ": " + std::strerror(problem));
}

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail("a pipe cannot be made", errno);
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
  // Appends what is there; closes at the end.
  void read_into(std::string& text) {
    std::array<char, 4096> buffer{};
    const ssize_t got = ::read(ends_[0], buffer.data(), buffer.size());
    if (got > 0)
      text.append(buffer.data(), static_cast<std::size_t>(got));
    else
      close(0);
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

std::vector<std::string> words_for(const Target& target, const Limits& limits,
                                   const char* first_check) {
  std::vector<std::string> words = {"grevy",
                                    "validate-check",
                                    target.file.string(),
                                    target.kind,
                                    first_check,
                                    "--options=" + target.options.dump(),
                                    "--seed=" + std::to_string(target.seed),
                                    "--folder=" + target.folder.string(),
                                    "--time-limit=" + std::to_string(limits.seconds),
                                    "--memory-limit=" + std::to_string(limits.gibibytes)};
  if (!target.name.empty()) words.push_back("--name=" + target.name);
  for (const auto& path : target.plugin_path) words.push_back("--plugin-path=" + path.string());
  if (target.allow_writable_plugins) words.emplace_back("--allow-writable-plugins");
  return words;
}

// A process that makes checks, in a group of its own; killed with its group at the end.
class Child {
 public:
  Child(const Target& target, const Limits& limits, const char* first_check) {
    std::vector<std::string> words = words_for(target, limits, first_check);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    // The report last: kReport may be the number of an end of the other pipe.
    posix_spawn_file_actions_adddup2(&actions, output_[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output_[1], STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, report_[1], kReport);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int problem = ::posix_spawn(&process_, "/proc/self/exe", &actions, &attributes,
                                      arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) fail("a check cannot be started", problem);
    report_.close(1);
    output_.close(1);
  }
  ~Child() {
    if (process_ > 0) end();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line of the report; false at its end and when the time is up.
  bool next_line(std::string& line, Clock::time_point deadline) {
    auto end = text_.find('\n');
    for (; end == std::string::npos; end = text_.find('\n'))
      if (report_[0] < 0 || !wait(deadline)) return false;
    line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return true;
  }

  bool is_late() const { return is_late_; }
  // Ends the process and returns how it ended, as waitpid() says it.
  int end() {
    int status = 0;
    const bool has_ended = report_[0] < 0 && wait_for_end(status);
    ::kill(-process_, SIGKILL);  // also what it has started itself
    while (!has_ended && ::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = 0;
    return status;
  }
  // The last line that the plugin, or the C library on its behalf, printed.
  std::string last_words() {
    while (output_[0] >= 0 && is_readable(output_[0])) read_output();
    const auto last = said_.find_last_not_of(" \n");
    if (last == std::string::npos) return {};
    const auto begin = said_.rfind('\n', last);
    return said_.substr(begin + 1, last - begin);
  }

 private:
  static bool is_readable(int descriptor) {
    pollfd source{descriptor, POLLIN, 0};
    return ::poll(&source, 1, 0) > 0;
  }
  // A process whose report has ended is about to end; one that has closed it goes on for ever.
  bool wait_for_end(int& status) const {
    for (int tenths = 0; tenths < 50; ++tenths) {
      if (::waitpid(process_, &status, WNOHANG) == process_) return true;
      ::poll(nullptr, 0, 100);
    }
    return false;
  }
  void read_output() {
    constexpr std::size_t kept = 4096;
    output_.read_into(said_);
    if (said_.size() > kept) said_.erase(0, said_.size() - kept);
  }
  // Waits for output of either kind; false when the time is up.
  bool wait(Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    std::array<pollfd, 2> sources = {{{report_[0], POLLIN, 0}, {output_[0], POLLIN, 0}}};
    const int ready =
        left <= 0 ? 0 : ::poll(sources.data(), sources.size(), static_cast<int>(left));
    if (ready < 0 && errno == EINTR) return true;
    is_late_ = ready <= 0;
    if (is_late_) return false;
    constexpr std::size_t longest_line = 1 << 16;
    if (sources[0].revents != 0) report_.read_into(text_);
    if (text_.size() > longest_line) text_.clear();  // not from us
    if (sources[1].revents != 0) read_output();
    return true;
  }

  Pipe report_, output_;
  pid_t process_ = 0;
  std::string text_, said_;
  bool is_late_ = false;
};

struct Signal {
  int number;
  const char* meaning;
};
constexpr Signal kSignals[] = {{SIGSEGV, "SIGSEGV, memory that is not its own"},
                               {SIGABRT, "SIGABRT, abort() or a failed assertion"},
                               {SIGBUS, "SIGBUS, memory that is not there"},
                               {SIGFPE, "SIGFPE, an integer divided by zero"},
                               {SIGILL, "SIGILL, an instruction that this CPU does not have"},
                               {SIGKILL, "SIGKILL, memory perhaps"},
                               {SIGTERM, "SIGTERM"}};

std::string text_of_signal(int number) {
  for (const Signal& known : kSignals)
    if (known.number == number) return known.meaning;
  return "signal " + std::to_string(number);
}

std::string ending(Child& child, const Limits& limits) {
  const int status = child.end();
  if (child.is_late())
    return "took longer than " + std::to_string(limits.clock_seconds()) + " s (time limit)";
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
    return "used more than " + std::to_string(limits.seconds) + " s of CPU time (time limit)";
  const std::string words = child.last_words();
  const std::string said = words.empty() ? "" : "; its last words: " + words;
  if (WIFSIGNALED(status)) return "crashed: " + text_of_signal(WTERMSIG(status)) + said;
  return "ended the process with exit code " + std::to_string(WEXITSTATUS(status)) + said;
}

// A text of an event, which the plugin could have written itself.
std::string text_at(const json& event, const char* key) {
  return event.contains(key) && event[key].is_string() ? event[key].get<std::string>() : "";
}

// Makes checks from `next` on in one process; returns the number of those that are decided, the
// last of them the one that the process did not survive, if so.
std::size_t run_process(const Target& target, const Limits& limits, const Checks& checks,
                        std::size_t next, const std::function<void(const Result&)>& on_result) {
  const std::size_t first = next;
  const auto time_of_a_check = std::chrono::seconds(limits.clock_seconds());
  Child child(target, limits, checks[next].name);
  auto deadline = Clock::now() + kStart;
  for (std::string line; child.next_line(line, deadline);) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) continue;
    if (event.contains("done")) return next - first;
    if (event.contains("ready")) deadline = Clock::now() + time_of_a_check;
    if (next == checks.size() || text_at(event, "check") != checks[next].name) continue;
    on_result({checks[next], parse_status(text_at(event, "status")), text_at(event, "reason")});
    deadline = Clock::now() + time_of_a_check;
    ++next;
  }
  if (next == checks.size()) return next - first;
  on_result({checks[next], Status::failed, ending(child, limits)});
  return next + 1 - first;
}

}  // namespace

std::string run_checks(const Target& target, const Limits& limits,
                       const std::function<void(const Result&)>& on_result) {
  const Checks checks = checks_of(target.kind);
  std::string missing;  // an essential check that failed
  const auto pass_on = [&](const Result& result) {
    on_result(result);
    if (result.status == Status::failed && result.check.essential) missing = result.check.name;
  };
  std::size_t next = 0;
  while (next < checks.size() && missing.empty()) {
    const std::size_t decided = run_process(target, limits, checks, next, pass_on);
    if (decided == 0) throw Error(ErrorCode::internal, "a process made no check");
    next += decided;
  }
  return missing;
}

}  // namespace grevy::cli
