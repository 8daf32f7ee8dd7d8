// What settings of data and sampling do to a training: trials, masks, negatives, borders, and which
// embeddings the solvers compare.
#include "sampling/sampling_spec.hpp"
#include "trainer_support.hpp"
#include "training/data_identity.hpp"

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

json document(const json& changes = json::object()) {
  const json plain = {{"seed", 7},
                      {"sampling", {{"conditional", "time"}, {"time_offset", 3}}},
                      {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 4}}},
                      {"optimizer", {{"learning_rate", 0.01}}},
                      {"training", {{"num_steps", 4}, {"batch_size", 12}}}};
  return merged(plain, changes);
}

// Class and position are the channels, both of period 33 samples; what is equal there is embedded
// equally by equal encoders.
host::Recording readable(std::int64_t samples, std::int64_t shift) {
  const at::Tensor time = at::arange(samples, at::kLong) + shift;
  const at::Tensor classes = time.remainder(3);
  const at::Tensor position = (5 * time).remainder(11).to(at::kFloat);
  host::Recording recording(at::stack({classes.to(at::kFloat), 0.3 * position}, 1));
  recording.add_continuous("position", position);
  recording.add_discrete("class", classes);
  return recording;
}

// Gives all encoders the weights of the first.
void make_alike(const host::Trainer& trainer) {
  const at::NoGradGuard no_grad;
  const bool several = trainer.solver_info().sessions == SolverInfo::Sessions::several;
  for (const NamedTensor& t : trainer.tensors()) {
    const std::size_t net = t.name.find("net.");
    if (net == std::string::npos) continue;
    const std::string source = (several ? "model.0." : "model.") + t.name.substr(net);
    at::Tensor(t.tensor).copy_(tensor_named(trainer, source));
  }
}

}  // namespace

TEST_CASE("every solver compares references with their own positives") {
  struct Case {
    std::string solver;
    json changes;
    std::string statistic;  // mean squared distance of the pairs that have equal channels
  };
  const json by_class = {{"sampling", {{"conditional", "discrete"}}}};
  const json by_position = {
      {"sampling", {{"conditional", "delta_normal"}, {"delta", 1e-5}, {"discrete", "class"}}}};
  // After 33 samples class and position are the same again.
  const json by_time = {{"sampling", {{"time_offset", 33}}}};
  const json hybrid = {
      {"sampling",
       {{"conditional", "delta_normal"}, {"delta", 1e-5}, {"time_offset", 33}, {"hybrid", true}}},
      {"solver", {{"num_behavior_features", 2}}}};
  const Case cases[] = {{"single-session", by_position, "pos"},
                        {"single-session", by_time, "pos"},
                        {"single-session-aux", by_position, "pos"},
                        {"single-session-full", by_position, "pos"},
                        {"single-session-full", by_time, "pos"},
                        {"multi-session", by_position, "pos"},
                        {"multi-session", by_time, "pos"},
                        {"multi-session-aux", by_position, "pos"},
                        {"multi-session-full", by_position, "pos"},
                        {"multi-session-full", by_time, "pos"},
                        {"unified-session", by_position, "pos"},
                        {"multi-session-hybrid", hybrid, "time_pos"},
                        {"multi-session-hybrid", hybrid, "behavior_pos"}};
  for (const Case& c : cases) {
    CAPTURE(c.solver);
    CAPTURE(c.changes);
    const json model = {{"name", "offset1-model-mse"}, {"num_output", 4}};
    json changed =
        merged(document({{"model", model}, {"criterion", {{"name", "InfoMSE"}}}}), c.changes);
    changed["solver"]["name"] = c.solver;
    const bool full = contains(c.solver, "full");
    if (full) changed["training"]["batch_size"] = nullptr;
    const bool one = contains(c.solver, "single");
    // Only the position decides in a hybrid: the class follows from it in no way.
    const auto session = [&](std::int64_t samples, std::int64_t shift) {
      host::Recording made = readable(samples, shift);
      if (!contains(c.solver, "hybrid")) return made;
      at::Tensor channels = made.neural().clone();
      channels.select(1, 0).zero_();
      return made.with_neural(channels);
    };
    Sessions sessions = {session(99, 0), session(120, 4), session(140, 8)};
    if (one) sessions.erase(sessions.begin() + 1, sessions.end());
    host::Trainer trainer = trainer_of(changed, sessions);
    make_alike(trainer);
    host::FitCallbacks callbacks;
    callbacks.on_step = [&](const host::StepReport& report) {
      if (report.step != 0) return;
      CHECK(std::abs(value_of(report.statistics, c.statistic)) < 1e-6);
    };
    trainer.fit(callbacks);
    host::TransformOptions embed;
    const at::Tensor rows =
        trainer.transform(trainer.solver_info().sessions == SolverInfo::Sessions::joined
                              ? trainer.line_up(sessions, 0).neural()
                              : sessions[0].neural(),
                          embed);
    CHECK((rows[0] - rows[1]).abs().max().item<float>() > 1e-3);  // others are embedded elsewhere
  }
}

