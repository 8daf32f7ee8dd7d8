// What a person sees while a run goes on.
#ifndef GREVY_CLI_TERMINAL_HPP
#define GREVY_CLI_TERMINAL_HPP

#include <grevy/host/progress.hpp>
#include <grevy/host/trainer.hpp>

namespace grevy::cli {

// A bar that rewrites its line on a terminal; plain lines, at most one every few seconds,
// otherwise; JSON lines with --json. Writes to stderr, so that stdout holds results only.
class Progress {
 public:
  enum class Style { none, bar, lines, json };
  // The style that fits the flags and where stderr goes.
  static Style choose(bool quiet, bool json);

  explicit Progress(Style style);
  void show(const host::StepReport& report);
  void finish() { bar_.finish(); }

 private:
  void show_json(const host::StepReport& report);

  Style style_;
  host::ProgressBar bar_;
  host::Pace json_pace_;
};

// SIGINT and SIGTERM end the process at once, with 128 + signal as its exit code ...
void install_signal_handlers();
// ... and from here on ask for a stop after the current step; a second one ends it at once.
void begin_to_finish_steps();
int received_signal();  // 0: none

}  // namespace grevy::cli

#endif
