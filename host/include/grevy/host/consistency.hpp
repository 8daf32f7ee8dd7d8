// grevy/host/consistency.hpp: do several embeddings show the same thing, up to a linear map?
//
// Consistency of Schneider, Lee & Mathis 2023 (doi:10.1038/s41586-023-06031-6, Methods). An
// embedding is a matrix (samples, dimensions) and a label a vector (samples) of float32, float64,
// int32 or int64, magnitudes up to 1e100, on any device. All is computed in float64 on the CPU;
// tensors returned are such. The functions keep no state: call them from any thread.
#ifndef GREVY_HOST_CONSISTENCY_HPP
#define GREVY_HOST_CONSISTENCY_HPP

#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace grevy::host {

// How embeddings are brought to common labels.
struct AlignmentOptions {
  bool normalize = true;        // divide each row of the result by its L2 norm; zeros stay zeros
  std::int64_t num_bins = 100;  // edges, evenly from the smallest to the largest label of all sets;
                                // 1 to 5 times the samples of the smallest set, plus 1
};

// Embeddings sampled at the same labels: a tensor (num_bins - 1, dimensions) for each. Row k - 1
// is the mean of the samples whose label lies in bin k, [edge k-1, edge k); of an empty bin the
// mean over the bins k-1 to k+1, or else k-2 to k+2. The largest label itself lies in bin num_bins,
// which has no row and counts through its neighbours only. Samples with a NaN in the embedding are
// left out; their labels still count for the edges.
// Errors: invalid_value (numbers of embeddings, labels or samples differ, num_bins, no sample
// within 2 bins), unimplemented for labels of several columns, invalid_type, non_finite.
std::vector<at::Tensor> align_embeddings(const std::vector<at::Tensor>& embeddings,
                                         const std::vector<at::Tensor>& labels,
                                         const AlignmentOptions& options = {});

// How well embeddings predict one another.
struct Consistency {
  // scores[p]: R^2, at most 1, of the least-squares fit with intercept of embedding pairs[p].second
  // from embedding pairs[p].first; the uniform average over the columns of the second. A constant
  // column, which an intercept fits, counts as 1.
  std::vector<double> scores;
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;  // ids; ordered, no id with itself
  std::vector<std::int64_t> ids;                             // of each embedding
};

// Between embeddings of the same samples, at least 2 of each; dimensions may differ. Ids are 0, 1,
// 2 ...; pairs come as (0, 1), (0, 2) ... (1, 0) ...
// Errors: invalid_value for counts, invalid_type, non_finite.
Consistency consistency_between_runs(const std::vector<at::Tensor>& embeddings);

// Between embeddings of different samples, after align_embeddings (normalised; num_bins >= 3).
// dataset_ids: one for each embedding, at least two different ones; none means 0, 1, 2 ...
// Embeddings of one data set are not compared. Where ids repeat, the score of a pair of ids is the
// mean over their embeddings, so that each ordered pair appears once, where it was first met.
// Errors: those of align_embeddings; invalid_value for the ids.
Consistency consistency_between_datasets(const std::vector<at::Tensor>& embeddings,
                                         const std::vector<at::Tensor>& labels,
                                         const std::vector<std::int64_t>& dataset_ids = {},
                                         std::int64_t num_bins = 100);

}  // namespace grevy::host

#endif
