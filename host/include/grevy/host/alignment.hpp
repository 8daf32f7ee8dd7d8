// grevy/host/alignment.hpp: turn embeddings onto one another, and average them.
//
// Embeddings are matrices (samples, dimensions), labels vectors (samples) or matrices (samples,
// width): float32, float64, int32 or int64, not empty, magnitudes up to 1e100, on any device. All
// is computed in float64 on the CPU; tensors returned are such.
#ifndef GREVY_HOST_ALIGNMENT_HPP
#define GREVY_HOST_ALIGNMENT_HPP

#include <grevy/host/random.hpp>

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace grevy::host {

// How OrthogonalProcrustes finds what belongs together.
struct ProcrustesOptions {
  std::int64_t top_k = 5;  // samples of the reference for each sample of the data, >= 1
  // How many samples of the data the fit looks at, >= 1, drawn with replacement; none, or more than
  // there are: all of them once. Fewer than 1000 give a rough result.
  std::optional<std::int64_t> subsample = {};
};

// The rotation or reflection R that brings data nearest to a reference: with y(i, k) the k-th of
// the top_k reference samples whose labels are nearest to that of x(i), R minimises
// sum |x(i) R - y(i, k)|^2 over the orthogonal matrices (Schoenemann 1966, doi:10.1007/BF02289451).
// Nearest is by Euclidean distance of the labels; of equally near samples the earlier ones are
// taken. Where the data leave R open (fewer independent directions than dimensions), it is one of
// the best.
// Memory is linear in the samples; time too for labels of one column, times the samples of the
// reference at worst for wider ones. An object belongs to one thread while fit runs.
class OrthogonalProcrustes {
 public:
  // Errors: invalid_value naming the option.
  explicit OrthogonalProcrustes(const ProcrustesOptions& options = {});

  // Both embeddings have equally many columns, both labels too; the reference has at least top_k
  // samples. Without labels (both undefined) the embeddings are equally long and sample i of one
  // belongs to time i of the other. `random` is used with subsample, and needed then.
  // Errors: invalid_value, invalid_type, non_finite; the previous fit stays then.
  void fit(const at::Tensor& reference, const at::Tensor& data,
           const at::Tensor& reference_label = {}, const at::Tensor& label = {},
           Random* random = nullptr);

  // data * matrix(). Errors: invalid_state before fit; invalid_value for another number of columns,
  // invalid_type, non_finite.
  at::Tensor transform(const at::Tensor& data) const;

  // (dimensions, dimensions), orthogonal. Errors: invalid_state before fit.
  const at::Tensor& matrix() const;

 private:
  ProcrustesOptions options_;
  at::Tensor matrix_;
};

// How embeddings are averaged.
struct EnsembleOptions {
  std::int64_t top_k = 5;  // see ProcrustesOptions
  bool normalize = false;  // divide each row of the mean by its L2 norm; zeros stay zeros
};

// The mean of the first embedding and the others turned onto it. Embeddings of equal shape, at
// least one; labels: one for each embedding, or none for time. Returns (samples, dimensions). From
// any thread.
// Errors: those of OrthogonalProcrustes; invalid_value for shapes and numbers that differ.
at::Tensor ensemble_embeddings(const std::vector<at::Tensor>& embeddings,
                               const std::vector<at::Tensor>& labels = {},
                               const EnsembleOptions& options = {});

}  // namespace grevy::host

#endif
