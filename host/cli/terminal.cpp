#include "terminal.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <iostream>
#include <unistd.h>
#include <utility>

namespace grevy::cli {
namespace {

volatile std::sig_atomic_t stop_signal = 0, has_begun = 0;

void on_signal(int signal) {
  if (has_begun == 0 || stop_signal != 0) _exit(128 + signal);
  stop_signal = signal;
}

bool writes_text(Progress::Style style) {
  return style == Progress::Style::bar || style == Progress::Style::lines;
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

void begin_to_finish_steps() { has_begun = 1; }

int received_signal() { return stop_signal; }

Progress::Style Progress::choose(bool quiet, bool json) {
  if (quiet) return Style::none;
  if (json) return Style::json;
  return isatty(STDERR_FILENO) == 1 ? Style::bar : Style::lines;
}

Progress::Progress(Style style)
    : style_(style),
      bar_(std::cerr, writes_text(style) ? "tqdm" : "off", style == Style::bar),
      json_pace_(std::chrono::seconds(5)) {}

void Progress::show(const host::StepReport& report) {
  if (style_ == Style::none) return;
  if (style_ == Style::json) return show_json(report);
  host::NamedNumbers numbers;
  for (const Statistic& s : report.statistics) numbers.emplace_back(s.name, s.value);
  if (report.validation_loss) numbers.emplace_back("validation", *report.validation_loss);
  bar_.set_description(std::move(numbers));
  bar_.show(report.step, report.num_steps, report.validation_loss.has_value());
}

void Progress::show_json(const host::StepReport& report) {
  const bool is_last = report.step + 1 == report.num_steps;
  if (!json_pace_.is_due(is_last || report.validation_loss)) return;
  nlohmann::json line = {{"step", report.step}, {"num_steps", report.num_steps}};
  for (const Statistic& s : report.statistics) line[s.name] = s.value;
  if (report.validation_loss) line["validation"] = *report.validation_loss;
  std::cerr << line.dump() + "\n";
}

}  // namespace grevy::cli
