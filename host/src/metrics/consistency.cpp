#include "metrics/tensor_checks.hpp"

#include <grevy/error.hpp>
#include <grevy/host/consistency.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <tuple>

namespace grevy::host {
namespace {

constexpr std::int64_t kReach = 2;  // bins on either side that may stand in for an empty one

using Tensors = std::vector<at::Tensor>;

[[noreturn]] void refuse(ErrorCode code, const char* where, const std::string& message) {
  throw Error(code, std::string(where) + ": " + message);
}

std::string numbered(const char* name, std::size_t i) {
  return std::string(name) + ' ' + std::to_string(i);
}

void check_count(const char* where, std::size_t count, std::size_t lowest) {
  if (count >= lowest) return;
  refuse(ErrorCode::invalid_value, where,
         "there are " + std::to_string(count) + " embeddings, allowed are at least " +
             std::to_string(lowest));
}

// Without the samples that have NaN in the embedding.
struct LabelledSet {
  at::Tensor embedding, label;
};
// Of the labels of all sets.
struct Range {
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -std::numeric_limits<double>::infinity();
};

at::Tensor read_label(const char* where, std::size_t i, const at::Tensor& label,
                      std::int64_t samples) {
  const std::string name = numbered("label", i);
  if (label.defined() && label.dim() > 1)
    refuse(ErrorCode::unimplemented, where,
           name + " is " + describe(label) + ", allowed is 1 dimension");
  const at::Tensor numbers = as_numbers(where, name, label, 1);
  check_magnitude(where, name, numbers);
  if (numbers.size(0) == samples) return numbers;
  refuse(ErrorCode::invalid_value, where,
         name + " has " + std::to_string(numbers.size(0)) + " samples, its embedding " +
             std::to_string(samples) + "; allowed are equal numbers");
}

LabelledSet drop_nan(const char* where, std::size_t i, const at::Tensor& embedding,
                     const at::Tensor& label) {
  const at::Tensor rows = embedding.isnan().any(1).logical_not().nonzero().squeeze(1);
  const at::Tensor kept = embedding.index_select(0, rows);
  check_magnitude(where, numbered("embedding", i), kept);
  return {kept, label.index_select(0, rows)};
}

std::vector<double> edges_of(const Range& range, std::int64_t num_bins) {
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, num_bins - 1));
  const double step = (range.highest - range.lowest) / steps;
  std::vector<double> edges;
  for (std::int64_t k = 0; k < num_bins; ++k)
    edges.push_back(range.lowest + static_cast<double>(k) * step);
  edges.back() = range.highest;  // k * step may miss it by a rounding
  return edges;
}

// Bin k of a value: edges k-1 <= value < edge k.
at::Tensor bins_of(const at::Tensor& label, const std::vector<double>& edges) {
  at::Tensor bins = at::empty({label.size(0)}, at::kLong);
  const auto* value = label.data_ptr<double>();
  auto* bin = bins.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < label.size(0); ++i)
    bin[i] = std::upper_bound(edges.begin(), edges.end(), value[i]) - edges.begin();
  return bins;
}

// Sums and counts of the samples of each bin, with empty bins on both ends to reach into.
class BinnedSet {
 public:
  BinnedSet(const LabelledSet& set, const std::vector<double>& edges) {
    const auto num_bins = static_cast<std::int64_t>(edges.size());
    const at::Tensor places = bins_of(set.label, edges) + (kReach - 1);
    const auto options = set.embedding.options();
    sums_ = at::zeros({num_bins + 2 * kReach, set.embedding.size(1)}, options)
                .index_add_(0, places, set.embedding);
    counts_ = at::zeros({num_bins + 2 * kReach}, options)
                  .index_add_(0, places, at::ones({places.size(0)}, options));
  }

  // Undefined where no sample is near.
  at::Tensor mean(std::int64_t bin) const {
    for (std::int64_t reach = 0; reach <= kReach; ++reach) {
      const std::int64_t first = bin + kReach - 1 - reach, width = 2 * reach + 1;
      const double count = counts_.narrow(0, first, width).sum().item<double>();
      if (count > 0) return sums_.narrow(0, first, width).sum(0) / count;
    }
    return {};
  }