TEST_CASE("a class alone pairs samples of several sessions") {
  json changed = document({{"sampling", {{"conditional", "discrete"}}},
                           {"model", {{"name", "offset1-model-mse"}}},
                           {"criterion", {{"name", "InfoMSE"}}},
                           {"solver", {{"name", "multi-session"}}}});
  const auto session = [](std::int64_t samples, std::int64_t shift) {
    const host::Recording made = readable(samples, shift);
    return made.with_neural(made.neural().slice(1, 0, 1));  // the class alone
  };
  host::Trainer trainer = trainer_of(changed, {session(60, 0), session(70, 1)});
  make_alike(trainer);
  const std::vector<Statistics> steps = fit(trainer);
  CHECK(std::abs(value_of(steps[0], "pos")) < 1e-6);
  CHECK(value_of(steps[1], "pos") > 1e-6);  // the encoders go ways of their own
}

TEST_CASE("a recording in trials is embedded trial by trial") {
  host::Recording recording = made_recording(100, 4, 1);
  recording.set_trials(at::cat(
      {at::zeros({40}, at::kLong), at::full({25}, 7, at::kLong), at::full({35}, 3, at::kLong)}));
  host::Trainer trainer = trainer_of(document(), {recording});
  fit(trainer);
  for (const bool pad : {true, false}) {
    host::TransformOptions options;
    options.pad = pad;
    std::vector<at::Tensor> rows, wanted;
    const std::int64_t count = trainer.transform(
        recording, [&](const at::Tensor& part) { rows.push_back(part); }, options);
    for (const auto& [begin, end] : {std::pair{0, 40}, {40, 65}, {65, 100}})
      wanted.push_back(trainer.transform(recording.neural().slice(0, begin, end), options));
    CHECK(count == (pad ? 100 : 100 - 3 * 4));
    CHECK(trainer.num_rows(recording, options) == count);
    CHECK(at::equal(at::cat(rows), at::cat(wanted)));
    if (pad) CHECK_FALSE(at::allclose(at::cat(rows), trainer.transform(recording.neural())));
  }
}

TEST_CASE("trials change which samples are paired") {
  host::Recording plain = made_recording(100, 4, 1), in_trials = plain;
  in_trials.set_trials(at::arange(100, at::kLong).div(20, "floor"));
  host::Trainer a = trainer_of(document(), {plain}), b = trainer_of(document(), {in_trials});
  CHECK(value_of(fit(a)[0], "total") != value_of(fit(b)[0], "total"));
  const std::string text = refusal([&] {
    trainer_of(document({{"sampling", {{"time_offset", 20}}}}), {in_trials});
  });
  CHECK_MESSAGE(contains(text, "time_offset"), text);
  CHECK_MESSAGE(contains(text, "20"), text);
}

TEST_CASE("masks are for training, not for validation and evaluation") {
  // So small a rate leaves the parameters as they are, but for rounding.
  const json still = {{"optimizer", {{"learning_rate", 1e-30}}},
                      {"training", {{"valid_frequency", 1}}}};
  const json masks = {{"sampling", {{"masks", {{"RandomNeuronMask", 0.5}}}}}};
  const host::Recording train = made_recording(100, 6, 1), held_out = made_recording(60, 6, 2);
  const auto losses = [&](const json& changes) {
    host::Trainer trainer = trainer_of(document(merged(still, changes)), {train}, {held_out});
    std::vector<double> training, validation;
    host::FitCallbacks callbacks;
    callbacks.on_step = [&](const host::StepReport& report) {
      training.push_back(value_of(report.statistics, "total"));
      validation.push_back(report.validation_loss.value());
    };
    REQUIRE(trainer.fit(callbacks));
    validation.push_back(trainer.loss_on({held_out}, 3).loss);
    return std::pair{training, validation};
  };
  const auto plain = losses(json::object()), masked = losses(masks);
  CHECK(masked.first != plain.first);
  CHECK(masked.second == plain.second);
  CHECK(losses(masks) == masked);
}

