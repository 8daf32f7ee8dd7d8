// grevy/host/attribution.hpp: which channels an embedding is made from, and how well a map of that
// finds connections that are known.
//
// Schneider et al. 2025 (arXiv:2502.12977). A map holds a number for every sample, output of the
// model (D) and channel (C). Nothing here keeps a state; a model belongs to one thread at a time.
#ifndef GREVY_HOST_ATTRIBUTION_HPP
#define GREVY_HOST_ATTRIBUTION_HPP

#include <grevy/calls.hpp>
#include <grevy/host/random.hpp>

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// Singular values up to this share of a matrix's largest one count as rounding. The Jacobian of a
// model with outputs of length 1 has rank D - 1 at most; in float32 its last singular value comes
// out as 1e-8 to 4e-6 of the first, the more so the deeper the model. Inverted, it would drown all
// others.
constexpr double kDefaultCutOff = 1e-5;

// How a map is made.
struct AttributionOptions {
  // The method. y is the embedding of a window x, b a baseline of the same shape:
  //   jacobian-based        dy_d / dx_c; its key is "jf"
  //   neuron-gradient       the same numbers under another key
  //   feature-ablation      y_d(x) - y_d(x with the one element x_c set to the baseline)
  //   integrated-gradients  (x - b) * mean of the gradient on the straight way from b to x
  //                         (Sundararajan, Taly & Yan 2017, arXiv:1703.01365, equation 1)
  //   neuron-gradient-shap  mean over draws of (x - b) * gradient at a random place on that way,
  //                         with random b (Erion et al. 2021, doi:10.1038/s42256-021-00343-w)
  // The name is the key of the other four. Each has a second name with "-batched" after it: the
  // same numbers under the same key, without inverses.
  std::string method = "jacobian-based";
  // Samples at a time, >= 1: bounds the memory, whatever the name. More than there are means all of
  // them, which the reference refuses. Results do not depend on it but for rounding.
  std::int64_t batch_size = 1024;
  // A random part of the windows, in their order; 1 to all of them. None: all. The reference
  // ignores it where a model is not convolutional.
  std::optional<std::int64_t> num_samples;
  // The first outputs only, 1 to D. None: all.
  std::optional<std::int64_t> output_dimension;
  double baseline = 0;              // of feature-ablation and integrated-gradients, finite
  std::int64_t num_steps = 50;      // Gauss-Legendre nodes of integrated-gradients, 1 to 1000
  std::string baselines = "zeros";  // of neuron-gradient-shap: "zeros", or "shuffle": windows made
                                    // of all elements of all windows in random order
  std::int64_t num_draws = 5;       // of neuron-gradient-shap, 1 to 1000
  bool inverses = true;             // whether jacobian-based and neuron-gradient add theirs
  double cut_off = kDefaultCutOff;  // of the inverses, as in pseudo_inverse
  // The mode that the model is in, and is put back into: it is run in evaluation mode. The models
  // of a Trainer are in training.
  bool training = true;
};

// The maps of a recording.
struct AttributionMaps {
  // All float32 (n, D, C) on the CPU, D as output_dimension. By name, KEY as above:
  //   KEY          the map; of a window, the mean over its length
  //   KEY-convabs  of a window, the mean of the absolute values; for a model that looks at one
  //                sample and is not convolutional, the same as KEY
  //   KEY-inv-svd, KEY-inv-lsq, KEY-convabs-inv-svd, KEY-convabs-inv-lsq (where there are inverses)
  //                the pseudo-inverse of each sample's (D, C) matrix, transposed back: entry (d, c)
  //                is dx_c / dy_d. Both are computed by pseudo_inverse: the least-squares solution
  //                of smallest length is that matrix. They are equal.
  std::map<std::string, at::Tensor> maps;
  at::Tensor windows;  // int64 (n), ascending: the first sample of each window
};

// All names of AttributionOptions::method.
std::vector<std::string> attribution_methods();

// Maps of every window of a recording: T - L + 1 of them, L the model's receptive field, as in
// Trainer::transform without padding. samples: floating (T, C), on any device; nobody needs to ask
// for its gradients. Of a model with several tensors, the first one, the whole embedding. Neither
// the model's parameters nor their gradients change. Time per batch: a forward and D backward
// passes, num_steps or num_draws times that; feature-ablation C * L + 1 forward passes.
// `random` is needed for num_samples and neuron-gradient-shap.
// Errors: invalid_value for an unknown method (lists all), options out of range, samples of another
// number of channels or shorter than L, a random that is missing, outputs without a gradient or of
// another shape than promised; unimplemented for other baselines; invalid_type; non_finite for NaN
// or infinity in the samples or a map (names the map); PluginError.
AttributionMaps attribute(const ModelRef& model, const at::Tensor& samples,
                          const AttributionOptions& options = {}, Random* random = nullptr);

// As in AttributionOptions.
struct JacobianOptions {
  std::int64_t batch_size = 1024;  // windows at a time, >= 1
  bool training = true;            // the mode that the model is in
};

// dy / dx of windows, floating (n, C, L) -> float32 (n, D, C, L) on the CPU: the Jacobian with its
// time lags. Errors: as attribute.
at::Tensor jacobian(const ModelRef& model, const at::Tensor& windows,
                    const JacobianOptions& options = {});

// Moore-Penrose inverses (Penrose 1955, doi:10.1017/S0305004100030401) of matrices, floating
// (..., rows, columns) -> float64 (..., columns, rows) on the CPU, by singular value decomposition.
// Singular values up to cut_off times the largest of their matrix count as 0; 0 <= cut_off < 1.
// Errors: invalid_type, invalid_value, non_finite.
at::Tensor pseudo_inverse(const at::Tensor& matrices, double cut_off = kDefaultCutOff);

// matrices A (n, D, C) and inverses X (n, C, D), floating -> bool (n, 4): whether A X A = A,
// X A X = X, and A X and X A are symmetric. Two matrices are equal when no element differs by more
// than `tolerance` (finite, >= 0) times the largest magnitude on the right-hand side. Inverses of
// attribute() are stored transposed: pass inverses.transpose(1, 2).
// Errors: as pseudo_inverse.
at::Tensor check_moore_penrose(const at::Tensor& matrices, const at::Tensor& inverses,
                               double tolerance = 1e-4);

// The area under the receiver operating characteristic: the share of pairs of a connected and an
// unconnected entry where the connected one has the higher value, ties counting half (Hanley &
// McNeil 1982, doi:10.1148/radiology.143.1.7063747). A higher value means more connected, so pass
// map.abs().mean(0). map: floating, of any shape; truth: bool of the same shape, with entries of
// both kinds. Errors: invalid_type, invalid_value, non_finite.
double attribution_score(const at::Tensor& map, const at::Tensor& truth);

// A map in numbers, in its own unit.
struct AttributionMetrics {
  double max_connected = 0, mean_connected = 0, min_connected = 0;           // where truth holds
  double max_nonconnected = 0, mean_nonconnected = 0, min_nonconnected = 0;  // and elsewhere
  double gap_max = 0, gap_mean = 0, gap_min = 0;  // connected less unconnected
  double gap_minmax = 0;                          // min_connected - max_nonconnected
  double max_jacobian = 0, min_jacobian = 0;      // of the whole map
};

// Arguments and errors as in attribution_score.
AttributionMetrics attribution_metrics(const at::Tensor& map, const at::Tensor& truth);

}  // namespace grevy::host

#endif
