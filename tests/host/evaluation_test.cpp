#include <grevy/error.hpp>
#include <grevy/host/evaluation.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

#include "golden_knn.inc"

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::decode_continuous;
using grevy::host::decode_discrete;
using grevy::host::Metric;
using grevy::host::nearest_rows;
using grevy::host::score_continuous;
using grevy::host::score_discrete;

at::Tensor floats(std::vector<float> values, std::int64_t columns) {
  return at::tensor(values).view({-1, columns});
}

at::Tensor longs(std::vector<std::int64_t> values) { return at::tensor(values); }

at::Tensor longs(std::vector<std::int64_t> values, std::int64_t columns) {
  return longs(std::move(values)).view({-1, columns});
}

std::vector<std::int64_t> to_vector(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  return {values.data_ptr<std::int64_t>(), values.data_ptr<std::int64_t>() + values.numel()};
}

template <typename Call>
void check_error(ErrorCode code, const std::string& piece, Call call) {
  try {
    call();
    FAIL_CHECK("no error, expected: " << piece);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_MESSAGE(std::string(error.what()).find(piece) != std::string::npos, error.what());
  }
}

template <typename Value, std::size_t size>
at::Tensor golden(const Value (&values)[size], std::int64_t columns) {
  return at::tensor(at::ArrayRef<Value>(values, size)).view({-1, columns});
}

struct Golden {
  std::int64_t count;
  Metric metric;
  at::Tensor real, classes;
  double r2;
};

std::vector<Golden> golden_cases() {
  return {{3, Metric::cosine, golden(golden_real_cosine_3, 2),
           golden(golden_class_cosine_3, 1).view(-1), golden_r2_cosine_3},
          {3, Metric::euclidean, golden(golden_real_euclidean_3, 2),
           golden(golden_class_euclidean_3, 1).view(-1), golden_r2_euclidean_3},
          {9, Metric::euclidean, golden(golden_real_euclidean_9, 2),
           golden(golden_class_euclidean_9, 1).view(-1), golden_r2_euclidean_9}};
}

double squared_distance(const at::Tensor& rows, const at::Tensor& queries, std::int64_t row,
                        std::int64_t query) {
  return (rows[row] - queries[query]).square().sum().item<double>();
}

}  // namespace

TEST_CASE("decoding agrees with the reference") {
  const at::Tensor train = golden(golden_train, 4);
  const at::Tensor held = golden(golden_held, 4);
  const at::Tensor real = golden(golden_real, 2);
  const at::Tensor classes = golden(golden_classes, 1).view(-1);
  for (const Golden& expected : golden_cases()) {
    CAPTURE(expected.count);
    const at::Tensor found = nearest_rows(train, held, expected.count, expected.metric);
    const at::Tensor decoded = decode_continuous(real.narrow(0, 0, 300), found);
    CHECK(at::allclose(decoded, expected.real, 1e-5, 2e-6));
    const auto score = score_continuous(real.narrow(0, 300, 100), decoded);
    CHECK(score.r2.size() == 2);
    CHECK(score.mean_r2 == doctest::Approx(expected.r2).epsilon(1e-6));
    const at::Tensor voted = decode_discrete(classes.narrow(0, 0, 300), found);
    CHECK(at::equal(voted, expected.classes));
  }
}

TEST_CASE("the nearest rows come nearest first, by each metric") {
  const at::Tensor reference = floats({1, 0, 0, 2, 10, 1, -1, 0}, 2);
  const at::Tensor queries = floats({3, 0}, 2);
  const auto euclidean = nearest_rows(reference, queries, 4, Metric::euclidean);
  const auto cosine = nearest_rows(reference, queries, 4, Metric::cosine);
  CHECK(to_vector(euclidean) == std::vector<std::int64_t>{0, 1, 3, 2});
  CHECK(to_vector(cosine) == std::vector<std::int64_t>{0, 2, 1, 3});
  CHECK((euclidean.scalar_type() == at::kLong));
}