TEST_CASE("num_negatives sets the chance level and changes the training") {
  const host::Recording recording = made_recording(100, 4, 1);
  const json more = {{"training", {{"num_negatives", 40}}}};
  host::Trainer plain = trainer_of(document(), {recording}),
                wider = trainer_of(document(more), {recording});
  CHECK(plain.loss_on({recording}, 1).chance == doctest::Approx(std::log(12)));
  CHECK(wider.loss_on({recording}, 1).chance == doctest::Approx(std::log(40)));
  CHECK(value_of(fit(plain)[0], "neg") < value_of(fit(wider)[0], "neg"));
}

TEST_CASE("labels choose the conditional where it is null") {
  const json automatic = {{"sampling", {{"conditional", nullptr}}}};
  const host::Recording both = made_recording(100, 4, 1);
  host::Recording none(both.neural()), continuous(both.neural()), discrete(both.neural());
  continuous.add_continuous("position", both.label("position").values);
  discrete.add_discrete("direction", both.label("direction").values);
  const auto first_loss = [](const json& changes, const host::Recording& recording) {
    host::Trainer trainer = trainer_of(document(changes), {recording});
    return value_of(fit(trainer)[0], "total");
  };
  const auto with = [](const json& sampling) { return json{{"sampling", sampling}}; };
  CHECK(first_loss(automatic, none) == first_loss(with({{"conditional", "time"}}), none));
  CHECK(first_loss(automatic, continuous) ==
        first_loss(with({{"conditional", "time_delta"}}), continuous));
  CHECK(first_loss(automatic, discrete) ==
        first_loss(with({{"conditional", "discrete"}}), discrete));
  CHECK(first_loss(automatic, both) ==
        first_loss(with({{"conditional", "time_delta"}, {"discrete", "direction"}}), both));
}

TEST_CASE("a boolean label is a discrete one") {
  host::Recording recording(made_recording(100, 4, 1).neural());
  recording.add_discrete("moving", at::arange(100).remainder(2).to(at::kBool));
  host::Trainer trainer =
      trainer_of(document({{"sampling", {{"conditional", "discrete"}}}}), {recording});
  CHECK(std::isfinite(value_of(fit(trainer)[3], "total")));
}

TEST_CASE("without a weight the regularised solver minimises the plain loss, and validates") {
  const json regularised = {{"solver", {{"name", "regularized-solver"}}},
                            {"training", {{"valid_frequency", 2}}}};
  const host::Recording recording = made_recording(100, 4, 1);
  host::Trainer trainer = trainer_of(document(regularised), {recording}, {recording}),
                plain = trainer_of(document(), {recording});
  const auto found = fit(trainer), wanted = fit(plain);
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(value_of(found[i], "reg_lambda") == 0);
    CHECK(value_of(found[i], "total") == doctest::Approx(value_of(wanted[i], "total")));
  }
}

