// Training on several sessions, and on whole series: what a Trainer of each solver promises.
#include "trainer_support.hpp"
#include "unit/temporary_folder.hpp"

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

struct Setup {
  std::string name;
  json changes;
  Sessions sessions;
};

const host::Recording& first() {
  static const host::Recording made = made_recording(120, 4, 1);
  return made;
}
const host::Recording& second() {
  static const host::Recording made = made_recording(90, 3, 2);
  return made;
}
const host::Recording& third() {
  static const host::Recording made = made_recording(70, 5, 3);
  return made;
}
Sessions all_sessions() { return {first(), second(), third()}; }

json document(const json& changes = json::object()) {
  const json plain = {{"seed", 7},
                      {"sampling",
                       {{"conditional", "time_delta"},
                        {"continuous", json::array({"position"})},
                        {"time_offset", 3}}},
                      {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 4}}},
                      {"solver", {{"name", "multi-session"}}},
                      {"optimizer", {{"learning_rate", 0.01}}},
                      {"training", {{"num_steps", 6}, {"batch_size", 12}, {"valid_batches", 2}}}};
  return merged(plain, changes);
}

json solver(const char* name) { return {{"solver", {{"name", name}}}}; }

// Every solver that sees several sessions, or the whole of one.
const std::vector<Setup>& setups() {
  static const std::vector<Setup> all = [] {
    const json full = {{"training", {{"batch_size", nullptr}}}};
    const json hybrid = {{"solver", {{"num_behavior_features", 2}}},
                         {"sampling", {{"hybrid", true}}}};
    return std::vector<Setup>{
        {"multi-session", solver("multi-session"), all_sessions()},
        {"multi-session-aux", solver("multi-session-aux"), all_sessions()},
        {"multi-session-hybrid", merged(solver("multi-session-hybrid"), hybrid), all_sessions()},
        {"multi-session-full", merged(solver("multi-session-full"), full), all_sessions()},
        {"unified-session", solver("unified-session"), all_sessions()},
        {"single-session-full", merged(solver("single-session-full"), full), {first()}}};
  }();
  return all;
}

Sessions part(const Sessions& sessions, bool held_out) {
  Sessions parts;
  for (const host::Recording& s : sessions) {
    const std::int64_t middle = 3 * s.num_samples() / 4;
    parts.push_back(held_out ? s.slice(middle, s.num_samples()) : s.slice(0, middle));
  }
  return parts;
}

host::Trainer make(const Setup& setup, const json& changes = json::object()) {
  return trainer_of(document(merged(setup.changes, changes)), part(setup.sessions, false),
                    part(setup.sessions, true));
}

bool is_joined(const host::Trainer& trainer) {
  return trainer.solver_info().sessions == SolverInfo::Sessions::joined;
}

at::Tensor embed(const host::Trainer& trainer, const Sessions& sessions, std::int64_t session) {
  host::TransformOptions options;
  options.session = session;
  const host::Recording seen = is_joined(trainer) ? trainer.line_up(sessions, session)
                                                  : sessions[static_cast<std::size_t>(session)];
  return trainer.transform(seen.neural(), options);
}

}  // namespace

TEST_CASE("every session solver trains, validates, and embeds each session") {
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    host::Trainer trainer = make(setup, {{"training", {{"valid_frequency", 2}}}});
    std::vector<std::int64_t> validated;
    host::FitCallbacks callbacks;
    callbacks.on_step = [&](const host::StepReport& report) {
      CHECK(std::isfinite(value_of(report.statistics, "total")));
      CHECK(value_of(report.statistics, "temperature") == 1);
      if (!report.validation_loss) return;
      CHECK(std::isfinite(*report.validation_loss));
      CHECK_FALSE(report.validation_parts.empty());
      validated.push_back(report.step);
    };
    REQUIRE(trainer.fit(callbacks));
    CHECK(validated == std::vector<std::int64_t>{1, 3, 5});
    REQUIRE(trainer.num_sessions() == static_cast<std::int64_t>(setup.sessions.size()));
    for (std::int64_t s = 0; s < trainer.num_sessions(); ++s) {
      const std::int64_t samples = setup.sessions[static_cast<std::size_t>(s)].num_samples();
      const at::Tensor embedding = embed(trainer, setup.sessions, s);
      CHECK(embedding.sizes() == at::IntArrayRef({samples, 4}));
      CHECK(at::allclose(embedding.norm(2, 1), at::ones({samples}), 0, 1e-5));
    }
  }
}

