#include "function_model.hpp"
#include "golden_support.hpp"

#include <grevy/error.hpp>
#include <grevy/host/attribution.hpp>

#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

constexpr auto invalid = ErrorCode::invalid_value;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

at::Tensor numbers(std::vector<double> values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape);
}

bool close(const at::Tensor& found, const at::Tensor& expected, double tolerance = 1e-6) {
  return found.sizes() == expected.sizes() &&
         at::allclose(found.to(at::kDouble), expected.to(at::kDouble), 0, tolerance);
}

bool is_true(const at::Tensor& found, const std::vector<bool>& expected) {
  if (found.numel() != static_cast<std::int64_t>(expected.size())) return false;
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (found.flatten()[static_cast<std::int64_t>(i)].item<bool>() != expected[i]) return false;
  return true;
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

// y = tanh(W x) of 3 channels.
at::Tensor squash(const at::Tensor& windows) {
  const at::Tensor weights = at::tensor({1.f, 2.f, 0.f, 0.f, -1.f, 3.f}).view({2, 3});
  return windows.flatten(1).matmul(weights.t()).tanh();
}

const at::Tensor two_samples = at::tensor({.1f, .2f, .3f, -.2f, .4f, 0.f}).view({2, 3});

// y_d = sum of w_dcl x_cl.
class Linear : public Encoder {
 public:
  explicit Linear(at::Tensor weights)
      : Encoder(shape(weights.size(1), weights.size(0), weights.size(2)),
                [weights](const at::Tensor& windows) {
                  return windows.flatten(1).matmul(weights.flatten(1).t());
                }) {}
};

// 2 outputs, 3 channels, 4 samples.
const at::Tensor lags = at::sin(at::arange(24, at::kFloat) * 1.3 + .4).view({2, 3, 4});

at::Tensor series(std::int64_t length, std::int64_t channels = 3) {
  return inp({length, channels});
}

AttributionOptions method(const std::string& name) {
  AttributionOptions options;
  options.method = name;
  return options;
}

Random random_of(std::uint64_t seed) { return Random(seed, "attribution"); }

}  // namespace

TEST_CASE("Jacobian and inverses agree with the reference") {
  Encoder encoder(shape(3, 2), squash);
  const at::Tensor jacobian = numbers({.7864477, 1.5728954, 0, 0, -.6347396, 1.9042187, .7115777,
                                       1.4231554, 0, 0, -.8556388, 2.5669165},
                                      {2, 2, 3});
  const at::Tensor inverse = numbers({.2764218, .4975593, .1658531, .0684978, -.0342489, .5137334,
                                      .3055061, .5499109, .1833036, .0508138, -.0254069, .3811035},
                                     {2, 2, 3});
  for (const auto& [name, key] :
       {std::pair("jacobian-based", "jf"), std::pair("neuron-gradient", "neuron-gradient")}) {
    const AttributionMaps found = attribute(encoder.ref(), two_samples, method(name));
    CHECK(found.maps.size() == 6);
    CHECK(at::equal(found.windows, at::tensor({0, 1}, at::kLong)));
    for (const std::string form : {"", "-convabs"}) {
      CHECK(close(found.maps.at(key + form), jacobian, 2e-7));
      CHECK(close(found.maps.at(key + form + "-inv-svd"), inverse, 2e-7));
      CHECK(close(found.maps.at(key + form + "-inv-lsq"), inverse, 2e-7));
    }
  }
}

TEST_CASE("batched names and batch sizes give the same numbers, without inverses") {
  Encoder encoder(shape(3, 2), squash);
  const std::vector<std::string> names = attribution_methods();
  CHECK(names.size() == 10);
  for (std::size_t i = 0; i < names.size(); i += 2) {
    CHECK(names[i + 1] == names[i] + "-batched");
    AttributionOptions whole = method(names[i]), batched = method(names[i + 1]);
    whole.inverses = false;
    whole.baselines = batched.baselines = "shuffle";
    Random random = random_of(1);
    const auto expected = attribute(encoder.ref(), series(7), whole, &random).maps;
    CHECK(expected.size() == 2);
    for (const std::int64_t size : {std::int64_t{1}, std::int64_t{3}, std::int64_t{8},
                                    std::numeric_limits<std::int64_t>::max()}) {
      batched.batch_size = size;
      Random same = random_of(1);
      const auto found = attribute(encoder.ref(), series(7), batched, &same).maps;
      CHECK(found.size() == 2);
      for (const auto& [name, map] : expected) CHECK(close(found.at(name), map));
    }
  }
}