TEST_CASE("sampling that has no effect or no labels is refused, with its place") {
  const host::Recording recording = made_recording(100, 4, 1);
  struct Case {
    json sampling;
    std::string text;
  };
  const json two_sets = {{{"conditional", "time"}}, {{"conditional", "time_delta"}}};
  const Case cases[] = {
      {{{"discrete", "direction"}}, "/sampling/discrete: conditional \"time\" uses no discrete"},
      {{{"continuous", {"position"}}},
       "/sampling/continuous: conditional \"time\" uses no continuous"},
      {{{"conditional", "discrete"}, {"continuous", {"position"}}},
       "/sampling/continuous: conditional \"discrete\" uses no continuous"},
      {{{"conditional", "discrete"}, {"discrete", "position"}},
       "/sampling/discrete: label \"position\" is continuous; a discrete one is needed"},
      {{{"conditional", "time_delta"}, {"continuous", {"direction"}}},
       "/sampling/continuous: label \"direction\" is discrete; a continuous one is needed"},
      {{{"conditional", "time_delta"}, {"prior", "uniform"}},
       "/sampling/prior: found \"uniform\", which needs a discrete label"},
      {{{"conditional", "time_delta"}, {"borders", "clamp"}},
       "/sampling/borders: found \"clamp\", which needs positives by conditional \"time\""},
      {{{"conditional", "discrete"}, {"prior", "uniform"}, {"borders", "clamp"}},
       "/sampling/borders: found \"clamp\", which needs positives"},
      {{{"hybrid", true}}, "/sampling/hybrid: found true; only for conditional time_delta"},
      {{{"conditional", "time_delta"}, {"discrete", "direction"}, {"hybrid", true}},
       "/sampling/hybrid: found true; only for conditional time_delta"},
      {{{"time_offset", 100}}, "/sampling/time_offset: found 100; must be below the number of"},
      {{{"conditional", "time_delta"}, {"time_offset", 100}},
       "/sampling/time_offset: found 100; must be below the number of"},
      {{{"positives", two_sets}},
       "/sampling: the solver works with 1 set(s) of positives (hybrid gives 2); found 2"},
      {{{"targets", {"position"}}}, "/sampling: targets are for supervised solvers; must be null"},
      {{{"targets", {"speed"}}}, "/sampling/targets: there is no label \"speed\""},
      {{{"targets", {"position"}}, {"prior", "empirical"}},
       "/sampling/prior: found \"empirical\" beside targets; must be null"},
      {{{"targets", {"position"}}, {"borders", "clamp"}},
       "/sampling/borders: found \"clamp\" beside targets; must be \"inside\""},
      {{{"positives", two_sets}, {"time_offset", 3}},
       "/sampling/time_offset: found beside /sampling/positives"},
      {{{"targets", {"position"}}, {"positives", two_sets}},
       "/sampling/targets: found beside /sampling/positives"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    json changed = document();
    changed["sampling"] = c.sampling;
    const std::string found = refusal([&] { trainer_of(changed, {recording}); });
    CHECK_MESSAGE(contains(found, c.text), found);
  }
  const host::Recording none(recording.neural());
  for (const auto& [conditional, text] :
       {std::pair{"time_delta", "/sampling/continuous: conditional \"time_delta\" needs a"},
        {"delta_normal", "/sampling/continuous: conditional \"delta_normal\" needs a"},
        {"discrete",
         "/sampling/discrete: must name the discrete label to sample by; the recording "
         "has 0"}}) {
    const std::string found = refusal([&, named = conditional] {
      trainer_of(document({{"sampling", {{"conditional", named}}}}), {none});
    });
    CHECK_MESSAGE(contains(found, text), found);
  }
}

TEST_CASE("the prior is that of the experiment, else uniform where classes restrict a value") {
  using Prior = host::SamplingOptions::Prior;
  struct Case {
    json sampling;
    Prior prior;
  };
  const json in_classes = {{"conditional", "time_delta"}, {"discrete", "direction"}};
  const json by_class = {{"conditional", "discrete"}};
  const Case cases[] = {
      {{{"conditional", "time"}}, Prior::empirical},
      {by_class, Prior::empirical},
      {{{"conditional", "time_delta"}}, Prior::empirical},
      {in_classes, Prior::uniform},
      {merged(in_classes, {{"prior", "empirical"}}), Prior::empirical},
      {merged(by_class, {{"prior", "uniform"}}), Prior::uniform},
      {{{"positives", json::array({in_classes})}}, Prior::uniform},
      {{{"positives", json::array({in_classes, by_class})}}, Prior::empirical},
      {{{"conditional", nullptr}}, Prior::uniform},
  };
  for (const Case& c : cases) {
    CAPTURE(c.sampling);
    json changed = document();
    changed["sampling"] = c.sampling;
    const host::Experiment experiment(builtin_host(), changed);
    for (const host::PositiveSpec& set :
         host::resolve_sampling(experiment, {made_recording(100, 4, 1)}).positives)
      CHECK((set.options.prior == c.prior));
  }
}

TEST_CASE("recordings are told apart by their values, labels and trials") {
  const auto identity = [](const host::Recording& recording) {
    const host::Experiment experiment(builtin_host(), {{"model", {{"name", "offset1-model"}}}});
    return host::identify(experiment, {recording});
  };
  const auto made = [](std::uint64_t seed) { return made_recording(50, 3, seed); };
  const json plain = identity(made(1));
  CHECK(plain == identity(made(1)));
  CHECK(plain.size() == 3);
  const std::string neural = plain.at("/data/neural");
  CHECK_MESSAGE(neural.rfind("float32 [50, 3] sha256:", 0) == 0, neural);
  CHECK(neural.size() == std::string("float32 [50, 3] sha256:").size() + 64);
  CHECK(plain.at("/data/labels/direction").get<std::string>().rfind("int64 [50", 0) == 0);
  CHECK(identity(made(2)).at("/data/neural") != neural);
  CHECK(identity(made(2)).at("/data/labels/position") != plain.at("/data/labels/position"));
  // The same numbers, otherwise in memory or of another shape.
  const at::Tensor values = made(1).neural();
  CHECK(identity(host::Recording(values.t().contiguous().t())).at("/data/neural") == neural);
  CHECK(identity(host::Recording(values.reshape({75, 2}))).at("/data/neural") != neural);
  host::Recording changed(values.clone());
  changed.neural()[49][2] += 1;
  CHECK(identity(changed).at("/data/neural") != neural);
  host::Recording in_trials = made(1);
  in_trials.set_trials(at::arange(50).floor_divide(10));
  CHECK(identity(in_trials).size() == 4);
  CHECK(identity(in_trials).at("/data/neural") == neural);
}
