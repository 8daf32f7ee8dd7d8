#include <grevy/error.hpp>
#include <grevy/host/evaluation.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <tuple>

namespace grevy::host {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{32} << 20;

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  std::ostringstream text;
  text << tensor.scalar_type() << ' ' << tensor.sizes() << " on " << tensor.device();
  return text.str();
}

[[noreturn]] void refuse(ErrorCode code, const char* where, const std::string& message) {
  throw Error(code, std::string(where) + ": " + message);
}

void check_tensor(const char* where, const char* name, const at::Tensor& tensor,
                  at::ScalarType type, std::int64_t dimensions) {
  const bool typed = tensor.defined() && tensor.layout() == at::kStrided && !tensor.is_meta() &&
                     tensor.scalar_type() == type;
  if (typed && tensor.dim() == dimensions) return;
  std::ostringstream text;
  text << name << " is " << describe(tensor) << ", allowed is " << type << " with " << dimensions
       << (dimensions == 1 ? " dimension" : " dimensions");
  refuse(typed ? ErrorCode::invalid_value : ErrorCode::invalid_type, where, text.str());
}

void check_same_device(const char* where, const at::Tensor& first, const at::Tensor& second) {
  if (first.device() == second.device()) return;
  refuse(ErrorCode::invalid_value, where,
         "one tensor is on " + first.device().str() + ", the other on " + second.device().str() +
             "; allowed is one device");
}

void check_finite(const char* where, const char* name, const at::Tensor& tensor) {
  if (tensor.isfinite().all().item<bool>()) return;
  refuse(ErrorCode::non_finite, where,
         std::string(name) + " (" + describe(tensor) + ") contains NaN or infinity");
}

void check_search(const at::Tensor& reference, const at::Tensor& queries, std::int64_t count) {
  constexpr auto where = "nearest_rows";
  check_tensor(where, "reference", reference, at::kFloat, 2);
  check_tensor(where, "queries", queries, at::kFloat, 2);
  check_same_device(where, reference, queries);
  if (reference.size(1) != queries.size(1) || reference.size(1) < 1) {
    refuse(ErrorCode::invalid_value, where,
           "reference is " + describe(reference) + ", queries " + describe(queries) +
               "; allowed is the same number of columns, at least 1");
  }
  if (count < 1 || count > reference.size(0)) {
    refuse(ErrorCode::invalid_value, where,
           "count is " + std::to_string(count) + ", allowed are 1 to the " +
               std::to_string(reference.size(0)) + " rows of the reference");
  }
  check_finite(where, "reference", reference);
  check_finite(where, "queries", queries);
}

at::Tensor scale_to_unit(const at::Tensor& rows) {
  const at::Tensor norms = rows.norm(2, {1}, /*keepdim=*/true);
  return rows / norms.masked_fill(norms == 0, 1.0);
}

// Prepared so that nearness = query * reference^T + offset orders the reference rows of each query
// as the metric does, nearest highest. What is the same for a whole query is left out.
// In double: near 1, float32 does not tell the cosines of neighbouring samples of a smooth
// embedding apart, and squares of float32 values cannot overflow.
struct SearchSpace {
  at::Tensor reference, offset, query_shift;
};

SearchSpace cosine_space(const at::Tensor& reference) {
  const at::Tensor zero = at::zeros({1}, reference.options());
  return {scale_to_unit(reference), zero, zero};
}

// |q - r|^2 falls as q r - |r|^2 / 2 grows; about the mean of the reference, so that an embedding
// far from the origin keeps its digits.
SearchSpace euclidean_space(const at::Tensor& reference) {
  const at::Tensor mean = reference.mean(0, /*keepdim=*/true);
  const at::Tensor centred = reference - mean;
  return {centred, centred.square().sum(1).mul(-0.5), mean};
}

SearchSpace make_space(const at::Tensor& reference, Metric metric) {
  const at::Tensor precise = reference.to(at::kDouble);
  return metric == Metric::cosine ? cosine_space(precise) : euclidean_space(precise);
}

