// grevy/host/recording.hpp: a neural recording with named labels.
#ifndef GREVY_HOST_RECORDING_HPP
#define GREVY_HOST_RECORDING_HPP

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace grevy::host {

// A label of a recording: what was seen at each sample.
struct Label {
  std::string name;                  // in the experiment's "sampling" and in reports
  bool discrete = false;             // classes, not numbers
  at::Tensor values;                 // discrete: int64 (T); continuous: float32 (T, w), contiguous
  std::vector<std::string> classes;  // of a label made from texts: what the numbers stand for
};

// Samples of all channels over time, and labels with one row per sample. Tensors are on the CPU and
// shared, not copied: a recording may be larger than memory when its array is mapped from a file.
// Copies are cheap. Const calls from any thread; what shares its tensors must not write to them.
class Recording {
 public:
  // neural: floating or integer (T, C), T, C >= 1, on any device; anything but contiguous float32
  // on the CPU is converted. `source` is what errors call it, a file perhaps. Errors: invalid_type,
  // invalid_value.
  explicit Recording(const at::Tensor& neural, std::string source = "the recording");

  // values: (T, w) or (T), numbers, discrete ones (T) or (T, 1); one row per sample. A name is used
  // once: of several labels of a name, label() finds the first. Errors: invalid_value (length
  // differs: says both; shape), invalid_type (discrete from floats), non_finite (names row and
  // column).
  void add_continuous(const std::string& name, const at::Tensor& values,
                      const std::string& source = {});
  void add_discrete(const std::string& name, const at::Tensor& values,
                    const std::string& source = {});

  // A discrete label from texts: the number of a text is its place in `classes`, which must hold
  // all of them. Errors: as above; not_found for a text that is not among the classes.
  void add_text(const std::string& name, const std::vector<std::string>& values,
                const std::vector<std::string>& classes, const std::string& source = {});
  // ids: integers (T); a trial is a stretch of equal ids. Windows and pairs stay inside a trial.
  // Errors: invalid_type, invalid_value (length differs).
  void set_trials(const at::Tensor& ids, const std::string& source = {});
  // First sample of each trial, ascending from 0; empty: none were given.
  const std::vector<std::int64_t>& trials() const { return trials_; }

  const at::Tensor& neural() const { return neural_; }           // float32 (T, C)
  std::int64_t num_samples() const { return neural_.size(0); }   // T
  std::int64_t num_channels() const { return neural_.size(1); }  // C
  const std::vector<Label>& labels() const { return labels_; }   // in the order in which they came
  // Errors: not_found, listing the labels that exist.
  const Label& label(const std::string& name) const;

  // Samples [begin, end) with their labels and trials; shares memory. Errors: out_of_range.
  Recording slice(std::int64_t begin, std::int64_t end) const;

  // The same labels and trials with other channels, (T, C'). Errors: invalid_value.
  Recording with_neural(const at::Tensor& neural) const;

  // Reads all samples. Errors: non_finite, naming the source, and row and column of the first NaN
  // or infinity; rows of a slice count from the start of the whole.
  void check_finite() const;

 private:
  void check_rows(const at::Tensor& values, const std::string& what) const;
  at::Tensor neural_;
  std::int64_t first_row_ = 0;  // of the recording that this is a slice of
  std::string source_;
  std::vector<Label> labels_;
  std::vector<std::int64_t> trials_;
};

// A numeric array of a .npy or .npz file as a tensor: float32 as it lies in the file (mapped where
// possible; do not write to it) for float types, int64 for integer types. Any number of axes. `key`
// as in Array::open. Errors: those of Array::open; invalid_type for text.
at::Tensor load_tensor(const std::filesystem::path& file, const std::string& key = {});
// The same, always as float32.
at::Tensor load_float_tensor(const std::filesystem::path& file, const std::string& key = {});

}  // namespace grevy::host

#endif
