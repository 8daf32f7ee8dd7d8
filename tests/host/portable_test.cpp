// Plugins without LibTorch against the built-ins: the same numbers to the rounding of floats.
#include "host/ops_support.hpp"
#include "host/plugin_support.hpp"
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/options.h>

#include <torch/csrc/autograd/autograd.h>

#include <cstddef>
#include <elf.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

host::Host& mixed_host() {
  static host::Host host(only({GREVY_BUILTIN_PLUGINS, test_plugins / "portable"}));
  return host;
}

at::Tensor rows(std::int64_t count, double start, at::ScalarType type) {
  return at::sin(at::arange(count * 3, at::kDouble).view({count, 3}) + start)
      .to(type)
      .requires_grad_(true);
}

struct Result {
  std::vector<at::Tensor> values;  // loss, parts, gradients
};

Result result_of(const char* name, at::ScalarType type) {
  const auto criterion = mixed_host().create_criterion(name, R"({"temperature":0.3})", {});
  const Prediction p = {rows(5, 0, type), rows(5, 1, type), rows(7, 2, type)};
  const Evaluation evaluation = criterion->evaluate({p}, 2);
  evaluation.loss.backward();
  CHECK_FALSE(evaluation.parts[0].requires_grad());
  return {{evaluation.loss, evaluation.parts[0], evaluation.parts[1], p.reference.grad(),
           p.positive.grad(), p.negative.grad()}};
}

void check_criterion(const char* name) {
  for (const auto& entry : {std::pair(at::kFloat, 1e-5), {at::kDouble, 1e-12}}) {
    const at::ScalarType type = entry.first;
    const double tolerance = entry.second;
    CAPTURE(at::toString(type));
    const Result found = result_of(name, type);
    const Result wanted = result_of("FixedCosineInfoNCE", type);
    for (std::size_t i = 0; i < wanted.values.size(); ++i) {
      CAPTURE(i);
      CHECK((found.values[i].scalar_type() == type));
      CHECK(at::allclose(found.values[i], wanted.values[i], tolerance, tolerance));
    }
  }
}

// The steps of a short training with some components in the place of built-ins.
std::vector<Statistics> training_with(const json& changes) {
  const OneThread one;
  const json document =
      merged({{"seed", 3},
              {"model", {{"name", "offset10-model"}, {"num_units", 6}, {"num_output", 3}}},
              {"criterion", {{"name", "FixedCosineInfoNCE"}, {"temperature", 0.5}}},
              {"solver", {{"name", "single-session"}}},
              {"optimizer", {{"learning_rate", 0.01}}},
              {"training", {{"num_steps", 30}, {"batch_size", 32}}}},
             changes);
  host::Trainer trainer(mixed_host(), host::Experiment(mixed_host(), document),
                        Sessions{made_recording(300, 4, 1)}, {});
  return fit(trainer);
}

void check_training(const json& changes) {
  const std::vector<Statistics> found = training_with(changes), wanted = training_with({});
  REQUIRE(found.size() == 30);
  REQUIRE(wanted.size() == 30);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    for (const char* name : {"total", "pos", "neg", "temperature"}) {
      CAPTURE(name);
      CAPTURE(i);
      CHECK(std::abs(value_of(found[i], name) - value_of(wanted[i], name)) < 2e-4);
    }
  CHECK(value_of(wanted.back(), "total") < value_of(wanted.front(), "total") - 0.01);
}

}  // namespace

TEST_CASE("a criterion in C has the built-in's loss, parts and gradients") {
  check_criterion("raw-infonce");
  check_training({{"criterion", {{"name", "raw-infonce"}}}});
}

TEST_CASE("a criterion of the portable front has the built-in's loss, parts and gradients") {
  check_criterion("portable-infonce");
  check_training({{"criterion", {{"name", "portable-infonce"}}}});
}

