// grevy/host/exchange.hpp: weights from and to CEBRA in Python. Reference: docs/exchange.md.
//
// Threads: as for a Trainer, which both functions make.
#ifndef GREVY_HOST_EXCHANGE_HPP
#define GREVY_HOST_EXCHANGE_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/host.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// Where to, and what the file leaves open.
struct ImportOptions {
  std::filesystem::path folder;  // the run folder, made with its parents
  bool force = false;            // replace the files of an earlier run
  // The encoder, for files that do not name it: a solver's and a model's state dict.
  std::string model;
  // In place of all that the file and `model` say about the training: needed for a run that goes on
  // (data, labels, sampling), for other losses than InfoNCE and for encoders of other plugins.
  std::optional<Experiment> experiment;
};

// What was imported.
struct ImportReport {
  // {"file", "form", "version", "folder", "model", "tensors", "step", "optimizer", "assumed",
  // "left_out"}. "assumed": what the file does not say and has been given its default, "left_out":
  // what the file holds and the run does not, one text each.
  nlohmann::json document;
  std::string report() const;  // a few lines
};

// Makes a run folder (run.hpp; without an embedding) of a checkpoint that CEBRA 0.4 to 0.6 has
// written with torch.save: an estimator's dict, a solver's state dict, or a model's. Tensors go by
// name; Adam's moments and steps and the history of the losses come along. "module." before the
// names, from a solver with several objectives, goes unless the experiment's model has it as well;
// a number before them is a session's. Nothing in the file is executed. Nothing is written unless
// everything fits. Errors: those of reading the file; invalid_value for a tensor that is missing,
// extra or of another dtype or shape (names it), for a folder in use, for an encoder that the file
// does not name; those of Experiment and Trainer::without_data; io.
ImportReport import_checkpoint(Host& host, const std::filesystem::path& pt_file,
                               const ImportOptions& options);

// Where to, and what of a run.
struct ExportOptions {
  std::filesystem::path folder;         // made with its parents
  std::optional<std::int64_t> session;  // whose encoder; nothing: all sessions'
};

// Writes a run's weights as Python reads them and returns the files:
//   model.safetensors      under the reference's names; of all sessions "0.net.0.weight", ...
//   criterion.safetensors  likewise, where the criterion has tensors
//   encoder.pt             TorchScript of the encoder in evaluation mode, on the CPU: (n, C, L)
//                          windows -> (n, D), convolutional ones also (n, C, T) -> (n, D, T - L +
//                          1) for T > L, a resampling one fewer; has the integers offset_left and
//                          offset_right, whose sum is L. Of all sessions encoder_0.pt, ...
// `run` is a run folder or a checkpoint. Every encoder is first compared with the run's on inputs
// of other sizes. Errors: those of Trainer::from_checkpoint; out_of_range (session); unimplemented
// for an encoder that only does what it does for inputs of one size, and for a solver that embeds
// with something else than its model; io.
std::vector<std::filesystem::path> export_run(Host& host, const std::filesystem::path& run,
                                              const ExportOptions& options);

}  // namespace grevy::host

#endif
