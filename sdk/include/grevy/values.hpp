// grevy/values.hpp: what components say of themselves, and what goes into and comes out of their
// calls.
#ifndef GREVY_VALUES_HPP
#define GREVY_VALUES_HPP

#include <grevy/tensor.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace grevy {

// The samples that a model looks at to embed one: `left` before it and `right` from it on.
struct Offset {
  std::int64_t left = 0;                                // >= 0
  std::int64_t right = 1;                               // >= 1: counts the sample itself
  std::int64_t length() const { return left + right; }  // L, the samples of a window
  friend bool operator==(const Offset& a, const Offset& b) {
    return a.left == b.left && a.right == b.right;
  }
};

// What a model says of itself, constant for its life.
struct ModelInfo {
  std::int64_t num_input = 0;        // channels C, >= 1
  std::int64_t num_output = 0;       // embedding width D, >= 1
  Offset offset;                     // the receptive field, L = offset.length() samples
  bool convolutional = false;        // (n, C, T) -> (n, D, T - L + 1) for any T >= L
  bool normalized = false;           // outputs have Euclidean length 1
  std::int64_t resample_factor = 1;  // input samples per output sample, >= 1
  std::int64_t num_tensors = 1;      // that forward_all() gives, >= 1; the first is the embedding
};

// What a criterion says of itself, constant for its life.
struct CriterionInfo {
  std::vector<std::string> parts;   // names, in the order of Evaluation::parts
  bool expects_normalized = false;  // meant for embeddings of length 1
  bool parts_are_losses = false;    // one per prediction, with its graph; the loss is their sum
};

// What a solver wants to be given.
struct SolverInfo {
  // How many sessions (recordings) it works with.
  enum class Sessions {
    one,      // one batch, one model
    several,  // any number, each with a batch and a model
    joined    // any number, seen as one with the channels side by side: one batch, one model
  };
  Sessions sessions = Sessions::one;  // what batches and models there are
  bool reference_models = false;      // a further model per session, for the references
  bool full_batch = false;            // batches hold the series and sample numbers
  bool supervised = false;         // batches hold targets in place of positives, and no negatives
  std::int64_t num_positives = 1;  // sets of positives (or targets) in a batch; 0: any number
};

// A parameter or a buffer of a component.
struct NamedTensor {
  std::string name;     // unique in the component; part of every checkpoint
  at::Tensor tensor;    // shares storage with the component's own
  bool trained = true;  // a parameter; false: a buffer, stored but not trained
};
// In the component's order, which is the same every time.
using NamedTensors = std::vector<NamedTensor>;

// A named number for the log: a part of a loss, a temperature.
struct Statistic {
  std::string name;  // "pos", "total", "temperature", ...
  double value = 0;  // finite: anything else ends the run
};
// In the order of the log.
using Statistics = std::vector<Statistic>;

// Embeddings that a criterion compares: floating, of one dtype, on one device.
struct Prediction {
  // (n, d), (n, d) and (m, d). Supervised: the positive is the target, float32 (n, w) or int64 (n),
  // and the negative undefined.
  at::Tensor reference, positive, negative;
};

// What a criterion makes of predictions.
struct Evaluation {
  at::Tensor loss;                // a scalar with its graph
  std::vector<at::Tensor> parts;  // scalars, one per name in CriterionInfo::parts, detached unless
                                  // CriterionInfo::parts_are_losses
};

// One session's share of a step; windows are float32 (n, C, L) on the components' device. See
// grevy_batch for the pairing of several sessions and for full-batch training. Batches may be kept
// and keep their values; do not write into their tensors.
struct Batch {
  std::int64_t session = 0;           // counted from 0
  at::Tensor reference;               // windows
  std::vector<at::Tensor> positives;  // a set per objective; supervised: targets, float32 (n, w) or
                                      // int64 (n)
  at::Tensor negative;                // undefined in supervised training
  at::Tensor index, index_reversed;   // (S * n) or (sets, S * n), or undefined
  at::Tensor series;  // full batch, or where Solver::takes_samples(): float32 (T, C); reference,
                      // positives and negative are then sample numbers, int64 (n)
};

// A validation: means over its batches.
struct Validation {
  double loss = 0;   // NaN where there was no batch
  Statistics parts;  // of the loss
};

}  // namespace grevy
#endif
