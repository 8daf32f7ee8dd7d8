#include <grevy/error.hpp>
#include <grevy/host/alignment.hpp>
#include <grevy/host/consistency.hpp>
#include <grevy/host/decoders.hpp>
#include <grevy/host/goodness_of_fit.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::align_embeddings;
using grevy::host::AlignmentOptions;
using grevy::host::consistency_between_datasets;
using grevy::host::consistency_between_runs;
using grevy::host::ensemble_embeddings;
using grevy::host::infonce_to_goodness_of_fit;
using grevy::host::L1LinearRegressor;
using grevy::host::L1Options;
using grevy::host::LinearModel;
using grevy::host::OrthogonalProcrustes;
using grevy::host::ProcrustesOptions;
using grevy::host::Random;
using grevy::host::ridge_decoding;

using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

constexpr auto invalid = ErrorCode::invalid_value;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

at::Tensor vector(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

at::Tensor matrix(const std::vector<double>& values, std::int64_t columns) {
  return vector(values).view({-1, columns});
}

at::Tensor longs(std::vector<std::int64_t> values) { return at::tensor(values); }

// Numbers without a pattern between -1 and 1, the same every time.
at::Tensor noise(std::int64_t rows, std::int64_t columns, double start) {
  return (at::arange(rows * columns, at::kDouble).square() * 0.7 + start)
      .sin()
      .view({rows, columns});
}

at::Tensor rotation(double angle) {
  return matrix({std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle)}, 2);
}

bool close(const at::Tensor& found, const at::Tensor& expected, double tolerance = 1e-12) {
  return found.sizes() == expected.sizes() && at::allclose(found, expected, 0, tolerance);
}

AlignmentOptions bins(std::int64_t count, bool normalize = false) {
  AlignmentOptions options;
  options.num_bins = count;
  options.normalize = normalize;
  return options;
}

ProcrustesOptions nearest(std::int64_t top_k) {
  ProcrustesOptions options;
  options.top_k = top_k;
  return options;
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

// Two curves that the reference was run on.
struct Curves {
  at::Tensor time = at::linspace(0, 1, 12, at::kDouble);
  at::Tensor circle = at::stack({(3 * time).sin(), (3 * time).cos()}, 1);
  at::Tensor bow = at::stack({(3 * time).sin().square(), time}, 1);
};

}  // namespace

TEST_CASE("consistency between runs agrees with the reference") {
  const Curves curves;
  const auto found = consistency_between_runs({curves.circle, curves.bow});
  CHECK(close(vector(found.scores), vector({.96296114, .96347465}), 5e-9));
  CHECK((found.pairs == Pairs{{0, 1}, {1, 0}}));
  CHECK(found.ids == std::vector<std::int64_t>{0, 1});
}

TEST_CASE("the consistency of two columns is their squared correlation") {
  const at::Tensor first = matrix({0, 1, 2, 3}, 1), second = matrix({1, 3, 2, 4}, 1);
  const auto found = consistency_between_runs({first, second, first * -7 + 1e6});
  CHECK(close(vector(found.scores), vector({.64, 1, .64, .64, 1, .64}), 1e-9));
  CHECK((found.pairs == Pairs{{0, 1}, {0, 2}, {1, 0}, {1, 2}, {2, 0}, {2, 1}}));
}

TEST_CASE("consistency averages the columns of the embedding that is fitted") {
  const at::Tensor first = matrix({0, 1, 2, 3}, 1), second = matrix({1, 3, 2, 4}, 1);
  const auto found = consistency_between_runs({first, at::cat({first, second}, 1)});
  CHECK(close(vector(found.scores), vector({.82, 1})));
}

TEST_CASE("constant columns count as 1, dependent and constant inputs are no obstacle") {
  const at::Tensor place = matrix({0, 1, 2, 3}, 1), constant = at::full({4, 1}, .1, at::kDouble);
  const auto found =
      consistency_between_runs({place, constant, at::cat({place, 2 * place, constant}, 1)});
  CHECK(close(vector(found.scores), vector({1, 1, 0, 1. / 3, 1, 1})));
}

TEST_CASE("consistency takes float32 and whole numbers") {
  const at::Tensor first = matrix({0, 1, 2, 3}, 1), second = matrix({1, 3, 2, 4}, 1);
  for (const auto type : {at::kFloat, at::kInt, at::kLong}) {
    const auto found = consistency_between_runs({first.to(type), second.to(type)});
    CHECK(close(vector(found.scores), vector({.64, .64})));
  }
}

