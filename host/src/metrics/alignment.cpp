#include "metrics/tensor_checks.hpp"

#include <grevy/error.hpp>
#include <grevy/host/alignment.hpp>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <string>
#include <tuple>
#include <utility>

namespace grevy::host {
namespace {

[[noreturn]] void refuse(ErrorCode code, const std::string& message) {
  throw Error(code, "Procrustes alignment: " + message);
}

at::Tensor as_matrix(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor matrix = as_numbers("Procrustes alignment", name, tensor, 2);
  check_magnitude("Procrustes alignment", name, matrix);
  return matrix;
}

at::Tensor as_label(const std::string& name, const at::Tensor& tensor) {
  return as_matrix(name, tensor.dim() == 1 ? tensor.unsqueeze(1) : tensor);
}

// Samples of the reference by label: sorted, so that a search walks from the query outwards and
// stops where the first column alone is too far.
class LabelOrder {
 public:
  // Of equal labels only the first `count` samples can ever be among the nearest `count`.
  LabelOrder(const at::Tensor& labels, std::int64_t count) : width_(labels.size(1)), count_(count) {
    const auto* values = labels.data_ptr<double>();
    const auto label = [&](std::int64_t row) { return values + row * width_; };
    std::vector<std::int64_t> order(static_cast<std::size_t>(labels.size(0)));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return std::lexicographical_compare(label(a), label(a) + width_, label(b), label(b) + width_);
    });
    std::int64_t repeats = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const double* here = label(order[i]);
      const bool again = i > 0 && std::equal(here, here + width_, label(order[i - 1]));
      repeats = again ? repeats + 1 : 0;
      if (repeats >= count) continue;
      rows_.push_back(order[i]);
      first_.push_back(here[0]);
      labels_.insert(labels_.end(), here, here + width_);
    }
  }

  // Calls use(row) for the `count` rows nearest to the query; the earlier of equally near ones.
  template <class Use>
  void for_nearest(const double* query, Use use) const {
    std::priority_queue<std::pair<double, std::int64_t>> nearest;  // the worst on top
    auto right = static_cast<std::size_t>(std::lower_bound(first_.begin(), first_.end(), query[0]) -
                                          first_.begin());
    std::size_t left = right;
    while (left > 0 || right < first_.size()) {
      const double below = left > 0 ? query[0] - first_[left - 1] : kNowhere;
      const double above = right < first_.size() ? first_[right] - query[0] : kNowhere;
      const double gap = std::min(below, above);
      const bool full = static_cast<std::int64_t>(nearest.size()) == count_;
      if (full && gap * gap > nearest.top().first) break;
      const std::size_t place = below < above ? --left : right++;
      nearest.emplace(squared_distance(query, place), rows_[place]);
      if (full) nearest.pop();
    }
    for (; !nearest.empty(); nearest.pop()) use(nearest.top().second);
  }

 private:
  static constexpr double kNowhere = std::numeric_limits<double>::infinity();

  double squared_distance(const double* query, std::size_t place) const {
    const double* label = labels_.data() + static_cast<std::int64_t>(place) * width_;
    double sum = 0;
    for (std::int64_t column = 0; column < width_; ++column) {
      const double difference = query[column] - label[column];
      sum += difference * difference;
    }
    return sum;
  }

  std::int64_t width_, count_;
  std::vector<double> first_;   // first column of the labels
  std::vector<double> labels_;  // row-major
  std::vector<std::int64_t> rows_;
};

// For each label the sum of the `count` rows of the reference with the nearest labels.
at::Tensor sum_of_nearest(const at::Tensor& reference, const at::Tensor& reference_label,
                          const at::Tensor& label, std::int64_t count) {
  const LabelOrder order(reference_label, count);
  const std::int64_t width = reference.size(1);
  at::Tensor sums = at::zeros({label.size(0), width}, reference.options());
  const auto* rows = reference.data_ptr<double>();
  const auto* queries = label.data_ptr<double>();
  auto* sum = sums.data_ptr<double>();
  const auto add_nearest = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      order.for_nearest(queries + i * label.size(1), [&](std::int64_t row) {
        for (std::int64_t column = 0; column < width; ++column)
          sum[i * width + column] += rows[row * width + column];
      });
  };
  at::parallel_for(0, label.size(0), /*grain_size=*/256, add_nearest);
  return sums;
}

struct Labelled {
  at::Tensor data, label;
};

void check_columns(const char* what, const at::Tensor& reference, const at::Tensor& data) {
  if (reference.size(1) == data.size(1)) return;
  refuse(ErrorCode::invalid_value, std::string("the reference's ") + what + " has " +
                                       std::to_string(reference.size(1)) + " columns, the data's " +
                                       std::to_string(data.size(1)) +
                                       "; allowed are equal numbers");
}

void check_length(const char* what, const Labelled& set) {
  if (set.data.size(0) == set.label.size(0)) return;
  refuse(ErrorCode::invalid_value, std::string("the ") + what + " has " +
                                       std::to_string(set.data.size(0)) + " samples, its label " +
                                       std::to_string(set.label.size(0)) +
                                       "; allowed are equal numbers");
}

