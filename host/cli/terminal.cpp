#include "terminal.hpp"

#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdio>
#include <unistd.h>

namespace grevy::cli {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

void on_signal(int signal) {
  if (stop_signal != 0) _exit(128 + signal);
  stop_signal = signal;
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  char text[32];
  if (whole >= 3600)
    std::snprintf(text, sizeof(text), "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  else
    std::snprintf(text, sizeof(text), "%ldm%02lds", whole / 60, whole % 60);
  return text;
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

int received_signal() { return stop_signal; }

std::string format_statistics(const Statistics& statistics) {
  std::string text;
  for (const Statistic& s : statistics) {
    char value[32];
    std::snprintf(value, sizeof(value), "% .4f", s.value);
    text += (text.empty() ? "" : " ") + s.name + ": " + value;
  }
  return text;
}

Progress::Style Progress::choose(bool quiet, bool json) {
  if (quiet) return Style::none;
  if (json) return Style::json;
  return isatty(STDERR_FILENO) == 1 ? Style::bar : Style::lines;
}

bool Progress::is_due(const host::StepReport& report) const {
  if (report.step == first_step_ || report.step + 1 == report.num_steps || report.validation_loss)
    return true;
  const auto pause =
      style_ == Style::bar ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  return Clock::now() - shown_ >= pause;
}

std::string Progress::describe(const host::StepReport& report) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto done = static_cast<double>(report.step + 1 - first_step_);
  const double rate = seconds > 0 ? done / seconds : 0;
  const auto left = static_cast<double>(report.num_steps - report.step - 1);
  char text[96];
  std::snprintf(text, sizeof(text), "%.1f steps/s, %s left", rate,
                duration(rate > 0 ? left / rate : 0).c_str());
  std::string line = format_statistics(report.statistics);
  if (report.validation_loss) line += " validation: " + std::to_string(*report.validation_loss);
  return line + "  " + text;
}

void Progress::show(const host::StepReport& report) {
  if (style_ == Style::none) return;
  if (first_step_ < 0) first_step_ = report.step;
  if (!is_due(report)) return;
  shown_ = Clock::now();
  if (style_ == Style::json) {
    nlohmann::json line = {{"step", report.step}, {"num_steps", report.num_steps}};
    for (const Statistic& s : report.statistics) line[s.name] = s.value;
    if (report.validation_loss) line["validation"] = *report.validation_loss;
    std::fprintf(stderr, "%s\n", line.dump().c_str());
    return;
  }
  const std::string line = describe(report);
  if (style_ == Style::lines) {
    std::fprintf(stderr, "step %lld/%lld  %s\n", static_cast<long long>(report.step + 1),
                 static_cast<long long>(report.num_steps), line.c_str());
    return;
  }
  constexpr int width = 24;
  const auto filled = static_cast<int>(width * (report.step + 1) / report.num_steps);
  std::fprintf(stderr, "\r\033[K[%s%s] %lld/%lld  %s",
               std::string(static_cast<std::size_t>(filled), '=').c_str(),
               std::string(static_cast<std::size_t>(width - filled), ' ').c_str(),
               static_cast<long long>(report.step + 1), static_cast<long long>(report.num_steps),
               line.c_str());
  std::fflush(stderr);
  open_ = true;
}

void Progress::finish() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

}  // namespace grevy::cli
