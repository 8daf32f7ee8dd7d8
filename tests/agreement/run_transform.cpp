// transform: padded, bare and in chunks, as an application would embed a recording.
#include "runners.hpp"

#include <grevy/host/trainer.hpp>

namespace grevy::agreement {
namespace {

// A Trainer needs something to train on; its values do not matter here.
host::Trainer make_trainer(const Case& c, const Bench& bench, std::int64_t channels) {
  const auto name = c.param<std::string>("model");
  bench.need(host::Kind::model, name);
  const Json widths = width_options(c, c.tensors("state/"));
  nlohmann::json document;
  document["model"] = nlohmann::json::parse(widths.dump());
  document["model"]["name"] = name;
  document["training"] = {{"batch_size", 1}, {"num_steps", 1}};
  const host::Recording recording(at::zeros({1000, channels}));
  return {bench.host(), host::Experiment(bench.host(), document), recording};
}

host::TransformOptions transform_options(const std::string& name) {
  host::TransformOptions options;
  options.pad = name != "bare";
  const std::string prefix = "chunked_";
  if (name.rfind(prefix, 0) == 0) options.chunk = std::stoll(name.substr(prefix.size()));
  return options;
}

bool is_result(const std::string& name) {
  return name == "padded" || name == "bare" || name.rfind("chunked_", 0) == 0;
}

}  // namespace

void run_transform(const Case& c, const Bench& bench, Comparison& result) {
  const at::Tensor samples = c.tensor("input");
  const host::Trainer trainer = make_trainer(c, bench, samples.size(1));
  load_state(trainer.model().tensors(), c.tensors("state/"),
             c.param("shared", Json(Json::object())));
  const auto offset = c.param<std::vector<std::int64_t>>("offset");
  result.whole("offset left", trainer.model_info().offset.left, offset.at(0));
  result.whole("offset right", trainer.model_info().offset.right, offset.at(1));

  for (const NamedTensor& expected : c.tensors("")) {
    if (!is_result(expected.name)) continue;
    const at::Tensor rows = trainer.transform(samples, transform_options(expected.name));
    result.values(expected.name, rows, expected.tensor, tolerance::forward);
  }
  if (c.has_tensor("bare"))
    result.values("bare, by the solver", trainer.solver().transform(0, samples), c.tensor("bare"),
                  tolerance::forward);
}

}  // namespace grevy::agreement