TEST_CASE("every session solver lowers its loss") {
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    host::Trainer trainer = make(setup, {{"training", {{"num_steps", 40}}}});
    const double before = trainer.loss_on(part(setup.sessions, false), 5).loss;
    fit(trainer);
    CHECK(trainer.loss_on(part(setup.sessions, false), 5).loss < before);
  }
}

TEST_CASE("a session has channels and an encoder of its own, joined ones share an encoder") {
  const host::Trainer apart = make(setups()[0]), joined = make(setups()[4]);
  CHECK(apart.model_info(0).num_input == 4);
  CHECK(apart.model_info(1).num_input == 3);
  CHECK(apart.model_info(2).num_input == 5);
  CHECK(tensor_named(apart, "model.2.net.0.weight").size(1) == 5);
  for (std::int64_t s = 0; s < 3; ++s) CHECK(joined.model_info(s).num_input == 12);
  CHECK(tensor_named(joined, "model.net.0.weight").size(1) == 12);
  // All encoders are trained and counted; a second one for the references doubles them.
  std::int64_t parameters = 0;
  for (const NamedTensor& t : apart.tensors()) parameters += t.trained ? t.tensor.numel() : 0;
  CHECK(apart.num_parameters() == parameters);
  CHECK(make(setups()[1]).num_parameters() == 2 * parameters);
}

TEST_CASE("sessions that do not exist are refused") {
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    const host::Trainer trainer = make(setup);
    const std::int64_t count = trainer.num_sessions();
    for (const std::int64_t session : {std::int64_t{-1}, count}) {
      host::TransformOptions options;
      options.session = session;
      const std::string text = "session " + std::to_string(session) +
                               " does not exist; there are " + std::to_string(count) +
                               ", counted from 0";
      const auto refused = [&](auto&& body) {
        CHECK(refusal_code(body) == ErrorCode::out_of_range);
        const std::string found = refusal(body);
        CHECK_MESSAGE(contains(found, text), found);
      };
      refused([&] { trainer.transform(first().neural(), options); });
      refused([&] { trainer.model_info(session); });
      refused([&] { trainer.model(session); });
      refused([&] { trainer.loss_on_session(first(), session, 1); });
      if (is_joined(trainer)) refused([&] { trainer.line_up(setup.sessions, session); });
    }
  }
}

TEST_CASE("transform wants the channels of the session") {
  const host::Trainer apart = make(setups()[0]), joined = make(setups()[4]);
  host::TransformOptions options;
  options.session = 1;
  const auto wrong = [&](const host::Trainer& trainer, const at::Tensor& samples) {
    return refusal([&] { trainer.transform(samples, options); });
  };
  CHECK(contains(wrong(apart, first().neural()), "(time, 3 channels); found [120, 4]"));
  CHECK(contains(wrong(joined, second().neural()), "(time, 12 channels); found [90, 3]"));
}

TEST_CASE("losses on other recordings are repeatable, with the chance level of their negatives") {
  const host::Trainer multi = make(setups()[0]), hybrid = make(setups()[2]),
                      joined = make(setups()[4]);
  const Sessions held_out = part(all_sessions(), true);
  CHECK(multi.loss_on(held_out, 3).loss == multi.loss_on(held_out, 3).loss);
  // A reference is compared with the negatives of all sessions.
  CHECK(multi.loss_on(held_out, 1).chance == doctest::Approx(std::log(36)));
  CHECK(hybrid.loss_on(held_out, 1).chance == doctest::Approx(2 * std::log(36)));
  CHECK(joined.loss_on(held_out, 1).chance == doctest::Approx(std::log(12)));
  for (std::int64_t s = 0; s < 3; ++s) {
    const auto& own = held_out[static_cast<std::size_t>(s)];
    const host::HeldOut found = multi.loss_on_session(own, s, 3);
    CHECK(found.loss == multi.loss_on_session(own, s, 3).loss);
    CHECK(std::isfinite(found.loss));
    CHECK(found.chance == doctest::Approx(std::log(12)));
  }
}