std::pair<Labelled, Labelled> label_by_time(const at::Tensor& reference, const at::Tensor& data) {
  if (reference.size(0) != data.size(0))
    refuse(ErrorCode::invalid_value, "the reference has " + std::to_string(reference.size(0)) +
                                         " samples, the data " + std::to_string(data.size(0)) +
                                         "; without labels, allowed are equal numbers");
  const at::Tensor time = at::arange(data.size(0), at::kDouble).unsqueeze(1);
  return {{reference, time}, {data, time}};
}

std::pair<Labelled, Labelled> read_sets(const at::Tensor& reference, const at::Tensor& data,
                                        const at::Tensor& reference_label,
                                        const at::Tensor& label) {
  const at::Tensor onto = as_matrix("reference", reference), from = as_matrix("data", data);
  check_columns("embedding", onto, from);
  if (reference_label.defined() != label.defined())
    refuse(ErrorCode::invalid_value, std::string("only the ") +
                                         (label.defined() ? "data" : "reference") +
                                         " has a label; allowed are both or none");
  if (!label.defined()) return label_by_time(onto, from);
  const Labelled first{onto, as_label("reference_label", reference_label)};
  const Labelled second{from, as_label("label", label)};
  check_columns("label", first.label, second.label);
  check_length("reference", first);
  check_length("data", second);
  return {first, second};
}

Labelled draw(const Labelled& set, std::int64_t count, Random& random) {
  at::Tensor rows = at::empty({count}, at::kLong);
  auto* row = rows.data_ptr<std::int64_t>();
  std::generate(row, row + count, [&] { return random.below(set.data.size(0)); });
  return {set.data.index_select(0, rows), set.label.index_select(0, rows)};
}

void check_ensemble(const std::vector<at::Tensor>& embeddings,
                    const std::vector<at::Tensor>& labels) {
  if (embeddings.empty())
    refuse(ErrorCode::invalid_value, "there are 0 embeddings, allowed is at least 1");
  if (!labels.empty() && labels.size() != embeddings.size())
    refuse(ErrorCode::invalid_value, "there are " + std::to_string(embeddings.size()) +
                                         " embeddings and " + std::to_string(labels.size()) +
                                         " labels; allowed are equal numbers, or no labels");
}

at::Tensor scale_to_unit(const at::Tensor& rows) {
  const at::Tensor norms = rows.norm(2, {1}, /*keepdim=*/true);
  return rows / norms.masked_fill(norms == 0, 1.0);
}

}  // namespace

OrthogonalProcrustes::OrthogonalProcrustes(const ProcrustesOptions& options) : options_(options) {
  if (options.top_k < 1)
    refuse(ErrorCode::invalid_value,
           "top_k is " + std::to_string(options.top_k) + ", allowed is at least 1");
  if (options.subsample.value_or(1) < 1)
    refuse(ErrorCode::invalid_value,
           "subsample is " + std::to_string(*options.subsample) + ", allowed is at least 1");
}

void OrthogonalProcrustes::fit(const at::Tensor& reference, const at::Tensor& data,
                               const at::Tensor& reference_label, const at::Tensor& label,
                               Random* random) {
  const at::NoGradGuard no_grad;
  auto [onto, from] = read_sets(reference, data, reference_label, label);
  if (onto.data.size(0) < options_.top_k)
    refuse(ErrorCode::invalid_value, "the reference has " + std::to_string(onto.data.size(0)) +
                                         " samples, allowed are at least the " +
                                         std::to_string(options_.top_k) + " of top_k");
  if (options_.subsample && random == nullptr)
    refuse(ErrorCode::invalid_value, "subsample is set, but fit was given no random numbers");
  if (options_.subsample && *options_.subsample <= from.data.size(0))
    from = draw(from, *options_.subsample, *random);
  const at::Tensor sums = sum_of_nearest(onto.data, onto.label, from.label, options_.top_k);
  const auto [left, sizes, right] = at::linalg_svd(at::mm(from.data.t(), sums));
  matrix_ = at::mm(left, right);
}

at::Tensor OrthogonalProcrustes::transform(const at::Tensor& data) const {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = as_matrix("data", data);
  check_columns("embedding", matrix(), rows);
  return at::mm(rows, matrix());
}

const at::Tensor& OrthogonalProcrustes::matrix() const {
  if (!matrix_.defined()) refuse(ErrorCode::invalid_state, "fit must come first");
  return matrix_;
}

at::Tensor ensemble_embeddings(const std::vector<at::Tensor>& embeddings,
                               const std::vector<at::Tensor>& labels,
                               const EnsembleOptions& options) {
  const at::NoGradGuard no_grad;
  check_ensemble(embeddings, labels);
  ProcrustesOptions settings;
  settings.top_k = options.top_k;
  OrthogonalProcrustes alignment(settings);
  const at::Tensor first = as_matrix("embedding 0", embeddings[0]);
  at::Tensor sum = first.clone();
  for (std::size_t i = 1; i < embeddings.size(); ++i) {
    const std::string name = "embedding " + std::to_string(i);
    const at::Tensor next = as_matrix(name, embeddings[i]);
    if (next.sizes() != first.sizes())
      refuse(ErrorCode::invalid_value, name + " is " + describe(next) + ", the first " +
                                           describe(first) + "; allowed are equal shapes");
    if (labels.empty())
      alignment.fit(first, next);
    else
      alignment.fit(first, next, labels[0], labels[i]);
    sum += alignment.transform(next);
  }
  const at::Tensor mean = sum / static_cast<double>(embeddings.size());
  return options.normalize ? scale_to_unit(mean) : mean;
}

}  // namespace grevy::host