TEST_CASE("alignment agrees with the reference") {
  const Curves curves;
  const auto found = align_embeddings({curves.circle}, {curves.time}, bins(5, true));
  REQUIRE(found.size() == 1);
  CHECK(close(found[0],
              matrix({.26935891, .96303986, .88704699, .46167915, .94332203, -.33187882, .52326986,
                      -.85216703},
                     2),
              5e-9));
}

TEST_CASE("an empty bin takes the mean of its neighbours within 1, else within 2 bins") {
  const auto found = align_embeddings({matrix({1, 2, 4, 8}, 1)}, {longs({0, 1, 5, 1})}, bins(6))[0];
  // Edges 0 to 5: bin 1 holds 1, bin 2 holds 2 and 8, and the largest label lies beyond bin 5.
  CHECK(close(found, matrix({1, 5, 5, 14. / 3, 4}, 1)));
}

TEST_CASE("the edges span the labels of all sets, and a label on an edge opens its bin") {
  const at::Tensor embedding = matrix({1, 2, 3, 4}, 1);
  const auto found = align_embeddings({embedding, embedding},
                                      {vector({0, .5, 1, 1.5}), vector({.5, 1, 1.5, 2})}, bins(5));
  CHECK(close(found[0], matrix({1, 2, 3, 4}, 1)));
  CHECK(close(found[1], matrix({1, 1, 2, 3}, 1)));
}

TEST_CASE("samples with NaN are left out, their labels are not") {
  const auto found = align_embeddings({matrix({1, 1, 2, 2, 3, 3, 7, not_a_number}, 2)},
                                      {vector({0, 1, 2, 3})}, bins(4));
  CHECK(close(found[0], matrix({1, 1, 2, 2, 3, 3}, 2)));
}

TEST_CASE("aligned rows have unit norm, rows of zeros stay") {
  const auto found =
      align_embeddings({matrix({3, 4, 0, 0, 9, 9}, 2)}, {vector({0, 1, 2})}, bins(3, true))[0];
  CHECK(close(found, matrix({.6, .8, 0, 0}, 2)));
}

TEST_CASE("one bin has two open ends: no rows") {
  CHECK(align_embeddings({at::ones({3, 2})}, {vector({0, 1, 2})}, bins(1))[0].sizes() ==
        at::IntArrayRef({0, 2}));
}

TEST_CASE("alignment refuses what it cannot align") {
  const at::Tensor rows = at::ones({2, 3}), label = vector({0, 10});
  const auto align = [](std::vector<at::Tensor> embeddings, std::vector<at::Tensor> labels,
                        std::int64_t count) {
    return [=] { align_embeddings(embeddings, labels, bins(count)); };
  };
  check_error(invalid, "0 embeddings, allowed are at least 1", align({}, {}, 5));
  check_error(invalid, "1 embeddings and 2 labels", align({rows}, {label, label}, 5));
  check_error(invalid, "num_bins is 0, allowed is at least 1", align({rows}, {label}, 0));
  check_error(invalid, "label 0 has 3 samples, its embedding 2",
              align({rows}, {vector({0, 1, 2})}, 5));
  check_error(invalid,
              "embedding 0 has no sample within 2 bins of bin 4 (labels from 3.000000 to 4.000000)",
              align({rows}, {label}, 11));
  check_error(invalid,
              "num_bins is 12, embedding 0 has 2 samples without NaN; allowed are up to 11",
              align({rows}, {label}, 12));
  check_error(invalid, "allowed are up to 11",
              align({rows}, {label}, std::numeric_limits<std::int64_t>::max()));
  check_error(invalid, "0 samples without NaN", align({rows * not_a_number}, {label}, 2));
  check_error(invalid, "embedding 1 is Float [2]",
              align({rows, rows[0][0].expand(2)}, {label, label}, 5));
  check_error(invalid, "not empty", align({at::ones({0, 3})}, {at::ones({0})}, 5));
  check_error(ErrorCode::unimplemented, "label 0 is Double [2, 1], allowed is 1 dimension",
              align({rows}, {label.unsqueeze(1)}, 5));
  check_error(ErrorCode::invalid_type, "embedding 0 is Bool [2, 3]",
              align({rows.to(at::kBool)}, {label}, 5));
  check_error(ErrorCode::invalid_type, "label 0 is an undefined tensor", align({rows}, {{}}, 5));
  check_error(ErrorCode::non_finite, "label 0 contains NaN",
              align({rows}, {label * not_a_number}, 5));
  check_error(ErrorCode::non_finite, "embedding 0 contains", align({rows / 0}, {label}, 5));
}

