// grevy/host/experiment.hpp: one JSON file that says everything about a run. Reference:
// docs/run.md.
#ifndef GREVY_HOST_EXPERIMENT_HPP
#define GREVY_HOST_EXPERIMENT_HPP

#include <grevy/host/host.hpp>
#include <grevy/host/recording.hpp>
#include <grevy/host/sampling.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// A checked experiment. `document` holds every key with its default filled in; the accessors read
// from it, so it is the one source. Immutable: const calls from any thread. It keeps nothing of the
// Host.
class Experiment {
 public:
  // Checks a document against the schema, with the options of the components that `host` finds.
  // `file` names it in errors; relative paths in it start from its folder. Every error is one line
  // "FILE: /json/pointer: found ...; must be ...", code invalid_type, invalid_value or not_found.
  Experiment(const Host& host, nlohmann::json document, std::filesystem::path file = "experiment");

  // Reads and checks a file; `changes` are "a.b.c=value" (value as JSON, else as text) made first.
  // Further errors: not_found (no such file), invalid_value (no JSON; says line and column).
  static Experiment load(const Host& host, const std::filesystem::path& file,
                         const std::vector<std::string>& changes = {});

  // Every key, in the long form that docs/run.md describes; paths are absolute.
  const nlohmann::json& document() const { return document_; }
  const std::filesystem::path& file() const { return file_; }  // as given
  // The value at a JSON pointer ("/training/num_steps") that the schema has.
  const nlohmann::json& at(const char* pointer) const {
    return document_.at(nlohmann::json::json_pointer(pointer));
  }

  // Everything random follows from it.
  std::uint64_t seed() const { return at("/seed").get<std::uint64_t>(); }
  // "cpu", "cuda", ...: for parse_device.
  std::string device() const { return at("/device").get<std::string>(); }
  // Steps of the whole training, >= 1.
  std::int64_t num_steps() const { return at("/training/num_steps").get<std::int64_t>(); }
  // References per step and session; 512 where the file gives none. Full-batch solvers do not look.
  std::int64_t batch_size() const {
    const nlohmann::json& size = at("/training/batch_size");
    return size.is_null() ? 512 : size.get<std::int64_t>();
  }
  // Negatives per step and session; batch_size() where the file gives none.
  std::int64_t num_negatives() const {
    const nlohmann::json& count = at("/training/num_negatives");
    return count.is_null() ? batch_size() : count.get<std::int64_t>();
  }

  // "FILE: POINTER: ": how errors about a place in this file begin.
  std::string where(const std::string& pointer) const;
  // Runs `body`; an error that it throws is thrown again with where(pointer) before its message.
  template <class Body>
  auto at_place(const std::string& pointer, Body&& body) const {
    try {
      return body();
    } catch (const PluginError& e) {
      throw e.at(where(pointer));
    } catch (const Error& e) {
      throw Error(e.code(), where(pointer) + e.what());
    }
  }

 private:
  void check_alternatives(const nlohmann::json& given) const;
  void make_paths_absolute();

  nlohmann::json document_;
  std::filesystem::path file_;
};

// The JSON Schema of experiments, with the options of every component that `host` finds: what
// editors complete from and `grevy schema` prints.
nlohmann::json experiment_schema(const Host& host);

// Loads the recordings that /data names, one per session, whole. Labels of text have the same
// classes in all of them. Errors: as above, naming the pointer of the entry; those of Recording.
// Whether the samples are finite is for the Trainer to check.
std::vector<Recording> load_recordings(const Experiment& experiment);

// How many samples, from the start, are for training: /data/train_fraction of them, at least 1; up
// to the nearest end of a trial where there are trials.
std::int64_t num_train_samples(const Experiment& experiment, const Recording& recording);

}  // namespace grevy::host

#endif
