// The same components in three forms: with LibTorch's types, portable in C++ from the same sources,
// and in C with kernels. All of them work with one another.
#include "host/plugin_support.hpp"
#include "host/trainer_support.hpp"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <malloc.h>
#include <thread>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

host::Host& all_forms() {
  static host::Host host(
      only({GREVY_BUILTIN_PLUGINS, test_plugins / "portable", test_plugins / "torch"}));
  return host;
}

struct Forms {
  std::string model, criterion, solver;

  bool has_kernels() const { return model == "raw" || criterion == "raw"; }
  json components() const {
    json criterion_options = {{"name", criterion + "-infonce"}, {"temperature", 0.5}};
    return {{"model", {{"name", model + "-offset10"}, {"num_units", 6}, {"num_output", 3}}},
            {"criterion", std::move(criterion_options)},
            {"solver", {{"name", solver + "-solver"}}}};
  }
};

struct Trained {
  std::vector<Statistics> steps;
  std::vector<at::Tensor> gradients, parameters;  // gradients: of the last step
  at::Tensor embedding;
  double held_out = 0;
};

const host::Recording& recording() {
  static const host::Recording made = made_recording(300, 4, 1);
  return made;
}

host::Trainer trainer_of_forms(const json& components, std::int64_t num_steps) {
  const json document = merged({{"seed", 3},
                                {"optimizer", {{"learning_rate", 0.01}}},
                                {"training", {{"num_steps", num_steps}, {"batch_size", 32}}}},
                               components);
  return {all_forms(), host::Experiment(all_forms(), document), Sessions{recording()}, {}};
}

Trained train(const json& components, std::int64_t num_steps) {
  const OneThread one;
  host::Trainer trainer = trainer_of_forms(components, num_steps);
  Trained trained;
  trained.steps = fit(trainer);
  trained.parameters = copies(trainer.tensors());
  for (const NamedTensor& t : trainer.tensors()) trained.gradients.push_back(t.tensor.grad());
  trained.embedding = trainer.transform(recording().neural());
  trained.held_out = trainer.loss_on({recording()}, 3).loss;
  return trained;
}

// Sums in another order are off by the last bits of float32 numbers. Adam divides gradients by
// their size, so that where a gradient is next to 0 a bit of it is a part of the learning rate.
struct Tolerance {
  double losses, gradients, parameters;
};
constexpr Tolerance none{0, 0, 0};

void check_near(const at::Tensor& found, const at::Tensor& wanted, double tolerance) {
  REQUIRE(found.sizes() == wanted.sizes());
  CHECK((found - wanted).abs().max().item<double>() <= tolerance);
}

void check_same(const Trained& found, const Trained& wanted, const Tolerance& tolerance) {
  REQUIRE(found.steps.size() == wanted.steps.size());
  for (std::size_t i = 0; i < wanted.steps.size(); ++i) {
    CAPTURE(i);
    REQUIRE(found.steps[i].size() == wanted.steps[i].size());
    for (std::size_t k = 0; k < wanted.steps[i].size(); ++k) {
      CHECK(found.steps[i][k].name == wanted.steps[i][k].name);
      CHECK(std::abs(found.steps[i][k].value - wanted.steps[i][k].value) <= tolerance.losses);
    }
  }
  REQUIRE(found.parameters.size() == wanted.parameters.size());
  for (std::size_t i = 0; i < wanted.parameters.size(); ++i) {
    CAPTURE(i);
    check_near(found.gradients[i], wanted.gradients[i], tolerance.gradients);
    check_near(found.parameters[i], wanted.parameters[i], tolerance.parameters);
  }
  check_near(found.embedding, wanted.embedding, tolerance.parameters);
  CHECK(std::abs(found.held_out - wanted.held_out) <= tolerance.losses);
}

double total(const Statistics& step) { return value_of(step, "total"); }

const std::string forms[] = {"torch", "portable", "raw"};

}  // namespace

TEST_CASE("a model, a criterion and a solver train alike in every form") {
  const Forms torch = {"torch", "torch", "torch"}, raw = {"raw", "raw", "raw"};
  const Forms portable = {"portable", "portable", "portable"};
  // After one step: its gradients.
  const Trained first = train(torch.components(), 1), wanted = train(torch.components(), 60);
  CHECK(total(wanted.steps.back()) < total(wanted.steps.front()) - 0.02);
  check_same(train(portable.components(), 1), first, none);
  check_same(train(portable.components(), 60), wanted, none);
  check_same(train(raw.components(), 1), first, {1e-5, 1e-6, 1e-4});
  check_same(train(raw.components(), 60), wanted, {2e-4, 1e-3, 1e-2});
}

