// Several objectives on slices of the embedding, from an experiment's list to a trained model.
#include "trainer_support.hpp"
#include "training/adam.hpp"
#include "unit/temporary_folder.hpp"

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

json pair_in_time(std::int64_t begin, std::int64_t end) {
  return {{"slice", {begin, end}},
          {"loss", {{"name", "FixedEuclideanInfoNCE"}}},
          {"distribution", {{"name", "time"}, {"time_offset", 4}}}};
}
json pair_in_label(std::int64_t begin, std::int64_t end) {
  return {
      {"slice", {begin, end}},
      {"loss", {{"name", "FixedEuclideanInfoNCE"}, {"temperature", 0.5}}},
      {"distribution", {{"name", "time_delta"}, {"label_name", "position"}, {"time_delta", 4}}}};
}
json prediction(std::int64_t begin, std::int64_t end, const char* loss, const char* label) {
  return {{"slice", {begin, end}}, {"loss", {{"name", loss}}}, {"label", label}};
}

json document(const json& objectives, const json& changes) {
  const json plain = {
      {"seed", 4},
      {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"normalize", false}}},
      {"optimizer", {{"learning_rate", 0.01}}},
      {"training", {{"num_steps", 6}, {"batch_size", 16}, {"valid_batches", 2}}}};
  json made = merged(plain, changes);
  made["objectives"] = objectives;
  return made;
}
json contrastive(const json& changes = json::object()) {
  return document(json::array({pair_in_time(0, 4), pair_in_label(2, 4)}),
                  merged({{"model", {{"num_output", 4}}}}, changes));
}
json supervised(const json& changes = json::object()) {
  return document(json::array({prediction(0, 1, "nn.MSELoss", "position"),
                               prediction(1, 3, "nn.CrossEntropyLoss", "direction")}),
                  merged({{"model", {{"num_output", 3}}}}, changes));
}

const host::Recording& recording() {
  static const host::Recording made = made_recording(200, 5, 3);
  return made;
}

host::Trainer make(const json& document) {
  return trainer_of(document, {recording().slice(0, 150)}, {recording().slice(150, 200)});
}
std::vector<Statistics> fitted(const json& document) {
  host::Trainer trainer = make(document);
  return fit(trainer);
}

json solver(const json& options) { return {{"solver", options}}; }
json regularised(std::int64_t projections, double weight) {
  return solver({{"regularizer", {{"name", "JacobianReg"}, {"n", projections}}},
                 {"scheduler_regularizer",
                  {{"name", "constant-weight"}, {"initial_weights", {weight, weight}}}}});
}
json linear(const char* name, std::int64_t on, std::int64_t off, double start, double end) {
  return {{"name", name},
          {"step_to_switch_on_reg", on},
          {"step_to_switch_off_reg", off},
          {"start_weight", start},
          {"end_weight", end}};
}

std::vector<std::string> names_of(const Statistics& statistics) {
  std::vector<std::string> names;
  for (const Statistic& s : statistics) names.push_back(s.name);
  return names;
}

}  // namespace

TEST_CASE("contrastive objectives are trained, logged one by one, validated and embedded") {
  host::Trainer trainer = make(contrastive({{"training", {{"valid_frequency", 3}}}}));
  std::int64_t validations = 0;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) {
    const Statistics& s = report.statistics;
    CHECK(names_of(s) == std::vector<std::string>{"loss_train_0", "loss_train_1", "sum_loss_train",
                                                  "total", "temperature_0", "temperature_1"});
    CHECK(value_of(s, "total") == value_of(s, "sum_loss_train"));
    CHECK(value_of(s, "total") ==
          doctest::Approx(value_of(s, "loss_train_0") + value_of(s, "loss_train_1")));
    CHECK(value_of(s, "temperature_1") == 0.5);
    if (!report.validation_loss) return;
    ++validations;
    CHECK(names_of(report.validation_parts) == std::vector<std::string>{"loss_0", "loss_1"});
    CHECK(*report.validation_loss ==
          doctest::Approx(report.validation_parts[0].value + report.validation_parts[1].value));
  };
  REQUIRE(trainer.fit(callbacks));
  CHECK(validations == 2);
  CHECK(trainer.transform(recording().neural()).sizes() == at::IntArrayRef({200, 4}));
  CHECK(trainer.loss_on({recording()}, 2).chance == doctest::Approx(2 * std::log(16)));
  std::int64_t elements = 0;
  for (const NamedTensor& t : trainer.tensors()) elements += t.tensor.numel();
  CHECK(trainer.num_parameters() == elements);
}

