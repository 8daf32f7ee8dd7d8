// Checkpoints of the reference, up to the experiment that they tell of.
#include "files/cebra_checkpoint.hpp"

#include "archive.hpp"
#include "exchange/exchange_experiment.hpp"
#include "experiment/short_form.hpp"
#include "support.hpp"

#include <algorithm>

using grevy::fuzz::accepts;
using grevy::fuzz::expect;
using namespace grevy::host;

namespace {

void check_experiment(const CebraCheckpoint& checkpoint) {
  const StoredEncoders encoders = split_encoders(checkpoint.model);
  const bool is_estimator = checkpoint.form == CebraCheckpoint::Form::estimator;
  const DescribedExperiment described =
      describe_experiment(checkpoint, encoders, is_estimator ? "" : "offset10-model");
  expect(expand_short_forms(described.document) == described.document,
         "the experiment is not in its long form");
  expect(described.document.at("training").at("num_steps") >= 1, "an experiment without steps");
}

void check_log(const CebraCheckpoint& checkpoint) {
  Notes left_out;
  const std::string lines = log_lines(checkpoint, left_out);
  const auto count = std::count(lines.begin(), lines.end(), '\n');
  expect(count == 0 || count == steps_done(checkpoint), "the log has another number of steps");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string archive = grevy::fuzz::torch_archive(grevy::fuzz::view(data, size));
  const std::string file = grevy::fuzz::write_input(archive);
  CebraCheckpoint checkpoint;
  if (!accepts([&] { checkpoint = read_cebra_checkpoint(file); }, file)) return 0;
  accepts([&] { check_experiment(checkpoint); });
  check_log(checkpoint);
  return 0;
}