TEST_CASE("consistency between data sets is that of the aligned embeddings") {
  const Curves curves;
  const std::vector<at::Tensor> embeddings{curves.circle, curves.bow};
  const std::vector<at::Tensor> labels{curves.time, curves.time.square()};
  const auto aligned = align_embeddings(embeddings, labels, bins(6, true));
  const auto expected = consistency_between_runs(aligned);
  const auto found = consistency_between_datasets(embeddings, labels, {}, 6);
  CHECK(found.scores == expected.scores);
  CHECK(found.pairs == expected.pairs);
  CHECK(found.ids == std::vector<std::int64_t>{0, 1});
}

TEST_CASE("embeddings of one data set are averaged, scores and pairs alike") {
  const at::Tensor label = at::arange(30, at::kDouble);
  std::vector<at::Tensor> embeddings, labels(4, label);
  for (int i = 0; i < 4; ++i) embeddings.push_back(noise(30, 2, i));
  const auto single = consistency_between_datasets(embeddings, labels, {}, 10);
  const auto score = [&](std::int64_t from, std::int64_t to) {
    const auto place = from * 3 + to - (to > from ? 1 : 0);  // without i to i
    return single.scores.at(static_cast<std::size_t>(place));
  };
  const auto found = consistency_between_datasets(embeddings, labels, {7, 3, 7, 5}, 10);
  CHECK((found.pairs == Pairs{{7, 3}, {7, 5}, {3, 7}, {3, 5}, {5, 7}, {5, 3}}));
  CHECK(found.ids == std::vector<std::int64_t>{7, 3, 7, 5});
  CHECK(close(vector(found.scores),
              vector({(score(0, 1) + score(2, 1)) / 2, (score(0, 3) + score(2, 3)) / 2,
                      (score(1, 0) + score(1, 2)) / 2, score(1, 3), (score(3, 0) + score(3, 2)) / 2,
                      score(3, 1)})));
}

TEST_CASE("consistency refuses what it cannot compare") {
  const at::Tensor rows = noise(8, 2, 0), label = at::arange(8);
  const auto type = ErrorCode::invalid_type;
  const auto finite = ErrorCode::non_finite;
  const auto runs = [](std::vector<at::Tensor> embeddings) {
    return [=] { consistency_between_runs(embeddings); };
  };
  check_error(invalid, "there are 1 embeddings, allowed are at least 2", runs({rows}));
  check_error(invalid, "embedding 1 has 7 samples, the first 8",
              runs({rows, rows.narrow(0, 0, 7)}));
  check_error(invalid, "at least 2", runs({rows.narrow(0, 0, 1), rows.narrow(0, 0, 1)}));
  check_error(invalid, "embedding 1 is Double [8]", runs({rows, rows.select(1, 0)}));
  check_error(type, "embedding 0 is an undefined tensor", runs({{}, rows}));
  check_error(finite, "embedding 1 contains NaN", runs({rows, rows * not_a_number}));
  check_error(finite, "a magnitude above 1e100", runs({rows * 1e200, rows}));

  const auto sets = [=](std::vector<at::Tensor> labels, std::vector<std::int64_t> ids,
                        std::int64_t count = 4) {
    return [=] { consistency_between_datasets({rows, rows}, labels, ids, count); };
  };
  check_error(invalid, "2 embeddings and 0 labels", sets({}, {}));
  check_error(invalid, "2 embeddings and 3 dataset_ids", sets({label, label}, {1, 2, 3}));
  check_error(invalid, "all dataset_ids are 4", sets({label, label}, {4, 4}));
  check_error(invalid, "num_bins is 2, allowed is at least 3", sets({label, label}, {}, 2));
  check_error(ErrorCode::unimplemented, "label 1 is Double [8, 2]", sets({label, rows}, {}));
  check_error(invalid, "there are 1 embeddings, allowed are at least 2",
              [&] { consistency_between_datasets({rows}, {label}); });
}

