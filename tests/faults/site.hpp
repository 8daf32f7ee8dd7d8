// Where runs meet faults: an experiment, what an uninterrupted run of it leaves, and what must be
// true of a folder after anything has happened to it.
#ifndef GREVY_TESTS_SITE_HPP
#define GREVY_TESTS_SITE_HPP

#include "experiments.hpp"
#include "loaded_program.hpp"
#include "same_run.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace grevy::tests {

// How a run begins.
enum class Start {
  fresh,    // without a folder
  resumed,  // on a folder that has half of the steps, with --resume
  forced    // on a folder that has a finished run of the same experiment, with --force
};
std::string to_string(Start start);

// Other seeds look at other calls and moments: GREVY_FAULT_SEED in the environment, 1 without.
std::uint64_t fault_seed();

// A call that the shim has counted.
struct Call {
  std::string kind, path, target;  // target: of a rename or link
};

class Site {
 public:
  // The uninterrupted run lies in the folder "whole" from now on.
  Site(const Experiment& experiment, std::int64_t num_steps, std::int64_t save_frequency);
  // Of the first experiment.
  Site(std::int64_t num_steps, std::int64_t save_frequency);

  const Workspace& workspace() const { return workspace_; }
  std::int64_t num_steps() const { return num_steps_; }
  double seconds() const { return seconds_; }  // of the uninterrupted run in its folder

  // Puts the folder "run" into the state that a run begins with.
  void prepare(Start start);
  // The run in it has met what may show in its files.
  void expect(const Past& past) { past_ = past; }
  // Runs into the folder "run".
  Outcome run(Start start, const Fault& fault = {}) const;
  Outcome run(const Arguments& more, const Fault& fault = {},
              const LoadedProgram::Conditions& conditions = {}) const;
  // All calls of a run that meets no fault.
  std::vector<Call> calls(Start start);

  // Every file of "run" can be read, but for the end of the log. Files that were not finished may
  // lie about where the run had no chance to remove them.
  void check_readable(bool may_leave_temporaries) const;
  // Goes on without faults, from the last checkpoint or anew, and checks that no more than the
  // steps since that checkpoint were lost, that transform works, and check_same(). A state of the
  // folder that was seen before is not tried again.
  void check_recovery();
  // "run" is what the uninterrupted run is.
  void check_same() const;
  bool has_checkpoint() const;

 private:
  void run_to_end(const Arguments& more) const;
  void check_transform() const;
  std::string state() const;

  Experiment experiment_;
  std::int64_t num_steps_, save_frequency_;
  double seconds_ = 0;
  Past past_;
  // When the log of the run that is to be replaced was written; none: no run is.
  std::optional<std::filesystem::file_time_type> replaced_log_;
  Workspace workspace_;
  std::set<std::string> recovered_;
};

// Waits until a run is stopped by SIGSTOP; false: it has ended before.
bool wait_for_stop(pid_t process);

// A run has ended with the exit code of files that cannot be written, and one line that names a
// file of its folder and says one of `texts`; or what the system says for a number.
void check_failed(const Outcome& outcome, const std::vector<std::string>& texts);
void check_failed(const Outcome& outcome, int error);

}  // namespace grevy::tests

#endif