TEST_CASE("maps of windows are means over their length") {
  Linear encoder(lags);
  const at::Tensor samples = series(6);
  const at::Tensor windows = samples.unfold(0, 4, 1).unsqueeze(1);  // (3, 1, 3, 4)
  const auto map = [&](const std::string& name, const std::string& key, double baseline = 0) {
    AttributionOptions options = method(name);
    options.baseline = baseline;
    Random random = random_of(1);
    return attribute(encoder.ref(), samples, options, &random).maps.at(key);
  };
  const at::Tensor gradient = lags.expand({3, 2, 3, 4});
  CHECK(close(map("jacobian-based", "jf"), gradient.mean(3)));
  CHECK(close(map("jacobian-based", "jf-convabs"), gradient.abs().mean(3)));
  // Of a linear model, the other three are all the weight times the distance from the baseline.
  for (const std::string name : {"feature-ablation", "integrated-gradients"}) {
    const at::Tensor share = gradient * (windows - .3);
    CHECK(close(map(name, name, .3), share.mean(3)));
    CHECK(close(map(name, name + "-convabs", .3), share.abs().mean(3)));
  }
  CHECK(close(map("neuron-gradient-shap", "neuron-gradient-shap"), (gradient * windows).mean(3)));
  CHECK(close(map("neuron-gradient-shap", "neuron-gradient-shap-convabs"),
              (gradient * windows).abs().mean(3)));
}

TEST_CASE("the inverse of a window's map is that of its mean") {
  Linear encoder(lags);
  const auto maps = attribute(encoder.ref(), series(6)).maps;
  for (const std::string key : {"jf", "jf-convabs"}) {
    const at::Tensor inverse = maps.at(key + "-inv-svd").transpose(1, 2);
    CHECK(is_true(check_moore_penrose(maps.at(key), inverse), std::vector<bool>(12, true)));
    CHECK(close(maps.at(key).matmul(inverse), at::eye(2).expand({3, 2, 2}), 1e-5));
  }
}

TEST_CASE("a convolutional model that looks at one sample has absolute values too") {
  ModelInfo info = shape(1, 1);
  const auto fall = [](const at::Tensor& windows) { return windows.flatten(1) * -2; };
  Encoder plain(info, fall);
  info.convolutional = true;
  Encoder convolutional(info, fall);
  CHECK(close(attribute(plain.ref(), series(2, 1)).maps.at("jf-convabs"), at::full({2, 1, 1}, -2)));
  CHECK(close(attribute(convolutional.ref(), series(2, 1)).maps.at("jf-convabs"),
              at::full({2, 1, 1}, 2)));
}

TEST_CASE("a model of windows that is not convolutional has absolute values too") {
  ModelInfo info = shape(1, 1, 2);
  info.convolutional = false;
  Encoder difference(info, [](const at::Tensor& windows) {
    return windows.select(2, 1) - windows.select(2, 0) * 3;
  });
  const auto maps = attribute(difference.ref(), series(3, 1)).maps;
  CHECK(close(maps.at("jf"), at::full({2, 1, 1}, -1)));
  CHECK(close(maps.at("jf-convabs"), at::full({2, 1, 1}, 2)));
}

TEST_CASE("integrated gradients add up to the difference of the outputs") {
  Encoder encoder(shape(3, 2), squash);
  AttributionOptions options = method("integrated-gradients");
  options.baseline = -.5;
  const at::Tensor samples = series(5);
  const at::Tensor map = attribute(encoder.ref(), samples, options).maps.at(options.method);
  CHECK(close(map.sum(2), squash(samples) - squash(at::full({1, 3}, -.5))));
}