TEST_CASE("the goodness of fit is in bits above chance") {
  CHECK(infonce_to_goodness_of_fit(5.0, 512) == doctest::Approx(1.7865247955551828).epsilon(1e-15));
  CHECK(infonce_to_goodness_of_fit(0, 1024) == doctest::Approx(10));
  CHECK(infonce_to_goodness_of_fit(std::log(48.), 48) == 0);
  check_error(invalid, "num_negatives is 0", [] { infonce_to_goodness_of_fit(1, 0); });
  check_error(ErrorCode::non_finite, "the loss is nan",
              [] { infonce_to_goodness_of_fit(not_a_number, 8); });
}

TEST_CASE("Procrustes alignment agrees with the reference") {
  const Curves curves;
  OrthogonalProcrustes alignment(nearest(2));
  const at::Tensor data = at::mm(curves.circle, matrix({0, 1, -1, 0}, 2));
  alignment.fit(curves.circle, data);
  CHECK(close(alignment.matrix(), matrix({.11360571, -.99352591, .99352591, .11360571}, 2), 5e-9));
  CHECK(close(alignment.transform(data), at::mm(data, alignment.matrix())));
}

TEST_CASE("rotations and reflections are found, whatever the order of the samples") {
  const at::Tensor reference = noise(40, 2, 1), label = noise(40, 1, 5).squeeze(1);
  const at::Tensor order = (at::arange(40) * 7) % 40;
  for (const at::Tensor& turn : {rotation(2), at::mm(rotation(1), matrix({1, 0, 0, -1}, 2))}) {
    const at::Tensor data = at::mm(reference, turn.t()).index_select(0, order);
    OrthogonalProcrustes alignment(nearest(1));
    alignment.fit(reference, data, label, label.index_select(0, order));
    CHECK(close(alignment.matrix(), turn));
    CHECK(close(alignment.transform(data), reference.index_select(0, order)));
  }
}

TEST_CASE("the nearest labels are those of a complete search") {
  const at::Tensor reference = noise(300, 3, 2), data = noise(700, 3, 3);
  for (const std::int64_t width : {1, 2, 4}) {
    const at::Tensor reference_label = noise(300, width, 4), label = noise(700, width, 6);
    const at::Tensor distance = (label.unsqueeze(1) - reference_label.unsqueeze(0)).square().sum(2);
    const at::Tensor rows = std::get<1>(distance.topk(6, 1, /*largest=*/false));
    const at::Tensor sums = reference.index_select(0, rows.flatten()).view({700, 6, 3}).sum(1);
    const auto [left, sizes, right] = at::linalg_svd(at::mm(data.t(), sums));
    OrthogonalProcrustes alignment(nearest(6));
    alignment.fit(reference, data, reference_label, label);
    CHECK(close(alignment.matrix(), at::mm(left, right), 1e-10));
  }
}

TEST_CASE("of equally near labels the earlier samples are taken") {
  const at::Tensor reference = noise(6, 2, 1), data = noise(4, 2, 2);
  const at::Tensor first = reference.index_select(0, longs({0, 2}));
  // Samples 0, 2, 4 and 5 of the reference are equally near, on either side.
  const at::Tensor label = longs({1, 9, 3, 9, 1, 3});
  OrthogonalProcrustes alignment(nearest(2)), expected(nearest(2));
  alignment.fit(reference, data, label, longs({2, 2, 2, 2}));
  expected.fit(first, data, longs({1, 3}), longs({2, 2, 2, 2}));
  CHECK(close(alignment.matrix(), expected.matrix()));
}

TEST_CASE("of samples with the same label the first are taken, as many as are asked for") {
  const at::Tensor reference = noise(7, 2, 1), data = noise(4, 2, 2);
  const at::Tensor query = longs({2, 2, 2, 2});
  OrthogonalProcrustes alignment(nearest(2)), expected(nearest(2));
  alignment.fit(reference, data, longs({9, 2, 2, 9, 2, 2, 2}), query);
  expected.fit(reference.narrow(0, 1, 2), data, longs({2, 2}), query);
  CHECK(close(alignment.matrix(), expected.matrix()));
}

