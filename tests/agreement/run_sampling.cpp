// window: which samples a window holds. sampling: which sample is the positive of a reference.
#include "runners.hpp"
#include "sampling/window_gather.hpp"

#include <grevy/host/session_sampling.hpp>

#include <algorithm>
#include <numeric>

namespace grevy::agreement {
namespace {

// The first state from which the next draw below `bound` is `wanted`: distributions take their
// random numbers from a generator only, and the reference has stored the draws.
host::Random random_that_draws(host::Random random, std::int64_t bound, std::int64_t wanted) {
  if (wanted < 0 || wanted >= bound)
    throw Error(ErrorCode::out_of_range, "the reference draws " + std::to_string(wanted) +
                                             " below " + std::to_string(bound));
  for (;; random.next()) {
    host::Random next = random;
    if (next.below(bound) == wanted) return random;
  }
}

std::int64_t draw_positive(const host::Distribution& distribution, std::int64_t reference,
                           std::int64_t bound, std::int64_t wanted) {
  const host::Random start(static_cast<std::uint64_t>(reference), "agreement");
  host::Random random = random_that_draws(start, bound, wanted);
  std::int64_t positive = -1;
  distribution.conditional(random, &reference, 1, &positive);
  return positive;
}

// Squared distances between queries and the rows that were chosen for them.
at::Tensor distances(const at::Tensor& rows, const at::Tensor& samples, const at::Tensor& queries) {
  return (rows.index_select(0, samples) - queries).square().sum(1);
}

// The reference expands the square in float32; its choice is that much worse at most.
Tolerance expanded_square(const at::Tensor& rows, const at::Tensor& queries) {
  const auto largest = [](const at::Tensor& points) {
    return points.square().sum(1).max().item<double>();
  };
  return {1e-5, 1e-6 * (largest(queries) + largest(rows)), 0};
}

struct Classes {
  explicit Classes(const std::vector<std::int64_t>& labels) : table(labels) {
    counts.resize(static_cast<std::size_t>(table.values().back()) + 1);
    for (std::int64_t cls = 0; cls < table.num_classes(); ++cls) {
      const std::int64_t label = table.values()[static_cast<std::size_t>(cls)];
      counts[static_cast<std::size_t>(label)] = table.count(cls);
      sorted.insert(sorted.end(), static_cast<std::size_t>(table.count(cls)), label);
    }
    begin.resize(counts.size() + 1);
    std::partial_sum(counts.begin(), counts.end(), begin.begin() + 1);
  }
  // Rank of a sample in label order.
  std::int64_t rank(std::int64_t sample, std::int64_t label) const {
    const auto samples = table.samples(table.class_of(sample));
    const auto found = std::lower_bound(samples.begin(), samples.end(), sample);
    return begin[static_cast<std::size_t>(label)] + (found - samples.begin());
  }