TEST_CASE("a full batch compares with every sample that has a window and a positive") {
  json by_time = solver("single-session-full");
  by_time["sampling"] = {{"conditional", "time"}, {"continuous", nullptr}, {"time_offset", 7}};
  by_time["training"] = {{"batch_size", nullptr}};
  const host::Trainer single = trainer_of(document(by_time), {first()});
  // Windows of 5 samples fit around 116 of 120; the last 7 have no positive, 2 of which no window.
  CHECK(single.loss_on({first()}, 1).chance == doctest::Approx(std::log(111)));
  const host::Trainer multi = trainer_of(document(setups()[3].changes), all_sessions());
  CHECK(multi.loss_on(all_sessions(), 1).chance == doctest::Approx(std::log(116 + 86 + 66)));
}

TEST_CASE("losses on sessions that do not fit the trainer are refused") {
  const host::Trainer multi = make(setups()[0]), joined = make(setups()[4]);
  const auto refused = [](auto&& body, const char* text) {
    const std::string found = refusal(body);
    CHECK_MESSAGE(contains(found, text), found);
  };
  for (const host::Trainer* trainer : {&multi, &joined}) {
    refused(
        [&] {
          trainer->loss_on({first(), second(), third(), first()}, 1);
        },
        "found 4 sessions");
    refused([&] { trainer->loss_on({first(), second()}, 1); }, "found 2 sessions");
    refused([&] { trainer->loss_on({}, 1); }, "found 0 sessions");
  }
  refused([&] { joined.loss_on_session(first(), 0, 1); }, "12 channels");
}

// ---- state -------------------------------------------------------------------------------------

TEST_CASE("a fit that is stopped, stored and loaded goes on as if it had not stopped") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  const json changes = {{"criterion", {{"name", "LearnableCosineInfoNCE"}}},
                        {"sampling", {{"masks", {{"RandomNeuronMask", 0.3}}}}},
                        {"training", {{"valid_frequency", 2}}}};
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    json own = changes;
    if (contains(setup.name, "full")) own.erase("sampling");
    host::Trainer whole = make(setup, own), half = make(setup, own), later = make(setup, own);
    const std::vector<Statistics> wanted = fit(whole);
    fit_until(half, 3);
    half.save(folder / "half");
    later.load(folder / "half");
    CHECK(later.step() == 3);
    check_equal(later.tensors(), half.tensors());
    later.save(folder / "again");
    CHECK(file_bytes(folder / "half") == file_bytes(folder / "again"));
    const std::vector<Statistics> found = fit(later);
    REQUIRE(found.size() == 3);
    for (std::size_t i = 0; i < found.size(); ++i)
      CHECK(value_of(found[i], "total") == value_of(wanted[3 + i], "total"));
    check_equal(later.tensors(), whole.tensors());
    whole.save(folder / "whole");
    later.save(folder / "later");
    CHECK(file_bytes(folder / "whole") == file_bytes(folder / "later"));
    const auto restored = host::Trainer::from_checkpoint(builtin_host(), folder / "whole");
    for (std::int64_t s = 0; s < whole.num_sessions(); ++s)
      CHECK(at::equal(embed(restored, setup.sessions, s), embed(whole, setup.sessions, s)));
  }
}

TEST_CASE("validation leaves training mode and random numbers as they were") {
  const OneThread one_thread;
  // Its dropout works in training mode alone.
  const json dropout = {{"model", {{"name", "offset36-model-more-dropout"}}}};
  const Sessions sessions = {made_recording(160, 4, 1), made_recording(150, 3, 2)};
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    Setup larger = setup;
    larger.sessions = sessions;
    if (setup.sessions.size() == 1) larger.sessions.pop_back();
    host::Trainer plain = make(larger, dropout);
    host::Trainer validating =
        make(larger, merged(dropout, {{"training", {{"valid_frequency", 1}}}}));
    fit(plain);
    fit(validating);
    check_equal(validating.tensors(), plain.tensors());
  }
}