TEST_CASE("a subsample is drawn from the random numbers given") {
  const at::Tensor reference = noise(50, 2, 1), data = noise(50, 2, 2);
  const auto fit = [&](std::int64_t subsample, std::uint64_t seed) {
    ProcrustesOptions options;
    options.subsample = subsample;
    OrthogonalProcrustes alignment(options);
    Random random(seed, "test");
    alignment.fit(reference, data, {}, {}, &random);
    return alignment.matrix();
  };
  OrthogonalProcrustes all;
  all.fit(reference, data);
  CHECK(at::equal(fit(20, 1), fit(20, 1)));
  CHECK_FALSE(at::equal(fit(20, 1), fit(20, 2)));
  CHECK(at::equal(fit(51, 1), all.matrix()));
  CHECK(close(at::mm(fit(1, 1), fit(1, 1).t()), at::eye(2, at::kDouble)));
}

TEST_CASE("Procrustes alignment refuses what it cannot align") {
  const at::Tensor rows = noise(6, 2, 0), label = at::arange(6);
  const auto fit = [](const at::Tensor& reference, const at::Tensor& data,
                      const at::Tensor& reference_label, const at::Tensor& data_label) {
    return [=] { OrthogonalProcrustes().fit(reference, data, reference_label, data_label); };
  };
  check_error(invalid, "top_k is 0", [] { OrthogonalProcrustes{nearest(0)}; });
  check_error(invalid, "subsample is 0", [] { OrthogonalProcrustes({5, 0}); });
  check_error(invalid, "only the data has a label", fit(rows, rows, {}, label));
  check_error(invalid, "only the reference has a label", fit(rows, rows, label, {}));
  check_error(invalid, "the reference has 6 samples, the data 5; without labels",
              fit(rows, rows.narrow(0, 0, 5), {}, {}));
  check_error(invalid, "the reference has 4 samples, allowed are at least the 5 of top_k",
              fit(rows.narrow(0, 0, 4), rows, label.narrow(0, 0, 4), label));
  check_error(invalid, "the reference's embedding has 2 columns, the data's 3",
              fit(rows, noise(6, 3, 0), {}, {}));
  check_error(invalid, "the reference's label has 1 columns, the data's 2",
              fit(rows, rows, label, rows));
  check_error(invalid, "the reference has 6 samples, its label 5",
              fit(rows, rows, label.narrow(0, 0, 5), label));
  check_error(invalid, "the data has 6 samples, its label 5",
              fit(rows, rows, label, label.narrow(0, 0, 5)));
  check_error(invalid, "data is Double [2]", fit(rows, rows[0], {}, {}));
  check_error(ErrorCode::invalid_type, "reference is an undefined tensor", fit({}, rows, {}, {}));
  const auto type = ErrorCode::invalid_type;
  check_error(type, "reference is Double [6, 2] (not dense)", fit(rows.to_sparse(), rows, {}, {}));
  check_error(type, "data is QUInt8 [6, 2] (not dense)",
              fit(rows, at::quantize_per_tensor(rows.to(at::kFloat), .1, 0, at::kQUInt8), {}, {}));
  check_error(type, "data is Double [6, 2] (not dense)", fit(rows, rows.to(at::kMeta), {}, {}));
  check_error(ErrorCode::non_finite, "label contains NaN",
              fit(rows, rows, label, label * not_a_number));
  check_error(invalid, "no random numbers", [&] { OrthogonalProcrustes({5, 4}).fit(rows, rows); });
}

TEST_CASE("a fit that failed leaves the one before") {
  const at::Tensor rows = noise(6, 2, 0);
  OrthogonalProcrustes alignment;
  check_error(ErrorCode::invalid_state, "fit must come first", [&] { alignment.matrix(); });
  check_error(ErrorCode::invalid_state, "fit must come first", [&] { alignment.transform(rows); });
  alignment.fit(rows, rows);
  const at::Tensor before = alignment.matrix().clone();
  check_error(invalid, "samples", [&] { alignment.fit(rows, rows.narrow(0, 0, 3)); });
  CHECK(at::equal(alignment.matrix(), before));
  check_error(invalid, "has 2 columns, the data's 3", [&] { alignment.transform(noise(6, 3, 0)); });
}