  host::ClassTable table;
  std::vector<std::int64_t> counts, begin;  // by label value, gaps included
  std::vector<std::int64_t> sorted;         // label of each rank
};

}  // namespace

void run_window(const Case& c, const Bench&, Comparison& result) {
  const auto offset = c.param<std::vector<std::int64_t>>("offset");
  const auto index = whole_numbers(c.tensor("index"));
  const auto gather = [&](const at::Tensor& rows) {
    at::Tensor fresh;
    return host::WindowGather(rows, {offset.at(0), offset.at(1)}, at::kCPU).gather(index, fresh);
  };
  const at::Tensor neural = c.tensor("neural");
  result.values("windows", gather(neural), c.tensor("windows"), tolerance::exact);
  const at::Tensor numbers = at::arange(neural.size(0), at::kFloat).unsqueeze(1);
  result.values("expanded", gather(numbers).squeeze(1), c.tensor("expanded"), tolerance::exact);
}

// Where two rows are equally near, rounding decides which one the reference took: what counts is
// the distance reached.
void run_time_delta(const Case& c, const Bench&, Comparison& result) {
  const at::Tensor data = c.tensor("data");
  host::SamplingLabels labels;
  labels.num_samples = data.size(0);
  labels.continuous = data.data_ptr<float>();
  labels.width = data.size(1);
  host::SamplingOptions options;
  options.conditional = host::SamplingOptions::Conditional::time_delta;
  options.time_offset = c.param<std::int64_t>("time_delta");
  const auto distribution = host::make_distribution(options, labels);

  const auto references = whole_numbers(c.tensor("reference"));
  const auto differences = whole_numbers(c.tensor("difference"));
  std::vector<std::int64_t> positives;
  for (std::size_t i = 0; i < references.size(); ++i)
    positives.push_back(
        draw_positive(*distribution, references[i], labels.num_samples, differences[i]));

  const at::Tensor rows = data.to(at::kDouble), query = c.tensor("query").to(at::kDouble);
  result.values("distance reached", distances(rows, at::tensor(positives, at::kLong), query),
                distances(rows, c.tensor("positive"), query), expanded_square(rows, query));
}

void run_multisession(const Case& c, const Bench&, Comparison& result) {
  std::vector<at::Tensor> data;
  std::vector<host::SamplingLabels> sessions;
  for (const NamedTensor& session : c.tensors("continuous/")) {
    const at::Tensor& values = data.emplace_back(session.tensor);
    sessions.emplace_back();
    sessions.back().num_samples = values.size(0);
    sessions.back().continuous = values.data_ptr<float>();
    sessions.back().width = values.size(1);
  }
  host::SamplingOptions options;
  options.conditional = host::SamplingOptions::Conditional::time_delta;
  options.time_offset = c.param<std::int64_t>("time_offset");
  const host::SessionDistribution distribution(options, sessions);
  result.whole("differences", distribution.num_differences(), c.tensor("time_difference").size(0));

  const std::int64_t n = c.tensor("reference").size(1), width = data.at(0).size(1);
  const auto references = whole_numbers(c.tensor("reference").flatten());
  const auto differences = whole_numbers(c.tensor("difference"));
  const auto index = whole_numbers(c.tensor("index"));
  result.values("index_reversed", at::tensor(host::reverse_permutation(index), at::kLong),
                c.tensor("index_reversed"), tolerance::exact);
  const auto moved = distribution.queries(references, n, differences);
  const at::Tensor query = c.tensor("query").to(at::kDouble);
  result.values("query",
                at::tensor(moved, at::kDouble)
                    .view({-1, width})
                    .index_select(0, c.tensor("index"))
                    .view_as(query),
                query, tolerance::forward);
  const auto found = distribution.answer(references, n, differences, index);
  const at::Tensor positives = at::tensor(found, at::kLong).view({-1, n});
  for (std::int64_t s = 0; s < positives.size(0); ++s) {
    const at::Tensor rows = data[static_cast<std::size_t>(s)].to(at::kDouble);
    result.values(
        "distance reached in session " + std::to_string(s), distances(rows, positives[s], query[s]),
        distances(rows, c.tensor("positive")[s], query[s]), expanded_square(rows, query[s]));
  }
}

void run_discrete(const Case& c, const Bench&, Comparison& result) {
  const auto labels = whole_numbers(c.tensor("labels"));
  const Classes classes(labels);
  const auto whole = [&](const char* name, const std::vector<std::int64_t>& found) {
    result.values(name, at::tensor(found, at::kLong), c.tensor(name), tolerance::exact);
  };
  whole("counts", classes.counts);
  whole("cdf", classes.begin);
  whole("sorted_labels", classes.sorted);

  const at::Tensor prior = c.tensor("prior_u");
  std::vector<std::int64_t> ranks;
  for (std::int64_t i = 0; i < prior.numel(); ++i)
    ranks.push_back(classes.table.reference_prior_rank(prior[i].item<double>()));
  whole("prior_rank", ranks);

  host::SamplingLabels given;
  given.num_samples = classes.table.num_samples();
  given.discrete = &labels;
  host::SamplingOptions options;
  options.conditional = host::SamplingOptions::Conditional::discrete;
  const auto distribution = host::make_distribution(options, given);
  const auto expected = whole_numbers(c.tensor("conditional_rank"));
  ranks.clear();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    const std::int64_t positive =
        draw_positive(*distribution, static_cast<std::int64_t>(i), classes.counts[label],
                      expected.at(i) - classes.begin[label]);
    ranks.push_back(classes.rank(positive, labels[static_cast<std::size_t>(positive)]));
  }
  whole("conditional_rank", ranks);
}

}  // namespace grevy::agreement