TEST_CASE("a model of the portable front has the built-in's parameters, embeddings and gradients") {
  host::CreateOptions create;
  create.num_input = 4;
  create.seed = 11;
  const auto run = [&](const char* name) {
    const auto model = mixed_host().create_model(name, R"({"num_units":6,"num_output":3})", create);
    const at::Tensor windows = at::sin(at::arange(5 * 4 * 10, at::kFloat)).view({5, 4, 10});
    const at::Tensor embedding = model->forward(windows);
    (embedding * at::arange(15, at::kFloat).view({5, 3})).sum().backward();
    const at::Tensor series = model->forward(at::cat({windows, windows}, 2));
    NamedTensors tensors = model->tensors();
    const std::size_t count = tensors.size();
    for (std::size_t i = 0; i < count; ++i)
      tensors.push_back({tensors[i].name + ".grad", tensors[i].tensor.grad(), false});
    tensors.push_back({"embedding", embedding, false});
    tensors.push_back({"series", series, false});
    return tensors;
  };
  const NamedTensors found = run("portable-offset10"), wanted = run("offset10-model");
  REQUIRE(found.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CAPTURE(wanted[i].name);
    CHECK(found[i].name == wanted[i].name);
    REQUIRE(found[i].tensor.sizes() == wanted[i].tensor.sizes());
    CHECK(at::allclose(found[i].tensor, wanted[i].tensor, 1e-4, 1e-5));
  }
  check_training({{"model", {{"name", "portable-offset10"}}}});
}

TEST_CASE("a solver of the portable front trains as the built-in; all forms work together") {
  check_training({{"solver", {{"name", "portable-solver"}}}});
  check_training({{"solver", {{"name", "portable-solver"}}},
                  {"model", {{"name", "portable-offset10"}}},
                  {"criterion", {{"name", "raw-infonce"}}}});
}

TEST_CASE("a portable plugin has no stamp and reads its options like any other") {
  host::Host& host = mixed_host();
  CHECK(host.find(host::Kind::model, "portable-offset10").plugin->stamp.empty());
  const auto error = [&](const char* options) {
    return catch_error([&] { host.create_criterion("portable-infonce", options, {}); });
  };
  CHECK(error(R"({"temperature":0})").says("found 0; must be a finite number above 0"));
  CHECK(error(R"({"temperature":"\u00e9"})").says("found \"\u00e9\"; must be a finite number"));
  CHECK(error(R"({"heat":1})").says("unknown option \"heat\"; known: temperature"));
  CHECK(error("[1").code == ErrorCode::invalid_type);
  const auto criterion = host.create_criterion("portable-infonce", "{}", {});
  const at::Tensor x = at::ones({2, 3});
  const Caught shapes = catch_error([&] { criterion->evaluate({{x, x, at::ones({2, 4})}}, 2); });
  CHECK(shapes.says("found [2, 3], [2, 3], [2, 4]"));
  check_place(shapes, "fronts.portable", "portable-infonce", "evaluate");
}

TEST_CASE("a criterion in C refuses what it cannot take") {
  host::Host& host = mixed_host();
  const auto error = [&](const char* options) {
    return catch_error([&] { host.create_criterion("raw-infonce", options, {}); });
  };
  CHECK(error(R"({"temperature":0})")
            .says("option \"temperature\": found 0; must be a finite number above 0"));
  CHECK(error(R"({"heat":1})").says("unknown option \"heat\"; known: temperature"));
  CHECK(error("[]").code == ErrorCode::invalid_type);
  const auto criterion = host.create_criterion("raw-infonce", "{}", {});
  const auto evaluated = [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
    return catch_error([&] { criterion->evaluate({{a, b, c}}, 2); });
  };
  const at::Tensor x = at::ones({2, 3});
  const Caught shapes = evaluated(x, x, at::ones({2, 4}));
  CHECK(shapes.says("needs reference (n, d), positive (n, d) and negative (m, d)"));
  check_place(shapes, "examples.raw-infonce", "raw-infonce", "evaluate");
  CHECK(evaluated(x, at::ones({3, 3}), x).code == ErrorCode::invalid_value);
  CHECK(evaluated(x, x, {}).code == ErrorCode::invalid_value);
  CHECK(evaluated(x, x, x.to(at::kDouble)).code == ErrorCode::invalid_type);
}

