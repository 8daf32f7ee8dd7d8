// Windows by where they lie ("grevy.series/1"): what solvers and models make of sample numbers is
// what they make of the windows.
#include "host/gradient_support.hpp"
#include "host/trainer_support.hpp"
#include "sampling/loader.hpp"

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

constexpr std::int64_t num_samples = 400, num_channels = 7;

at::Tensor series() {
  host::Random random(5, "series");
  return noise(random, num_samples, num_channels);
}

using Sets = std::vector<at::Tensor>;

// Far apart, overlapping, the same ones again, both ends of the series.
Sets sets_for(const Offset& offset) {
  const std::int64_t first = offset.left, last = num_samples - offset.right;
  return {at::tensor({last, first, first + 1, first + 3}), at::arange(first + 50, first + 90),
          at::tensor({first + 2, first + 2, last, first + 200, first + 199}),
          at::empty({0}, at::kLong)};
}

at::Tensor windows_of(const at::Tensor& rows, const at::Tensor& samples, const Offset& offset) {
  return rows.unfold(0, offset.length(), 1).index_select(0, samples - offset.left);
}

at::Tensor weighted_sum(const std::vector<std::vector<at::Tensor>>& outputs) {
  at::Tensor sum = at::zeros({});
  for (const auto& set : outputs)
    for (const at::Tensor& output : set) sum = sum + weighted(output);
  return sum;
}

json experiment_with(const json& sampling) {
  json document = json::parse(R"({
    "model": {"name": "offset10-model", "num_units": 8, "num_output": 4},
    "training": {"num_steps": 6, "batch_size": 40}, "threads": 1})");
  document["sampling"] = sampling;
  return document;
}

host::Recording recording() {
  host::Recording made(series());
  made.add_continuous("position", at::sin(0.1 * at::arange(num_samples)));
  made.add_discrete("class", at::arange(num_samples, at::kLong).remainder(3));
  return made;
}

host::LoaderOptions loader_options(bool samples) {
  host::LoaderOptions options;
  options.offsets = {{5, 5}};
  options.batch_size = options.num_negatives = 30;
  options.samples = samples;
  return options;
}

host::Loader loader_of(const host::Recording& made, const json& masks, bool samples) {
  host::SamplingSpec spec;
  spec.positives.resize(1);
  spec.positives[0].options.conditional = host::SamplingOptions::Conditional::time;
  spec.masks = masks;
  return {
      {made}, spec, loader_options(samples), host::Random(1, "samples"), host::Random(1, "masks")};
}

}  // namespace

TEST_CASE("samples are embedded as their windows are, with the same gradients") {
  for (const char* name : {"offset10-model", "offset5-model", "offset10-model-mse"})
    for (const bool one_thread : {true, false}) {
      CAPTURE(std::string(name));
      CAPTURE(one_thread);
      std::optional<OneThread> guard;
      if (one_thread) guard.emplace();
      const auto model = builtin_model(name, num_channels, 16, 5);
      fill(model->tensors());
      REQUIRE(model->embeds_samples());
      const Offset offset = model->info().offset;
      const Sets sets = sets_for(offset);
      const auto found = model->forward_samples(series(), sets, 1);
      std::vector<std::vector<at::Tensor>> expected;
      for (const at::Tensor& set : sets)
        if (set.numel() > 0)
          expected.push_back({model->forward(by_rows(windows_of(series(), set, offset)))});
      for (std::size_t s = 0; s < expected.size(); ++s)
        CHECK(at::equal(found[s][0], expected[s][0]));
      CHECK(found.back()[0].sizes() == at::IntArrayRef({0, 5}));
      const auto expected_gradients = gradients(model->tensors(), weighted_sum(expected));
      const auto found_gradients = gradients(model->tensors(), weighted_sum(found));
      for (std::size_t i = 0; i < found_gradients.size(); ++i)
        CHECK(relative_difference(found_gradients[i], expected_gradients[i]) < 1e-5);
    }
}

TEST_CASE("samples: gradients of some of the sets, and of gradients") {
  const auto model = builtin_model("offset5-model", num_channels, 8, 3);
  fill(model->tensors());
  const Offset offset = model->info().offset;
  const Sets sets = sets_for(offset);
  const auto second = [&](const std::vector<std::vector<at::Tensor>>& outputs) {
    const auto first = gradients(model->tensors(), weighted_sum({outputs[2]}), true);
    at::Tensor sum = at::zeros({});
    for (const at::Tensor& g : first) sum = sum + g.square().sum();
    return gradients(model->tensors(), sum);
  };
  const auto found = second(model->forward_samples(series(), sets, 1));
  const at::Tensor windows = windows_of(series(), sets[2], offset).contiguous();
  const auto expected = second({{}, {}, {model->forward(windows)}});
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(relative_difference(found[i], expected[i]) < 5e-5);
}