TEST_CASE("temperatures that are learnt are parameters of the objectives") {
  json learning = contrastive();
  for (json& objective : learning["objectives"])
    objective["loss"] = {{"name", "LearnableEuclideanInfoNCE"}, {"temperature", 0.7}};
  host::Trainer trainer = make(learning);
  fit(trainer);
  for (const char* name : {"criterion.criterions.0.log_inverse_temperature",
                           "criterion.criterions.1.log_inverse_temperature"})
    CHECK(tensor_named(trainer, name).item<double>() != doctest::Approx(std::log(1 / 0.7)));
}

TEST_CASE("supervised objectives predict labels") {
  const json longer = {{"training", {{"num_steps", 80}, {"valid_frequency", 40}}}};
  host::Trainer trainer = make(supervised(longer));
  const std::vector<Statistics> steps = fit(trainer);
  CHECK(names_of(steps[0]) ==
        std::vector<std::string>{"loss_train_0", "loss_train_1", "sum_loss_train", "total"});
  CHECK(value_of(steps[79], "total") < value_of(steps[0], "total"));
  const host::HeldOut held_out = trainer.loss_on({recording()}, 2);
  CHECK(std::isfinite(held_out.loss));
  CHECK(std::isnan(held_out.chance));
  CHECK(trainer.transform(recording().neural()).sizes() == at::IntArrayRef({200, 3}));
}

TEST_CASE("weights of the losses are constant, or change step by step") {
  const auto constant = fitted(contrastive(
      solver({{"scheduler_loss", {{"name", "constant-weight"}, {"initial_weights", {2, 0.5}}}}})));
  for (const Statistics& s : constant) {
    CHECK(value_of(s, "loss_weight_0") == 2);
    CHECK(value_of(s, "loss_weight_1") == 0.5);
    CHECK(value_of(s, "total") ==
          doctest::Approx(2 * value_of(s, "loss_train_0") + 0.5 * value_of(s, "loss_train_1")));
  }
  // The same scheduler as the regulariser's.
  const auto changing =
      fitted(contrastive(solver({{"scheduler_loss", linear("linear-scheduler", 1, 3, 0.5, 2)}})));
  const std::vector<std::optional<double>> weights = {std::nullopt, 0.5,          1.25,
                                                      2.0,          std::nullopt, std::nullopt};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CAPTURE(i);
    const Statistics& s = changing[i];
    const double w = weights[i].value_or(1);
    CHECK(find_value(s, "loss_weight_0") == weights[i]);
    CHECK(find_value(s, "loss_weight_1") == weights[i]);
    CHECK(value_of(s, "total") ==
          doctest::Approx(w * (value_of(s, "loss_train_0") + value_of(s, "loss_train_1"))));
  }
}