TEST_CASE("an ensemble is the mean of the first and the others turned onto it") {
  const at::Tensor first = noise(30, 2, 0);
  const std::vector<at::Tensor> embeddings{first, at::mm(first, rotation(1)),
                                           3 * at::mm(first, rotation(2))};
  grevy::host::EnsembleOptions options;
  options.top_k = 1;
  const at::Tensor label = at::arange(30) * 2;
  CHECK(close(ensemble_embeddings(embeddings, {}, options), first * (5. / 3)));
  CHECK(close(ensemble_embeddings(embeddings, {label, label, label}, options), first * (5. / 3)));
  options.normalize = true;
  CHECK(close(ensemble_embeddings(embeddings, {}, options), first / first.norm(2, {1}, true)));
  CHECK(
      close(ensemble_embeddings({at::zeros({5, 2})}, {}, options), at::zeros({5, 2}, at::kDouble)));
  CHECK(close(ensemble_embeddings({first.to(at::kFloat)}), first, 1e-7));
}

TEST_CASE("an ensemble refuses what it cannot average") {
  const at::Tensor rows = noise(6, 2, 0), label = at::arange(6);
  check_error(invalid, "there are 0 embeddings", [] { ensemble_embeddings({}); });
  check_error(invalid, "2 embeddings and 1 labels", [&] {
    ensemble_embeddings({rows, rows}, {label});
  });
  check_error(invalid, "embedding 1 is Double [5, 2], the first Double [6, 2]", [&] {
    ensemble_embeddings({rows, rows.narrow(0, 0, 5)});
  });
  check_error(invalid, "top_k is 0", [&] { ensemble_embeddings({rows}, {}, {0, false}); });
}

TEST_CASE("the lasso shrinks a coefficient by alpha and drops small ones") {
  // Centred, orthogonal columns: w = soft(x y / n, alpha) n / x x.
  const at::Tensor inputs = matrix({-1, 1, 0, -2, 1, 1}, 2);
  const at::Tensor targets = at::mm(inputs, matrix({2, 0, .25, 1}, 2)) + vector({3, -5});
  L1Options options;
  options.alpha = 1. / 2;
  options.tolerance = 0;
  L1LinearRegressor decoder(options);
  decoder.fit(inputs + 10, targets);
  CHECK(decoder.converged());
  CHECK(close(decoder.model().coefficients, matrix({1.25, 0, 0, .75}, 2)));
  CHECK(close(decoder.model().intercept, vector({3 - 12.5, -5 - 7.5})));
  CHECK(close(decoder.predict(matrix({14, 12}, 2)), matrix({8, -3.5}, 2)));
}

TEST_CASE("a tight tolerance ends where the lasso's conditions for a minimum hold") {
  const at::Tensor inputs = noise(60, 5, 1) + 0.5 * noise(60, 1, 9);
  const at::Tensor targets = at::mm(inputs, noise(5, 3, 3)) + noise(60, 3, 4);
  L1Options options;
  options.alpha = 0.2;
  options.tolerance = 1e-12;
  L1LinearRegressor decoder(options);
  decoder.fit(inputs, targets);
  REQUIRE(decoder.converged());
  const at::Tensor w = decoder.model().coefficients.t();
  const at::Tensor residual = targets - decoder.predict(inputs);
  const at::Tensor pull = at::mm((inputs - inputs.mean(0)).t(), residual) / 60;
  CHECK(close(residual.mean(0), at::zeros({3}, at::kDouble)));
  CHECK(at::logical_or(w == 0, (pull - options.alpha * w.sign()).abs() < 1e-9).all().item<bool>());
  CHECK((pull.abs() < options.alpha + 1e-9).all().item<bool>());
  CHECK((w == 0).any().item<bool>());
  CHECK((w != 0).any().item<bool>());
}

TEST_CASE("the lasso says when it stopped before the tolerance") {
  const at::Tensor inputs = noise(60, 5, 1) + 0.5 * noise(60, 1, 9), targets = noise(60, 1, 4);
  L1Options options;
  options.alpha = 1e-3;
  options.max_passes = 1;
  L1LinearRegressor decoder(options);
  CHECK_FALSE(decoder.converged());
  decoder.fit(inputs, targets);
  CHECK_FALSE(decoder.converged());
}

TEST_CASE("the lasso has converged when every output has") {
  // A constant takes one pass.
  const at::Tensor inputs = noise(60, 5, 1) + 0.5 * noise(60, 1, 9), targets = noise(60, 1, 4);
  const at::Tensor constant = at::ones({60, 1}, at::kDouble);
  L1Options options;
  options.alpha = 1e-3;
  options.max_passes = 1;
  L1LinearRegressor decoder(options);
  decoder.fit(inputs, at::cat({targets, constant}, 1));
  CHECK_FALSE(decoder.converged());
  decoder.fit(inputs, at::cat({constant, targets}, 1));
  CHECK_FALSE(decoder.converged());
  decoder.fit(inputs, constant);
  CHECK(decoder.converged());
}

