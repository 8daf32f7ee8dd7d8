// The reference's arithmetic written plainly with LibTorch: what Grevy's figures are compared with.
// Dense distance matrices, windows gathered by index, an encoder call for each set of windows, the
// full similarity matrix, Adam one operation at a time. Nothing of Grevy's own runs in it but the
// formula of the Jacobian penalty.
#ifndef GREVY_TESTS_PLAIN_STEP_HPP
#define GREVY_TESTS_PLAIN_STEP_HPP

#include "bench_support.hpp"

#include <torch/types.h>

#include <vector>

namespace grevy::bench {

// The layers of offset10-model.
class PlainEncoder {
 public:
  explicit PlainEncoder(bool normalized);
  // (n, C, 10) -> (n, D); (n, C, T) -> (n, D, T - 9).
  at::Tensor operator()(const at::Tensor& windows) const;
  const std::vector<at::Tensor>& parameters() const { return parameters_; }

 private:
  at::Tensor convolve(std::size_t layer, const at::Tensor& x) const;

  bool normalized_;
  std::vector<at::Tensor> parameters_;  // weight and bias of each layer
};

class PlainAdam {
 public:
  explicit PlainAdam(std::vector<at::Tensor> parameters);
  void zero_grad();
  void step();

 private:
  std::vector<at::Tensor> parameters_, first_, second_;
  int steps_ = 0;
};

// A recording with an encoder, and what the reference computes once. Sample numbers are (n) int64.
struct PlainSession {
  PlainSession(const host::Recording& recording, bool normalized);

  std::int64_t num_samples() const { return neural.size(0); }
  at::Tensor draw(std::int64_t bound) const;  // a batch of numbers below it
  at::Tensor draw_any() const { return draw(num_samples()); }
  at::Tensor draw_uniform_class() const;
  at::Tensor draw_in_class(const at::Tensor& classes) const;

  at::Tensor later(const at::Tensor& reference) const;    // time
  at::Tensor queries(const at::Tensor& reference) const;  // time_delta: (n, 3)
  at::Tensor distances(const at::Tensor& queries) const;  // (T, n)
  at::Tensor nearest(const at::Tensor& queries) const;    // (n)
  at::Tensor nearest_in_class(const at::Tensor& queries, const at::Tensor& classes) const;

  at::Tensor windows(const at::Tensor& samples) const;  // (n, C, 10)
  at::Tensor embed(const at::Tensor& samples) const { return encoder(windows(samples)); }

  at::Tensor neural, position, norms, changes, direction;
  at::Tensor order, starts;  // samples by class, and where each class begins in them
  PlainEncoder encoder;
};

// The loss of a step, with its graph.
using PlainSessions = std::vector<PlainSession>;
using PlainLoss = at::Tensor (*)(const PlainSessions&);

at::Tensor plain_time(const PlainSessions& sessions);
at::Tensor plain_discrete(const PlainSessions& sessions);
at::Tensor plain_time_delta(const PlainSessions& sessions);
at::Tensor plain_mixed(const PlainSessions& sessions);
at::Tensor plain_hybrid(const PlainSessions& sessions);
at::Tensor plain_several_sessions(const PlainSessions& sessions);
at::Tensor plain_objectives(const PlainSessions& sessions);
at::Tensor plain_objectives_with_jacobian(const PlainSessions& sessions);
at::Tensor plain_regularized(const PlainSessions& sessions);
at::Tensor plain_full_batch(const PlainSessions& sessions);

}  // namespace grevy::bench

#endif