 private:
  at::Tensor sums_, counts_;
};

// Each sample serves 2 kReach + 1 bins at most: also what keeps the edges from filling the memory.
void check_bins(const char* where, std::size_t i, const LabelledSet& set, std::int64_t num_bins) {
  const std::int64_t samples = set.label.size(0);
  if (num_bins - 1 <= (2 * kReach + 1) * samples) return;
  refuse(ErrorCode::invalid_value, where,
         "num_bins is " + std::to_string(num_bins) + ", " + numbered("embedding", i) + " has " +
             std::to_string(samples) + " samples without NaN; allowed are up to " +
             std::to_string((2 * kReach + 1) * samples + 1) + " bins");
}

at::Tensor align(const char* where, std::size_t i, const LabelledSet& set,
                 const std::vector<double>& edges) {
  const auto num_bins = static_cast<std::int64_t>(edges.size());
  const BinnedSet binned(set, edges);
  at::Tensor rows = at::empty({num_bins - 1, set.embedding.size(1)}, set.embedding.options());
  for (std::int64_t bin = 1; bin < num_bins; ++bin) {
    const at::Tensor mean = binned.mean(bin);
    if (!mean.defined())
      refuse(ErrorCode::invalid_value, where,
             numbered("embedding", i) + " has no sample within " + std::to_string(kReach) +
                 " bins of bin " + std::to_string(bin) + " (labels from " +
                 std::to_string(edges[static_cast<std::size_t>(bin - 1)]) + " to " +
                 std::to_string(edges[static_cast<std::size_t>(bin)]) +
                 "); fewer bins or a common range of labels is needed");
    rows.select(0, bin - 1).copy_(mean);
  }
  return rows;
}

at::Tensor scale_to_unit(const at::Tensor& rows) {
  const at::Tensor norms = rows.norm(2, {1}, /*keepdim=*/true);
  return rows / norms.masked_fill(norms == 0, 1.0);
}

void check_labels(const char* where, const Tensors& embeddings, const Tensors& labels) {
  check_count(where, embeddings.size(), 1);
  if (embeddings.size() == labels.size()) return;
  refuse(ErrorCode::invalid_value, where,
         "there are " + std::to_string(embeddings.size()) + " embeddings and " +
             std::to_string(labels.size()) + " labels; allowed are equal numbers");
}

Tensors align_all(const char* where, const Tensors& embeddings, const Tensors& labels,
                  const AlignmentOptions& options) {
  check_labels(where, embeddings, labels);
  if (options.num_bins < 1)
    refuse(ErrorCode::invalid_value, where,
           "num_bins is " + std::to_string(options.num_bins) + ", allowed is at least 1");
  Range range;
  std::vector<LabelledSet> sets;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const at::Tensor embedding = as_numbers(where, numbered("embedding", i), embeddings[i], 2);
    const at::Tensor label = read_label(where, i, labels[i], embedding.size(0));
    range.lowest = std::min(range.lowest, label.min().item<double>());
    range.highest = std::max(range.highest, label.max().item<double>());
    sets.push_back(drop_nan(where, i, embedding, label));
    check_bins(where, i, sets.back(), options.num_bins);
  }
  const std::vector<double> edges = edges_of(range, options.num_bins);
  Tensors aligned;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const at::Tensor rows = align(where, i, sets[i], edges);
    aligned.push_back(options.normalize ? scale_to_unit(rows) : rows);
  }
  return aligned;
}

// Linear fits from one embedding, by projection onto the space that its centred columns span.
class LinearFit {
 public:
  explicit LinearFit(const at::Tensor& embedding) {
    const at::Tensor centred = embedding - embedding.mean(0, /*keepdim=*/true);
    const auto [left, sizes, right] = at::linalg_svd(centred, /*full_matrices=*/false);
    const double rounding = std::numeric_limits<double>::epsilon() *
                            static_cast<double>(std::max(centred.size(0), centred.size(1)));
    const at::Tensor kept = (sizes > rounding * sizes.max()).nonzero().squeeze(1);
    basis_ = left.index_select(1, kept);
  }

