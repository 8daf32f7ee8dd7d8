// grevy/host/evaluation.hpp: how well an embedding decodes a label.
//
// The functions keep no state: call them from any thread.
#ifndef GREVY_HOST_EVALUATION_HPP
#define GREVY_HOST_EVALUATION_HPP

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace grevy::host {

// How near two rows are: by the angle between them, or by their distance.
enum class Metric { cosine, euclidean };

// For each row of `queries` (m, d) the `count` nearest rows of `reference` (n, d), nearest first:
// an int64 tensor (m, count). Works block by block: memory is O(n) times a fixed block, never
// O(n m). Both float32 on one device, 1 <= count <= n. A row of zeros has cosine similarity 0 to
// everything. Of equally near rows any may come first, the same ones every time.
// Errors: invalid_value naming sizes, invalid_type, non_finite for NaN or infinity in either.
at::Tensor nearest_rows(const at::Tensor& reference, const at::Tensor& queries, std::int64_t count,
                        Metric metric);

// k-nearest-neighbour decoding from neighbours (m, k), found by nearest_rows: labels (n, w) float32
// -> mean over the neighbours, (m, w) float32. Errors: invalid_type, invalid_value (another number
// of axes, k = 0, two devices), out_of_range for a neighbour that is no row of the labels.
at::Tensor decode_continuous(const at::Tensor& labels, const at::Tensor& neighbours);
// The same for classes: labels (n) int64 -> most frequent neighbour, the smallest of equally
// frequent, (m) int64.
at::Tensor decode_discrete(const at::Tensor& labels, const at::Tensor& neighbours);

// How near predicted numbers are to the truth.
struct ContinuousScore {
  std::vector<double> r2;  // per label dimension; NaN where the truth is constant
  double mean_r2 = 0;      // uniform average over the dimensions that are not NaN; NaN: all are
  std::vector<double> median_absolute_error;  // per dimension, label units
};
// How many predicted classes are right.
struct DiscreteScore {
  double accuracy = 0;           // share of correct samples
  double balanced_accuracy = 0;  // mean over the classes present in the truth of their recall
};

// R^2 = 1 - sum (y - p)^2 / sum (y - mean y)^2, in double. truth and predicted: float32 (m, w) of
// equal sizes, m, w >= 1. Errors: invalid_value, invalid_type, non_finite.
ContinuousScore score_continuous(const at::Tensor& truth, const at::Tensor& predicted);
// truth and predicted: int64 (m) of equal sizes, m >= 1. Errors: invalid_value, invalid_type.
DiscreteScore score_discrete(const at::Tensor& truth, const at::Tensor& predicted);

}  // namespace grevy::host

#endif