TEST_CASE("small steps far from the minimum are no convergence") {
  // The second column differs from the first by a hundredth of the target: each pass takes away
  // some 1e-4 of the error, and adds to coefficients that grow to 100.
  const at::Tensor first = matrix({1, -1, 1, -1}, 1), target = matrix({1, 1, -1, -1}, 1);
  L1Options options;
  options.alpha = 1e-9;
  options.tolerance = .1;
  options.max_passes = 30;
  L1LinearRegressor decoder(options);
  decoder.fit(at::cat({first, first + target / 100}, 1), target);
  CHECK_FALSE(decoder.converged());
  CHECK(decoder.model().coefficients.abs().max().item<double>() < 1);
}

TEST_CASE("the lasso of constants and of a large alpha predicts the mean") {
  const at::Tensor inputs = noise(10, 2, 0), targets = noise(10, 1, 1);
  L1LinearRegressor decoder;
  decoder.fit(inputs, at::cat({targets, at::full({10, 1}, 4., at::kDouble)}, 1));
  CHECK(decoder.converged());
  CHECK(close(decoder.predict(inputs[0].unsqueeze(0)),
              matrix({targets.mean().item<double>(), 4}, 2)));
  decoder.fit(at::ones({10, 2}), targets);
  CHECK(close(decoder.model().coefficients, at::zeros({1, 2}, at::kDouble)));
}

TEST_CASE("a linear model is scored per output and on average") {
  LinearModel model;
  model.coefficients = matrix({1, 1, 0}, 1);
  model.intercept = vector({0, 1, 7});
  // Far from the origin float32 would not tell the samples apart.
  const at::Tensor inputs = matrix({0, 1, 2, 3}, 1) + 1e9;
  const auto score = model.score(inputs, at::cat({inputs, inputs, inputs * 0 + 7}, 1));
  CHECK(score.r2[0] == 1);
  CHECK(score.r2[1] == doctest::Approx(1 - 4 / 5.));
  CHECK(std::isnan(score.r2[2]));
  CHECK(score.mean_r2 == doctest::Approx(.6));
  CHECK(score.median_absolute_error == std::vector<double>{0, 1, 0});
}

TEST_CASE("ridge decoding chooses alpha by 5-fold cross-validation") {
  // 23 samples: folds of 5, 5, 5, 4 and 4. The same by normal equations.
  const at::Tensor inputs = noise(23, 3, 1);
  const at::Tensor targets = at::mm(inputs, noise(3, 2, 3)) + 0.1 * noise(23, 2, 4);
  const auto solve = [](const at::Tensor& x, const at::Tensor& y, double alpha) {
    const at::Tensor centred = x - x.mean(0);
    const at::Tensor system = at::mm(centred.t(), centred) + alpha * at::eye(3, at::kDouble);
    const at::Tensor w = at::linalg_solve(system, at::mm(centred.t(), y - y.mean(0)));
    return LinearModel{w.t(), y.mean(0) - at::mv(w.t(), x.mean(0))};
  };
  const std::vector<std::int64_t> begins{0, 5, 10, 15, 19, 23};
  double best_alpha = 0, best = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < 9; ++i) {
    const double alpha = std::pow(10., -4 + i / 2.);
    double quality = 0;
    for (std::size_t fold = 0; fold < 5; ++fold) {
      const at::Tensor held = at::arange(begins[fold], begins[fold + 1]);
      const at::Tensor kept = at::cat({at::arange(begins[fold]), at::arange(begins[fold + 1], 23)});
      const LinearModel model =
          solve(inputs.index_select(0, kept), targets.index_select(0, kept), alpha);
      quality += model.score(inputs.index_select(0, held), targets.index_select(0, held)).mean_r2;
    }
    if (quality <= best) continue;
    best = quality;
    best_alpha = alpha;
  }
  REQUIRE(best_alpha > 1e-4);
  REQUIRE(best_alpha < 1);
  const at::Tensor held_inputs = noise(7, 3, 8), held_targets = noise(7, 2, 9);
  const auto found = ridge_decoding(inputs, targets, held_inputs, held_targets);
  CHECK(found.alpha == best_alpha);
  const LinearModel expected = solve(inputs, targets, best_alpha);
  CHECK(close(found.model.coefficients, expected.coefficients));
  CHECK(close(found.model.intercept, expected.intercept));
  CHECK(close(found.predicted, expected.predict(held_inputs)));
  CHECK(found.train.r2 == found.model.score(inputs, targets).r2);
  CHECK(found.held_out.r2 == found.model.score(held_inputs, held_targets).r2);
  CHECK(found.held_out.r2.size() == 2);
}