TEST_CASE("samples of a series that is not in rows go through LibTorch's operations") {
  const auto model = builtin_model("offset10-model", num_channels, 8, 3);
  const Sets sets = {sets_for(model->info().offset)[0]};
  const at::Tensor across = series().t().contiguous().t();
  REQUIRE_FALSE(across.is_contiguous());
  CHECK(relative_difference(model->forward_samples(across, sets, 1)[0][0],
                            model->forward_samples(series(), sets, 1)[0][0]) < 1e-5);
}

TEST_CASE("samples without a window of their own are refused, and so is what is no number") {
  const auto model = builtin_model("offset10-model", num_channels, 8, 3);
  const auto embed = [&](const at::Tensor& set) { model->forward_samples(series(), {set}, 1); };
  CHECK_THROWS_WITH_AS(embed(at::tensor({std::int64_t{4}})), doctest::Contains("begin at rows -1"),
                       PluginError);
  CHECK_THROWS_WITH_AS(embed(at::tensor({num_samples - 4})), doctest::Contains("must be 0 to 390"),
                       PluginError);
  CHECK_THROWS_WITH_AS(embed(at::tensor({20.0F})), doctest::Contains("must be int64"), PluginError);
  CHECK_THROWS_WITH_AS(embed(at::full({2, 2}, 20, at::kLong)), doctest::Contains("one axis"),
                       PluginError);
  CHECK_THROWS_WITH_AS(model->forward_samples(series().slice(0, 0, 9), {}, 0),
                       doctest::Contains("asked for 0 tensors"), PluginError);
}

TEST_CASE("models that are more than convolutions embed windows only") {
  for (const char* name : {"offset1-model", "offset10-model-mse-tanh", "offset36-model-dropout"}) {
    CAPTURE(std::string(name));
    const auto model = builtin_model(name, num_channels, 8, 3);
    CHECK_FALSE(model->embeds_samples());
    CHECK_THROWS_WITH_AS(model->forward_samples(series(), {}, 1),
                         doctest::Contains("embeds windows only"), PluginError);
  }
}

TEST_CASE("batches of sample numbers stand for the windows that the same draws give") {
  host::Recording made = recording();
  made.set_trials(at::arange(num_samples, at::kLong).floor_divide(100));
  host::Loader by_sample = loader_of(made, json::object(), true),
               by_window = loader_of(made, json::object(), false);
  for (int i = 0; i < 3; ++i) {
    const Batch numbers = by_sample.next().front(), windows = by_window.next().front();
    REQUIRE(numbers.series.defined());
    REQUIRE_FALSE(windows.series.defined());
    const auto cut = [&](const at::Tensor& samples) {
      return windows_of(numbers.series, samples, {5, 5});
    };
    CHECK(at::equal(cut(numbers.reference), windows.reference));
    CHECK(at::equal(cut(numbers.positives[0]), windows.positives[0]));
    CHECK(at::equal(cut(numbers.negative), windows.negative));
  }
}

TEST_CASE("masked batches are windows") {
  host::Loader loader = loader_of(recording(), {{"RandomNeuronMask", 0.5}}, true);
  CHECK_FALSE(loader.next().front().series.defined());
}

TEST_CASE("a training by sample numbers equals one by windows") {
  const json by_label = {{"conditional", "time_delta"}, {"continuous", {"position"}}};
  const json hybrid = {
      {"conditional", "time_delta"}, {"continuous", {"position"}}, {"hybrid", true}};
  struct Case {
    const char* solver;
    json sampling;
  };
  for (const Case& c : {Case{"single-session", by_label}, Case{"single-session-aux", by_label},
                        Case{"single-session-hybrid", hybrid}}) {
    CAPTURE(std::string(c.solver));
    json document = experiment_with(c.sampling), masked = document;
    document["solver"]["name"] = masked["solver"]["name"] = c.solver;
    // Needs windows, and is too narrow to hide any channel.
    masked["sampling"]["masks"] = {{"NeuronBlockMask", 0.01}};
    host::Trainer by_sample = trainer_of(document, {recording()}),
                  by_window = trainer_of(masked, {recording()});
    by_sample.fit({});
    by_window.fit({});
    const NamedTensors found = by_sample.tensors(), expected = by_window.tensors();
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(relative_difference(found[i].tensor, expected[i].tensor) < 1e-4);
  }
}
