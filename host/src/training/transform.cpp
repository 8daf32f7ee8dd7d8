#include "training/transform.hpp"

#include <algorithm>

namespace grevy::host {
namespace {

// The samples behind some rows of the embedding: [first, last) of the recording, with the first one
// repeated `before` times and the last one `after` times.
struct Stretch {
  std::int64_t first, last, before, after;
};

// Row r looks at the padded samples r .. r + length - 1; padded sample p is sample p - left.
Stretch stretch_of(std::int64_t begin, std::int64_t end, std::int64_t left, std::int64_t length,
                   std::int64_t num_samples) {
  Stretch s{};
  s.first = std::max<std::int64_t>(begin - left, 0);
  s.last = std::min(end - 1 + length - left, num_samples);
  s.before = std::max<std::int64_t>(left - begin, 0);
  s.after = (end - begin + length - 1) - s.before - (s.last - s.first);
  return s;
}

at::Tensor cut(const at::Tensor& samples, const Stretch& s, at::Device device) {
  at::Tensor part = samples.slice(0, s.first, s.last).to(device, at::kFloat);
  if (s.before > 0) part = at::cat({part.slice(0, 0, 1).expand({s.before, -1}), part});
  if (s.after > 0) part = at::cat({part, part.slice(0, part.size(0) - 1).expand({s.after, -1})});
  return part;
}

void check(const ModelInfo& info, const at::Tensor& samples, bool pad) {
  if (samples.defined() && (samples.layout() != at::kStrided || samples.is_complex() ||
                            samples.is_quantized() || samples.is_meta()))
    throw Error(ErrorCode::invalid_type, "samples must be a dense tensor of real numbers; found " +
                                             c10::str(samples.options()));
  if (!samples.defined() || samples.dim() != 2 || samples.size(1) != info.num_input)
    throw Error(ErrorCode::invalid_value,
                "samples must be (time, " + std::to_string(info.num_input) + " channels); found " +
                    (samples.defined() ? c10::str(samples.sizes()) : "nothing"));
  const std::int64_t needed = pad ? 1 : info.offset.length();
  if (samples.size(0) < needed)
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(samples.size(0)) +
                                              " samples; the receptive field needs at least " +
                                              std::to_string(needed));
}

// Writers trust the shape.
void check_rows(const SolverRef& solver, const at::Tensor& embedded, std::int64_t rows,
                std::int64_t width) {
  if (embedded.size(0) == rows && embedded.size(1) == width) return;
  throw PluginError(ErrorCode::invalid_value,
                    "returned shape " + c10::str(embedded.sizes()) + "; needed: [" +
                        std::to_string(rows) + ", " + std::to_string(width) + "]",
                    solver.plugin(), solver.component(), "transform");
}

}  // namespace

std::int64_t num_embedded(const ModelInfo& info, std::int64_t num_samples, bool pad) {
  const std::int64_t windows = pad ? num_samples : num_samples - info.offset.length() + 1;
  return (windows - 1) / info.resample_factor + 1;
}

std::int64_t transform_in_chunks(const SolverRef& solver, const ModelInfo& info, at::Device device,
                                 const at::Tensor& samples, const RowSink& sink,
                                 const TransformOptions& options) {
  check(info, samples, options.pad);
  if (!sink) throw Error(ErrorCode::invalid_value, "there is no sink for the rows");
  const at::NoGradGuard no_grad;
  const std::int64_t length = info.offset.length(), left = options.pad ? info.offset.left : 0;
  const std::int64_t windows = options.pad ? samples.size(0) : samples.size(0) - length + 1;
  // Resampling models count positions from the first sample, so they see everything at once.
  const std::int64_t chunk =
      info.resample_factor > 1 ? windows : std::max<std::int64_t>(options.chunk, 1);
  std::int64_t rows = 0;
  for (std::int64_t begin = 0; begin < windows; begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, windows);
    const Stretch stretch = stretch_of(begin, end, left, length, samples.size(0));
    const at::Tensor embedded = solver.transform(options.session, cut(samples, stretch, device));
    check_rows(solver, embedded, num_embedded(info, end - begin, true), info.num_output);
    sink(embedded.to(at::kCPU, at::kFloat).contiguous());
    rows += embedded.size(0);
  }
  return rows;
}

}  // namespace grevy::host