TEST_CASE("n nodes integrate gradients of degree 2n - 1 exactly") {
  Encoder cube(shape(1, 1), [](const at::Tensor& windows) { return windows.flatten(1).pow(3); });
  AttributionOptions options = method("integrated-gradients");
  const at::Tensor samples = at::tensor({1.f, -2.f}).view({2, 1});
  options.num_steps = 1;
  CHECK(close(attribute(cube.ref(), samples, options).maps.at(options.method),
              numbers({.75, -6}, {2, 1, 1})));
  for (const std::int64_t steps : {2, 3, 50, 1000}) {
    options.num_steps = steps;
    CHECK(close(attribute(cube.ref(), samples, options).maps.at(options.method),
                numbers({1, -8}, {2, 1, 1}), 2e-5));
  }
}

TEST_CASE("shap averages over random places") {
  Encoder square(shape(1, 1), [](const at::Tensor& windows) { return windows.flatten(1).pow(2); });
  const at::Tensor samples = at::ones({200, 1});
  AttributionOptions options = method("neuron-gradient-shap");
  Random random = random_of(3);
  const auto map = [&] {
    return attribute(square.ref(), samples, options, &random).maps.at(options.method);
  };
  // Twice a mean of 5 uniform numbers: between 0 and 2, 1 on average.
  const at::Tensor found = map();
  CHECK(found.min().item<float>() > 0);
  CHECK(found.max().item<float>() < 2);
  CHECK(found.mean().item<float>() == doctest::Approx(1).epsilon(.1));
  CHECK(found.std().item<float>() == doctest::Approx(2 / std::sqrt(60.)).epsilon(.3));
  options.num_draws = 1000;
  CHECK(map().std().item<float>() < .05);
}

TEST_CASE("shuffled baselines are made of the data") {
  Linear identity(at::ones({1, 1, 1}));
  AttributionOptions options = method("neuron-gradient-shap");
  options.baselines = "shuffle";
  options.num_draws = 1;
  const at::Tensor samples = at::arange(20, at::kFloat).view({20, 1});
  Random random = random_of(5);
  const at::Tensor map =
      attribute(identity.ref(), samples, options, &random).maps.at(options.method);
  const at::Tensor baselines = samples.flatten() - map.flatten();
  CHECK(at::equal(baselines, baselines.round()));
  CHECK(baselines.min().item<float>() >= 0);
  CHECK(baselines.max().item<float>() < 20);
  CHECK(std::get<0>(at::_unique(baselines)).numel() > 5);
  CHECK(at::equal(samples, at::arange(20, at::kFloat).view({20, 1})));
}

TEST_CASE("a random part of the windows") {
  Linear encoder(lags);
  AttributionOptions options = method("feature-ablation");
  const at::Tensor whole = attribute(encoder.ref(), series(40), options).maps.at(options.method);
  options.num_samples = 11;
  Random random = random_of(1);
  const AttributionMaps first = attribute(encoder.ref(), series(40), options, &random);
  const AttributionMaps second = attribute(encoder.ref(), series(40), options, &random);
  const at::Tensor steps = first.windows.slice(0, 1) - first.windows.slice(0, 0, 10);
  CHECK(first.windows.numel() == 11);
  CHECK(steps.min().item<std::int64_t>() >= 1);
  CHECK(!at::equal(first.windows, second.windows));
  CHECK(at::equal(first.maps.at(options.method), whole.index_select(0, first.windows)));
  options.num_samples = 37;
  CHECK(at::equal(attribute(encoder.ref(), series(40), options, &random).windows, at::arange(37)));
}

TEST_CASE("the first outputs alone") {
  Encoder encoder(shape(3, 2), squash);
  const auto whole = attribute(encoder.ref(), two_samples).maps;
  AttributionOptions options;
  options.output_dimension = 1;
  const auto first = attribute(encoder.ref(), two_samples, options).maps;
  CHECK(at::equal(first.at("jf"), whole.at("jf").slice(1, 0, 1)));
  CHECK(first.at("jf-inv-svd").sizes() == at::IntArrayRef({2, 1, 3}));
}

