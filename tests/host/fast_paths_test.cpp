// Arithmetic of our own beside LibTorch's: encoders' convolutions, the InfoNCE losses, Adam.
#include "host/gradient_support.hpp"
#include "host/trainer_support.hpp"
#include "training/adam.hpp"

#include <grevy/jacobian.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::tests;

namespace {

at::Tensor random_windows(std::int64_t n, std::int64_t c, std::int64_t length) {
  host::Random random(5, "windows");
  return noise(random, n, c * length).view({n, c, length});
}

}  // namespace

TEST_CASE("convolutions over rows: the same values and gradients as LibTorch's") {
  struct Case {
    const char* model;
    std::int64_t n, channels, units, output, extra;  // extra: samples beyond the receptive field
  };
  const Case cases[] = {
      {"offset10-model", 50, 120, 32, 8, 0}, {"offset10-model", 1, 3, 5, 3, 0},
      {"offset10-model", 13, 17, 33, 19, 0}, {"offset5-model", 100, 1, 64, 2, 0},
      {"offset36-model", 7, 9, 16, 8, 0},    {"offset10-model", 1, 11, 16, 8, 200},
      {"offset5-model", 3, 6, 8, 4, 63},     {"offset10-model-mse-tanh", 20, 6, 8, 4, 0},
      {"offset15-model", 2, 5, 48, 40, 64},
  };
  for (const Case& c : cases)
    for (const bool one_thread : {true, false}) {
      CAPTURE(std::string(c.model));
      CAPTURE(c.n);
      CAPTURE(one_thread);
      std::optional<OneThread> guard;
      if (one_thread) guard.emplace();
      const auto model = builtin_model(c.model, c.channels, c.units, c.output);
      fill(model->tensors());
      const std::int64_t length = model->info().offset.length() + c.extra;
      const at::Tensor windows = random_windows(c.n, c.channels, length).contiguous();
      const at::Tensor expected = model->forward(windows), found = model->forward(by_rows(windows));
      CHECK(relative_difference(found, expected) < 5e-6);
      const auto expected_gradients = gradients(model->tensors(), weighted(expected));
      const auto found_gradients = gradients(model->tensors(), weighted(found));
      for (std::size_t i = 0; i < found_gradients.size(); ++i)
        CHECK(relative_difference(found_gradients[i], expected_gradients[i]) < 1e-4);
    }
}

TEST_CASE("convolutions over rows: each window by itself, to the bit") {
  const auto model = builtin_model("offset10-model", 5, 16, 4);
  const at::Tensor windows = by_rows(random_windows(70, 5, 10));
  const at::Tensor all = model->forward(windows);
  for (const std::int64_t i : {0, 33, 69})
    CHECK(at::equal(model->forward(windows.slice(0, i, i + 1)), all.slice(0, i, i + 1)));
}

TEST_CASE("convolutions over rows: a backward pass is repeatable and can be kept") {
  const auto model = builtin_model("offset10-model", 5, 16, 4);
  const at::Tensor windows = by_rows(random_windows(300, 5, 10));
  const at::Tensor loss = weighted(model->forward(windows));
  std::vector<at::Tensor> trained;
  for (const NamedTensor& t : model->tensors()) trained.push_back(t.tensor);
  const auto first = torch::autograd::grad({loss}, trained, {}, true);
  // Another pass in between must not disturb what the first one keeps.
  const at::Tensor other = weighted(model->forward(2 * windows));
  const auto again = torch::autograd::grad({loss}, trained);
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(at::equal(first[i], again[i]));
  CHECK_THROWS(torch::autograd::grad({loss}, trained));
  CHECK(relative_difference(gradients(model->tensors(), other)[0], first[0]) > 0.01);
}

TEST_CASE("convolutions over rows: an embedding that was changed has no gradient any more") {
  const auto model = builtin_model("offset10-model", 5, 16, 4);
  const at::Tensor out = model->forward(by_rows(random_windows(3, 5, 10)));
  CHECK((out.norm(2, 1) - 1).abs().max().item<double>() < 1e-6);
  const at::Tensor loss = weighted(out);
  {
    const at::NoGradGuard no_grad;
    at::Tensor(out).mul_(2);
  }
  CHECK_THROWS(gradients(model->tensors(), loss));
}