at::Tensor search_block(const SearchSpace& space, const at::Tensor& queries, std::int64_t count) {
  const at::Tensor shifted = queries.to(at::kDouble) - space.query_shift;
  const at::Tensor nearness = at::addmm(space.offset, shifted, space.reference.t());
  return std::get<1>(nearness.topk(count, /*dim=*/1));
}

void check_labels(const char* where, const at::Tensor& labels, const at::Tensor& neighbours) {
  check_tensor(where, "neighbours", neighbours, at::kLong, 2);
  check_same_device(where, labels, neighbours);
  if (neighbours.size(1) < 1) {
    refuse(ErrorCode::invalid_value, where,
           "neighbours is " + describe(neighbours) + ", allowed is at least 1 column");
  }
  if (neighbours.numel() == 0) return;
  const auto lowest = neighbours.min().item<std::int64_t>();
  const auto highest = neighbours.max().item<std::int64_t>();
  if (lowest >= 0 && highest < labels.size(0)) return;
  refuse(ErrorCode::out_of_range, where,
         "neighbours has rows " + std::to_string(lowest) + " to " + std::to_string(highest) +
             ", the labels have " + std::to_string(labels.size(0)) + " rows, counted from 0");
}

// Of an ascending range; the first of equally long runs is that of the smallest value.
std::int64_t most_frequent(const std::int64_t* first, const std::int64_t* last) {
  std::int64_t best = *first;
  std::ptrdiff_t longest = 0;
  while (first != last) {
    const std::int64_t* end = std::upper_bound(first, last, *first);
    if (end - first > longest) best = *first;
    longest = std::max(longest, end - first);
    first = end;
  }
  return best;
}

void check_pair(const char* where, const at::Tensor& truth, const at::Tensor& predicted,
                at::ScalarType type, std::int64_t dimensions) {
  check_tensor(where, "truth", truth, type, dimensions);
  check_tensor(where, "predicted", predicted, type, dimensions);
  if (truth.sizes() == predicted.sizes() && truth.numel() > 0) return;
  refuse(ErrorCode::invalid_value, where,
         "truth is " + describe(truth) + ", predicted " + describe(predicted) +
             "; allowed are equal sizes, at least one sample and one column");
}

// (samples, columns) -> contiguous doubles on the CPU, a row per column.
at::Tensor as_columns(const at::Tensor& tensor) {
  return tensor.to(at::kCPU, at::kDouble).t().contiguous();
}

std::vector<double> to_vector(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  const auto* first = values.data_ptr<double>();
  return {first, first + values.numel()};
}

std::vector<double> r2_of_rows(const at::Tensor& truth, const at::Tensor& errors) {
  const at::Tensor centred = truth - truth.mean(1, /*keepdim=*/true);
  const at::Tensor r2 = 1 - errors.square().sum(1) / centred.square().sum(1);
  const at::Tensor constant = truth.amax(1) == truth.amin(1);
  return to_vector(r2.masked_fill(constant, std::numeric_limits<double>::quiet_NaN()));
}

std::vector<double> median_of_rows(const at::Tensor& rows) {
  const at::Tensor sorted = std::get<0>(rows.sort(1));
  const std::int64_t count = rows.size(1);
  return to_vector((sorted.select(1, (count - 1) / 2) + sorted.select(1, count / 2)) / 2);
}

// NaN if every value is.
double mean_without_nan(const std::vector<double>& values) {
  double sum = 0;
  std::int64_t count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

struct Recall {
  std::int64_t correct = 0, total = 0;
  double share() const { return static_cast<double>(correct) / static_cast<double>(total); }
};

}  // namespace

