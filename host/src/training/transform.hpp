// Embedding a recording piece by piece.
#ifndef GREVY_HOST_SRC_TRANSFORM_HPP
#define GREVY_HOST_SRC_TRANSFORM_HPP

#include <grevy/host/trainer.hpp>

namespace grevy::host {

// Rows that num_samples samples give.
std::int64_t num_embedded(const ModelInfo& info, std::int64_t num_samples, bool pad);

// What Trainer::transform does, with a solver and what is known of its model. Returns the rows.
std::int64_t transform_in_chunks(const SolverRef& solver, const ModelInfo& info, at::Device device,
                                 const at::Tensor& samples, const RowSink& sink,
                                 const TransformOptions& options);

}  // namespace grevy::host

#endif
