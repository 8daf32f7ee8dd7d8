// grevy/host/decoders.hpp: linear decoding of continuous labels from an embedding.
//
// Inputs are matrices (samples, dimensions), targets matrices (samples, outputs) of float32,
// float64, int32 or int64, not empty, magnitudes up to 1e100, on any device. All is computed in
// float64 on the CPU; tensors returned are such. Scores are those of score_continuous, about the
// mean of the truth, so that a large offset costs no digits. Classes are decoded by
// decode_discrete. Const calls from any thread.
#ifndef GREVY_HOST_DECODERS_HPP
#define GREVY_HOST_DECODERS_HPP

#include <grevy/host/evaluation.hpp>

#include <torch/types.h>

#include <cstdint>

namespace grevy::host {

// A linear map with intercept, made by a regression or put together.
struct LinearModel {
  at::Tensor coefficients;  // (outputs, dimensions)
  at::Tensor intercept;     // (outputs)

  // inputs * coefficients^T + intercept, (samples, outputs).
  // Errors: invalid_state while there are no coefficients, invalid_value for another number of
  // columns, invalid_type, non_finite.
  at::Tensor predict(const at::Tensor& inputs) const;
  // Of the prediction. Errors: those of predict; invalid_value where the truth differs in size.
  ContinuousScore score(const at::Tensor& inputs, const at::Tensor& truth) const;
};

// Of an L1LinearRegressor.
struct L1Options {
  double alpha = 1;  // weight of the penalty, > 0, <= 1e100
  // 0 to 1. A fit ends after a pass that changed no coefficient by more than this share of the
  // largest, if also the duality gap is at most this share of the sum of squares of the centred
  // target. The default is the reference's, and its coefficients may be off by some 1e-3 of
  // the largest: pass 1e-10 for those of the minimum.
  double tolerance = 1e-4;
  std::int64_t max_passes = 1000;  // over all coefficients, for each output; >= 1
};

// Linear regression with few coefficients (lasso; Tibshirani 1996). For each output on its own, w
// and b minimise |y - X w - b|^2 / (2 samples) + alpha |w|_1, by cyclic coordinate descent from 0
// (Friedman, Hastie & Tibshirani 2010, doi:10.18637/jss.v033.i01, equation 5). The intercept b is
// not penalised. An object belongs to one thread while fit runs.
class L1LinearRegressor {
 public:
  // Errors: invalid_value naming the option.
  explicit L1LinearRegressor(const L1Options& options = {});

  // Time: passes * samples * dimensions for each output. Errors: invalid_value for sizes,
  // invalid_type, non_finite; the previous fit stays then.
  void fit(const at::Tensor& inputs, const at::Tensor& targets);

  // As in LinearModel; invalid_state before fit.
  at::Tensor predict(const at::Tensor& inputs) const { return model_.predict(inputs); }
  ContinuousScore score(const at::Tensor& inputs, const at::Tensor& truth) const {
    return model_.score(inputs, truth);
  }

  const LinearModel& model() const { return model_; }  // empty before fit
  bool converged() const { return converged_; }        // false too where max_passes ended an output

 private:
  L1Options options_;
  LinearModel model_;
  bool converged_ = false;
};

// What ridge_decoding found.
struct RidgeDecoding {
  double alpha = 0;                 // chosen
  LinearModel model;                // of all training samples
  ContinuousScore train, held_out;  // of the model on either part
  at::Tensor predicted;             // for the held-out inputs
};

// Ridge regression: W and b minimise |Y - X W - b|^2 + alpha |W|^2 (Hoerl & Kennard 1970,
// doi:10.1080/00401706.1970.10488634); b is not penalised. alpha is one of 10^-4, 10^-3.5 ... 1 for
// all outputs: the one with the highest R^2, averaged over outputs and then folds, in 5-fold
// cross-validation on the training samples, the smallest of equally good ones. Folds are runs of
// consecutive samples, the first ones a sample longer where 5 does not divide; an output that is
// constant in a fold adds 0 there. At least 5 training samples.
// Errors: invalid_value for sizes, invalid_type, non_finite.
RidgeDecoding ridge_decoding(const at::Tensor& train_inputs, const at::Tensor& train_targets,
                             const at::Tensor& held_inputs, const at::Tensor& held_targets);

}  // namespace grevy::host

#endif
