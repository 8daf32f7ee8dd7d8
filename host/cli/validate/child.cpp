#include "child.hpp"

#include "../commands.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <new>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace grevy::cli {
namespace {

using nlohmann::json;

constexpr const char* kStatusNames[] = {"ok", "FAILED", "skipped"};

// Data of this process now, in bytes; the limit comes on top of what LibTorch needs by itself.
std::uint64_t data_size() {
  std::uint64_t pages = 0;
  std::ifstream statm("/proc/self/statm");
  for (int field = 0; field < 6; ++field) statm >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

template <class Resource>
void set_soft_limit(Resource resource, std::uint64_t value) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
  setrlimit(resource, &limit);
}

void limit_process(const Limits& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  set_soft_limit(RLIMIT_CORE, 0);
  set_soft_limit(RLIMIT_DATA, data_size() + (static_cast<std::uint64_t>(limits.gibibytes) << 30));
}

void limit_cpu_time(const Limits& limits) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto used = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1;
  set_soft_limit(RLIMIT_CPU, static_cast<std::uint64_t>(used + limits.seconds));
}

// Memory that runs out is reported by whichever layer notices, as text.
std::string with_memory_limit(const std::string& reason, const Limits& limits) {
  for (const char* sign : {"bad_alloc", "allocate memory"})
    if (reason.find(sign) != std::string::npos)
      return reason + " (a check may use " + std::to_string(limits.gibibytes) + " GiB of memory)";
  return reason;
}

Result make(const Check& check, const Subject& subject, const Limits& limits) {
  limit_cpu_time(limits);
  try {
    check.run(subject);
    return {check, Status::ok, ""};
  } catch (const Skipped& e) {
    return {check, Status::skipped, e.what()};
  } catch (const std::exception& e) {
    return {check, Status::failed, with_memory_limit(e.what(), limits)};
  }
}

// One line, and not longer than a person reads.
std::string shortened(std::string text) {
  constexpr std::size_t longest = 600;
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  if (text.size() > longest) text = text.substr(0, longest) + " ...";
  return text;
}

void send(const json& event) {
  const std::string line = event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const char* at = line.data();
  for (std::size_t left = line.size(); left > 0;) {
    const ssize_t written = ::write(kReport, at, left);
    if (written <= 0) _exit(1);  // nobody listens
    at += written;
    left -= static_cast<std::size_t>(written);
  }
}

}  // namespace

const char* to_string(Status status) { return kStatusNames[static_cast<int>(status)]; }

Status parse_status(const std::string& text) {
  for (const Status status : {Status::ok, Status::failed, Status::skipped})
    if (text == to_string(status)) return status;
  return Status::failed;
}

int run_child(ChildCommand command) {
  use_threads(1);
  limit_process(command.limits);
  command.target.options = json::parse(command.options);
  const Subject subject(command.target);
  const Checks checks = checks_of(command.target.kind);
  auto check = std::find_if(checks.begin(), checks.end(),
                            [&](const Check& c) { return c.name == command.first_check; });
  send({{"ready", true}});
  for (; check != checks.end(); ++check) {
    const Result result = make(*check, subject, command.limits);
    send({{"check", check->name},
          {"status", to_string(result.status)},
          {"reason", shortened(result.reason)}});
    if (check->essential && result.status == Status::failed) break;
  }
  send({{"done", true}});
  _exit(0);  // what runs at the end of a process is not checked
}

}  // namespace grevy::cli