TEST_CASE("an error of a backward pass names plugin and component") {
  const auto criterion = mixed_host().create_criterion("raw-infonce", "{}", {});
  const Prediction p = {rows(5, 0, at::kFloat), rows(5, 1, at::kFloat), rows(7, 2, at::kFloat)};
  const at::Tensor loss = criterion->evaluate({p}, 2).loss;
  const at::Tensor first =
      torch::autograd::grad({loss}, {p.reference}, {}, /*retain_graph=*/true, true)[0];
  const Caught second = catch_error([&] { first.sum().backward(); });
  CHECK(second.code == ErrorCode::unimplemented);
  CHECK(second.says("has no second derivative"));
  check_place(second, "examples.raw-infonce", "raw-infonce", "backward");
}

TEST_CASE("what looks like LibTorch's symbols is allowed; what is one is found without sections") {
  host::Host honest(only({test_plugins / "abi/lookalike.so"}));
  CHECK(honest.plugins().at(0).problem.empty());
  honest.create_criterion("lookalike", "{}", {});

  const TemporaryFolder folder;
  std::string bytes = file_bytes(test_plugins / "bad/borrows-libtorch/borrows-libtorch.so");
  REQUIRE(bytes.size() > sizeof(Elf64_Ehdr));
  const auto clear = [&](std::size_t at, std::size_t size) { bytes.replace(at, size, size, '\0'); };
  clear(offsetof(Elf64_Ehdr, e_shoff), sizeof(Elf64_Ehdr::e_shoff));
  clear(offsetof(Elf64_Ehdr, e_shnum), sizeof(Elf64_Ehdr::e_shnum));
  clear(offsetof(Elf64_Ehdr, e_shstrndx), sizeof(Elf64_Ehdr::e_shstrndx));
  host::HostOptions options = only({folder.write("bare.so", bytes)});
  options.allow_writable_plugins = true;
  CHECK(catch_error([&] { host::Host host(options); }).says("but needs _ZN2at15get_num_threadsEv"));
}

TEST_CASE("options of components in C are read by the host") {
  const grevy_host& host = plugin_host();
  const auto* table = static_cast<const grevy_options*>(
      host.extension(&host, grevy::detail::text_of(GREVY_OPTIONS_EXTENSION)));
  REQUIRE(table != nullptr);
  double rate = 0.5, count = 4, on = 0;
  const grevy_number_option rows[] = {
      {grevy::detail::text_of("rate"), &rate, 0, 1, GREVY_OPTION_ABOVE | GREVY_OPTION_BELOW, 0},
      {grevy::detail::text_of("count"), &count, 1, INFINITY, GREVY_OPTION_INTEGER, 0},
      {grevy::detail::text_of("on"), &on, 0, 1, GREVY_OPTION_BOOLEAN, 0}};
  const auto error = [&](const char* text) {
    return catch_error([&] {
      checked([&](auto* errors) {
        return table->read_numbers(grevy::detail::text_of(text), rows, 3, errors);
      });
    });
  };
  CHECK(error(R"({"count":7,"on":true})").code == ErrorCode{});
  CHECK(std::vector<double>{rate, count, on} == std::vector<double>{0.5, 7, 1});
  CHECK(error("").code == ErrorCode{});
  CHECK(error(R"({"count":8,"rate":1})")
            .says("\"rate\": found 1; must be a finite number above 0 below 1"));
  CHECK(count == 7);
  CHECK(error(R"({"count":0})").says("found 0; must be an integer of at least 1"));
  CHECK(error(R"({"count":1.5})").says("found 1.5; must be an integer"));
  CHECK(error(R"({"on":1})").says("found 1; must be true or false"));
  CHECK(error(R"({"off":1})").says("unknown option \"off\"; known: rate, count, on"));
  CHECK(error("{").code == ErrorCode::invalid_type);
}
