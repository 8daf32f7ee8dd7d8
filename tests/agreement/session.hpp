// What cases about solvers share: models, criterion and solver with the reference's parameters,
// stored batches, and the state after training.
#ifndef GREVY_AGREEMENT_SESSION_HPP
#define GREVY_AGREEMENT_SESSION_HPP

#include "bench.hpp"
#include "case.hpp"
#include "comparison.hpp"
#include "training/adam.hpp"

#include <string>
#include <vector>

namespace grevy::agreement {

class Session {
 public:
  // Everything that the case's params name, filled with its start values. `num_inputs`: channels of
  // each session. The criterion is params.criterion unless given. `seed` is the solver's.
  Session(const Case& c, const Bench& bench, const std::vector<std::int64_t>& num_inputs,
          const std::string& state = "start/", std::uint64_t seed = 1);
  // Trained parameters, named as the reference names their end values ("end/NAME", with several
  // sessions "end/SESSION.NAME", "reference_end/NAME", "criterion_end/NAME").
  const NamedTensors& trained() const { return trained_; }
  std::int64_t num_sessions() const { return static_cast<std::int64_t>(models_.size()); }
  const ModelRef& model() const { return *models_.front(); }
  const SolverRef& solver() const { return *solver_; }
  void set_training(bool training) const;

 private:
  Owned<ModelRef> add_model(const Case& c, const Bench& bench, std::int64_t num_input,
                            const std::string& state, const std::string& end);

  std::vector<Owned<ModelRef>> models_, reference_models_;  // destroyed last
  Owned<CriterionRef> criterion_;
  Owned<SolverRef> solver_;
  NamedTensors trained_;
};

host::AdamOptions adam_options(const Case& c);

// The batches of a step: batch/STEP/ref, pos, neg (windows, or sample numbers), pos/OBJECTIVE or
// labels/OBJECTIVE, or sessions/SESSION/ref, pos, neg with index and index_reversed.
std::vector<Batch> stored_batches(const Case& c, std::int64_t step);

// Trained parameters and Adam's state ("adam/NUMBER/") after the last step.
void compare_end(const Case& c, const Session& session, const host::Adam& adam, Comparison& result);

}  // namespace grevy::agreement

#endif
