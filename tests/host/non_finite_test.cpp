// What is not finite is found before anything changes, named, and handled as the experiment says.
#include "plugin_support.hpp"
#include "trainer_support.hpp"
#include "training/adam.hpp"
#include "unit/temporary_folder.hpp"

#include <limits>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

std::vector<std::string>& lines() {
  static std::vector<std::string> logged;
  return logged;
}

host::Host& host_of_tests() {
  static host::Host made(logging({GREVY_BUILTIN_PLUGINS, test_plugins / "bad/spoils"}, lines()));
  return made;
}

const host::Recording& recording() {
  static const host::Recording made = made_recording(200, 4, 1);
  return made;
}

json document(const json& criterion, const json& training = json::object()) {
  json options = criterion;
  options["name"] = "spoils";
  return merged({{"seed", 2},
                 {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 3}}},
                 {"criterion", options},
                 {"training", {{"num_steps", 8}, {"batch_size", 12}}}},
                {{"training", training}});
}

host::Trainer trainer_with(const json& criterion, const json& training = json::object()) {
  return {host_of_tests(), host::Experiment(host_of_tests(), document(criterion, training)),
          recording()};
}

struct Way {
  const char* how;
  const char* text;
};
const Way ways[] = {
    {"loss", "spoils returned the loss nan; it must be finite"},
    {"gradient", "the gradient of \"model.net.0.weight\" is nan at [0, 0, 0] (counted from 0)"},
    {"square", "the mean square of the gradients of \"model.net.0.weight\" is inf at [0, 0, 0]"},
    {"statistic", "\"heat\" is nan"}};

}  // namespace

TEST_CASE("what is not finite ends the training before a parameter changes") {
  const OneThread one_thread;
  for (const Way& way : ways) {
    CAPTURE(way.how);
    host::Trainer expected = trainer_with({{"count", 0}}, {{"num_steps", 2}});
    REQUIRE(expected.fit());
    host::Trainer trainer = trainer_with({{"how", way.how}});
    const Caught error = catch_error([&] { trainer.fit(); });
    CHECK(error.code == ErrorCode::non_finite);
    CHECK_MESSAGE(error.text.rfind("step 2 (counted from 0): ", 0) == 0, error.text);
    CHECK_MESSAGE(error.says(way.text), error.text);
    CHECK(error.says("(criterion spoils, model offset5-model, learning rate 0.0003)"));
    CHECK(trainer.step() == 2);
    if (std::string(way.how) == "statistic") continue;  // is read after the step
    for (const NamedTensor& t : trainer.tensors())
      if (t.trained) CHECK(at::equal(t.tensor, tensor_named(expected, t.name)));
  }
}

TEST_CASE("steps that are skipped change nothing, and are counted") {
  for (const Way& way : ways) {
    CAPTURE(way.how);
    lines().clear();
    host::Trainer trainer = trainer_with({{"how", way.how}}, {{"non_finite", "skip"}});
    std::vector<std::int64_t> skipped, done;
    std::vector<at::Tensor> before = copies(trainer.state());
    host::FitCallbacks callbacks;
    callbacks.on_step = [&](const host::StepReport& report) {
      const std::vector<at::Tensor> now = copies(trainer.state());
      if (report.skipped.empty()) {
        done.push_back(report.step);
        CHECK(report.statistics.size() == 4);
      } else {
        skipped.push_back(report.step);
        CHECK_MESSAGE(contains(report.skipped, way.text), report.skipped);
        CHECK(report.statistics.empty());
        for (std::size_t i = 0; i < now.size(); ++i) CHECK(at::equal(now[i], before[i]));
      }
      before = now;
    };
    CHECK(trainer.fit(callbacks));
    CHECK(skipped == std::vector<std::int64_t>{2, 3});
    CHECK(done == std::vector<std::int64_t>{0, 1, 4, 5, 6, 7});
    CHECK(trainer.step() == 8);
    CHECK(trainer.num_skipped() == 2);
    CHECK(value_of({{"seen", tensor_named(trainer, "criterion.seen").item<double>()}}, "seen") ==
          6);
    const tests::TemporaryFolder folder;
    trainer.save(folder / "state");
    const json info = host::read_checkpoint_info(folder / "state");
    CHECK(info.at("optimizer_steps") == 6);
    CHECK(info.at("skipped") == json{{"count", 2}, {"in_a_row", 0}});
    REQUIRE(lines().size() == 1);
    CHECK_MESSAGE(contains(lines()[0], "single-session: step 2 (counted from 0): "), lines()[0]);
    CHECK_MESSAGE(contains(lines()[0], "the step is left out, as are others like it"), lines()[0]);
  }
}

