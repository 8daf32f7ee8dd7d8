// Which of a checkpoint's tensors an encoder takes.
#include "exchange/exchange_tensors.hpp"

#include "exchange/exchange_names.hpp"
#include "host/trainer_support.hpp"
#include "training/checkpoint.hpp"

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace {

Trainer trainer_of_model(const json& model) {
  return Trainer::without_data(builtin_host(), Experiment(builtin_host(), {{"model", model}}), {4});
}

// What the reference would have stored of the encoder.
CebraCheckpoint checkpoint_of(const Trainer& trainer) {
  NamedTensors named;
  for (const NamedTensor& t : trainer.model().tensors())
    if (!is_own_tensor(t.name)) named.push_back(t);
  CebraCheckpoint checkpoint;
  store(named, checkpoint.model);
  return checkpoint;
}

MatchedTensors match(const Trainer& trainer, const CebraCheckpoint& checkpoint) {
  return match_tensors(trainer, checkpoint, split_encoders(checkpoint.model));
}

}  // namespace

TEST_CASE("what draws of dropout are counted with is no tensor of the reference") {
  const Trainer trainer = trainer_of_model({{"name", "offset36-model-dropout"}});
  CebraCheckpoint checkpoint = checkpoint_of(trainer);
  const MatchedTensors matched = match(trainer, checkpoint);
  CHECK(matched.content.tensors.size() == trainer.model().tensors().size() - 1);
  CHECK(matched.of_no_place.empty());
  checkpoint.optimizer[0] = {};
  CHECK(match_moments(trainer, checkpoint).problem ==
        "it is for 0 parameters; there are " +
            std::to_string(trainer.model().tensors().size() - 1));
  checkpoint.model.tensors.at("net.0.weight").dtype = "F64";
  CHECK(contains(refusal([&] { match(trainer, checkpoint); }),
                 "the model tensor \"net.0.weight\" is F64 [32, 4, 2]; needed: F32 [32, 4, 2]"));
}

TEST_CASE("repetitions of a layer are equal to the last byte") {
  const Trainer trainer = trainer_of_model(
      {{"name", "offset1-model-mse-v2-2layers"}, {"num_units", 4}, {"num_output", 2}});
  CebraCheckpoint checkpoint = checkpoint_of(trainer);
  auto& tensors = checkpoint.model.tensors;
  for (const char* name : {"weight", "bias"})
    tensors[std::string("net.5.") + name] = tensors.at(std::string("net.3.") + name);
  CHECK(match(trainer, checkpoint).content.tensors.size() == tensors.size() - 2);
  tensors.at("net.5.bias").bytes.back() ^= 1U;
  CHECK(contains(refusal([&] { match(trainer, checkpoint); }),
                 "the model tensor \"net.5.bias\" differs from \"net.3.bias\""));
}
