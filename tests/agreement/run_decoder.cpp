// decoder with n_neighbors: k-nearest-neighbour decoding of real and class labels, and their R^2.
// decoder with coef: lasso. decoder with train_r2: ridge regression.
#include "runners.hpp"

#include <grevy/host/decoders.hpp>
#include <grevy/host/evaluation.hpp>

namespace grevy::agreement {
namespace {

using host::Metric;

// Distance of each query to its found rows.
at::Tensor distances(const at::Tensor& train, const at::Tensor& held, const at::Tensor& found,
                     Metric metric) {
  const at::Tensor rows = train.to(at::kDouble)
                              .index_select(0, found.flatten())
                              .view({found.size(0), found.size(1), train.size(1)});
  const at::Tensor queries = held.to(at::kDouble).unsqueeze(1);
  if (metric == Metric::euclidean) return (rows - queries).norm(2, 2);
  return 1 - (rows * queries).sum(2) / (rows.norm(2, 2) * queries.norm(2, 2));
}

// Queries whose neighbours are certain: where the last one taken and the first one left out are
// equally near up to float32 rounding, either is right.
at::Tensor certain_rows(const at::Tensor& train, const at::Tensor& held, std::int64_t count,
                        Metric metric) {
  if (count == train.size(0)) return at::arange(held.size(0));
  const at::Tensor d = distances(train, held, nearest_rows(train, held, count + 1, metric), metric);
  const at::Tensor gap = d.select(1, count) - d.select(1, count - 1);
  return (gap > 1e-6 * d.max()).nonzero().squeeze(1);
}

// The labels of the training rows, which come first, and of the held-out rows.
std::pair<at::Tensor, at::Tensor> split(const at::Tensor& labels, const at::Tensor& train) {
  return {labels.slice(0, 0, train.size(0)), labels.slice(0, train.size(0))};
}

}  // namespace

void run_knn(const Case& c, const Bench&, Comparison& result) {
  const at::Tensor train = c.tensor("train"), held = c.tensor("held");
  const auto count = c.param<std::int64_t>("n_neighbors");
  const auto name = c.param<std::string>("metric");
  if (name != "cosine" && name != "euclidean") throw Unsupported("no metric \"" + name + "\"");
  const Metric metric = name == "cosine" ? Metric::cosine : Metric::euclidean;
  const at::Tensor rows = certain_rows(train, held, count, metric);
  if (2 * rows.numel() < held.size(0))
    throw Error(ErrorCode::invalid_value, "most neighbours are equally near: nothing to compare");

  const at::Tensor neighbours = nearest_rows(train, held, count, metric);
  const auto [real, real_truth] = split(c.tensor("real"), train);
  const at::Tensor predicted = host::decode_continuous(real, neighbours);
  result.values("predicted_real", predicted.index_select(0, rows),
                c.tensor("predicted_real").index_select(0, rows), tolerance::forward);

  const auto [classes, class_truth] = split(c.tensor("classes"), train);
  const at::Tensor predicted_class = host::decode_discrete(classes, neighbours);
  result.values("predicted_class", predicted_class.index_select(0, rows),
                c.tensor("predicted_class").index_select(0, rows), tolerance::exact);

  if (rows.numel() != held.size(0)) return;
  const auto r2 = [](const at::Tensor& truth, const at::Tensor& found) {
    return host::score_continuous(truth, found).mean_r2;
  };
  const auto column = [](const at::Tensor& labels) { return labels.to(at::kFloat).unsqueeze(1); };
  result.number("r2", r2(real_truth, predicted), c.number("r2"), tolerance::forward);
  result.number("class_r2", r2(column(class_truth), column(predicted_class)), c.number("class_r2"),
                tolerance::forward);
}

void run_lasso(const Case& c, const Bench&, Comparison& result) {
  const at::Tensor train = c.tensor("train"), held = c.tensor("held");
  const auto [targets, truth] = split(c.tensor("real"), train);
  host::L1Options options;
  options.alpha = c.param<double>("alpha");
  host::L1LinearRegressor decoder(options);
  decoder.fit(train, targets);
  result.values("coef", decoder.model().coefficients, c.tensor("coef"), tolerance::forward);
  result.values("intercept", decoder.model().intercept, c.tensor("intercept"), tolerance::forward);
  result.values("predicted", decoder.predict(held), c.tensor("predicted"), tolerance::forward);
  result.number("r2", decoder.score(held, truth).mean_r2, c.number("r2"), tolerance::forward);
}

void run_ridge(const Case& c, const Bench&, Comparison& result) {
  const at::Tensor train = c.tensor("train"), held = c.tensor("held");
  const auto [targets, truth] = split(c.tensor("real"), train);
  const auto found = host::ridge_decoding(train, targets, held, truth);
  result.values("train_r2", at::tensor(found.train.r2, at::kDouble), c.tensor("train_r2"),
                tolerance::forward);
  result.values("held_r2", at::tensor(found.held_out.r2, at::kDouble), c.tensor("held_r2"),
                tolerance::forward);
  // The reference solves its normal equations in float32; that rounding times their condition
  // leaves its coefficients exact to some 1e-5 of the largest.
  constexpr Tolerance solved{1e-5, 0, 1e-5};
  result.values("predicted", found.predicted, c.tensor("predicted"), solved);
}

}  // namespace grevy::agreement