TEST_CASE("an output that does not depend on the input has a map of zeros, and so its inverse") {
  const at::Tensor weight = at::ones({1}).requires_grad_(true);
  Encoder encoder(shape(1, 1), [weight](const at::Tensor& windows) {
    return weight.expand({windows.size(0), 1});
  });
  const auto maps = attribute(encoder.ref(), series(3, 1)).maps;
  CHECK(at::equal(maps.at("jf"), at::zeros({3, 1, 1})));
  CHECK(at::equal(maps.at("jf-inv-svd"), at::zeros({3, 1, 1})));
}

TEST_CASE("the model runs in evaluation mode and goes back, after an error too") {
  Encoder encoder(shape(3, 2), squash);
  AttributionOptions options;
  attribute(encoder.ref(), two_samples, options);
  options.training = false;
  attribute(encoder.ref(), two_samples, options);
  CHECK(encoder.modes() == std::vector<bool>{false, true, false, false});
  Encoder broken(shape(1, 1), [](const at::Tensor& windows) { return windows.flatten(1).log(); });
  check_error(ErrorCode::non_finite, "the map jf contains NaN or infinity", [&] {
    attribute(broken.ref(), at::zeros({2, 1}));
  });
  CHECK(broken.modes() == std::vector<bool>{false, true});
  // What went wrong first is said, not that the way back did too.
  broken.keep_evaluating();
  check_error(ErrorCode::non_finite, "the map jf contains NaN or infinity", [&] {
    attribute(broken.ref(), at::zeros({2, 1}));
  });
  CHECK(broken.modes() == std::vector<bool>{false, true, false, true});
}

TEST_CASE("parameters and their gradients stay as they are, whatever the caller's gradient mode") {
  const auto model = builtin_model("offset10-model", 3, 4, 2);
  fill(model->tensors());
  const at::Tensor samples = series(14).requires_grad_(true);
  const auto expected = attribute(*model, samples).maps;
  {
    const at::NoGradGuard no_grad;
    CHECK(at::equal(attribute(*model, samples).maps.at("jf"), expected.at("jf")));
  }
  for (const NamedTensor& t : model->tensors()) {
    CHECK(t.tensor.requires_grad());
    CHECK(!t.tensor.grad().defined());
  }
  CHECK(!samples.grad().defined());
  for (const auto& [name, map] : expected) CHECK(!map.requires_grad());
}

TEST_CASE("dropout is off") {
  const auto model = builtin_model("offset36-model-dropout", 3, 4, 2);
  const auto map = [&] { return attribute(*model, series(38)).maps.at("jf"); };
  CHECK(at::equal(map(), map()));
}

TEST_CASE("the inverse of an encoder with outputs of length 1 leaves its last direction out") {
  const auto model = builtin_model("offset10-model", 3, 4, 2);
  fill(model->tensors());
  AttributionOptions options;
  const auto maps = attribute(*model, series(14), options).maps;
  const at::Tensor map = maps.at("jf").to(at::kDouble);
  const at::Tensor inverse = maps.at("jf-inv-svd").transpose(1, 2).to(at::kDouble);
  CHECK(is_true(check_moore_penrose(map, inverse), std::vector<bool>(20, true)));
  const at::Tensor rank = map.matmul(inverse).diagonal(0, 1, 2).sum(1);
  CHECK(close(rank, at::ones({5})));
  // Without the cut-off, rounding is all there is.
  options.cut_off = 0;
  const auto noise = attribute(*model, series(14), options).maps.at("jf-inv-svd");
  CHECK((noise.abs().amax() / inverse.abs().amax()).item<double>() > 1e3);
}

TEST_CASE("the Jacobian of windows keeps the lags") {
  Linear encoder(lags);
  JacobianOptions options;
  options.batch_size = 2;
  const at::Tensor windows = inp({3, 3, 4});
  CHECK(close(jacobian(encoder.ref(), windows, options), lags.expand({3, 2, 3, 4})));
  options.training = false;
  jacobian(encoder.ref(), windows.to(at::kDouble), options);
  CHECK(encoder.modes() == std::vector<bool>{false, true, false, false});
}

