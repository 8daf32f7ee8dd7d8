// metric with embeddings/0: consistency between runs; with labels/0 too: between data sets, and the
// alignment before it. metric with matrix: Procrustes alignment. metric with infonce: goodness of
// fit.
#include "runners.hpp"

#include <grevy/host/alignment.hpp>
#include <grevy/host/consistency.hpp>
#include <grevy/host/goodness_of_fit.hpp>

namespace grevy::agreement {
namespace {

std::vector<at::Tensor> series(const Case& c, const char* prefix) {
  std::vector<at::Tensor> tensors;
  for (const auto& item : c.tensors(prefix)) tensors.push_back(item.tensor);
  return tensors;
}

void compare(const host::Consistency& found, const Case& c, Comparison& result) {
  std::vector<std::int64_t> ids;
  for (const auto& [first, second] : found.pairs) ids.insert(ids.end(), {first, second});
  result.values("scores", at::tensor(found.scores, at::kDouble), c.tensor("scores"),
                tolerance::forward);
  // Where ids repeat, the reference averages the scores but not the pairs: nothing to compare.
  const at::Tensor pairs = c.tensor("pairs");
  if (pairs.size(0) != c.tensor("scores").size(0)) return;
  result.values("pairs", at::tensor(ids).view({-1, 2}), pairs, tolerance::exact);
}

at::Tensor optional_tensor(const Case& c, const char* name) {
  return c.has_tensor(name) ? c.tensor(name) : at::Tensor();
}

}  // namespace

void run_consistency_runs(const Case& c, const Bench&, Comparison& result) {
  compare(host::consistency_between_runs(series(c, "embeddings/")), c, result);
}

void run_consistency_datasets(const Case& c, const Bench&, Comparison& result) {
  const auto embeddings = series(c, "embeddings/"), labels = series(c, "labels/");
  host::AlignmentOptions options;
  options.num_bins = c.param<std::int64_t>("num_discretization_bins");
  const auto ids = c.param<std::vector<std::int64_t>>("dataset_ids", {});
  compare(host::consistency_between_datasets(embeddings, labels, ids, options.num_bins), c, result);
  const auto aligned = host::align_embeddings(embeddings, labels, options);
  const auto expected = series(c, "aligned/");
  for (std::size_t i = 0; i < expected.size(); ++i)
    result.values("aligned/" + std::to_string(i), aligned.at(i), expected[i], tolerance::forward);
}

void run_procrustes(const Case& c, const Bench&, Comparison& result) {
  host::ProcrustesOptions options;
  options.top_k = c.param<std::int64_t>("top_k");
  host::OrthogonalProcrustes alignment(options);
  const at::Tensor data = c.tensor("data");
  alignment.fit(c.tensor("reference"), data, optional_tensor(c, "reference_label"),
                optional_tensor(c, "label"));
  result.values("matrix", alignment.matrix(), c.tensor("matrix"), tolerance::forward);
  result.values("moved", alignment.transform(data), c.tensor("moved"), tolerance::forward);
}

void run_goodness_of_fit(const Case& c, const Bench&, Comparison& result) {
  // The losses of the reference are over the batches of all sessions.
  const auto negatives =
      c.param<std::int64_t>("batch_size") * c.param<std::int64_t>("num_sessions", 1);
  at::Tensor bits = c.tensor("infonce").to(at::kDouble);
  auto* value = bits.data_ptr<double>();
  for (std::int64_t i = 0; i < bits.numel(); ++i)
    value[i] = host::infonce_to_goodness_of_fit(value[i], negatives);
  result.values("bits", bits, c.tensor("bits"), tolerance::forward);
}

}  // namespace grevy::agreement
