#include "experiment/document.hpp"
#include "experiment/experiment_schema.hpp"
#include "experiment/schema.hpp"
#include "experiment/schema_keywords.hpp"
#include "experiment/short_form.hpp"
#include "files/utf8_text.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/experiment.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void check_component(const Host& host, Kind kind, json& spec, const std::string& file,
                     const std::string& pointer) {
  const std::string name = spec.at("name").get<std::string>();
  Found found;
  try {
    found = host.find(kind, name);
  } catch (const Error& e) {
    throw Error(e.code(), file + ": " + pointer + "/name: " + e.what());
  }
  const json schema = json::parse(found.component->options_schema);
  try {
    refuse_keywords(schema);
  } catch (const Error& e) {
    throw Error(e.code(), file + ": " + pointer + ": " + e.what());
  }
  json options = json::parse(found.options);
  options.update(spec);
  options.erase("name");
  validate(options, schema, file, pointer);
  apply_defaults(options, schema);
  options["name"] = name;
  spec = std::move(options);
}

// Keys of /sampling that describe one set of positives.
constexpr const char* set_keys[] = {"conditional", "continuous", "discrete",
                                    "time_offset", "delta",      "hybrid"};

struct ArraySpec {
  fs::path file;
  std::string key, type;
};

ArraySpec array_spec(const json& spec) {
  if (spec.is_string()) return {spec.get<std::string>(), "", ""};
  return {spec.at("file").get<std::string>(), spec.value("key", ""), spec.value("type", "")};
}

// Paths in a file start from its folder; in the document they are absolute, so that it can be
// stored elsewhere and still means the same.
void make_absolute(json& spec, const fs::path& folder) {
  json& file = spec.is_string() ? spec : spec.at("file");
  file = fs::absolute(folder / file.get<std::string>()).lexically_normal().string();
}

// All of it is stored as JSON text: paths that were made absolute, and what an application gives,
// are any bytes.
void require_text(const json& document, const std::string& file) {
  const json flat = document.flatten();
  for (const auto& [place, value] : flat.items()) {
    require_utf8(place, file + ": ");
    if (value.is_string()) require_utf8(value.get<std::string>(), file + ": " + place + ": ");
  }
}

// Texts of a label in all sessions, sorted; empty where it is no text.
std::vector<std::string> classes_of(const std::vector<ArraySpec>& specs) {
  std::set<std::string> texts;
  for (const ArraySpec& spec : specs) {
    const Array array = Array::open(spec.file, spec.key);
    if (!array.is_text()) continue;
    for (std::string& text : array.to_text()) texts.insert(std::move(text));
  }
  return {texts.begin(), texts.end()};
}

void add_label(Recording& recording, const std::string& name, const ArraySpec& spec,
               const std::vector<std::string>& classes) {
  const std::string source = spec.file.string();
  const Array array = Array::open(spec.file, spec.key);
  if (array.is_text()) {
    if (spec.type == "continuous")
      throw Error(ErrorCode::invalid_type, source + ": holds texts; they cannot be continuous");
    recording.add_text(name, array.to_text(), classes, source);
    return;
  }
  const at::Tensor values = load_tensor(spec.file, spec.key);
  const bool discrete = spec.type.empty() ? !values.is_floating_point() : spec.type == "discrete";
  if (discrete)
    recording.add_discrete(name, values, source);
  else
    recording.add_continuous(name, values, source);
}

std::string escape(std::string name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '~' && name[i] != '/') continue;
    name.replace(i, 1, name[i] == '~' ? "~0" : "~1");
    ++i;
  }
  return name;
}

}  // namespace

Experiment::Experiment(const Host& host, json document, fs::path file)
    : document_(std::move(document)), file_(std::move(file)) {
  require_utf8(file_.string(), "the experiment's path: ");
  try {
    document_ = expand_short_forms(std::move(document_));
  } catch (const Error& e) {
    throw Error(e.code(), file_.string() + ": " + e.what());
  }
  const json schema = base_schema();
  // Options without a name are those of the component that is taken by default.
  for (const char* kind : {"criterion", "solver"})
    if (document_.is_object() && document_.contains(kind) && document_[kind].is_object() &&
        !document_[kind].contains("name"))
      document_[kind]["name"] = schema.at("properties").at(kind).at("default").at("name");
  validate(document_, schema, file_.string());
  check_alternatives(document_);
  apply_defaults(document_, schema);
  json& sampling = document_["sampling"];
  if (!sampling["positives"].is_null() || !sampling["targets"].is_null())
    for (const char* key : set_keys) sampling.erase(key);
  const std::pair<const char*, Kind> components[] = {{"model", Kind::model},
                                                     {"reference_model", Kind::model},
                                                     {"criterion", Kind::criterion},
                                                     {"solver", Kind::solver}};
  for (const auto& [key, kind] : components)
    if (!document_[key].is_null())
      check_component(host, kind, document_[key], file_.string(), "/" + std::string(key));
  make_paths_absolute();
  require_text(document_, file_.string());
  at_place("/device", [&] { parse_device(device()); });
}