TEST_CASE("load_partially takes what is there and names what is not") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  host::Trainer stored = trainer_of(document(), {first(), second()});
  fit(stored);
  stored.save(folder / "two");
  host::Trainer wider = trainer_of(document(), all_sessions());
  const at::Tensor before = tensor_named(wider, "model.2.net.0.weight").clone();
  const std::vector<std::string> missing = wider.load_partially(folder / "two");
  CHECK_FALSE(missing.empty());
  // Moments are taken all or none: they share the number of steps.
  for (const std::string& name : missing)
    CHECK((name.rfind("model.2.net.", 0) == 0 || name.rfind("optimizer.", 0) == 0));
  CHECK(missing.size() > wider.tensors().size());
  CHECK(wider.step() == 0);
  for (const char* name : {"model.0.net.0.weight", "model.1.net.0.weight"})
    CHECK(at::equal(tensor_named(wider, name), tensor_named(stored, name)));
  CHECK(at::equal(tensor_named(wider, "model.2.net.0.weight"), before));
  fit(wider);

  host::Trainer same = trainer_of(document(), {first(), second()});
  CHECK(same.load_partially(folder / "two").empty());
  same.save(folder / "same");
  const nlohmann::json info = host::read_checkpoint_info(folder / "same");
  CHECK(info.at("step") == 0);
  CHECK(info.at("optimizer_steps") ==
        host::read_checkpoint_info(folder / "two").at("optimizer_steps"));

  host::Trainer other = trainer_of(document(), {first(), third()});
  const std::string text = refusal([&] { other.load_partially(folder / "two"); });
  CHECK_MESSAGE(contains(text, "\"model.1.net.0.weight\" is F32 [4, 3, 2]; needed: F32 [4, 5, 2]"),
                text);
  CHECK(refusal_code([&] { other.load_partially(folder / "none"); }) == ErrorCode::not_found);
}

TEST_CASE(
    "one session among several starts as it would alone, and alone trains as single-session") {
  const OneThread one_thread;
  host::Trainer alone = trainer_of(document(solver("single-session")), {first()});
  const host::Trainer among = trainer_of(document(), all_sessions());
  host::Trainer one_of_one = trainer_of(document(), {first()});
  for (const NamedTensor& t : alone.tensors()) {
    if (t.name.rfind("model.", 0) != 0) continue;
    const std::string numbered = "model.0." + t.name.substr(6);
    CHECK(at::equal(tensor_named(among, numbered), t.tensor));
    CHECK(at::equal(tensor_named(one_of_one, numbered), t.tensor));
  }
  const auto wanted = fit(alone), found = fit(one_of_one);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK(value_of(found[i], "total") == value_of(wanted[i], "total"));
  CHECK(at::equal(embed(one_of_one, {first()}, 0), embed(alone, {first()}, 0)));
  // Sessions do not start alike.
  CHECK_FALSE(at::equal(tensor_named(among, "model.1.net.2.module.0.weight"),
                        tensor_named(among, "model.0.net.2.module.0.weight")));
}

TEST_CASE("an auxiliary solver starts from copies and trains both encoders of every session") {
  host::Trainer trainer = make(setups()[1]);
  const auto of = [&](const std::string& prefix, std::int64_t session) -> const at::Tensor& {
    return tensor_named(trainer, prefix + std::to_string(session) + ".net.0.weight");
  };
  std::vector<at::Tensor> before;
  for (std::int64_t s = 0; s < 3; ++s) {
    CHECK(at::equal(of("reference_model.", s), of("model.", s)));
    before.push_back(of("model.", s).clone());
  }
  fit(trainer);
  for (std::int64_t s = 0; s < 3; ++s) {
    const at::Tensor& start = before[static_cast<std::size_t>(s)];
    CHECK_FALSE(at::equal(of("model.", s), start));
    CHECK_FALSE(at::equal(of("reference_model.", s), start));
    CHECK_FALSE(at::equal(of("reference_model.", s), of("model.", s)));
  }
  host::Trainer by_reference = make(setups()[1], {{"solver", {{"use_reference_model", true}}}});
  fit(by_reference);
  check_equal(by_reference.tensors(), trainer.tensors());
  CHECK_FALSE(
      at::allclose(embed(by_reference, all_sessions(), 1), embed(trainer, all_sessions(), 1)));
}

// ---- refusals
// ------------------------------------------------------------------------------------

