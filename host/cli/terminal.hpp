// What a person sees while a run goes on.
#ifndef GREVY_CLI_TERMINAL_HPP
#define GREVY_CLI_TERMINAL_HPP

#include <grevy/host/trainer.hpp>

#include <chrono>
#include <string>

namespace grevy::cli {

// A bar that rewrites its line on a terminal; plain lines, at most one every few seconds,
// otherwise; JSON lines with --json. Writes to stderr, so that stdout holds results only.
class Progress {
 public:
  enum class Style { none, bar, lines, json };
  // The style that fits the flags and where stderr goes.
  static Style choose(bool quiet, bool json);

  explicit Progress(Style style) : style_(style) {}
  void show(const host::StepReport& report);
  void finish();  // ends the bar's line

 private:
  using Clock = std::chrono::steady_clock;
  bool is_due(const host::StepReport& report) const;
  std::string describe(const host::StepReport& report) const;

  Style style_;
  Clock::time_point start_ = Clock::now(), shown_{};
  std::int64_t first_step_ = -1;
  bool open_ = false;
};

// "name: 0.1234" for each, as the reference's progress bar writes numbers ("% .4f").
std::string format_statistics(const Statistics& statistics);

// SIGINT and SIGTERM ask for a stop after the current step; a second one ends the process at once.
void install_signal_handlers();
int received_signal();  // 0: none

}  // namespace grevy::cli

#endif