// What the document says twice. Keys that have no effect beside "positives" or "targets" go.
void Experiment::check_alternatives(const json& given) const {
  const auto has = [&](const char* object, const char* key) {
    return given.contains(object) && given[object].contains(key) && !given[object][key].is_null();
  };
  const auto refuse = [&](const std::string& pointer, const std::string& other) {
    throw Error(ErrorCode::invalid_value,
                where(pointer) + "found beside " + other + ", which stands in its place");
  };
  for (const char* key : {"neural", "labels", "trials"})
    if (has("data", "sessions") && has("data", key) && !given["data"][key].empty())
      refuse("/data/" + std::string(key), "/data/sessions");
  if (has("sampling", "positives") && has("sampling", "targets"))
    refuse("/sampling/targets", "/sampling/positives");
  for (const char* list : {"positives", "targets"})
    for (const char* key : set_keys)
      if (has("sampling", list) && has("sampling", key))
        refuse("/sampling/" + std::string(key), "/sampling/" + std::string(list));
}

void Experiment::make_paths_absolute() {
  const fs::path folder = file_.parent_path();
  const auto session = [&](json& object) {
    for (const char* key : {"neural", "trials"})
      if (object.contains(key)) make_absolute(object[key], folder);
    for (json& label : object["labels"]) make_absolute(label, folder);
  };
  json& data = document_["data"];
  session(data);
  for (json& one : data["sessions"]) session(one);
  json& adapt = document_["adapt"];
  if (adapt.is_object()) make_absolute(adapt["run"], folder);
}

Experiment Experiment::load(const Host& host, const fs::path& file,
                            const std::vector<std::string>& changes) {
  json document = read_document(file);
  for (const std::string& change : changes) apply_change(document, change);
  return Experiment(host, std::move(document), file);
}

std::string Experiment::where(const std::string& pointer) const {
  return file_.string() + ": " + pointer + ": ";
}

namespace {

// Where the sessions stand in the document.
std::vector<std::string> session_places(const Experiment& experiment) {
  const json& sessions = experiment.at("/data/sessions");
  if (sessions.is_null()) return {"/data"};
  std::vector<std::string> places;
  for (std::size_t i = 0; i < sessions.size(); ++i)
    places.push_back("/data/sessions/" + std::to_string(i));
  return places;
}

std::vector<std::string> classes_of(const Experiment& experiment, const std::string& label,
                                    const std::vector<std::string>& places) {
  std::vector<ArraySpec> specs;
  for (const std::string& place : places) {
    const json& labels = experiment.at((place + "/labels").c_str());
    if (labels.contains(label)) specs.push_back(array_spec(labels.at(label)));
  }
  return classes_of(specs);
}

Recording load_session(const Experiment& experiment, const std::string& place,
                       const std::vector<std::string>& places) {
  const json& session = experiment.at(place.c_str());
  if (!session.contains("neural"))
    throw Error(ErrorCode::invalid_value,
                experiment.where(place) + "the key \"neural\" is missing");
  Recording recording = experiment.at_place(place + "/neural", [&] {
    const ArraySpec spec = array_spec(session.at("neural"));
    return Recording(load_float_tensor(spec.file, spec.key), spec.file.string());
  });
  for (const auto& [name, spec] : session.at("labels").items())
    experiment.at_place(place + "/labels/" + escape(name),
                        [&, &label_name = name, &label_spec = spec] {
                          add_label(recording, label_name, array_spec(label_spec),
                                    classes_of(experiment, label_name, places));
                        });
  if (session.contains("trials"))
    experiment.at_place(place + "/trials", [&] {
      const ArraySpec spec = array_spec(session.at("trials"));
      recording.set_trials(load_tensor(spec.file, spec.key), spec.file.string());
    });
  return recording;
}

}  // namespace

std::vector<Recording> load_recordings(const Experiment& experiment) {
  const std::vector<std::string> places = session_places(experiment);
  std::vector<Recording> sessions;
  for (const std::string& place : places)
    sessions.push_back(load_session(experiment, place, places));
  return sessions;
}

std::int64_t num_train_samples(const Experiment& experiment, const Recording& recording) {
  const double share = experiment.at("/data/train_fraction").get<double>();
  const auto count =
      static_cast<std::int64_t>(std::floor(share * static_cast<double>(recording.num_samples())));
  const std::int64_t wanted = std::clamp<std::int64_t>(count, 1, recording.num_samples());
  if (recording.trials().empty()) return wanted;
  // Ends of trials: the starts of the others, and the end of the recording.
  std::int64_t nearest = recording.num_samples();
  for (const std::int64_t end : recording.trials())
    if (end > 0 && std::abs(end - wanted) < std::abs(nearest - wanted)) nearest = end;
  return nearest;
}

}  // namespace grevy::host
