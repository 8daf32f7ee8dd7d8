#include "loaded_program.hpp"

#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern "C" void faults_begin(void);  // shim.c

namespace grevy::tests {
namespace {

namespace fs = std::filesystem;

constexpr int time_limit_ms = 600000;  // a crowded machine is no hang

using Main = int (*)(int, char**);

Main loaded_main() {
  void* library = ::dlopen(GREVY_CLI_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  void* symbol = library == nullptr ? nullptr : ::dlsym(library, "grevy_main");
  if (symbol == nullptr) throw std::runtime_error(::dlerror());
  return reinterpret_cast<Main>(symbol);
}

void open_as(int descriptor, const fs::path& file, int flags) {
  const int opened = ::open(file.c_str(), flags, 0666);
  if (opened < 0 || ::dup2(opened, descriptor) < 0) std::abort();
  ::close(opened);
}

// Where a run's output goes: several may be at work in one folder.
fs::path output_of(pid_t process, const char* stream, const fs::path& folder) {
  return folder / (stream + std::to_string(process) + ".txt");
}

std::string take(const fs::path& file) {
  std::string bytes = file_bytes(file);
  fs::remove(file);
  return bytes;
}

// What the child does; a fork shares nothing with the tests but memory as it was.
[[noreturn]] void be_program(Main program, const fs::path& folder, Arguments arguments,
                             const LoadedProgram::Conditions& conditions) {
  if (::chdir(folder.c_str()) != 0) std::abort();
  open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
  open_as(STDOUT_FILENO, output_of(::getpid(), "out", folder), O_WRONLY | O_CREAT | O_TRUNC);
  open_as(STDERR_FILENO, output_of(::getpid(), "err", folder), O_WRONLY | O_CREAT | O_TRUNC);
  ::unsetenv("GREVY_PLUGIN_PATH");
  for (const char* name : {"HOME", "XDG_DATA_HOME"}) ::setenv(name, folder.c_str(), 1);
  for (const auto& [name, value] : conditions.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (conditions.largest_file > 0) {
    const rlimit limit{conditions.largest_file, conditions.largest_file};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::abort();
  }
  faults_begin();
  arguments.insert(arguments.begin(), "grevy");
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  std::exit(program(static_cast<int>(arguments.size()), words.data()));
}

// False when the time is up.
bool wait_for_end(pid_t process) {
  const auto descriptor = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "pidfd_open");
  pollfd source{descriptor, POLLIN, 0};
  const int ended = ::poll(&source, 1, time_limit_ms);
  ::close(descriptor);
  return ended == 1;
}

}  // namespace

std::string describe(const Fault& fault) {
  if (fault.signal != 0)
    return "signal " + std::to_string(fault.signal) + " after " + std::to_string(fault.delay) +
           " us, again every " + std::to_string(fault.interval) + " us";
  if (fault.at == 0) return "nothing";
  return fault.action + " at call " + std::to_string(fault.at) + " of " +
         (fault.calls.empty() ? "all" : fault.calls) + ", " + fault.error +
         (fault.lasts ? " from there on" : "");
}

Environment environment_of(const Fault& fault, const fs::path& folder) {
  return {{"GREVY_FAULT_FOLDER", folder.string()},
          {"GREVY_FAULT_AT", std::to_string(fault.at)},
          {"GREVY_FAULT_ACTION", fault.action},
          {"GREVY_FAULT_ERROR", fault.error},
          {"GREVY_FAULT_CALLS", fault.calls},
          {"GREVY_FAULT_LASTS", fault.lasts ? "1" : "0"},
          {"GREVY_FAULT_SIGNAL", std::to_string(fault.signal)},
          {"GREVY_FAULT_DELAY", std::to_string(fault.delay)},
          {"GREVY_FAULT_INTERVAL", std::to_string(fault.interval)},
          {"GREVY_FAULT_RECORD", fault.record.string()}};
}

Outcome LoadedProgram::run(const fs::path& folder, const Arguments& arguments,
                           const Conditions& conditions) {
  static const Main program = loaded_main();
  const pid_t process = ::fork();
  if (process < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process == 0) be_program(program, folder, arguments, conditions);
  if (conditions.meanwhile) conditions.meanwhile(process);
  const bool in_time = wait_for_end(process);
  if (!in_time) ::kill(process, SIGKILL);
  int status = 0;
  if (::waitpid(process, &status, 0) != process)
    throw std::system_error(errno, std::generic_category(), "waitpid");
  Outcome outcome;
  outcome.out = take(output_of(process, "out", folder));
  outcome.err = take(output_of(process, "err", folder));
  if (!in_time) throw std::runtime_error("the program took too long: " + outcome.err);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

}  // namespace grevy::tests