TEST_CASE("a step that is skipped after a validation leaves what that has changed") {
  const host::Recording whole = made_recording(200, 4, 1);
  const json training = {
      {"num_steps", 4}, {"valid_frequency", 2}, {"valid_batches", 1}, {"non_finite", "skip"}};
  const json options = document({{"first", 3}, {"count", 1}}, training);  // the call after it
  host::Trainer trainer(host_of_tests(), host::Experiment(host_of_tests(), options),
                        whole.slice(0, 150), whole.slice(150, 200));
  CHECK(trainer.fit());
  CHECK(trainer.num_skipped() == 1);
  const double steps = 3, validations = 2;
  CHECK(tensor_named(trainer, "criterion.seen").item<double>() == steps + validations);
}

TEST_CASE(
    "the first and the last step can be skipped, and a skipped step can be the one to stop at") {
  host::Trainer first = trainer_with({{"first", 0}, {"count", 1}}, {{"non_finite", "skip"}});
  CHECK(first.fit());
  CHECK(first.num_skipped() == 1);
  host::Trainer last = trainer_with({{"first", 7}}, {{"non_finite", "skip"}});
  std::int64_t stored = 0;
  host::FitCallbacks callbacks;
  callbacks.on_checkpoint = [&](std::int64_t step) { stored = step; };
  CHECK(last.fit(callbacks));
  CHECK(stored == 8);
  CHECK(last.num_skipped() == 1);
  host::Trainer stopped = trainer_with({}, {{"non_finite", "skip"}});
  callbacks.should_stop = [&] { return stopped.step() == 3; };
  CHECK_FALSE(stopped.fit(callbacks));
  CHECK(stored == 3);
  callbacks.should_stop = {};
  CHECK(stopped.fit(callbacks));
  CHECK(stopped.num_skipped() == 2);
}

TEST_CASE("too many skipped steps in a row end the training") {
  host::Trainer trainer =
      trainer_with({{"count", 1000}}, {{"non_finite", "skip"}, {"num_steps", 100}});
  const Caught error = catch_error([&] { trainer.fit(); });
  CHECK(error.code == ErrorCode::non_finite);
  CHECK_MESSAGE(error.text.rfind("step 52 (counted from 0): ", 0) == 0, error.text);
  CHECK_MESSAGE(error.says("the 50 steps before were left out already"), error.text);
  CHECK(trainer.step() == 52);
  CHECK(trainer.num_skipped() == 50);
}

TEST_CASE("a training with skipped steps goes on as if it had not stopped") {
  const OneThread one_thread;
  const json criterion = {{"by_batch", true}},
             training = {{"non_finite", "skip"}, {"num_steps", 30}};
  host::Trainer whole = trainer_with(criterion, training);
  REQUIRE(whole.fit());
  REQUIRE(whole.num_skipped() > 2);
  REQUIRE(whole.num_skipped() < 28);
  const tests::TemporaryFolder folder;
  for (const std::int64_t middle : {1, 7, 8, 9, 20}) {
    CAPTURE(middle);
    host::Trainer half = trainer_with(criterion, training);
    fit_until(half, middle);
    half.save(folder / "half");
    host::Trainer later = trainer_with(criterion, training);
    later.load(folder / "half");
    CHECK(later.num_skipped() == half.num_skipped());
    REQUIRE(later.fit());
    CHECK(later.num_skipped() == whole.num_skipped());
    check_equal(later.state(), whole.state());
  }
}

TEST_CASE("neither validations nor callbacks are steps to be skipped") {
  host::Trainer trainer(
      host_of_tests(),
      host::Experiment(
          host_of_tests(),
          document({{"first", 1}, {"count", 1}},
                   {{"non_finite", "skip"}, {"valid_frequency", 1}, {"valid_batches", 1}})),
      recording().slice(0, 150), recording().slice(150, 200));
  const Caught error = catch_error([&] { trainer.fit(); });
  CHECK_MESSAGE(error.text.rfind("validation after step 0 (counted from 0): ", 0) == 0, error.text);
  CHECK_MESSAGE(error.says("the validation loss is nan"), error.text);
  const auto fails = [](auto&&...) -> bool {
    throw Error(ErrorCode::non_finite, "of the application's own");
  };
  std::vector<host::FitCallbacks> callbacks(3);
  callbacks[0].on_step = fails;
  callbacks[1].should_stop = fails;
  callbacks[2].on_checkpoint = fails;
  for (const char* how : {"skip", "stop"})
    for (const host::FitCallbacks& given : callbacks) {
      host::Trainer other = trainer_with({{"count", 0}}, {{"non_finite", how}});
      CHECK(catch_error([&] { other.fit(given); }).text == "of the application's own");
      CHECK(other.num_skipped() == 0);
    }
}

