// grevy/host/run.hpp: a whole experiment, from files to a run folder with a report.
//
// A run folder holds
//   experiment.json         every setting, defaults and --set included, paths absolute
//   log.jsonl               one JSON object a line: {"step", "pos", "neg", "total", ...}
//   checkpoint.safetensors  the whole state after the last stored step
//   checkpoint-STEP.safetensors
//                           those before it that are kept
//   best.safetensors        that of the lowest validation loss, where there are validations
//   embedding.npy           float32 (T, D): one row per sample of the recording; of several
//                           sessions embedding_0.npy, embedding_1.npy, ...
//   summary.json            what Summary holds
#ifndef GREVY_HOST_RUN_HPP
#define GREVY_HOST_RUN_HPP

#include <grevy/host/trainer.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>

namespace grevy::host {

// Where a run goes, and who follows it.
struct RunOptions {
  std::filesystem::path folder;  // made with its parents
  bool resume = false;           // go on from the folder's checkpoint
  bool force = false;            // replace the files of an earlier run
  // What may differ from the run that is resumed: places in the experiment ("/optimizer", with all
  // that is in it) and plugins ("plugin:ID").
  std::vector<std::string> allow;
  // Called once everything is checked, before the folder is touched. What ends the process earlier
  // changes nothing in it; from here on should_stop is asked.
  std::function<void()> on_begin;
  // As in FitCallbacks; should_stop is asked while the recording is embedded and evaluated as well.
  std::function<void(const StepReport&)> on_step;
  std::function<bool()> should_stop;
};

// What a run came to.
struct Summary {
  // {"finished", "step", "skipped_steps", "seed", "versions", "plugins", "recording", "model",
  // "time", "peak_memory_mb", "memory", "infonce", "decoding"}; of several sessions "recordings",
  // "infonce", "sessions", "consistency"; "best" and "allowed" where there are any. docs/run.md
  // describes every key.
  nlohmann::json document;
  bool finished = false;       // false: stopped on request; the checkpoint is written
  std::string brief() const;   // one line, of a document that run() made
  std::string report() const;  // a page
};

// Runs an experiment. Everything about it is checked before the folder is touched. Threads: one, on
// which the callbacks come as well; one run in a folder at a time. Where the newest checkpoint is
// damaged a resumed run goes on from the one before it, and the Host's log says so. Errors: those
// of Experiment, load_recordings and Trainer; invalid_value for a folder that holds a run already
// (without force or resume), one of another experiment, other data, other plugins or another number
// of threads (resume; training.num_steps may grow, and `allow`), or one without a checkpoint that
// can be read;
// not_found for a resume where nothing has begun; invalid_state for a folder in use; io, which says
// what is intact, also for a folder that was moved away or replaced meanwhile: nothing is written
// into what has taken its place.
Summary run(Host& host, const Experiment& experiment, const RunOptions& options);

// The recordings of an experiment, one per session, and the parts to train on and to hold out.
struct TrainingData {
  std::vector<Recording> whole, train;  // one per session; the parts share memory with the whole
  std::vector<Recording> held_out;      // empty where a session has nothing left
};

// By /data/train_fraction, see num_train_samples. Errors: those of Recording::slice.
TrainingData split_recordings(const Experiment& experiment, std::vector<Recording> sessions);

// The criterion's loss on the held-out part, and k-nearest-neighbour decoding of every label: from
// the embedding, and for comparison from the raw windows and of labels rolled by half the
// recording. The part trained on is the decoder's reference. Of several sessions each by itself,
// and the consistency of their embeddings: how well one predicts another at equal labels. Returns
// the keys "infonce" (the loss, whichever criterion's), "decoding", "sessions" and "consistency" of
// a Summary; where there is no held-out part, or it is too short, null, and "evaluation_skipped"
// says why. `should_stop` is asked now and then. Errors: invalid_value for numbers of parts that
// differ; those of Trainer::transform and Trainer::loss_on; cancelled once `should_stop` says yes.
nlohmann::json evaluate(const Trainer& trainer, const TrainingData& data,
                        const std::function<bool()>& should_stop = {});

}  // namespace grevy::host

#endif