TEST_CASE("pseudo-inverse of any shape and rank") {
  CHECK(close(pseudo_inverse(numbers({2, 0, 0, 4}, {2, 2})), numbers({.5, 0, 0, .25}, {2, 2}),
              1e-15));
  CHECK(close(pseudo_inverse(numbers({1, 2, 2, 4}, {2, 2})), numbers({.04, .08, .08, .16}, {2, 2}),
              1e-15));
  CHECK(close(pseudo_inverse(numbers({3, 4}, {1, 2})), numbers({.12, .16}, {2, 1}), 1e-15));
  CHECK(close(pseudo_inverse(numbers({3, 4}, {2, 1})), numbers({.12, .16}, {1, 2}), 1e-15));
  CHECK(close(pseudo_inverse(at::zeros({2, 3})), at::zeros({3, 2})));
  CHECK(pseudo_inverse(at::ones({5, 4, 2, 3})).sizes() == at::IntArrayRef({5, 4, 3, 2}));
  const at::Tensor nearly_flat = numbers({1, 0, 0, .01}, {2, 2});
  CHECK(close(pseudo_inverse(nearly_flat, .02), numbers({1, 0, 0, 0}, {2, 2})));
  CHECK(close(pseudo_inverse(nearly_flat, .005), numbers({1, 0, 0, 100}, {2, 2})));
}

TEST_CASE("the four conditions of an inverse") {
  const at::Tensor flat = numbers({1, 0, 0, 0}, {1, 2, 2});
  const auto check = [&](std::vector<double> inverse, const std::vector<bool>& expected) {
    CHECK(is_true(check_moore_penrose(flat, numbers(std::move(inverse), {1, 2, 2})), expected));
  };
  check({1, 0, 0, 0}, {true, true, true, true});
  check({0, 0, 0, 0}, {false, true, true, true});
  check({1, 0, 0, 5}, {true, false, true, true});
  check({1, 2, 0, 0}, {true, true, false, true});
  check({1, 0, 2, 0}, {true, true, true, false});
  const at::Tensor near = numbers({1.01, 0, 0, 0}, {1, 2, 2});
  CHECK(is_true(check_moore_penrose(flat, near), {false, false, true, true}));
  CHECK(is_true(check_moore_penrose(flat, near, .02), {true, true, true, true}));
}

TEST_CASE("score and metrics of a map") {
  const at::Tensor map = numbers({.1, .8, .3, .9, .2, .25}, {2, 3});
  const at::Tensor truth = at::tensor({0, 1, 0, 1, 0, 1}).view({2, 3}).to(at::kBool);
  CHECK(attribution_score(map, truth) == doctest::Approx(8. / 9));
  CHECK(attribution_score(-map, truth) == doctest::Approx(1. / 9));
  CHECK(attribution_score(truth.to(at::kFloat), truth) == 1);
  CHECK(attribution_score(at::ones({2, 3}), truth) == .5);
  CHECK(attribution_score(numbers({1, 1, 2, 1}, {4}), at::tensor({1, 0, 1, 0}).to(at::kBool)) ==
        .75);
  const AttributionMetrics m = attribution_metrics(map, truth);
  const at::Tensor found =
      numbers({m.max_connected, m.mean_connected, m.min_connected, m.max_nonconnected,
               m.mean_nonconnected, m.min_nonconnected, m.gap_max, m.gap_mean, m.gap_min,
               m.gap_minmax, m.max_jacobian, m.min_jacobian},
              {12});
  CHECK(close(found, numbers({.9, .65, .25, .3, .2, .1, .6, .45, .15, -.05, .9, .1}, {12}), 1e-15));
}