TEST_CASE("forms are mixed freely in one experiment") {
  const Trained wanted = train(Forms{"torch", "torch", "torch"}.components(), 3);
  for (const std::string& model : forms)
    for (const std::string& criterion : forms)
      for (const std::string& solver : forms) {
        const Forms mixed = {model, criterion, solver};
        CAPTURE(model);
        CAPTURE(criterion);
        CAPTURE(solver);
        check_same(train(mixed.components(), 3), wanted,
                   mixed.has_kernels() ? Tolerance{1e-4, 1e-4, 1e-3} : none);
      }
}

TEST_CASE("functions with gradients of their own, kernels and the Jacobian are those of LibTorch") {
  const auto trained = [](const std::string& front, const json& changes) {
    json components = Forms{front, front, front}.components();
    for (const auto& [kind, name] : changes.items())
      components[kind] = {{"name", front + name.get<std::string>()}};
    return train(components, 10);
  };
  for (const json& changes :
       {json{{"criterion", "-attraction"}}, json{{"criterion", "-kernel-infonce"}}})
    check_same(trained("portable", changes), trained("torch", changes), none);
  // The penalty's own value is added up in another order; its gradient is not.
  check_same(trained("portable", {{"solver", "-smooth"}}),
             trained("torch", {{"solver", "-smooth"}}), {1e-6, 0, 0});
}

TEST_CASE("several threads differentiate through one function of the portable front") {
  const auto criterion = all_forms().create_criterion("portable-attraction", "{}", {});
  const at::Tensor rows = at::randn({64, 3}).requires_grad_(true), others = at::randn({64, 3});
  const at::Tensor loss = criterion->evaluate({{rows, others, others}}, 2).loss;
  const auto gradient = [&] {
    return torch::autograd::grad({loss}, {rows}, {}, /*retain_graph=*/true)[0];
  };
  const at::Tensor wanted = gradient();
  std::array<int, 2> same{};
  const auto differentiate = [&](int& count) {
    for (int i = 0; i < 300; ++i) count += at::equal(gradient(), wanted) ? 1 : 0;
  };
  std::thread other(differentiate, std::ref(same[1]));
  differentiate(same[0]);
  other.join();
  CHECK(same == std::array<int, 2>{300, 300});
}

TEST_CASE("functions and kernels that are used wrongly are errors with their names") {
  const auto error = [&](int how) {
    const auto wrong = all_forms().create_criterion("portable-refusals",
                                                    "{\"how\":" + std::to_string(how) + "}", {});
    const auto rows = [] { return at::ones({2, 3}).requires_grad_(true); };
    return catch_error([&] { wrong->evaluate({{rows(), rows(), rows()}}, 2).loss.backward(); });
  };
  const std::pair<int, const char*> cases[] = {
      {0,
       "portable-refusals (refusals.portable) backward: Wrong: gave 1 gradients for 2 arguments of "
       "forward"},
      {1,
       "portable-refusals (refusals.portable) backward: Wrong: gave a gradient for argument 1, "
       "which is no tensor"},
      {2, "portable-refusals (refusals.portable) backward: Wrong: the function's own words"},
      {3,
       "portable-refusals (refusals.portable) backward: Wrong: the gradient of input 0 has the "
       "shape []; must be [2, 3]"},
      {4, "portable-refusals (refusals.portable) backward: Wrong: the saved value is no number"},
      {5, "portable-refusals (refusals.portable) backward: Plain: has no second derivative"},
      {6, "grad: the outputs do not depend on input 0; with allow_unused its gradient is"},
      {7, "portable-refusals (refusals.portable) backward: copy: has no gradient"},
      {8, "found elements of another type"},
      {9, "portable-refusals (refusals.portable) backward: copy: there is no axis 2 of 2"},
      {10, "portable-refusals (refusals.portable) backward: copy: has no second derivative"},
      {11, "grad: found 2 gradients for 1 outputs"},
      {12, "does not require grad"},
      {15, "copy: found no kernel"},
      {16, "Wrong: gave 3 gradients for 2 arguments of forward"}};
  for (const auto& entry : cases) {
    CAPTURE(entry.first);
    const Caught caught = error(entry.first);
    INFO(caught.text);
    CHECK(caught.says(entry.second));
  }
  CHECK(error(5).code == ErrorCode::unimplemented);
}

TEST_CASE("gradients for tensors that a loss does not depend on are none") {
  const auto gradient = [&](int how) {
    const auto criterion = all_forms().create_criterion(
        "portable-refusals", "{\"how\":" + std::to_string(how) + "}", {});
    const at::Tensor x = at::ones({2, 3}).requires_grad_(true);
    criterion->evaluate({{x, at::ones({2, 3}).requires_grad_(true), x}}, 2);
    return x.grad();
  };
  CHECK_FALSE(gradient(13).defined());
  CHECK(gradient(14).equal(at::ones({2, 3})));
}