at::Tensor nearest_rows(const at::Tensor& reference, const at::Tensor& queries, std::int64_t count,
                        Metric metric) {
  const at::NoGradGuard no_grad;
  check_search(reference, queries, count);
  const SearchSpace space = make_space(reference, metric);
  const std::int64_t row_bytes = reference.size(0) * static_cast<std::int64_t>(sizeof(double));
  const std::int64_t block = std::max<std::int64_t>(1, kBlockBytes / row_bytes);
  at::Tensor nearest = at::empty({queries.size(0), count}, queries.options().dtype(at::kLong));
  for (std::int64_t row = 0; row < queries.size(0); row += block) {
    const std::int64_t length = std::min(block, queries.size(0) - row);
    nearest.narrow(0, row, length)
        .copy_(search_block(space, queries.narrow(0, row, length), count));
  }
  return nearest;
}

at::Tensor decode_continuous(const at::Tensor& labels, const at::Tensor& neighbours) {
  constexpr auto where = "decode_continuous";
  const at::NoGradGuard no_grad;
  check_tensor(where, "labels", labels, at::kFloat, 2);
  check_labels(where, labels, neighbours);
  at::Tensor sum =
      at::zeros({neighbours.size(0), labels.size(1)}, labels.options().dtype(at::kDouble));
  for (std::int64_t k = 0; k < neighbours.size(1); ++k) {
    sum.add_(labels.index_select(0, neighbours.select(1, k)));
  }
  return sum.div_(neighbours.size(1)).to(at::kFloat);
}

at::Tensor decode_discrete(const at::Tensor& labels, const at::Tensor& neighbours) {
  constexpr auto where = "decode_discrete";
  const at::NoGradGuard no_grad;
  check_tensor(where, "labels", labels, at::kLong, 1);
  check_labels(where, labels, neighbours);
  const std::int64_t samples = neighbours.size(0);
  const std::int64_t count = neighbours.size(1);
  const at::Tensor votes = labels.index_select(0, neighbours.reshape({-1})).view({samples, count});
  const at::Tensor sorted = std::get<0>(votes.sort(1)).cpu().contiguous();
  at::Tensor winners = at::empty({samples}, sorted.options());
  const auto* row = sorted.data_ptr<std::int64_t>();
  auto* winner = winners.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < samples; ++i, row += count) {
    winner[i] = most_frequent(row, row + count);
  }
  return winners.to(labels.device());
}

ContinuousScore score_continuous(const at::Tensor& truth, const at::Tensor& predicted) {
  constexpr auto where = "score_continuous";
  const at::NoGradGuard no_grad;
  check_pair(where, truth, predicted, at::kFloat, 2);
  check_finite(where, "truth", truth);
  check_finite(where, "predicted", predicted);
  const at::Tensor rows = as_columns(truth);
  const at::Tensor errors = as_columns(predicted) - rows;
  ContinuousScore score;
  score.r2 = r2_of_rows(rows, errors);
  score.mean_r2 = mean_without_nan(score.r2);
  score.median_absolute_error = median_of_rows(errors.abs());
  return score;
}

DiscreteScore score_discrete(const at::Tensor& truth, const at::Tensor& predicted) {
  check_pair("score_discrete", truth, predicted, at::kLong, 1);
  const at::Tensor classes = truth.cpu().contiguous();
  const at::Tensor guesses = predicted.cpu().contiguous();
  const auto* actual = classes.data_ptr<std::int64_t>();
  const auto* guess = guesses.data_ptr<std::int64_t>();
  std::map<std::int64_t, Recall> recalls;
  Recall overall;
  for (std::int64_t i = 0; i < classes.numel(); ++i) {
    const std::int64_t hit = actual[i] == guess[i] ? 1 : 0;
    for (Recall* recall : {&overall, &recalls[actual[i]]}) {
      recall->correct += hit;
      ++recall->total;
    }
  }
  DiscreteScore score;
  score.accuracy = overall.share();
  for (const auto& [label, recall] : recalls) score.balanced_accuracy += recall.share();
  score.balanced_accuracy /= static_cast<double>(recalls.size());
  return score;
}

}  // namespace grevy::host
