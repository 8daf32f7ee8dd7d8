// What a check is about, and how to make it.
#ifndef GREVY_CLI_VALIDATE_SUBJECT_HPP
#define GREVY_CLI_VALIDATE_SUBJECT_HPP

#include <grevy/host/host.hpp>
#include <grevy/host/random.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace grevy::cli {

// A component of a plugin, or its file as a whole.
struct Target {
  std::filesystem::path file;                         // absolute
  std::vector<std::filesystem::path> plugin_path;     // where other plugins are looked for first
  bool allow_writable_plugins = false;                // see HostOptions
  std::string kind;                                   // "file", "model", "criterion" or "solver"
  std::string name;                                   // as the manifest has it; empty for "file"
  nlohmann::json options = nlohmann::json::object();  // given by the user
  std::uint64_t seed = 1;
  std::filesystem::path folder;  // for files of the checks
};

// Options that the schema requires, that have no default and that nobody can guess.
std::vector<std::string> missing_options(const host::ComponentManifest& component,
                                         const nlohmann::json& given);

class Subject {
 public:
  static constexpr std::int64_t num_channels = 6;  // of models and solvers made here

  explicit Subject(Target target) : target_(std::move(target)) {}

  const Target& target() const { return target_; }
  // This plugin and all others that are found, other versions of this one excepted.
  host::Host& host() const;
  const host::ComponentManifest& component() const;
  nlohmann::json schema() const;
  // What the user gave, and a plain component of the same kind for each one to be nested.
  nlohmann::json options() const;
  // A name that makes this component and no other: "plugin-id/name", numbers in place of braces.
  std::string full_name() const;

  // Makes the component and destroys it. Errors: those of Host::create_*.
  void create(const nlohmann::json& options) const;
  Owned<ModelRef> make_model(const std::string& purpose = "component") const;
  Owned<CriterionRef> make_criterion() const;
  Owned<SolverRef> make_solver() const;

  host::Random random(const std::string& purpose) const { return {target_.seed, purpose}; }
  host::CreateOptions create_options(const std::string& purpose) const;

 private:
  Target target_;
  mutable std::unique_ptr<host::Host> host_;
};

// Standard normal numbers, float64.
at::Tensor normal(host::Random& random, at::IntArrayRef shape);

// "[2, 3]"
std::string text_of_shape(const at::Tensor& tensor);

}  // namespace grevy::cli

#endif
