// Which function runs a case. A further kind of case is a function in a file of its own, declared
// here, and a row of the table in runners.cpp.
#ifndef GREVY_AGREEMENT_RUNNERS_HPP
#define GREVY_AGREEMENT_RUNNERS_HPP

#include "bench.hpp"
#include "case.hpp"
#include "comparison.hpp"

namespace grevy::agreement {

// Computes what the case holds and compares. Throws Unsupported for what does not exist here.
using Run = void (*)(const Case& c, const Bench& bench, Comparison& result);

void run_criterion(const Case& c, const Bench& bench, Comparison& result);
void run_model(const Case& c, const Bench& bench, Comparison& result);
void run_multicriterions(const Case& c, const Bench& bench, Comparison& result);
void run_sliced_model(const Case& c, const Bench& bench, Comparison& result);
void run_scheduler(const Case& c, const Bench& bench, Comparison& result);
void run_jacobian(const Case& c, const Bench& bench, Comparison& result);
void run_trajectory(const Case& c, const Bench& bench, Comparison& result);
void run_infonce_loss(const Case& c, const Bench& bench, Comparison& result);
void run_transform(const Case& c, const Bench& bench, Comparison& result);
void run_window(const Case& c, const Bench& bench, Comparison& result);
void run_time_delta(const Case& c, const Bench& bench, Comparison& result);
void run_discrete(const Case& c, const Bench& bench, Comparison& result);
void run_multisession(const Case& c, const Bench& bench, Comparison& result);
void run_lasso(const Case& c, const Bench& bench, Comparison& result);
void run_ridge(const Case& c, const Bench& bench, Comparison& result);
void run_consistency_runs(const Case& c, const Bench& bench, Comparison& result);
void run_consistency_datasets(const Case& c, const Bench& bench, Comparison& result);
void run_procrustes(const Case& c, const Bench& bench, Comparison& result);
void run_goodness_of_fit(const Case& c, const Bench& bench, Comparison& result);
void run_attribution(const Case& c, const Bench& bench, Comparison& result);
void run_knn(const Case& c, const Bench& bench, Comparison& result);

// Throws Unsupported for a case that no row takes.
Run find_runner(const Case& c);

}  // namespace grevy::agreement

#endif