TEST_CASE("small distances survive far from the origin and beside a large spread") {
  // 1e4 is exact in float32, so are the steps of 1/512.
  const float base = 1e4f, step = 1.0f / 512;
  const at::Tensor reference =
      floats({base, base, base + step, base, base + 2 * step, base, -base, -base}, 2);
  const at::Tensor queries = floats({base + 2 * step, base, base, base}, 2);
  const auto found = nearest_rows(reference, queries, 3, Metric::euclidean);
  CHECK(to_vector(found) == std::vector<std::int64_t>{2, 1, 0, 0, 1, 2});
}

TEST_CASE("small angles are told apart") {
  std::vector<float> rows;
  for (int i = 0; i < 50; ++i) rows.insert(rows.end(), {1.0f, 1e-5f * static_cast<float>(i)});
  const at::Tensor reference = floats(rows, 2);
  const auto found = nearest_rows(reference, reference, 1, Metric::cosine);
  CHECK(at::equal(found.view(-1), at::arange(50, at::kLong)));
}

TEST_CASE("more queries than a block find the same rows") {
  // 20000 rows leave some 200 queries a block.
  const std::int64_t rows = 20000, num_queries = 450;
  const at::Tensor place = at::arange(rows, at::kFloat);
  const at::Tensor reference = at::stack({place, place.neg()}, 1);
  const at::Tensor targets = (at::arange(num_queries, at::kLong) * 7919) % rows;
  const at::Tensor queries = reference.index_select(0, targets) + 0.25f;
  const auto found = nearest_rows(reference, queries, 1, Metric::euclidean);
  CHECK(at::equal(found.view(-1), targets));
}

TEST_CASE("equally near rows come in the same order every time") {
  const at::Tensor reference = at::ones({200, 3});
  const at::Tensor queries = at::full({40, 3}, 0.5f);
  for (const Metric metric : {Metric::cosine, Metric::euclidean}) {
    const auto first = nearest_rows(reference, queries, 5, metric);
    CHECK(at::equal(first, nearest_rows(reference, queries, 5, metric)));
    CHECK(std::get<0>(first.sort(1)).diff(1, 1).min().item<std::int64_t>() > 0);
  }
}

TEST_CASE("as many neighbours as rows is a permutation, sorted by distance") {
  const at::Tensor reference = golden(golden_train, 4).narrow(0, 0, 40);
  const at::Tensor queries = golden(golden_held, 4).narrow(0, 0, 5);
  const auto found = nearest_rows(reference, queries, 40, Metric::euclidean);
  for (std::int64_t query = 0; query < 5; ++query) {
    std::vector<std::int64_t> order = to_vector(found[query]);
    for (std::size_t i = 1; i < order.size(); ++i) {
      const double before = squared_distance(reference, queries, order[i - 1], query);
      CHECK(before <= squared_distance(reference, queries, order[i], query) + 1e-6);
    }
    std::sort(order.begin(), order.end());
    CHECK(order == to_vector(at::arange(40, at::kLong)));
  }
}

TEST_CASE("a row of zeros has cosine similarity 0 to everything") {
  const at::Tensor reference = floats({-1, 0, 0, 0, 1, 1}, 2);
  const auto found = nearest_rows(reference, floats({2, 0, 0, 0}, 2), 3, Metric::cosine);
  CHECK(to_vector(found[0]) == std::vector<std::int64_t>{2, 1, 0});
  CHECK(at::equal(std::get<0>(found[1].sort(0)), longs({0, 1, 2})));
}

TEST_CASE("the largest and smallest floats are rows like others") {
  const float huge = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  const at::Tensor reference = floats({huge, 0, 0, tiny, -huge, -huge}, 2);
  for (const Metric metric : {Metric::cosine, Metric::euclidean}) {
    const auto found = nearest_rows(reference, reference, 1, metric);
    CHECK(to_vector(found) == std::vector<std::int64_t>{0, 1, 2});
  }
}