TEST_CASE("the regulariser sets in at its step with its weight") {
  json options = regularised(-1, 0)["solver"];
  options["scheduler_regularizer"] = linear("linear-ramp-up", 2, 4, 0.1, 0.3);
  const auto steps = fitted(contrastive(solver(options)));
  const std::vector<std::optional<double>> weights = {std::nullopt, std::nullopt, 0.1,
                                                      0.2,          0.3,          0.3};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    CAPTURE(i);
    const Statistics& s = steps[i];
    double total = value_of(s, "loss_train_0") + value_of(s, "loss_train_1");
    for (const char* slice : {"_0", "_1"}) {
      const auto weight = find_value(s, std::string("regularizer_weight") + slice);
      CHECK(weight.has_value() == weights[i].has_value());
      const auto penalty = find_value(s, std::string("regularizer") + slice);
      CHECK(penalty.has_value() == weights[i].has_value());
      if (!weights[i]) continue;
      CHECK(*weight == doctest::Approx(*weights[i]));
      CHECK(*penalty > 0);
      total += *weight * *penalty;
    }
    CHECK(value_of(s, "total") == doctest::Approx(total));
  }
  // The slice is a part of the whole, and so is its penalty.
  CHECK(value_of(steps[5], "regularizer_1") < value_of(steps[5], "regularizer_0"));
}

TEST_CASE("random projections are repeatable and estimate the exact penalty") {
  const OneThread one_thread;
  const auto exact = fitted(contrastive(regularised(-1, 0.1)));
  const auto one = fitted(contrastive(regularised(1, 0.1)));
  const auto many = fitted(contrastive(regularised(400, 0.1)));
  const auto again = fitted(contrastive(regularised(1, 0.1)));
  const double wanted = value_of(exact[0], "regularizer_0");
  CHECK(value_of(one[0], "loss_train_0") == value_of(exact[0], "loss_train_0"));
  CHECK(value_of(one[0], "regularizer_0") != wanted);
  CHECK(value_of(many[0], "regularizer_0") == doctest::Approx(wanted).epsilon(0.05));
  for (std::size_t i = 0; i < one.size(); ++i)
    for (std::size_t k = 0; k < one[i].size(); ++k) CHECK(again[i][k].value == one[i][k].value);
  // Steps and slices have directions of their own.
  const double share_0 = value_of(one[0], "regularizer_0") / value_of(exact[0], "regularizer_0");
  const double share_1 = value_of(one[0], "regularizer_1") / value_of(exact[0], "regularizer_1");
  CHECK(share_0 != doctest::Approx(share_1));
}

TEST_CASE("a strong regulariser makes the Jacobian smaller, and validation is without it") {
  const json longer = {{"training", {{"num_steps", 40}}}};
  const auto weak = fitted(contrastive(merged(regularised(-1, 1e-6), longer)));
  const auto strong = fitted(contrastive(merged(regularised(-1, 30), longer)));
  CHECK(value_of(strong[39], "regularizer_0") < 0.5 * value_of(weak[39], "regularizer_0"));
  const host::Trainer plain = make(contrastive()),
                      penalised = make(contrastive(regularised(-1, 9)));
  CHECK(penalised.loss_on({recording()}, 2).loss == plain.loss_on({recording()}, 2).loss);
}

TEST_CASE("sharpness-aware minimisation takes other steps and leaves no trace of its climb") {
  const OneThread one_thread;
  const json sam = solver({{"use_sam", true}, {"sam_rho", 0.5}});
  const auto plain = fitted(contrastive()), sharp = fitted(contrastive(sam));
  CHECK(value_of(sharp[0], "total") == value_of(plain[0], "total"));
  CHECK(value_of(sharp[5], "total") != value_of(plain[5], "total"));
  // So small a rate changes no parameter: what is left is the climb, undone.
  host::Trainer still = make(contrastive(merged(sam, {{"optimizer", {{"learning_rate", 1e-30}}}})));
  const std::vector<at::Tensor> before = copies(still.tensors());
  fit(still);
  for (std::size_t i = 0; i < before.size(); ++i)
    CHECK(at::equal(still.tensors()[i].tensor, before[i]));
  const json longer = {{"training", {{"num_steps", 80}}}};
  const auto by_label = fitted(supervised(merged(solver({{"use_sam", true}}), longer)));
  CHECK(value_of(by_label[79], "total") < value_of(by_label[0], "total"));
}