  double r2(const at::Tensor& other) const {
    const at::Tensor centred = other - other.mean(0, /*keepdim=*/true);
    const at::Tensor explained = at::mm(basis_.t(), centred).square().sum(0);
    const at::Tensor share = explained / centred.square().sum(0);
    const at::Tensor constant = other.amax(0) == other.amin(0);
    return share.masked_fill(constant, 1.0).mean().item<double>();
  }

 private:
  at::Tensor basis_;  // (samples, rank), orthonormal columns
};

// All ordered pairs with different ids; the scores of equal pairs averaged.
Consistency compare(const Tensors& embeddings, const std::vector<std::int64_t>& ids) {
  Consistency result;
  result.ids = ids;
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> places;
  std::vector<double> counts;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const LinearFit fit(embeddings[i]);
    for (std::size_t j = 0; j < embeddings.size(); ++j) {
      if (ids[i] == ids[j]) continue;
      const std::pair pair(ids[i], ids[j]);
      const auto [place, is_new] = places.emplace(pair, result.pairs.size());
      if (is_new) {
        result.pairs.push_back(pair);
        result.scores.push_back(0);
        counts.push_back(0);
      }
      result.scores[place->second] += fit.r2(embeddings[j]);
      counts[place->second] += 1;
    }
  }
  for (std::size_t p = 0; p < counts.size(); ++p) result.scores[p] /= counts[p];
  return result;
}

std::vector<std::int64_t> running_ids(std::size_t count) {
  std::vector<std::int64_t> ids(count);
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  return ids;
}

void check_ids(const char* where, const std::vector<std::int64_t>& ids, std::size_t count) {
  if (ids.size() != count)
    refuse(ErrorCode::invalid_value, where,
           "there are " + std::to_string(count) + " embeddings and " + std::to_string(ids.size()) +
               " dataset_ids; allowed are equal numbers, or no ids");
  if (std::set<std::int64_t>(ids.begin(), ids.end()).size() > 1) return;
  refuse(ErrorCode::invalid_value, where,
         "all dataset_ids are " + std::to_string(ids.front()) +
             "; allowed are at least 2 different ones");
}

}  // namespace

Tensors align_embeddings(const Tensors& embeddings, const Tensors& labels,
                         const AlignmentOptions& options) {
  const at::NoGradGuard no_grad;
  return align_all("align_embeddings", embeddings, labels, options);
}

Consistency consistency_between_runs(const Tensors& embeddings) {
  constexpr auto where = "consistency_between_runs";
  const at::NoGradGuard no_grad;
  check_count(where, embeddings.size(), 2);
  Tensors runs;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const std::string name = numbered("embedding", i);
    runs.push_back(as_numbers(where, name, embeddings[i], 2));
    check_magnitude(where, name, runs.back());
    if (runs[i].size(0) != runs[0].size(0) || runs[i].size(0) < 2)
      refuse(ErrorCode::invalid_value, where,
             name + " has " + std::to_string(runs[i].size(0)) + " samples, the first " +
                 std::to_string(runs[0].size(0)) + "; allowed are equal numbers, at least 2");
  }
  return compare(runs, running_ids(runs.size()));
}

Consistency consistency_between_datasets(const Tensors& embeddings, const Tensors& labels,
                                         const std::vector<std::int64_t>& dataset_ids,
                                         std::int64_t num_bins) {
  constexpr auto where = "consistency_between_datasets";
  const at::NoGradGuard no_grad;
  check_count(where, embeddings.size(), 2);
  const auto ids = dataset_ids.empty() ? running_ids(embeddings.size()) : dataset_ids;
  check_ids(where, ids, embeddings.size());
  if (num_bins < 3)
    refuse(ErrorCode::invalid_value, where,
           "num_bins is " + std::to_string(num_bins) + ", allowed is at least 3");
  AlignmentOptions options;
  options.num_bins = num_bins;
  return compare(align_all(where, embeddings, labels, options), ids);
}

}  // namespace grevy::host
