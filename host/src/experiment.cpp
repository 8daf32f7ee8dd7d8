#include "experiment_schema.hpp"
#include "schema.hpp"

#include <grevy/host/experiment.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json read_json(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream || fs::is_directory(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  constexpr int max_depth = 64;
  const auto limit = [&](int depth, json::parse_event_t, json&) {
    if (depth > max_depth)
      throw Error(ErrorCode::invalid_value, file.string() + ": nested deeper than 64 levels");
    return true;
  };
  try {
    return json::parse(stream, limit, true, true);
  } catch (const json::exception& e) {
    throw Error(ErrorCode::invalid_value, file.string() + ": is not JSON: " + e.what());
  }
}

// "a.b.c=value"
void apply_change(json& document, const std::string& change) {
  const auto equals = change.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(ErrorCode::invalid_value, "--set " + change + ": must be of the form a.b=value");
  json::json_pointer pointer;
  std::istringstream keys(change.substr(0, equals));
  for (std::string key; std::getline(keys, key, '.');) pointer.push_back(key);
  const std::string text = change.substr(equals + 1);
  json value = json::parse(text, nullptr, false);
  try {
    document[pointer] = value.is_discarded() ? json(text) : value;
  } catch (const json::exception&) {
    throw Error(ErrorCode::invalid_value,
                "--set " + change + ": there is nothing to set at " + pointer.to_string());
  }
  try {
    (void)document.dump();
  } catch (const json::exception&) {
    throw Error(ErrorCode::invalid_value, "--set " + change + ": is not UTF-8");
  }
}

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
  json options = json::parse(found.options);
  options.update(spec);
  options.erase("name");
  validate(options, schema, file, pointer);
  apply_defaults(options, schema);
  options["name"] = name;
  spec = std::move(options);
}

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

void add_label(Recording& recording, const std::string& name, const ArraySpec& spec) {
  const std::string source = spec.file.string();
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
  const json schema = base_schema();
  // Options without a name are those of the component that is taken by default.
  for (const char* kind : {"criterion", "solver"})
    if (document_.is_object() && document_.contains(kind) && document_[kind].is_object() &&
        !document_[kind].contains("name"))
      document_[kind]["name"] = schema.at("properties").at(kind).at("default").at("name");
  validate(document_, schema, file_.string());
  apply_defaults(document_, schema);
  const std::pair<const char*, Kind> components[] = {{"model", Kind::model},
                                                     {"reference_model", Kind::model},
                                                     {"criterion", Kind::criterion},
                                                     {"solver", Kind::solver}};
  for (const auto& [key, kind] : components)
    if (!document_[key].is_null())
      check_component(host, kind, document_[key], file_.string(), "/" + std::string(key));
  json& data = document_["data"];
  if (data.contains("neural")) make_absolute(data["neural"], file_.parent_path());
  for (json& label : data["labels"]) make_absolute(label, file_.parent_path());
  at_place("/device", [&] { parse_device(device()); });
}

Experiment Experiment::load(const Host& host, const fs::path& file,
                            const std::vector<std::string>& changes) {
  json document = read_json(file);
  for (const std::string& change : changes) apply_change(document, change);
  return Experiment(host, std::move(document), file);
}

std::string Experiment::where(const std::string& pointer) const {
  return file_.string() + ": " + pointer + ": ";
}

Recording load_recording(const Experiment& experiment) {
  if (!experiment.at("/data").contains("neural"))
    throw Error(ErrorCode::invalid_value,
                experiment.where("/data") + "the key \"neural\" is missing");
  Recording recording = experiment.at_place("/data/neural", [&] {
    const ArraySpec spec = array_spec(experiment.at("/data/neural"));
    return Recording(load_float_tensor(spec.file, spec.key), spec.file.string());
  });
  for (const auto& [name, spec] : experiment.at("/data/labels").items())
    experiment.at_place("/data/labels/" + escape(name),
                        [&, &label_name = name, &label_spec = spec] {
                          add_label(recording, label_name, array_spec(label_spec));
                        });
  return recording;
}

std::int64_t num_train_samples(const Experiment& experiment, const Recording& recording) {
  const double share = experiment.at("/data/train_fraction").get<double>();
  const auto count =
      static_cast<std::int64_t>(std::floor(share * static_cast<double>(recording.num_samples())));
  return std::clamp<std::int64_t>(count, 1, recording.num_samples());
}

}  // namespace grevy::host
