#include <grevy/error.hpp>
#include <grevy/host/array.hpp>
#include <grevy/host/memory.hpp>
#include <grevy/host/recording.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace grevy::host {
namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

void check_numbers(const at::Tensor& values, const std::string& what) {
  if (!values.defined() || values.is_complex())
    throw Error(ErrorCode::invalid_type, what + ": needs real numbers");
  if (values.layout() != at::kStrided || values.is_quantized() || values.is_meta())
    throw Error(ErrorCode::invalid_type,
                what + ": needs a dense tensor with values; found " + c10::str(values.options()));
  if (values.numel() == 0)
    throw Error(ErrorCode::invalid_value, what + ": is empty, shape " + shape_text(values));
}

at::Tensor to_float_rows(const at::Tensor& values) {
  return values.detach().to(at::kCPU, at::kFloat).contiguous();
}

void check_whole(const at::Tensor& neural) {
  if (!neural.defined())
    throw Error(ErrorCode::invalid_state, "this Recording was moved from: it has no samples");
}

// The first NaN or infinity, searched in stretches that fit a cache.
void check_finite(const at::Tensor& rows, const std::string& what, std::int64_t first_row = 0) {
  const float* values = rows.data_ptr<float>();
  const std::int64_t width = rows.size(1), count = rows.numel();
  constexpr std::int64_t stretch = 1 << 14;
  for (std::int64_t begin = 0; begin < count; begin += stretch) {
    const std::int64_t end = std::min(begin + stretch, count);
    float sum = 0;  // 0 * x is 0 for every finite x
    for (std::int64_t i = begin; i < end; ++i) sum += 0.0f * values[i];
    if (sum == 0) continue;
    const float* odd = std::find_if(values + begin, values + end,
                                    [](float value) { return !std::isfinite(value); });
    const std::int64_t place = odd - values;
    throw Error(ErrorCode::non_finite,
                what + ": found " + std::to_string(*odd) + " at row " +
                    std::to_string(first_row + place / width) + ", column " +
                    std::to_string(place % width) +
                    " (counted from 0); all values must be finite in float32");
  }
}

}  // namespace

Recording::Recording(const at::Tensor& neural, std::string source) : source_(std::move(source)) {
  check_numbers(neural, source_);
  if (neural.dim() != 2)
    throw Error(ErrorCode::invalid_value,
                source_ + ": found shape " + shape_text(neural) + "; must be (time, channels)");
  neural_ = to_float_rows(neural);
}

void Recording::check_rows(const at::Tensor& values, const std::string& what) const {
  check_whole(neural_);
  check_numbers(values, what);
  if (values.size(0) != num_samples())
    throw Error(ErrorCode::invalid_value, what + ": has " + std::to_string(values.size(0)) +
                                              " rows, but " + source_ + " has " +
                                              std::to_string(num_samples()) +
                                              " samples; a label needs one row per sample");
}

void Recording::add_continuous(const std::string& name, const at::Tensor& values,
                               const std::string& source) {
  const std::string what = source.empty() ? "label \"" + name + "\"" : source;
  check_numbers(values, what);
  if (values.dim() != 1 && values.dim() != 2)
    throw Error(ErrorCode::invalid_value,
                what + ": found shape " + shape_text(values) +
                    "; a continuous label is (time) or (time, dimensions)");
  check_rows(values, what);
  const at::Tensor rows = to_float_rows(values.dim() == 1 ? values.unsqueeze(1) : values);
  host::check_finite(rows, what);
  labels_.push_back({name, false, rows, {}});
}

void Recording::add_discrete(const std::string& name, const at::Tensor& values,
                             const std::string& source) {
  const std::string what = source.empty() ? "label \"" + name + "\"" : source;
  check_numbers(values, what);
  if (values.is_floating_point())
    throw Error(ErrorCode::invalid_type,
                what + ": holds floats; a discrete label needs integers or booleans");
  const at::Tensor column = values.dim() == 2 && values.size(1) == 1 ? values.squeeze(1) : values;
  if (column.dim() != 1)
    throw Error(ErrorCode::invalid_value,
                what + ": found shape " + shape_text(values) + "; a discrete label is (time)");
  check_rows(column, what);
  labels_.push_back({name, true, column.to(at::kCPU, at::kLong).contiguous(), {}});
}