TEST_CASE("a sharpness-aware step uses the gradient at the top of the climb") {
  const json options = {{"module", {{"name", "offset1-model-mse"}, {"num_output", 2}}},
                        {"feature_ranges", {{0, 2}}}};
  const json losses = {{"mode", "supervised"},
                       {"losses", {{{"supervised_loss", {{"name", "nn.MSELoss"}}}}}}};
  host::CreateOptions create;
  create.num_input = 3;
  Batch batch;
  batch.reference = inp({5, 3, 1});
  batch.positives = {at::sin(inp({5, 2}))};
  const auto made = [&] {
    auto model = builtin_host().create_model("SubspaceMultiobjectiveModel", options.dump(), create);
    fill(model->tensors());
    return model;
  };
  const auto criterion = builtin_criterion("MultiCriterions", losses.dump());
  const auto by_solver = made(), by_hand = made();
  const auto solver = builtin_host().create_solver("supervised-solver-xcebra",
                                                   R"({"use_sam": true, "sam_rho": 0.3})", {});
  solver->attach({*by_solver}, {*criterion});
  host::Adam adam(by_solver->tensors(), {}), other(by_hand->tensors(), {});
  solver->step({batch}, *adam.table());

  const auto differentiate = [&] {
    other.zero_grad();
    const at::Tensor found = by_hand->forward_all(batch.reference, 2)[1];
    (found - batch.positives[0]).square().mean().backward();
  };
  differentiate();
  const std::vector<at::Tensor> before = copies(by_hand->tensors());
  double norm = 0;
  for (const NamedTensor& t : by_hand->tensors())
    norm += t.tensor.grad().square().sum().item<double>();
  const at::NoGradGuard no_grad;
  for (const NamedTensor& t : by_hand->tensors())
    at::Tensor(t.tensor).add_(t.tensor.grad(), 0.3 / std::sqrt(norm));
  {
    const at::AutoGradMode with_gradients(true);
    differentiate();
  }
  for (std::size_t i = 0; i < before.size(); ++i)
    at::Tensor(by_hand->tensors()[i].tensor).copy_(before[i]);
  other.step();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const at::Tensor found = by_solver->tensors()[i].tensor;
    CHECK(at::allclose(found, by_hand->tensors()[i].tensor, 0, 1e-6));
    CHECK_FALSE(at::equal(found, before[i]));
  }
}

TEST_CASE("objectives that are stopped go on as if they had not stopped") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  json ramp = regularised(1, 0)["solver"];
  ramp["scheduler_regularizer"] = linear("linear-ramp-up", 1, 4, 0.1, 0.3);
  ramp["scheduler_loss"] = linear("linear-scheduler", 2, 5, 0.5, 2);
  const json cases[] = {contrastive(), contrastive(solver(ramp)),
                        contrastive(solver({{"use_sam", true}})), supervised(),
                        supervised(solver(ramp))};
  for (const json& c : cases) {
    CAPTURE(c.dump());
    host::Trainer whole = make(c), half = make(c), later = make(c);
    const auto wanted = fit(whole);
    fit_until(half, 3);
    half.save(folder / "half");
    later.load(folder / "half");
    const auto found = fit(later);
    check_equal(later.tensors(), whole.tensors());
    REQUIRE(found.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(names_of(found[i]) == names_of(wanted[3 + i]));
      CHECK(value_of(found[i], "total") == value_of(wanted[3 + i], "total"));
    }
    const auto restored = host::Trainer::from_checkpoint(builtin_host(), folder / "half");
    CHECK(at::equal(restored.transform(recording().neural()), [&] {
      host::Trainer other = make(c);
      other.load(folder / "half");
      return other.transform(recording().neural());
    }()));
  }
}