TEST_CASE("attribution refuses options out of range") {
  Linear encoder(lags);
  const auto refuses = [&](ErrorCode code, const std::string& piece,
                           const AttributionOptions& options) {
    check_error(code, piece, [&] { attribute(encoder.ref(), series(6), options); });
  };
  const auto with = [](auto AttributionOptions::*option, auto value,
                       const std::string& name = "jacobian-based") {
    AttributionOptions options = method(name);
    options.*option = value;
    return options;
  };
  using Options = AttributionOptions;
  refuses(invalid, "method is \"jf\", allowed are jacobian-based, jacobian-based-batched, neuron",
          method("jf"));
  refuses(invalid, "batch_size is 0, allowed is at least 1", with(&Options::batch_size, 0));
  refuses(invalid, "num_samples is 0, allowed are 1 to 3", with(&Options::num_samples, 0));
  refuses(invalid, "num_samples is 4, allowed are 1 to 3", with(&Options::num_samples, 4));
  refuses(invalid, "num_samples needs a Random, found none", with(&Options::num_samples, 2));
  refuses(invalid, "output_dimension is 0, allowed are 1 to 2",
          with(&Options::output_dimension, 0));
  refuses(invalid, "output_dimension is 3, allowed are 1 to 2",
          with(&Options::output_dimension, 3));
  refuses(invalid, "num_steps is 0, allowed are 1 to 1000", with(&Options::num_steps, 0));
  refuses(invalid, "num_draws is 1001, allowed are 1 to 1000", with(&Options::num_draws, 1001));
  refuses(invalid, "cut_off is 1.000000, allowed is 0 up to, but not, 1",
          with(&Options::cut_off, 1));
  refuses(invalid, "cut_off is nan", with(&Options::cut_off, not_a_number));
  refuses(ErrorCode::non_finite, "the baseline is nan", with(&Options::baseline, not_a_number));
  refuses(ErrorCode::unimplemented, "baselines is \"noise\", allowed are zeros, shuffle",
          with(&Options::baselines, "noise", "neuron-gradient-shap"));
  refuses(invalid, "neuron-gradient-shap needs a Random, found none",
          method("neuron-gradient-shap"));
}

TEST_CASE("attribution refuses samples that do not fit the model") {
  Linear encoder(lags);
  const auto refuses = [&](ErrorCode code, const std::string& piece, const at::Tensor& samples) {
    check_error(code, piece, [&] { attribute(encoder.ref(), samples); });
  };
  refuses(invalid, "the model takes 3 channels, found 2", series(6, 2));
  refuses(invalid, "found 3 samples; the receptive field needs at least 4", series(3));
  refuses(invalid, "samples is Float [6], allowed is (time, channels), not empty", inp({6}));
  refuses(invalid, "samples is Float [0, 3]", at::ones({0, 3}));
  refuses(ErrorCode::invalid_type, "samples is Long [6, 3]", at::ones({6, 3}, at::kLong));
  refuses(ErrorCode::invalid_type, "samples is an undefined tensor", {});
  refuses(ErrorCode::non_finite, "samples contains NaN or infinity", series(6) * not_a_number);
  refuses(ErrorCode::non_finite, "beyond float32", at::full({6, 3}, 1e50, at::kDouble));
}

TEST_CASE("attribution refuses a model that breaks its description") {
  Encoder wide(shape(3, 2), [](const at::Tensor& windows) { return windows.flatten(1); });
  check_error(invalid,
              "encoder made [2, 3] from windows [2, 3, 1]; its description promises [2, 2]",
              [&] { attribute(wide.ref(), two_samples); });
  Encoder still(shape(3, 2), [](const at::Tensor& windows) { return squash(windows).detach(); });
  check_error(invalid, "the outputs of encoder carry no gradient",
              [&] { attribute(still.ref(), two_samples); });
  CHECK(attribute(still.ref(), two_samples, method("feature-ablation")).maps.size() == 2);
}