void Recording::add_text(const std::string& name, const std::vector<std::string>& values,
                         const std::vector<std::string>& classes, const std::string& source) {
  std::vector<std::int64_t> numbers;
  for (const std::string& value : values) {
    const auto found = std::find(classes.begin(), classes.end(), value);
    if (found == classes.end())
      throw Error(ErrorCode::not_found,
                  "label \"" + name + "\": \"" + value + "\" is not among its classes");
    numbers.push_back(found - classes.begin());
  }
  add_discrete(name, at::tensor(numbers, at::kLong), source);
  labels_.back().classes = classes;
}

void Recording::set_trials(const at::Tensor& ids, const std::string& source) {
  const std::string what = source.empty() ? "trials" : source;
  if (!ids.defined() || ids.is_floating_point() || ids.dim() != 1)
    throw Error(ErrorCode::invalid_type,
                what + ": trials are integers (time), a number per sample");
  check_rows(ids, what);
  const at::Tensor numbers = ids.to(at::kCPU, at::kLong).contiguous();
  const auto* id = numbers.data_ptr<std::int64_t>();
  trials_ = {0};
  for (std::int64_t i = 1; i < num_samples(); ++i)
    if (id[i] != id[i - 1]) trials_.push_back(i);
}

const Label& Recording::label(const std::string& name) const {
  std::string known;
  for (const Label& label : labels_) {
    if (label.name == name) return label;
    known += (known.empty() ? "\"" : ", \"") + label.name + "\"";
  }
  throw Error(ErrorCode::not_found,
              "there is no label \"" + name + "\"; labels: " + (known.empty() ? "none" : known));
}

Recording Recording::slice(std::int64_t begin, std::int64_t end) const {
  check_whole(neural_);
  if (begin < 0 || end <= begin || end > num_samples())
    throw Error(ErrorCode::out_of_range, "samples " + std::to_string(begin) + " to " +
                                             std::to_string(end) + " of a recording with " +
                                             std::to_string(num_samples()));
  Recording part = *this;
  part.neural_ = neural_.slice(0, begin, end);
  part.first_row_ += begin;
  for (Label& label : part.labels_) label.values = label.values.slice(0, begin, end);
  part.trials_.clear();
  if (!trials_.empty()) part.trials_ = {0};
  for (const std::int64_t trial : trials_)
    if (trial > begin && trial < end) part.trials_.push_back(trial - begin);
  return part;
}

Recording Recording::with_neural(const at::Tensor& neural) const {
  check_whole(neural_);
  Recording other = *this;
  other.neural_ = Recording(neural, source_).neural_;
  if (other.num_samples() != num_samples())
    throw Error(ErrorCode::invalid_value, source_ + ": found " +
                                              std::to_string(other.num_samples()) +
                                              " samples; must be " + std::to_string(num_samples()));
  return other;
}

void Recording::check_finite() const {
  check_whole(neural_);
  host::check_finite(neural_, source_, first_row_);
}

namespace {

// A conversion makes a copy; numbers of 8 bytes are the largest.
void check_memory(const Array& array, const std::filesystem::path& file) {
  MemoryEstimate estimate;
  estimate.parts = {{file.string(), array.size() * std::int64_t{sizeof(double)}, "", false}};
  const bool is_large = estimate.needed() > std::int64_t{64} << 20;
  const bool is_used_in_place = array.is_mapped() && array.type() == ElementType::float32;
  if (is_large && !is_used_in_place) require_memory(estimate, available_memory());
}

}  // namespace

at::Tensor load_float_tensor(const std::filesystem::path& file, const std::string& key) {
  const Array array = Array::open(file, key);
  check_memory(array, file);
  const std::shared_ptr<const float> values = array.to_float32();
  // The tensor keeps the mapping alive and is never written to.
  return at::from_blob(
      const_cast<float*>(values.get()), array.shape(), [values](void*) {}, at::kFloat);
}

at::Tensor load_tensor(const std::filesystem::path& file, const std::string& key) {
  const Array array = Array::open(file, key);
  if (!array.is_integer()) return load_float_tensor(file, key);
  check_memory(array, file);
  const std::vector<std::int64_t> values = array.to_int64();
  return at::tensor(values, at::kLong).reshape(array.shape());
}

}  // namespace grevy::host