TEST_CASE("sessions and settings that do not fit a solver are refused, with their place") {
  struct Case {
    json changes;
    Sessions sessions;
    std::string text;
  };
  host::Recording without_direction(first().neural());
  without_direction.add_continuous("position", first().label("position").values);
  host::Recording with_other_width(first().neural());
  host::Random random(1, "width");
  with_other_width.add_continuous("position", noise(random, 120, 2));
  host::Recording one_class(third().neural());
  one_class.add_continuous("position", third().label("position").values);
  one_class.add_discrete("direction", at::zeros({70}, at::kLong));
  const json by_time = {{"conditional", "time"}, {"continuous", nullptr}};
  const json by_class = {{"conditional", "discrete"}, {"continuous", nullptr}};
  const auto sampling = [](const json& keys) { return json{{"sampling", keys}}; };
  const json full = setups()[3].changes;
  const std::vector<Case> cases = {
      {solver("single-session"), all_sessions(),
       "/data/sessions: found 3; the solver single-session works with one"},
      {setups()[5].changes, all_sessions(),
       "/data/sessions: found 3; the solver single-session-full works with one"},
      {solver("multi-session-hybrid"), all_sessions(),
       "/sampling: the solver works with 2 set(s) of positives (hybrid gives 2); found 1"},
      {sampling({{"hybrid", true}}), all_sessions(),
       "/sampling: the solver works with 1 set(s) of positives (hybrid gives 2); found 2"},
      {sampling({{"borders", "clamp"}, {"conditional", "time"}, {"continuous", nullptr}}),
       all_sessions(), "/sampling: borders \"clamp\" works with one session; found 3"},
      {merged(full, sampling({{"masks", {{"RandomNeuronMask", 0.1}}}})), all_sessions(),
       "/sampling: full-batch training takes the series as it is"},
      {merged(full, {{"training", {{"batch_size", 8}}}}), all_sessions(),
       "/training/batch_size: found 8; the solver multi-session-full takes all samples"},
      {merged(full, {{"training", {{"num_negatives", 8}}}}), all_sessions(),
       "/training/num_negatives: found 8; the solver multi-session-full takes all samples"},
      {{{"training", {{"batch_size", 71}}}},
       all_sessions(),
       "/training/batch_size: found 71; must be at most the number of training samples, 70"},
      {sampling({{"time_offset", 70}}), all_sessions(),
       "/sampling/time_offset: found 70; must be below the number of samples"},
      {sampling({{"discrete", "direction"}}),
       {first(), without_direction},
       "/sampling/discrete: there is no label \"direction\"; labels: \"position\""},
      {json::object(), {first(), with_other_width}, "/sampling: "},
      {merged(solver("unified-session"), sampling(by_time)), all_sessions(),
       "/sampling: sampling: conditional \"time\" has no label to line sessions up by"},
      {merged(solver("unified-session"), sampling(by_class)),
       {first(), one_class},
       "has no sample of class 1"},
      {{{"reference_model", {{"name", "offset5-model"}, {"num_output", 4}}}},
       all_sessions(),
       "/reference_model: the solver multi-session has no use for it"},
      {merged(solver("multi-session-aux"),
              {{"reference_model", {{"name", "offset10-model"}, {"num_output", 4}}}}),
       all_sessions(), "/reference_model: offset10-model must have the receptive field"},
      {merged(solver("multi-session-aux"),
              {{"reference_model", {{"name", "offset5-model"}, {"num_output", 3}}}}),
       all_sessions(),
       "/reference_model: offset5-model must have the receptive field and num_output"},
      {json::object(),
       {first(), second().slice(0, 4)},
       "/data/neural: the recording (or its part) has 4 samples"},
      {{{"adapt", {{"run", "nothing"}}}}, all_sessions(), "/adapt/run: works with one session"},
      {json::object(), {}, "there is no session to train on"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const std::string found = refusal([&] { trainer_of(document(c.changes), c.sessions); });
    CHECK_MESSAGE(contains(found, c.text), found);
  }
  const std::string uneven = refusal([] {
    trainer_of(document(), all_sessions(), {first(), second()});
  });
  CHECK(contains(uneven, "found 3 sessions to train on and 2 held-out parts"));
}

TEST_CASE("values that are not finite are refused in every session, with their place") {
  at::Tensor broken = second().neural().clone();
  broken[11][2] = NAN;
  const host::Recording bad = second().with_neural(broken);
  const auto text = [](const Sessions& train, const Sessions& held_out) {
    return refusal([&] { trainer_of(document(), train, held_out); });
  };
  CHECK(contains(text({first(), bad}, {}), "at row 11, column 2"));
  CHECK(contains(text({first(), second()}, {first(), bad}), "at row 11, column 2"));
}
