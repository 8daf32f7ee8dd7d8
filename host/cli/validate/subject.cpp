#include "subject.hpp"

#include "plugins/library.hpp"

#include <sstream>

namespace grevy::cli {
namespace {

using host::Kind;
using nlohmann::json;

Kind kind_of(const std::string& text) {
  for (const Kind kind : {Kind::model, Kind::criterion, Kind::solver})
    if (text == host::to_string(kind)) return kind;
  throw Error(ErrorCode::invalid_value, "\"" + text + "\" is no kind of component");
}

// What grevy::Nested looks like in a schema.
bool is_nested(const json& rule) {
  return rule.is_object() && rule.value("type", json()) == "object" &&
         rule.value("required", json()) == json::array({"name"});
}

json plain_component(Kind kind) {
  switch (kind) {
    case Kind::model:
      return {{"name", "offset1-model"}};
    case Kind::criterion:
      return {{"name", "InfoNCE"}};
    case Kind::solver:
      return {{"name", "single-session"}};
  }
  return {};
}

// Calls `body(name, rule)` for each option that is required, has no default and is not given.
template <class Body>
void for_missing(const json& schema, const json& given, Body&& body) {
  const json rules = schema.value("properties", json::object());
  for (const json& name : schema.value("required", json::array())) {
    const json rule = rules.value(name.get<std::string>(), json::object());
    if (!given.contains(name) && !rule.contains("default")) body(name.get<std::string>(), rule);
  }
}

host::HostOptions host_options(const Target& target) {
  host::HostOptions around;
  around.plugin_path = target.plugin_path;
  around.allow_writable_plugins = target.allow_writable_plugins;
  const std::string id = host::read_manifest(target.file).id;
  host::HostOptions chosen;
  chosen.plugin_path = {target.file};
  chosen.search_default_folders = false;
  chosen.allow_writable_plugins = target.allow_writable_plugins;
  const host::Host all(around);
  for (const host::PluginManifest& plugin : all.plugins())
    if (plugin.id != id && plugin.problem.empty()) chosen.plugin_path.push_back(plugin.file);
  return chosen;
}

}  // namespace

std::vector<std::string> missing_options(const host::ComponentManifest& component,
                                         const json& given) {
  std::vector<std::string> missing;
  for_missing(json::parse(component.options_schema), given,
              [&](const std::string& name, const json& rule) {
                if (!is_nested(rule)) missing.push_back(name);
              });
  return missing;
}

host::Host& Subject::host() const {
  if (!host_) host_ = std::make_unique<host::Host>(host_options(target_));
  return *host_;
}

const host::ComponentManifest& Subject::component() const {
  for (const host::ComponentManifest& c : host().plugins().front().components)
    if (host::to_string(c.kind) == target_.kind && c.name == target_.name) return c;
  throw Error(ErrorCode::not_found,
              target_.file.string() + " has no " + target_.kind + " \"" + target_.name + "\"");
}

json Subject::schema() const { return json::parse(component().options_schema); }

json Subject::options() const {
  json options = target_.options;
  for_missing(schema(), target_.options, [&](const std::string& name, const json& rule) {
    if (is_nested(rule)) options[name] = plain_component(kind_of(target_.kind));
  });
  return options;
}

std::string Subject::full_name() const {
  const json rules = schema().value("properties", json::object());
  std::string name = host().plugins().front().id + "/" + target_.name;
  for (auto begin = name.find('{'); begin != std::string::npos; begin = name.find('{')) {
    const auto end = name.find('}', begin);
    const std::string option = name.substr(begin + 1, end - begin - 1);
    const json fallback = rules.value(option, json::object()).value("default", json(1));
    const json value = target_.options.value(option, fallback);
    name.replace(begin, end - begin + 1, value.is_number() ? value.dump() : "1");
  }
  return name;
}

host::CreateOptions Subject::create_options(const std::string& purpose) const {
  host::CreateOptions create;
  create.seed = host::derive_seed(target_.seed, purpose);
  create.num_input = target_.kind == "criterion" ? 0 : num_channels;
  return create;
}

void Subject::create(const json& options) const {
  const std::string name = full_name(), text = options.dump();
  const host::CreateOptions create = create_options("component");
  switch (kind_of(target_.kind)) {
    case Kind::model:
      host().create_model(name, text, create);
      break;
    case Kind::criterion:
      host().create_criterion(name, text, create);
      break;
    case Kind::solver:
      host().create_solver(name, text, create);
      break;
  }
}

Owned<ModelRef> Subject::make_model(const std::string& purpose) const {
  return host().create_model(full_name(), options().dump(), create_options(purpose));
}
Owned<CriterionRef> Subject::make_criterion() const {
  return host().create_criterion(full_name(), options().dump(), create_options("component"));
}
Owned<SolverRef> Subject::make_solver() const {
  return host().create_solver(full_name(), options().dump(), create_options("component"));
}

at::Tensor normal(host::Random& random, at::IntArrayRef shape) {
  at::Tensor values = at::empty(shape, at::kDouble);
  auto* value = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) value[i] = random.normal();
  return values;
}

std::string text_of_shape(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

}  // namespace grevy::cli