TEST_CASE("a new sample's embedding is the whole one, whatever the slices") {
  json scaled = contrastive(solver({{"renormalize", true}}));
  host::Trainer trainer = make(scaled);
  fit(trainer);
  const at::Tensor rows = trainer.transform(recording().neural());
  CHECK(rows.sizes() == at::IntArrayRef({200, 4}));
  // Two pieces of length 1.
  CHECK(at::allclose(rows.slice(1, 0, 2).norm(2, 1), at::ones({200}), 0, 1e-5));
  CHECK(at::allclose(rows.norm(2, 1), at::full({200}, std::sqrt(2.)), 0, 1e-5));
  scaled["solver"]["renormalize_mode"] = "per_slice";
  host::Trainer apart = make(scaled);
  CHECK_FALSE(at::allclose(apart.transform(recording().neural()).norm(2, 1), at::ones({200})));
}

TEST_CASE("the long form and a model with dimensions train as well") {
  json experiment = contrastive();
  const json expanded = host::Experiment(builtin_host(), experiment).document();
  const auto wanted = fitted(experiment), found = fitted(expanded);
  CHECK(value_of(found[5], "total") == value_of(wanted[5], "total"));

  json by_dimensions = expanded;
  by_dimensions["model"] = {{"name", "MultiobjectiveModel"},
                            {"module", expanded["model"]["module"]},
                            {"dimensions", {2, 4}},
                            {"output_mode", "separate"}};
  by_dimensions["criterion"]["losses"][0]["indices"] = {0, 2};
  const auto steps = fitted(by_dimensions);
  CHECK(std::isfinite(value_of(steps[5], "loss_train_1")));
}

TEST_CASE("objectives share references that have a positive, or clamp at the border") {
  json later = contrastive();
  later["objectives"][0]["distribution"]["time_offset"] = 149;
  CHECK(std::isfinite(value_of(fitted(later)[0], "total")));
  later["objectives"][0]["distribution"]["time_offset"] = 150;
  CHECK(contains(refusal([&] { make(later); }),
                 "/sampling/positives/0/time_offset: found 150; must be below the number of "
                 "samples"));
  json clamped = contrastive({{"sampling", {{"borders", "clamp"}}}});
  CHECK(value_of(fitted(clamped)[0], "total") != value_of(fitted(contrastive())[0], "total"));
}

// ---- refusals ----------------------------------------------------------------------------------

