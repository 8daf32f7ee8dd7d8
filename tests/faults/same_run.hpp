// Whether two run folders tell of the same training.
#ifndef GREVY_TESTS_SAME_RUN_HPP
#define GREVY_TESTS_SAME_RUN_HPP

#include <nlohmann/json.hpp>

#include <filesystem>
#include <vector>

namespace grevy::tests {

// What a run has met that may show in its files.
struct Past {
  bool was_raised = false;    // it had fewer steps to do at first
  bool was_stopped = false;   // by a signal, at a step where no checkpoint is due
  bool was_replaced = false;  // in part: earlier checkpoints may have been removed already
};

// Checks that `run` has the files of `expected` and no others, and that they have the same bytes
// but for what same_run.cpp names in its head.
void check_same_run(const std::filesystem::path& run, const std::filesystem::path& expected,
                    const Past& past = {});

// Sorted; empty where there is no folder.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder);

}  // namespace grevy::tests

#endif