TEST_CASE("convolutions over rows: gradients of gradients, and of the windows") {
  const auto model = builtin_model("offset5-model", 4, 8, 3);
  fill(model->tensors());
  const at::Tensor windows = random_windows(6, 4, 5);
  const auto second = [&](const at::Tensor& x) {
    const auto first = gradients(model->tensors(), weighted(model->forward(x)), true);
    at::Tensor sum = at::zeros({});
    for (const at::Tensor& g : first) sum = sum + g.square().sum();
    return gradients(model->tensors(), sum);
  };
  const auto expected = second(windows), found = second(by_rows(windows));
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(relative_difference(found[i], expected[i]) < 2e-5);

  const at::Tensor x = by_rows(windows).detach().requires_grad_(true);
  const auto of_windows = torch::autograd::grad({weighted(model->forward(x))}, {x});
  CHECK(of_windows[0].sizes() == x.sizes());
  CHECK(of_windows[0].abs().sum().item<double>() > 0);
}

TEST_CASE("convolutions over rows: gradients of the windows, and of a Jacobian's penalty") {
  for (const char* name : {"offset10-model", "offset5-model", "offset10-model-mse"})
    for (const bool one_thread : {true, false}) {
      CAPTURE(std::string(name));
      CAPTURE(one_thread);
      std::optional<OneThread> guard;
      if (one_thread) guard.emplace();
      const auto model = builtin_model(name, 19, 16, 4);
      fill(model->tensors());
      const std::int64_t length = model->info().offset.length();
      const at::Tensor windows = random_windows(150, 19, length);
      // The loss looks at the embedding and at its derivatives: with respect to parameters and
      // windows, at once.
      const auto differentiate = [&](const at::Tensor& rows) {
        const at::Tensor x = rows.detach().requires_grad_(true);
        const at::Tensor embedding = model->forward(x);
        const at::Tensor loss = weighted(embedding) / 150 + exact_jacobian_penalty(x, embedding);
        std::vector<at::Tensor> wanted = {x};
        for (const NamedTensor& t : model->tensors())
          if (t.trained) wanted.push_back(t.tensor);
        auto found = torch::autograd::grad({loss}, wanted);
        found.push_back(torch::autograd::grad({weighted(model->forward(x))}, {x})[0]);
        return found;
      };
      const auto expected = differentiate(windows.contiguous()),
                 found = differentiate(by_rows(windows));
      for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(relative_difference(found[i], expected[i]) < 1e-4);
    }
}

TEST_CASE("convolutions over rows: third derivatives of the windows are refused") {
  const auto model = builtin_model("offset5-model", 4, 8, 3);
  fill(model->tensors());
  const auto slope_of = [&](const at::Tensor& rows) {
    const at::Tensor x = rows.detach().requires_grad_(true);
    const at::Tensor penalty = exact_jacobian_penalty(x, model->forward(x));
    return torch::autograd::grad({penalty}, {x}, {}, true, true)[0];
  };
  const at::Tensor windows = random_windows(6, 4, 5);
  const at::Tensor expected = slope_of(windows), found = slope_of(by_rows(windows));
  CHECK(relative_difference(found.detach(), expected.detach()) < 1e-4);
  CHECK_NOTHROW(gradients(model->tensors(), expected.square().sum()));
  CHECK_THROWS_WITH(gradients(model->tensors(), found.square().sum()),
                    doctest::Contains("can be differentiated once"));
}

TEST_CASE("convolutions over rows: a Jacobian's gradient is repeatable and needs what was kept") {
  const auto model = builtin_model("offset5-model", 4, 8, 3);
  const at::Tensor x = by_rows(random_windows(40, 4, 5)).detach().requires_grad_(true);
  const at::Tensor penalty = exact_jacobian_penalty(x, model->forward(x));
  const std::vector<at::Tensor> weight = {model->tensors()[0].tensor};
  const at::Tensor first = torch::autograd::grad({penalty}, weight, {}, true)[0];
  CHECK(at::equal(first, torch::autograd::grad({penalty}, weight)[0]));
  CHECK_THROWS(torch::autograd::grad({penalty}, weight));
}