TEST_CASE("objectives that do not fit are refused before anything is trained") {
  const json long_form = host::Experiment(builtin_host(), contrastive()).document();
  const json by_label = host::Experiment(builtin_host(), supervised()).document();
  const auto long_with = [](json document, const char* pointer, const json& value) {
    document[json::json_pointer(pointer)] = value;
    return document;
  };
  const auto objectives = [](const json& list) {
    return document(list, {{"model", {{"num_output", 4}}}});
  };
  const json unset = regularised(1, 0.1)["solver"];
  const auto constant = [](const json& weights) {
    return json{{"name", "constant-weight"}, {"initial_weights", weights}};
  };
  json late = linear("linear-ramp-up", 100, 200, 0, 1);
  late["n_splits"] = 3;
  json set_in_late = unset;
  set_in_late["scheduler_regularizer"] = late;
  struct Case {
    json document;
    std::string text;
  };
  const std::vector<Case> cases = {
      {contrastive(solver({{"regularizer", unset["regularizer"]}})),
       "/solver: multiobjective-solver (grevy.solvers) create: regularizer needs "
       "scheduler_regularizer"},
      {contrastive(solver({{"scheduler_regularizer", constant({1, 1})}})),
       "scheduler_regularizer has no regularizer to weigh"},
      {contrastive(merged(solver(unset), solver({{"use_sam", true}}))),
       "use_sam cannot be combined with a regularizer"},
      {contrastive(solver({{"scheduler_loss", constant({1, 2, 3})}})),
       "scheduler_loss gives 3 weights; needed: one per objective, 2"},
      {contrastive(solver(set_in_late)),
       "scheduler_regularizer gives 3 weights; needed: one per objective, 2"},
      {contrastive(solver({{"scheduler_loss", linear("linear-scheduler", 5, 5, 0, 1)}})),
       "step_to_switch_off_reg is 5; must be above step_to_switch_on_reg, 5"},
      {contrastive(solver({{"scheduler_loss", {{"name", "cosine"}}}})), "/solver/scheduler_loss"},
      {contrastive(solver({{"sam_rho", 0}})), "/solver/sam_rho: found 0; must be"},
      {contrastive(merged(solver(unset), solver({{"regularizer", {{"n", 0}}}}))),
       "/solver/regularizer"},
      {contrastive(merged(solver(unset), solver({{"regularizer", {{"name", "L2"}}}}))),
       "/solver/regularizer"},
      {long_with(long_form, "/model", long_form["model"]["module"]),
       "/solver: multiobjective-solver (grevy.solvers) attach: offset5-model has no slices"},
      {long_with(long_form, "/criterion", {{"name", "InfoNCE"}}),
       "has 2 parts; needed: 2 losses, one per slice of the model, as MultiCriterions has"},
      {long_with(long_form, "/criterion/losses",
                 json::array({long_form["criterion"]["losses"][0]})),
       "MultiCriterions has 1 losses; needed: 2 losses, one per slice"},
      {long_with(long_form, "/sampling/positives",
                 json::array({long_form["sampling"]["positives"][0]})),
       "/sampling: the solver works with 2 set(s) of positives (hybrid gives 2); found 1"},
      {long_with(by_label, "/sampling/targets", {"position"}),
       "/sampling: the solver works with 2 set(s) of targets; found 1"},
      {long_with(by_label, "/solver/name", "multiobjective-solver"),
       "/sampling: targets are for supervised solvers; must be null"},
      {long_with(long_form, "/solver/name", "supervised-solver-xcebra"),
       "/sampling: the solver is supervised and needs targets, names of labels"},
      {long_with(long_form, "/criterion/mode", "supervised"),
       "losses[0] has no \"supervised_loss\", which mode \"supervised\" needs"},
      {long_with(long_form, "/criterion/losses/0/contrastive_loss/name", "InfoNCEE"),
       "/criterion: "},
      {long_with(long_form, "/criterion/losses/1/indices", {3, 2}),
       "losses[1].indices: found [3,2]; must be [first, last + 1]"},
      {long_with(long_form, "/sampling/prior", "uniform"),
       "/sampling/prior: found \"uniform\"; several sets of positives share the prior"},
      {objectives(json::array({pair_in_time(0, 5)})),
       "feature range [0, 5]: must be [first, last + 1] within [0, 4]"},
      {objectives(json::array({pair_in_time(0, 2), pair_in_label(3, 4)})),
       "no range holds feature 2"},
      {objectives(json::array({prediction(0, 4, "nn.MSELoss", "speed")})),
       "/sampling/targets: there is no label \"speed\""},
      {contrastive(solver({{"renormalize", true}, {"renormalize_mode", "halves"}})),
       "/solver/renormalize_mode"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const std::string found = refusal([&] { make(c.document); });
    CHECK_MESSAGE(contains(found, c.text), found);
  }
  const std::string several = refusal([] {
    trainer_of(contrastive(), {recording(), recording()});
  });
  CHECK_MESSAGE(contains(several,
                         "/data/sessions: found 2; the solver multiobjective-solver works "
                         "with one"),
                several);
}

TEST_CASE("targets that do not fit their slice are refused before the first step") {
  const auto text = [](const json& objective) {
    return refusal([&] {
      make(document(json::array({objective}), {{"model", {{"num_output", 2}}}}));
    });
  };
  const std::string width = text(prediction(0, 2, "nn.MSELoss", "position"));
  CHECK_MESSAGE(contains(width, "needs a target of the prediction's shape, [2, 2]; found [2, 1]"),
                width);
  const std::string floats = text(prediction(0, 2, "nn.CrossEntropyLoss", "position"));
  CHECK_MESSAGE(contains(floats, "needs integer classes, one per row of the prediction"), floats);
}