TEST_CASE("ridge decoding takes the least alpha for exact labels and the most for none") {
  const at::Tensor inputs = noise(50, 2, 1);
  const auto exact = ridge_decoding(inputs, inputs + 1, inputs, inputs + 1);
  CHECK(exact.alpha == doctest::Approx(1e-4));
  CHECK(exact.held_out.mean_r2 == doctest::Approx(1).epsilon(1e-6));
  const at::Tensor blind = noise(50, 1, 2.5);
  CHECK(ridge_decoding(inputs, blind, inputs, blind).alpha == 1);
  // Constant in every fold: no alpha is better than another.
  const at::Tensor steps = (at::arange(50, at::kDouble) / 10).floor().unsqueeze(1);
  CHECK(ridge_decoding(inputs, steps, inputs, steps).alpha == doctest::Approx(1e-4));
}

TEST_CASE("linear decoding refuses what it cannot fit") {
  const at::Tensor inputs = noise(8, 2, 0), targets = noise(8, 1, 1);
  const auto option = [](double alpha, double tolerance, std::int64_t passes) {
    return [=] { L1LinearRegressor({alpha, tolerance, passes}); };
  };
  check_error(invalid, "alpha is 0, allowed is above 0 and at most 1e100", option(0, 0, 1));
  check_error(invalid, "alpha is 2e+100, allowed is above 0", option(2e100, 0, 1));
  check_error(invalid, "alpha is nan", option(not_a_number, 0, 1));
  check_error(invalid, "tolerance is -1, allowed is 0 to 1", option(1, -1, 1));
  check_error(invalid, "tolerance is 1.5, allowed is 0 to 1", option(1, 1.5, 1));
  check_error(invalid, "max_passes is 0, allowed is at least 1", option(1, 0, 0));

  L1LinearRegressor decoder;
  const auto state = ErrorCode::invalid_state;
  check_error(state, "fit must come first", [&] { decoder.predict(inputs); });
  check_error(state, "fit must come first", [&] { decoder.score(inputs, targets); });
  const auto fit = [&](const at::Tensor& x, const at::Tensor& y) {
    return [&decoder, x, y] { decoder.fit(x, y); };
  };
  check_error(invalid, "inputs has 8 samples, targets 7", fit(inputs, targets.narrow(0, 0, 7)));
  check_error(invalid, "targets is Double [8]", fit(inputs, targets.squeeze(1)));
  check_error(invalid, "not empty", fit(at::ones({8, 0}), targets));
  check_error(ErrorCode::invalid_type, "targets is Bool", fit(inputs, targets.to(at::kBool)));
  check_error(ErrorCode::invalid_type, "inputs is an undefined tensor", fit({}, targets));
  check_error(ErrorCode::non_finite, "inputs contains NaN", fit(inputs * not_a_number, targets));
  check_error(state, "fit must come first", [&] { decoder.predict(inputs); });

  decoder.fit(inputs, (targets * 10).to(at::kLong));
  check_error(invalid, "inputs has 3 columns, allowed are the 2",
              [&] { decoder.predict(noise(8, 3, 0)); });
  check_error(invalid, "truth is Double [7, 1], the prediction Double [8, 1]",
              [&] { decoder.score(inputs, targets.narrow(0, 0, 7)); });

  const at::Tensor few = inputs.narrow(0, 0, 4);
  check_error(invalid, "there are 4 training samples, allowed are at least 5",
              [&] { ridge_decoding(few, few, inputs, inputs); });
  check_error(invalid, "inputs has 8 samples, targets 4",
              [&] { ridge_decoding(inputs, targets, inputs, few); });
  check_error(invalid, "inputs has 3 columns",
              [&] { ridge_decoding(inputs, targets, noise(8, 3, 0), targets); });
  check_error(invalid, "truth is Double [8, 2]",
              [&] { ridge_decoding(inputs, targets, inputs, inputs); });
}
