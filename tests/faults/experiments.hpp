// What runs train while faults are thrown at them.
#ifndef GREVY_TESTS_EXPERIMENTS_HPP
#define GREVY_TESTS_EXPERIMENTS_HPP

#include "program/program.hpp"

#include <string>
#include <vector>

namespace grevy::tests {

struct Experiment {
  std::string name;
  nlohmann::json document;   // less training.num_steps and training.save_frequency
  Arguments options;         // of `grevy run` and `grevy transform`
  bool embeds_alone = true;  // its encoder takes the recording of one session
};

// Every built-in solver; one and two threads (two prepare batches ahead); models with dropout, with
// subsampling and with a buffer; components of plugins; steps that are left out; one checkpoint and
// several that are kept, with and without the best. The recordings are those of a Site.
const std::vector<Experiment>& experiments();
const Experiment& experiment(const std::string& name);

}  // namespace grevy::tests

#endif
