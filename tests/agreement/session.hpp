// What cases about solvers share: model, criterion and solver with the reference's parameters,
// stored batches, and the state after training.
#ifndef GREVY_AGREEMENT_SESSION_HPP
#define GREVY_AGREEMENT_SESSION_HPP

#include "adam.hpp"
#include "bench.hpp"
#include "case.hpp"
#include "comparison.hpp"

#include <string>

namespace grevy::agreement {

struct Session {
  // `state` is the model's; its widths are taken from it. The solver is params.solver, or
  // single-session.
  Session(const Case& c, const Bench& bench, const std::string& criterion_name,
          std::int64_t num_input, const NamedTensors& state);
  NamedTensors parameters() const;  // of model, criterion and solver

  Owned<ModelRef> model;  // destroyed last
  Owned<CriterionRef> criterion;
  Owned<ModelRef> reference_model;  // for solvers with two
  Owned<SolverRef> solver;
};

host::AdamOptions adam_options(const Case& c);

// batch/STEP/ref, pos and neg: windows, or sample numbers.
Batch stored_batch(const Case& c, std::int64_t step);

// Parameters ("end/", "criterion_end/") and Adam's state ("adam/NUMBER/") after the last step.
void compare_end(const Case& c, const Session& session, const host::Adam& adam, Comparison& result);

}  // namespace grevy::agreement

#endif
