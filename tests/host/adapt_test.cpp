// Adapting a trained model to other channels.
#include "plugin_support.hpp"
#include "trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <algorithm>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

json document(const json& changes = json::object()) {
  const json plain = {{"seed", 7},
                      {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 3}}},
                      {"optimizer", {{"learning_rate", 0.01}}},
                      {"training", {{"num_steps", 5}, {"batch_size", 12}}}};
  return merged(plain, changes);
}

const host::Recording& known() {
  static const host::Recording made = made_recording(100, 4, 1);
  return made;
}
const host::Recording& other() {
  static const host::Recording made = made_recording(90, 7, 2);
  return made;
}

// A finished run's folder.
class Run {
 public:
  explicit Run(const json& changes = json::object())
      : trainer(trainer_of(document(changes), {known()})) {
    fit(trainer);
    trainer.save(folder_ / "checkpoint.safetensors");
  }
  std::string folder() const { return folder_.path().string(); }
  std::string checkpoint() const { return (folder_ / "checkpoint.safetensors").string(); }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  tests::TemporaryFolder folder_;

 public:
  host::Trainer trainer;
};

json adapting(const std::string& run, const json& changes = json::object()) {
  return document(merged(changes, {{"adapt", {{"run", run}}}, {"seed", 8}}));
}

bool is_first_layer(const std::string& name) { return contains(name, "net.0."); }

}  // namespace

TEST_CASE("adapting learns the first layer anew and keeps all others") {
  const OneThread one_thread;
  const Run run;
  for (const std::string& place : {run.folder(), run.checkpoint()}) {
    host::Trainer trainer = trainer_of(adapting(place), {other()});
    const std::vector<at::Tensor> start = copies(trainer.tensors());
    CHECK(trainer.num_parameters() == 4 * 7 * 2 + 4);  // weight and bias of the first layer
    fit(trainer);
    const NamedTensors& found = trainer.tensors();
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(found[i].name);
      CHECK(found[i].trained == is_first_layer(found[i].name));
      CHECK(at::equal(found[i].tensor, start[i]) != is_first_layer(found[i].name));
      if (is_first_layer(found[i].name)) continue;
      CHECK(at::equal(found[i].tensor, tensor_named(run.trainer, found[i].name)));
    }
    CHECK(trainer.transform(other().neural()).sizes() == at::IntArrayRef({90, 3}));
  }
}

TEST_CASE("the first layer is new also where the channels are as many") {
  const Run run;
  const host::Trainer trainer = trainer_of(adapting(run.folder()), {known()});
  const host::Trainer fresh = trainer_of(document({{"seed", 8}}), {known()});
  for (const char* name : {"model.net.0.weight", "model.net.0.bias"}) {
    CHECK(at::equal(tensor_named(trainer, name), tensor_named(fresh, name)));
    CHECK_FALSE(at::equal(tensor_named(trainer, name), tensor_named(run.trainer, name)));
  }
}

TEST_CASE("an adaptation that is stopped goes on, and its checkpoint alone embeds") {
  const OneThread one_thread;
  const Run run;
  host::Trainer whole = trainer_of(adapting(run.folder()), {other()}),
                half = trainer_of(adapting(run.folder()), {other()}),
                later = trainer_of(adapting(run.folder()), {other()});
  fit(whole);
  fit_until(half, 2);
  half.save(run / "half");
  later.load(run / "half");
  fit(later);
  check_equal(later.tensors(), whole.tensors());
  whole.save(run / "whole");
  const auto restored = host::Trainer::from_checkpoint(builtin_host(), run / "whole");
  CHECK(restored.num_parameters() == whole.num_parameters());
  CHECK(at::equal(restored.transform(other().neural()), whole.transform(other().neural())));
}

TEST_CASE("models with slices are adapted as well") {
  const json two = {
      {"model", {{"name", "offset5-model"}}},
      {"objectives",
       {{{"slice", {0, 3}},
         {"loss", {{"name", "InfoMSE"}}},
         {"distribution", {{"name", "time"}, {"time_offset", 2}}}},
        {{"slice", {0, 2}},
         {"loss", {{"name", "InfoMSE"}}},
         {"distribution",
          {{"name", "time_delta"}, {"label_name", "position"}, {"time_delta", 2}}}}}}};
  const Run run(two);
  host::Trainer trainer = trainer_of(adapting(run.folder(), two), {other()});
  fit(trainer);
  CHECK(trainer.num_parameters() == 4 * 7 * 2 + 4);
  CHECK(at::equal(tensor_named(trainer, "model.module.net.3.weight"),
                  tensor_named(run.trainer, "model.module.net.3.weight")));
}

TEST_CASE("reference models are adapted as well") {
  const json aux = {{"solver", {{"name", "single-session-aux"}}}};
  const Run run(aux);
  host::Trainer trainer = trainer_of(adapting(run.folder(), aux), {other()});
  fit(trainer);
  CHECK(trainer.num_parameters() == 2 * (4 * 7 * 2 + 4));
  for (const char* name : {"model.net.3.weight", "reference_model.net.3.weight"})
    CHECK(at::equal(tensor_named(trainer, name), tensor_named(run.trainer, name)));
}

TEST_CASE("layers of the run that are not taken over are named") {
  const Run run;
  std::vector<std::string> lines;
  host::Host host(logging({GREVY_BUILTIN_PLUGINS}, lines));
  const auto adapt = [&](const json& changes) {
    lines.clear();
    host::Trainer(host, host::Experiment(host, adapting(run.folder(), changes)), other());
    return lines;
  };
  CHECK(adapt(json::object()).empty());
  const std::vector<std::string> found = adapt({{"model", {{"num_output", 2}}}});
  REQUIRE(found.size() == 1);
  CHECK_MESSAGE(contains(found[0], "offset5-model: is trained anew where " + run.checkpoint()),
                found[0]);
  CHECK_MESSAGE(contains(found[0], "of the same shape: model.net.3.weight, model.net.3.bias"),
                found[0]);
}

TEST_CASE("runs that cannot be adapted are refused, with their place") {
  const Run run;
  const auto text = [](const json& changed) {
    return refusal([&] { trainer_of(changed, {other()}); });
  };
  const std::string missing = text(adapting((run / "nothing").string()));
  CHECK_MESSAGE(contains(missing, "/adapt/run: "), missing);
  CHECK_MESSAGE(contains(missing, "nothing"), missing);
  const std::string empty_folder = text(adapting((run / "").string() + "../"));
  CHECK_MESSAGE(contains(empty_folder, "checkpoint.safetensors: no such file"), empty_folder);
  std::ofstream(run / "text.safetensors") << "no checkpoint at all, but some text";
  const std::string damaged = text(adapting((run / "text.safetensors").string()));
  CHECK_MESSAGE(contains(damaged, "text.safetensors"), damaged);
  const std::string foreign =
      text(adapting(run.folder(), {{"model", {{"name", "offset1-model-mse"}, {"num_output", 9}}}}));
  CHECK_MESSAGE(contains(foreign, "holds no layer of offset1-model-mse"), foreign);
  const std::string wrong_type = text(document({{"adapt", {{"run", 3}}}}));
  CHECK_MESSAGE(contains(wrong_type, "/adapt/run: found 3"), wrong_type);
  const std::string several = refusal([&] {
    trainer_of(adapting(run.folder(), {{"solver", {{"name", "multi-session"}}}}),
               {known(), other()});
  });
  CHECK_MESSAGE(contains(several, "/adapt/run: works with one session"), several);
}
