// grevy: the program. Exit codes: 0 done, 1 a defect of ours, 2 bad input or a plugin that fails
// (one line on stderr says where, what was found and what is allowed), 3 files could not be
// written, 128 + N stopped by signal N after the step was finished and stored.
#include "commands.hpp"
#include "exchange_commands.hpp"
#include "new_project.hpp"
#include "validate/validate.hpp"

#include <grevy/error.hpp>
#include <grevy/host/version.hpp>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <iostream>
#include <limits>

namespace {

using namespace grevy;
using namespace grevy::cli;

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return 1;
    case ErrorCode::io:
      return 3;
    default:
      return 2;
  }
}

// Names from files may hold line breaks; a complaint is one line all the same.
int complain(const std::string& message, int code) {
  std::string line = "grevy: " + message;
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  std::cerr << line << "\n";
  return code;
}

// Lets one action object carry what the parsed subcommand will do.
struct Action {
  std::function<int()> run;
};

void add_common(CLI::App* app, Common& common) {
  app->add_option("--plugin-path", common.plugin_path,
                  "Folder with plugins, or plugin file, searched first (repeatable)");
  app->add_flag("--allow-writable-plugins", common.allow_writable_plugins,
                "Load plugins also from where others can change them");
  app->add_flag("--quiet", common.quiet, "Only results, warnings and errors");
  app->add_flag("--json", common.json, "Machine-readable output");
}

CLI::App* add_command(CLI::App& app, Common& common, const char* name, const char* about,
                      const char* example) {
  CLI::App* command = app.add_subcommand(name, about);
  add_common(command, common);
  command->footer(std::string("Example:\n  ") + example);
  return command;
}

void add_run(CLI::App& app, Common& common, RunCommand& run_command, Action& action) {
  CLI::App* command =
      add_command(app, common, "run", "Train an experiment and report how well it decodes",
                  "grevy run experiment.json --set training.num_steps=500 --out runs/short");
  command->add_option("file", run_command.file, "Experiment, JSON")->required();
  command->add_option("--set", run_command.changes, "Change a value: a.b=value (repeatable)")
      ->type_size(1)
      ->allow_extra_args(false);
  command->add_option("--out", run_command.out, "Run folder (default: runs/NAME)");
  CLI::Option* resume =
      command->add_flag("--resume", run_command.resume, "Go on from the folder's checkpoint");
  command->add_flag("--force", run_command.force, "Replace the run in the folder")
      ->excludes(resume);
  command
      ->add_option(
          "--allow", run_command.allow,
          "What --resume may find changed: /optimizer/learning_rate, plugin:ID (repeatable)")
      ->type_size(1)
      ->allow_extra_args(false)
      ->needs(resume);
  command->callback([&] { action.run = [&] { return run(common, run_command); }; });
}

void add_transform(CLI::App& app, Common& common, TransformCommand& t, Action& action) {
  CLI::App* command = add_command(app, common, "transform", "Embed a recording with a trained run",
                                  "grevy transform runs/short spikes.npy -o embedding.npy");
  command->add_option("run", t.run, "Run folder or checkpoint file")->required();
  command->add_option("input", t.input, "Recording, .npy or .npz: (time, channels)")->required();
  command->add_option("-o,--out", t.out, "File to write, .npy: float32 (time, D)")->required();
  command->add_option("--key", t.key, "The array of an .npz");
  command->add_option("--session", t.session, "Whose encoder embeds, counted from 0")
      ->capture_default_str();
  command->add_flag("--no-pad", t.no_pad, "Leave out samples without a complete window");
  command->add_option("--chunk", t.chunk, "Samples embedded at a time")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command->add_option("--device", t.device, "cpu, cuda or cuda:N (default: the run's)");
  command->add_option("--threads", t.threads, "CPU threads (default: one per core)")
      ->check(CLI::Range(0, 1024));
  command->callback([&] { action.run = [&] { return transform(common, t), 0; }; });
}