TEST_CASE("InfoNCE by tiles: the same loss and gradients as from the whole matrix") {
  struct Sizes {
    std::int64_t n, m, d;
  };
  for (const char* name : {"FixedCosineInfoNCE", "FixedEuclideanInfoNCE", "LearnableCosineInfoNCE",
                           "LearnableEuclideanInfoNCE"})
    for (const Sizes& s :
         {Sizes{1, 1, 1}, Sizes{5, 3, 2}, Sizes{100, 700, 8}, Sizes{530, 257, 33}}) {
      CAPTURE(std::string(name));
      CAPTURE(s.n);
      const auto criterion = builtin_criterion(name, R"({"temperature": 0.3})");
      host::Random random(2, "embeddings");
      const at::Tensor r = noise(random, s.n, s.d), p = noise(random, s.n, s.d),
                       n = noise(random, s.m, s.d);
      const auto evaluate = [&](at::ScalarType type) {
        std::vector<at::Tensor> inputs;
        for (const at::Tensor& t : {r, p, n})
          inputs.push_back(t.to(type).detach().requires_grad_(true));
        const at::Tensor loss = criterion->evaluate({{inputs[0], inputs[1], inputs[2]}}, 2).loss;
        for (const NamedTensor& t : criterion->tensors()) inputs.push_back(t.tensor);
        auto found = torch::autograd::grad({loss}, inputs);
        found.push_back(loss.detach());
        return found;
      };
      // float64 goes through LibTorch's operations.
      const auto expected = evaluate(at::kDouble), found = evaluate(at::kFloat);
      for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(relative_difference(found[i].to(at::kDouble), expected[i].to(at::kDouble)) < 1e-4);
    }
}

TEST_CASE("InfoNCE by tiles: large similarities, and what is not finite, stay what they are") {
  const auto criterion = builtin_criterion("FixedCosineInfoNCE", R"({"temperature": 0.001})");
  const auto loss_of = [&](float size) {
    const at::Tensor e = at::full({40, 3}, size);
    return criterion->evaluate({{e, e, e}}, 2).loss.item<double>();
  };
  CHECK(loss_of(30) == doctest::Approx(std::log(40.0)).epsilon(0.01));  // similarities of 2.7e6
  CHECK(std::isnan(loss_of(NAN)));
  CHECK_FALSE(std::isfinite(loss_of(INFINITY)));
}

TEST_CASE("InfoNCE by tiles: gradients of gradients") {
  const auto criterion = builtin_criterion("FixedCosineInfoNCE", "{}");
  host::Random random(2, "embeddings");
  const at::Tensor e = noise(random, 20, 4);
  const auto second = [&](at::ScalarType type) {
    const at::Tensor r = e.to(type).detach().requires_grad_(true);
    const at::Tensor loss = criterion->evaluate({{r, r.flip(0), r.roll(1, 0)}}, 2).loss;
    const auto first = torch::autograd::grad({loss}, {r}, {}, true, true);
    return torch::autograd::grad({first[0].square().sum()}, {r})[0];
  };
  CHECK(relative_difference(second(at::kFloat).to(at::kDouble), second(at::kDouble)) < 1e-4);
}

TEST_CASE("Adam in one pass: the same steps as with LibTorch's operations") {
  for (const bool amsgrad : {false, true})
    for (const double weight_decay : {0.0, 0.1}) {
      CAPTURE(amsgrad);
      host::Random random(4, "parameters");
      const at::Tensor start = noise(random, 9, 31);
      // A parameter that is not contiguous goes the other way.
      const at::Tensor plain = start.clone().requires_grad_(true);
      const at::Tensor strided = start.t().contiguous().t().detach().requires_grad_(true);
      REQUIRE_FALSE(strided.is_contiguous());
      host::AdamOptions options;
      options.learning_rate = 0.01;
      options.amsgrad = amsgrad;
      options.weight_decay = weight_decay;
      host::Adam adam({{"plain", plain, true}, {"strided", strided, true}}, options);
      const auto version = plain._version();
      for (int step = 0; step < 20; ++step) {
        adam.zero_grad();
        const at::Tensor target = noise(random, 9, 31);
        ((plain - target).square().sum() + (strided - target).square().sum()).backward();
        adam.step();
      }
      CHECK(plain._version() == version + 20);
      CHECK((plain - strided).abs().max().item<double>() < 1e-6);
      CHECK((plain - start).abs().max().item<double>() > 0.05);
    }
}