TEST_CASE("no queries give no rows, and tensors that require gradients are fine") {
  const at::Tensor reference = at::ones({3, 2});
  CHECK(nearest_rows(reference, at::empty({0, 2}), 2, Metric::cosine).sizes() ==
        at::IntArrayRef({0, 2}));
  const at::Tensor tracked = at::ones({3, 2}).requires_grad_();
  CHECK_FALSE(decode_continuous(tracked, nearest_rows(tracked, tracked, 1, Metric::euclidean))
                  .requires_grad());
}

TEST_CASE("transposed tensors are read right") {
  const at::Tensor reference = floats({1, 0, -1, 0, 2, 0}, 3).t();  // rows (1,0) (0,2) (-1,0)
  const auto found = nearest_rows(reference, floats({0, 0, 3, 0, 3, 0}, 3).t(), 1, Metric::cosine);
  CHECK(to_vector(found.narrow(0, 1, 1)) == std::vector<std::int64_t>{1});
}

TEST_CASE("nearest_rows refuses what it cannot search") {
  const at::Tensor rows = at::ones({3, 2});
  const auto search = [](const at::Tensor& reference, const at::Tensor& queries,
                         std::int64_t count) {
    return [=] { nearest_rows(reference, queries, count, Metric::cosine); };
  };
  const auto invalid = ErrorCode::invalid_value;
  check_error(invalid, "count is 4, allowed are 1 to the 3 rows", search(rows, rows, 4));
  check_error(invalid, "count is 0, allowed are 1 to the 3 rows", search(rows, rows, 0));
  check_error(invalid, "allowed are 1 to the 0 rows", search(at::ones({0, 2}), rows, 1));
  check_error(invalid, "the same number of columns", search(rows, at::ones({3, 4}), 1));
  check_error(invalid, "at least 1", search(at::ones({3, 0}), at::ones({3, 0}), 1));
  check_error(invalid, "queries is Float [2]", search(rows, at::ones({2}), 1));
  check_error(ErrorCode::invalid_type, "reference is Double [3, 2] on cpu",
              search(rows.to(at::kDouble), rows, 1));
  check_error(ErrorCode::invalid_type, "undefined", search(rows, at::Tensor(), 1));
  check_error(ErrorCode::invalid_type, "queries is Float [3, 2] on meta",
              search(rows, at::empty({3, 2}, at::TensorOptions().device(at::kMeta)), 1));
  check_error(ErrorCode::non_finite, "queries", search(rows, rows / 0, 1));
  check_error(ErrorCode::non_finite, "reference", search(rows * std::nanf(""), rows, 1));
}

TEST_CASE("continuous labels are averaged over the neighbours") {
  const at::Tensor labels = floats({1, 10, 2, 20, 6, 60}, 2);
  const at::Tensor decoded = decode_continuous(labels, longs({0, 1, 2, 2}, 2));
  CHECK(at::equal(decoded, floats({1.5f, 15, 6, 60}, 2)));
  CHECK((decoded.scalar_type() == at::kFloat));
}

TEST_CASE("discrete labels are voted on, the smallest of equally frequent wins") {
  const at::Tensor labels = longs({7, -2, 7, 3});
  const at::Tensor decoded = decode_discrete(labels, longs({0, 1, 2, 0, 3, 1, 3, 0, 0}, 3));
  CHECK(at::equal(decoded, longs({7, -2, 7})));
  CHECK(at::equal(decode_discrete(labels, longs({0, 3, 2, 3}, 4)), longs({3})));
  CHECK(decode_discrete(labels, at::empty({0, 3}, at::kLong)).numel() == 0);
}

TEST_CASE("decoding refuses wrong types, shapes and rows") {
  const at::Tensor real = at::ones({3, 2});
  const at::Tensor classes = longs({0, 1, 2});
  const at::Tensor near = longs({0, 1}, 2);
  const auto type = ErrorCode::invalid_type;
  const auto range = ErrorCode::out_of_range;
  check_error(type, "labels is Long", [&] { decode_continuous(classes, near); });
  check_error(type, "labels is Float", [&] { decode_discrete(real, near); });
  check_error(type, "neighbours is Float", [&] { decode_continuous(real, real); });
  check_error(ErrorCode::invalid_value, "neighbours is Long [3]",
              [&] { decode_discrete(classes, classes); });
  check_error(ErrorCode::invalid_value, "at least 1 column", [&] {
    decode_discrete(classes, at::empty({2, 0}, at::kLong));
  });
  check_error(range, "rows 0 to 3, the labels have 3", [&] {
    decode_continuous(real, longs({0, 3}, 2));
  });
  check_error(range, "rows -1 to 0", [&] { decode_discrete(classes, longs({0, -1}, 2)); });
}