TEST_CASE("a schedule goes on over steps that are left out") {
  const auto pair = [](std::int64_t begin, std::int64_t end, const json& loss) {
    return json{{"slice", {begin, end}},
                {"loss", loss},
                {"distribution", {{"name", "time"}, {"time_offset", 4}}}};
  };
  const json document = {
      {"seed", 4},
      {"model",
       {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 4}, {"normalize", false}}},
      {"objectives",
       {pair(0, 4, {{"name", "spoils"}, {"first", 2}, {"count", 2}}),
        pair(2, 4, {{"name", "FixedEuclideanInfoNCE"}})}},
      {"solver",
       {{"scheduler_loss",
         {{"name", "linear-scheduler"},
          {"step_to_switch_on_reg", 0},
          {"step_to_switch_off_reg", 100},
          {"start_weight", 0.0},
          {"end_weight", 10.0}}}}},
      {"training", {{"num_steps", 8}, {"batch_size", 12}, {"non_finite", "skip"}}}};
  host::Trainer trainer(host_of_tests(), host::Experiment(host_of_tests(), document), recording());
  std::vector<std::int64_t> done;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) {
    if (!report.skipped.empty()) return;
    done.push_back(report.step);
    CHECK(value_of(report.statistics, "loss_weight_0") ==
          doctest::Approx(0.1 * static_cast<double>(report.step)));
  };
  CHECK(trainer.fit(callbacks));
  CHECK(done == std::vector<std::int64_t>{0, 1, 4, 5, 6, 7});
}

TEST_CASE("Adam refuses a step before anything of it is done, for every kind of tensor") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const at::ScalarType type : {at::kFloat, at::kDouble})
    for (const bool amsgrad : {false, true}) {
      CAPTURE(c10::toString(type));
      CAPTURE(amsgrad);
      const at::Tensor good = at::ones({2, 3}, type).requires_grad_(true),
                       bad = at::ones({4}, type).requires_grad_(true);
      host::AdamOptions options;
      options.amsgrad = amsgrad;
      host::Adam adam({{"good", good, true}, {"bad", bad, true}}, options);
      at::Tensor(good).mutable_grad() = at::ones({2, 3}, type);
      at::Tensor(bad).mutable_grad() = at::ones({4}, type);
      adam.step();
      const at::Tensor before = good.detach().clone();
      const std::vector<at::Tensor> state = copies(adam.state());
      at::Tensor(bad).mutable_grad()[2] = -infinity;
      const Caught error = catch_error([&] { adam.step(); });
      CHECK(error.code == ErrorCode::non_finite);
      CHECK_MESSAGE(error.says("the gradient of \"bad\" is -inf at [2]"), error.text);
      CHECK(at::equal(good, before));
      for (std::size_t i = 0; i < state.size(); ++i)
        CHECK(at::equal(adam.state()[i].tensor, state[i]));
      CHECK(adam.num_steps() == 1);
    }
}

TEST_CASE("Adam takes a gradient however it lies in memory") {
  const at::Tensor along = at::arange(6, at::kFloat).view({2, 3});
  const at::Tensor dense = at::ones({2, 3}).requires_grad_(true),
                   strided = at::ones({2, 3}).requires_grad_(true);
  host::Adam adam({{"dense", dense, true}, {"strided", strided, true}}, {});
  at::Tensor(dense).mutable_grad() = along;
  at::Tensor(strided).mutable_grad() = along.t().contiguous().t();
  adam.step();
  CHECK(at::allclose(strided, dense, 0, 1e-6));
  CHECK_FALSE(at::equal(dense, at::ones({2, 3})));
}

TEST_CASE("Adam refuses a step that would leave a parameter that is not finite") {
  host::AdamOptions options;
  options.learning_rate = 3e37;  // divided by 1 - beta1 in the first step
  const at::Tensor parameter = at::full({2}, -3.3e38, at::kFloat).requires_grad_(true);
  host::Adam adam({{"p", parameter, true}}, options);
  at::Tensor(parameter).mutable_grad() = at::ones({2});
  const Caught error = catch_error([&] { adam.step(); });
  CHECK_MESSAGE(error.says("what the step makes of \"p\" is -inf at [0]"), error.text);
  CHECK(parameter[0].item<double>() == doctest::Approx(-3.3e38));
  options.learning_rate = 1e300;
  host::Adam wild({{"p", parameter, true}}, options);
  CHECK(catch_error([&] { wild.step(); }).says("what the step makes of \"p\" is not finite"));
}