void add_import(CLI::App& app, Common& common, ImportCommand& c, Action& action) {
  CLI::App* command =
      add_command(app, common, "import", "Make a run of a checkpoint that CEBRA in Python wrote",
                  "grevy import cebra_model.pt --out runs/imported");
  command->add_option("file", c.file, "Checkpoint, as torch.save writes it")->required();
  command->add_option("--out", c.out, "Run folder")->required();
  CLI::Option* model = command->add_option(
      "--model", c.model, "The encoder's name, where the file does not say it (no estimator's)");
  CLI::Option* experiment =
      command
          ->add_option("--experiment", c.experiment,
                       "What was trained, JSON: in place of what the file says")
          ->excludes(model);
  command->add_option("--set", c.changes, "Change a value of it: a.b=value (repeatable)")
      ->type_size(1)
      ->allow_extra_args(false)
      ->needs(experiment);
  command->add_flag("--force", c.force, "Replace the run in the folder");
  command->callback([&] { action.run = [&] { return import_checkpoint(common, c), 0; }; });
}

void add_export(CLI::App& app, Common& common, ExportCommand& c, Action& action) {
  CLI::App* command =
      add_command(app, common, "export", "Write a run's weights and encoder for Python",
                  "grevy export runs/short --out weights");
  command->add_option("run", c.run, "Run folder or checkpoint file")->required();
  command->add_option("--out", c.out, "Folder for the files (default: export in the run's)");
  command->add_option("--session", c.session, "Whose encoder, counted from 0 (default: all)");
  command->callback([&] { action.run = [&] { return export_run(common, c), 0; }; });
}

void add_plugins(CLI::App& app, Common& common, std::string& pattern, std::string& name,
                 Action& action) {
  CLI::App* plugins = app.add_subcommand("plugins", "What plugins there are");
  plugins->require_subcommand(1);
  plugins->footer("Example:\n  grevy plugins list\n  grevy plugins info InfoNCE");
  CLI::App* list = plugins->add_subcommand(
      "list", "Every plugin and component found, without opening a library");
  add_common(list, common);
  list->add_option("pattern", pattern, "Only names like this, with *, ? and [..]")
      ->capture_default_str();
  list->footer("Example:\n  grevy plugins list 'offset1-*' --plugin-path build/lib");
  list->callback([&] { action.run = [&] { return list_plugins(common, pattern), 0; }; });
  CLI::App* info =
      plugins->add_subcommand("info", "A plugin's or component's description and options");
  add_common(info, common);
  info->add_option("name", name, "Component, alias or plugin id")->required();
  info->footer("Example:\n  grevy plugins info offset10-model");
  info->callback([&] { action.run = [&] { return show_plugin(common, name), 0; }; });
}

void add_simulate(CLI::App& app, Common& common, SimulateCommand& s, Action& action) {
  CLI::App* command =
      add_command(app, common, "simulate", "Write a simulated recording of place cells on a track",
                  "grevy simulate --out recording --samples 20000 --seed 7");
  command->add_option("--out", s.out, "Folder for spikes.npy, position.npy, direction.npy")
      ->required();
  command->add_option("--samples", s.options.num_samples, "Number of bins")->capture_default_str();
  command->add_option("--neurons", s.options.num_neurons, "Number of cells")->capture_default_str();
  command->add_option("--bin-width", s.options.bin_width, "Seconds")->capture_default_str();
  command->add_option("--track-length", s.options.track_length, "Metres")->capture_default_str();
  command->add_option("--seed", s.options.seed, "Seed")->capture_default_str();
  command->callback([&] { action.run = [&] { return simulate(common, s), 0; }; });
}

void add_new(CLI::App& app, Common& common, NewCommand& n, Action& action) {
  CLI::App* command =
      add_command(app, common, "new", "Write a small plugin project to start from",
                  "grevy new criterion my-loss\n  grevy new model my-encoder --dir encoder\n"
                  "  grevy new solver my-loop --front portable");
  command->add_option("kind", n.kind, "criterion, model or solver")
      ->required()
      ->check(CLI::IsMember({"criterion", "model", "solver"}));
  command->add_option("name", n.name, "The component's name in experiments")->required();
  command
      ->add_option("--front", n.front,
                   "torch: C++ with LibTorch; portable: C++, raw: C, both without LibTorch and one "
                   "file for every LibTorch")
      ->check(CLI::IsMember({"torch", "portable", "raw"}))
      ->capture_default_str();
  command->add_option("--dir", n.folder, "Folder to make, or an empty one (default: the name)");
  command->callback([&] { action.run = [&] { return new_project(common, n), 0; }; });
}

void add_limits(CLI::App* command, Limits& limits, std::uint64_t& seed) {
  constexpr std::int64_t largest_seed = std::numeric_limits<std::int64_t>::max();
  command->add_option("--seed", seed, "Everything random follows from it")
      ->check(CLI::Range(std::int64_t{0}, largest_seed))
      ->capture_default_str();
  command->add_option("--time-limit", limits.seconds, "CPU seconds for each check")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--memory-limit", limits.gibibytes, "GiB for each check")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
}