TEST_CASE("a continuous score is R^2 and the median absolute error per dimension") {
  // Column 0: residuals 0 0 1 1 of a spread of 5; column 1 is exact.
  const at::Tensor truth = floats({1, 4, 2, 3, 3, 2, 4, 1}, 2);
  const at::Tensor predicted = floats({1, 4, 2, 3, 4, 2, 3, 1}, 2);
  const auto score = score_continuous(truth, predicted);
  CHECK(score.r2 == std::vector<double>{0.6, 1.0});
  CHECK(score.mean_r2 == doctest::Approx(0.8));
  CHECK(score.median_absolute_error == std::vector<double>{0.5, 0.0});
}

TEST_CASE("a worse prediction than the mean has a negative R^2") {
  const auto score = score_continuous(floats({0, 1, 2}, 1), floats({2, 1, 0}, 1));
  CHECK(score.r2[0] == doctest::Approx(-3));
  CHECK(score.median_absolute_error[0] == 2);
}

TEST_CASE("constant truth has no R^2 and does not count in the mean") {
  const at::Tensor truth = floats({0.1f, 1, 0.1f, 2, 0.1f, 3}, 2);
  const auto score = score_continuous(truth, truth + 0.25f);
  CHECK(std::isnan(score.r2[0]));
  CHECK(score.mean_r2 == score.r2[1]);
  CHECK(score.median_absolute_error[0] == doctest::Approx(0.25));
  const auto constant = score_continuous(at::ones({4, 2}), at::ones({4, 2}));
  CHECK(std::isnan(constant.mean_r2));
}

TEST_CASE("a discrete score is accuracy and mean recall") {
  // Class 0: 3 of 4, class 1: 0 of 1, class 5: 1 of 1; 9 appears in the prediction only.
  const auto score = score_discrete(longs({0, 0, 0, 0, 1, 5}), longs({0, 0, 0, 9, 0, 5}));
  CHECK(score.accuracy == doctest::Approx(4.0 / 6));
  CHECK(score.balanced_accuracy == doctest::Approx((0.75 + 0 + 1) / 3));
  const auto none = score_discrete(longs({1, 2}), longs({3, 3}));
  CHECK(none.accuracy == 0);
  CHECK(none.balanced_accuracy == 0);
}

TEST_CASE("scores refuse what they cannot compare") {
  const at::Tensor real = at::ones({3, 2});
  const auto invalid = ErrorCode::invalid_value;
  check_error(invalid, "equal sizes", [&] { score_continuous(real, at::ones({2, 2})); });
  check_error(invalid, "at least one sample", [&] {
    score_continuous(at::ones({0, 2}), at::ones({0, 2}));
  });
  check_error(invalid, "predicted is Float [3]", [&] { score_continuous(real, at::ones({3})); });
  check_error(ErrorCode::invalid_type, "truth is Long",
              [&] { score_continuous(longs({1}, 1), real); });
  check_error(ErrorCode::non_finite, "predicted", [&] { score_continuous(real, real / 0); });
  check_error(ErrorCode::non_finite, "truth", [&] { score_continuous(real / 0, real); });
  check_error(invalid, "equal sizes", [&] { score_discrete(longs({1, 2}), longs({1})); });
  check_error(invalid, "at least one sample",
              [&] { score_discrete(at::empty({0}, at::kLong), at::empty({0}, at::kLong)); });
  check_error(ErrorCode::invalid_type, "predicted is Float",
              [&] { score_discrete(longs({1}), at::ones({1})); });
}