TEST_CASE("a solver of several sessions trains alike in every form") {
  const auto steps = [](const std::string& solver) {
    const OneThread one;
    const json document = {
        {"seed", 3},
        {"sampling", {{"conditional", "time_delta"}, {"continuous", {"position"}}}},
        {"model", {{"name", "portable-offset10"}, {"num_units", 6}}},
        {"criterion", {{"name", "portable-infonce"}}},
        {"solver", {{"name", solver}}},
        {"training", {{"num_steps", 5}, {"batch_size", 16}}}};
    host::Trainer trainer(all_forms(), host::Experiment(all_forms(), document),
                          Sessions{made_recording(80, 4, 1), made_recording(90, 3, 2)}, {});
    return fit(trainer);
  };
  const std::vector<Statistics> found = steps("portable-sessions"),
                                wanted = steps("torch-sessions");
  REQUIRE(found.size() == 5);
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(total(found[i]) == total(wanted[i]));
}

TEST_CASE("a model in C refuses what it cannot take") {
  host::Host& host = all_forms();
  const auto made = [&](const char* options) {
    return catch_error([&] { host.create_model("raw-offset10", options, channels(4)); });
  };
  CHECK(made(R"({"num_units":0})").says("option \"num_units\": found 0; must be an integer"));
  CHECK(made(R"({"num_units":1e300})").code == ErrorCode::invalid_value);
  CHECK(made(R"({"width":1})").says("unknown option \"width\"; known: num_units, num_output"));
  const auto model = host.create_model("raw-offset10", "{}", channels(4));
  const auto forward = [&](const at::Tensor& windows) {
    return catch_error([&] { model->forward(windows); });
  };
  CHECK(forward(at::ones({2, 4, 10}).to(at::kDouble)).says("needs windows of float32 on the CPU"));
  CHECK(forward(at::ones({2, 3, 10})).code == ErrorCode::invalid_value);
  CHECK(forward(at::ones({2, 4, 9})).code == ErrorCode::invalid_value);
  CHECK(model->forward(at::ones({0, 4, 10})).sizes() == at::IntArrayRef({0, 8}));
}

TEST_CASE("a solver in C that is attached again keeps nothing of what it had") {
  host::Host& host = all_forms();
  const auto solver = host.create_solver("raw-solver", "{}", {});
  const auto first = host.create_model("raw-offset10", "{}", channels(4)),
             second = host.create_model("raw-offset10", R"({"num_output":2})", channels(4));
  const auto criterion = host.create_criterion("raw-infonce", "{}", {});
  solver->attach({*first}, {*criterion});
  solver->attach({*second}, {*criterion});
  CHECK(solver->transform(0, at::ones({20, 4})).sizes() == at::IntArrayRef({11, 2}));
  const std::size_t before = ::mallinfo2().uordblks, count = 2000;
  for (std::size_t i = 0; i < count; ++i) solver->attach({*first}, {*criterion});
  CHECK(::mallinfo2().uordblks < before + 16 * count);
}

TEST_CASE("a solver in C refuses what it cannot take") {
  host::Host& host = all_forms();
  const auto solver = host.create_solver("raw-solver", "{}", {});
  const Caught unknown =
      catch_error([&] { host.create_solver("raw-solver", R"({"rate":1})", {}); });
  CHECK(unknown.says("unknown option \"rate\""));
  const auto model = host.create_model("raw-offset10", "{}", channels(4));
  const auto criterion = host.create_criterion("raw-infonce", "{}", {});
  const auto transform = [&](std::int64_t session) {
    return catch_error([&] { solver->transform(session, at::ones({20, 4})); });
  };
  CHECK(transform(0).says("has no model yet"));
  const Caught models = catch_error([&] { solver->attach({*model, *model}, {*criterion}); });
  CHECK(models.says("works with 1 model and 1 criterion"));
  solver->attach({*model}, {*criterion});
  CHECK(transform(1).code == ErrorCode::out_of_range);
  CHECK(transform(1).says("there is 1 session, 0"));
  json components = Forms{"torch", "torch", "raw"}.components();
  components["optimizer"] = {{"learning_rate", 1e30}};
  host::Trainer trainer = trainer_of_forms(components, 5);
  const Caught diverged = catch_error([&] { trainer.fit(); });
  CHECK(diverged.code == ErrorCode::non_finite);
  CHECK(diverged.says("the criterion returned the loss"));
}