void add_validate(CLI::App& app, Common& common, ValidateCommand& v, ChildCommand& child,
                  Action& action) {
  CLI::App* command =
      add_command(app, common, "validate", "Check what is wrong with a plugin, if anything",
                  "grevy validate build/my-losses.so --only margin");
  command->add_option("file", v.file, "Plugin, a shared library")->required();
  command->add_option("--only", v.only, "Only the component of this name (repeatable)")
      ->type_size(1)
      ->allow_extra_args(false);
  command->add_option("--options", v.options, "Its options, a JSON object");
  add_limits(command, v.limits, v.seed);
  command->callback([&] { action.run = [&] { return validate(common, v); }; });
  // Makes the checks, for `grevy validate`.
  CLI::App* hidden = app.add_subcommand("validate-check")->group("");
  add_common(hidden, common);
  hidden->add_option("file", child.target.file)->required();
  hidden->add_option("kind", child.target.kind)->required();
  hidden->add_option("check", child.first_check)->required();
  hidden->add_option("--name", child.target.name);
  hidden->add_option("--options", child.options);
  hidden->add_option("--folder", child.target.folder);
  add_limits(hidden, child.limits, child.target.seed);
  hidden->callback([&] {
    child.target.plugin_path = common.plugin_path;
    child.target.allow_writable_plugins = common.allow_writable_plugins;
    action.run = [&] { return run_child(child); };
  });
}

int parse_and_run(int argc, char** argv) {
  CLI::App app(
      "Contrastive embeddings of time series, with solvers, losses and encoders from plugins.",
      "grevy");
  app.set_version_flag("--version", std::string("grevy ") + host::version());
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 internal error, 2 bad input, 3 files could not be written, 128+N "
      "stopped by signal N");
  Common common;
  RunCommand run_command;
  TransformCommand transform_command;
  SimulateCommand simulate_command;
  ValidateCommand validate_command;
  ChildCommand child_command;
  ImportCommand import_command;
  ExportCommand export_command;
  NewCommand new_command;
  std::string plugin_name, pattern = "*";
  std::filesystem::path schema_file;
  Action action;
  add_run(app, common, run_command, action);
  add_transform(app, common, transform_command, action);
  add_import(app, common, import_command, action);
  add_export(app, common, export_command, action);
  add_plugins(app, common, pattern, plugin_name, action);
  CLI::App* schema = add_command(app, common, "schema",
                                 "JSON Schema of experiments with the options of all plugins found",
                                 "grevy schema -o experiment.schema.json");
  schema->add_option("-o,--out", schema_file, "File (default: stdout)");
  schema->callback([&] { action.run = [&] { return print_schema(common, schema_file), 0; }; });
  add_simulate(app, common, simulate_command, action);
  add_new(app, common, new_command, action);
  add_validate(app, common, validate_command, child_command, action);
  CLI::App* check =
      add_command(app, common, "doctor", "Versions, BLAS, threads, devices, plugin folders",
                  "grevy doctor --json");
  check->callback([&] { action.run = [&] { return doctor(common), 0; }; });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // help and version
    const std::vector<std::string> unknown = app.remaining(true);
    throw Error(ErrorCode::invalid_value,
                (unknown.empty() ? e.what() : "unknown: " + unknown.front()) +
                    std::string("; see grevy --help"));
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("grevy"));
  spdlog::set_pattern("%^%l%$: %v");
  spdlog::set_level(common.quiet ? spdlog::level::warn : spdlog::level::info);
  return action.run();
}

// Results that did not reach stdout are lost.
int flush_results(int code) {
  if (std::cout.flush()) return code;
  throw Error(ErrorCode::io, "stdout: cannot be written");
}

}  // namespace

// Called by launch.cpp.
extern "C" __attribute__((visibility("default"))) int grevy_main(int argc, char** argv) {
  // A file that outgrows its limit is an error like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return flush_results(parse_and_run(argc, argv));
  } catch (const grevy::PluginError& e) {
    return complain(e.what(),
                    exit_code(e.code()) == 3 ? 3 : 2);  // whatever a plugin throws is not ours
  } catch (const grevy::Error& e) {
    return complain(e.what(), exit_code(e.code()));
  } catch (const std::exception& e) {
    return complain(std::string("internal error: ") + e.what(), 1);
  }
}
