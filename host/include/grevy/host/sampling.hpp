// grevy/host/sampling.hpp: which samples make a batch.
//
// A distribution answers with indices only. The prior draws references and negatives, the
// conditional draws a positive for each reference (Schneider, Lee & Mathis 2023,
// doi:10.1038/s41586-023-06031-6, Methods). Nearest-neighbour questions go to a k-d tree that is
// built once; no distance matrix exists. Where two samples are equally near, the first wins.
#ifndef GREVY_HOST_SAMPLING_HPP
#define GREVY_HOST_SAMPLING_HPP

#include <grevy/host/random.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

// Exact nearest neighbour (squared Euclidean distance, computed in double from float32 values)
// among the rows of a label array, or among a subset of them. Immutable after construction; safe to
// ask from several threads.
class NearestLabel {
 public:
  // labels: row-major (count, width) float32, finite, width >= 1, count >= 1. The values are
  // copied.
  NearestLabel(const float* labels, std::int64_t count, std::int64_t width);
  // Only the given rows (not empty, any order) answer.
  NearestLabel(const float* labels, std::int64_t width, const std::vector<std::int64_t>& rows);
  ~NearestLabel();
  NearestLabel(NearestLabel&&) noexcept;
  NearestLabel& operator=(NearestLabel&&) noexcept;

  // Row number of the nearest label; of equally near ones the smallest row number.
  std::int64_t find(const double* query) const;

 private:
  struct Tree;
  std::unique_ptr<Tree> tree_;
};

// Class counts and stable class order of discrete labels: the tables behind the discrete priors.
class ClassTable {
 public:
  // Labels may be any integers (negative too); classes are the distinct values, ascending.
  // Errors: invalid_value when empty.
  explicit ClassTable(const std::vector<std::int64_t>& labels);

  // How many samples there are, and how many different labels.
  std::int64_t num_samples() const { return static_cast<std::int64_t>(order_.size()); }
  std::int64_t num_classes() const { return static_cast<std::int64_t>(values_.size()); }
  const std::vector<std::int64_t>& values() const { return values_; }  // class -> label value
  // Of a sample in [0, num_samples()), which is not checked.
  std::int64_t class_of(std::int64_t sample) const {
    return class_of_[static_cast<std::size_t>(sample)];
  }
  // How many samples a class has. Errors, here and below: out_of_range for a class that does not
  // exist.
  std::int64_t count(std::int64_t cls) const;
  // The samples of one class, ascending.
  std::vector<std::int64_t> samples(std::int64_t cls) const;
  // Uniform over the samples of a class.
  std::int64_t draw_from_class(Random& random, std::int64_t cls) const;
  // Uniform over the classes that are present, then inside the class.
  std::int64_t draw_uniform_class(Random& random) const;

  // Upstream's piecewise-linear rule over the values 0..max, gaps included, kept for agreement
  // tests: rank of the sample in label order for u in [0, N). Needs non-negative labels
  // (invalid_value otherwise).
  std::int64_t reference_prior_rank(double u) const;

 private:
  std::vector<std::int64_t> values_;    // distinct labels
  std::vector<std::int64_t> start_;     // class -> first rank; one more than classes
  std::vector<std::int64_t> order_;     // rank -> sample, stable by label
  std::vector<std::int64_t> class_of_;  // sample -> class
};

// What the "sampling" object of an experiment says, resolved against a recording.
struct SamplingOptions {
  // How a positive is drawn: see the table at make_distribution.
  enum class Conditional { time, time_delta, delta_normal, discrete };
  // How references and negatives are drawn: each sample, or each class, with the same chance.
  enum class Prior { empirical, uniform };

  Conditional conditional = Conditional::time_delta;  // decides which labels are needed
  Prior prior = Prior::empirical;  // uniform: over the classes of the discrete label; needs one
  std::int64_t time_offset = 10;   // samples, >= 1, < number of samples
  double delta = 0.1;              // standard deviation of delta_normal, in label units, > 0
};

// Labels of the samples to draw from; row i belongs to sample i. Pointers must outlive the
// distribution's constructor only.
struct SamplingLabels {
  std::int64_t num_samples = 0;       // >= 1
  const float* continuous = nullptr;  // row-major (num_samples, width), finite, or null
  std::int64_t width = 0;             // columns of continuous
  const std::vector<std::int64_t>* discrete = nullptr;  // num_samples entries, or null
  // First sample of each trial, ascending, beginning with 0; null: one trial. Steps of time_offset
  // samples never lead from one trial into another.
  const std::vector<std::int64_t>* trials = nullptr;
};

// Which samples are drawn. Thread: one at a time; the state lives in the Random that the caller
// passes.
class Distribution {
 public:
  virtual ~Distribution() = default;
  // Draws `count` samples, for references or negatives, into samples[0 .. count - 1].
  virtual void prior(Random& random, std::int64_t count, std::int64_t* samples) const = 0;
  // Draws a positive for each of `count` references. Errors: out_of_range for a reference without a
  // positive.
  virtual void conditional(Random& random, const std::int64_t* references, std::int64_t count,
                           std::int64_t* positives) const = 0;
  // The samples that conditional() takes as references, and how many they are: all N, but with
  // `time` only those with a sample time_offset later (in their trial). False outside [0, N).
  virtual bool has_positive(std::int64_t sample) const = 0;
  virtual std::int64_t num_references() const = 0;
};

// Makes a distribution over N samples with the labels x.
// clang-format off
// | conditional  | discrete label | prior                          | positive of reference r        |
// |--------------|----------------|--------------------------------|--------------------------------|
// | time         | none           | uniform on [0, N - time_offset) | r + time_offset               |
// | time_delta   | none           | uniform on [0, N)              | nearest label to x[r] + d[k]   |
// | delta_normal | none           | uniform on [0, N)              | nearest to x[r] + delta * N(0,I)|
// | discrete     | needed         | empirical or uniform (classes) | uniform in the class of r      |
// | time_delta, delta_normal | given ("mixed") | empirical or uniform | as above, inside the class of r |
// clang-format on
//
// d[k] = x[k] - x[k - time_offset], zero for k < time_offset; k is uniform on [0, N), over all
// samples whatever their class.
// With trials: `time` draws uniformly from the samples r for which r + time_offset is in the trial
// of r; the k of time_delta is uniform over the samples for which k - time_offset is in the trial
// of k, so that no difference is zero for want of an earlier sample.
// Errors: invalid_value (time_offset < 1 or >= N, or >= the longest trial; delta <= 0; a label that
// the conditional needs is missing, a discrete label with `time`, prior uniform without a discrete
// label; trials that do not ascend from 0 to below N); the message says which option, what was
// found and what is allowed. time_offset and delta are judged only where the conditional uses them.
// non_finite for a label that is (names sample and column). conditional() throws out_of_range for a
// reference without a positive.
std::unique_ptr<Distribution> make_distribution(const SamplingOptions& options,
                                                const SamplingLabels& labels);

}  // namespace grevy::host

#endif