TEST_CASE("the Jacobian of windows refuses what does not fit") {
  Linear encoder(lags);
  const auto refuses = [&](const std::string& piece, const at::Tensor& windows,
                           std::int64_t batch_size = 1) {
    JacobianOptions options;
    options.batch_size = batch_size;
    check_error(invalid, piece, [&] { jacobian(encoder.ref(), windows, options); });
  };
  refuses("batch_size is -1, allowed is at least 1", inp({1, 3, 4}), -1);
  refuses("the model takes 3 channels, found 2", inp({1, 2, 4}));
  refuses("receptive field is 4 samples, the windows have 5", inp({1, 3, 5}));
  refuses("windows is Float [3, 4], allowed is (windows, channels, length)", inp({3, 4}));
}

TEST_CASE("inverses refuse what is no matrix") {
  check_error(ErrorCode::invalid_type, "the input is Long [2, 2]", [] {
    pseudo_inverse(at::ones({2, 2}, at::kLong));
  });
  check_error(ErrorCode::invalid_type, "the input is an undefined tensor",
              [] { pseudo_inverse({}); });
  check_error(invalid, "the input is Float [2], allowed are at least 2 dimensions",
              [] { pseudo_inverse(at::ones({2})); });
  check_error(invalid, "the input is Float [0, 2], allowed is at least one number", [] {
    pseudo_inverse(at::ones({0, 2}));
  });
  check_error(invalid, "cut_off is -1.000000", [] { pseudo_inverse(at::ones({2, 2}), -1); });
  check_error(invalid, "cut_off is 1.000000", [] { pseudo_inverse(at::ones({2, 2}), 1); });
  check_error(ErrorCode::non_finite, "the input contains NaN or infinity", [] {
    pseudo_inverse(at::full({2, 2}, not_a_number));
  });
  check_error(invalid, "the matrices are Float [1, 2, 3], the inverses Float [1, 2, 3]", [] {
    check_moore_penrose(at::ones({1, 2, 3}), at::ones({1, 2, 3}));
  });
  check_error(invalid, "the matrices are Float [2, 3], the inverses Float [1, 3, 2]", [] {
    check_moore_penrose(at::ones({2, 3}), at::ones({1, 3, 2}));
  });
  check_error(invalid, "the inverses Float [3, 2]; allowed are [n, D, C] and [n, C, D]", [] {
    check_moore_penrose(at::ones({1, 2, 3}), at::ones({3, 2}));
  });
  check_error(invalid, "tolerance is -1.000000, allowed is a finite number from 0 on", [] {
    check_moore_penrose(at::ones({1, 1, 1}), at::ones({1, 1, 1}), -1);
  });
  check_error(invalid, "tolerance is inf", [] {
    check_moore_penrose(at::ones({1, 1, 1}), at::ones({1, 1, 1}), INFINITY);
  });
}

TEST_CASE("scores refuse what cannot be scored") {
  const at::Tensor truth = at::tensor({0, 1}).to(at::kBool);
  for (const auto score :
       {+[](const at::Tensor&m, const at::Tensor&t) { attribution_score(m, t); },
        +[](const at::Tensor&m, const at::Tensor&t) { attribution_metrics(m, t); }}) {
    const auto refuses = [&](ErrorCode code, const std::string& piece, const at::Tensor& map,
                             const at::Tensor& marks) {
      check_error(code, piece, [&] { score(map, marks); });
    };
    refuses(invalid, "the map is Float [3], the truth Bool [2]; allowed are equal shapes",
            at::ones({3}), truth);
    refuses(invalid, "the truth is false everywhere; allowed are entries of both kinds",
            at::ones({2}), at::zeros({2}, at::kBool));
    refuses(invalid, "the truth is true everywhere", at::ones({2}), at::ones({2}, at::kBool));
    refuses(invalid, "the map is Float [0]", at::ones({0}), at::ones({0}, at::kBool));
    refuses(ErrorCode::invalid_type, "the truth is Float [2], allowed is Bool", at::ones({2}),
            at::ones({2}));
    refuses(ErrorCode::invalid_type, "the truth is an undefined tensor", at::ones({2}), {});
    refuses(ErrorCode::invalid_type, "the map is Bool [2]", truth, truth);
    refuses(ErrorCode::non_finite, "the map contains NaN", at::full({2}, not_a_number), truth);
  }
}
