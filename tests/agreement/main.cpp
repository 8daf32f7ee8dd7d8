// grevy-agreement: runs every case of a folder of reference numbers and says how near we are.
#include "runners.hpp"

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <fnmatch.h>
#include <fstream>

namespace grevy::agreement {
namespace {

enum class Status { ok, miss, unsupported };

struct Outcome {
  Status status = Status::ok;
  std::string component, name;
  double deviation = 0;  // as a share of what is allowed
  std::string note;      // where it is largest, or why the case did not run
};

std::string component_of(const Case& c) {
  for (const char* key : {"name", "solver", "model"})
    if (c.params().contains(key) && c.params().at(key).is_string())
      return c.param<std::string>(key);
  return c.kind();
}

Outcome judge(const Comparison& result) {
  Outcome outcome;
  outcome.deviation = result.worst();
  outcome.note = result.place();
  if (result.passed()) return outcome;
  outcome.status = Status::miss;
  if (result.count() > 0 || !result.place().empty())
    outcome.note += ": " + result.details();
  else
    outcome.note = "the case compares nothing";
  return outcome;
}

Outcome failed(Status status, const std::string& reason) {
  Outcome outcome;
  outcome.status = status;
  outcome.deviation = std::nan("");
  outcome.note = reason.substr(0, reason.find('\n'));
  return outcome;
}

Outcome run(const Case& c, const Bench& bench) {
  try {
    Comparison result;
    find_runner(c)(c, bench, result);
    return judge(result);
  } catch (const Unsupported& e) {
    return failed(Status::unsupported, e.what());
  } catch (const Error& e) {
    const bool absent = e.code() == ErrorCode::unimplemented;
    return failed(absent ? Status::unsupported : Status::miss, e.what());
  } catch (const std::exception& e) {
    return failed(Status::miss, e.what());
  }
}

const char* to_string(Status status) {
  constexpr const char* names[] = {"ok", "MISS", "UNSUPPORTED"};
  return names[static_cast<std::size_t>(status)];
}

std::string deviation_text(const Outcome& outcome) {
  if (std::isnan(outcome.deviation)) return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f", outcome.deviation);
  return text;
}

void print_line(const Outcome& o) {
  std::printf("%-38s %-42s %8s  %-11s  %s\n", o.component.c_str(), o.name.c_str(),
              deviation_text(o).c_str(), to_string(o.status), o.note.c_str());
}

// A table for documents.
void write_table(const std::string& file, const std::vector<Outcome>& outcomes) {
  std::ofstream stream(file);
  stream << "| Component | Case | Largest deviation (share of the tolerance) | Where |\n"
            "|---|---|---|---|\n";
  for (const Outcome& o : outcomes)
    stream << "| `" << o.component << "` | " << o.name << " | " << deviation_text(o)
           << (o.status == Status::ok ? "" : std::string(" ") + to_string(o.status)) << " | "
           << o.note << " |\n";
  if (!stream.flush()) throw Error(ErrorCode::io, file + ": cannot be written");
}

struct Arguments {
  std::string folder, only = "*", table;
  std::vector<std::string> plugin_path;
};

int run_all(const Arguments& arguments) {
  host::HostOptions options;
  for (const std::string& path : arguments.plugin_path) options.plugin_path.emplace_back(path);
  host::Host host(options);
  const Bench bench(host);
  at::set_num_threads(1);  // sums in one order

  std::vector<Outcome> outcomes;
  std::size_t counts[3] = {};
  for (const Case& c : read_folder(arguments.folder)) {
    if (fnmatch(arguments.only.c_str(), c.name().c_str(), 0) != 0) continue;
    Outcome outcome = run(c, bench);
    outcome.component = component_of(c);
    outcome.name = c.name();
    ++counts[static_cast<std::size_t>(outcome.status)];
    print_line(outcome);
    outcomes.push_back(std::move(outcome));
  }
  if (!arguments.table.empty()) write_table(arguments.table, outcomes);
  std::printf("%zu ok, %zu missed, %zu unsupported\n", counts[0], counts[1], counts[2]);
  return counts[0] > 0 && counts[1] + counts[2] == 0 ? 0 : 1;
}

}  // namespace
}  // namespace grevy::agreement

// Exit status: 0 every case agrees, 1 some case does not or cannot run, 2 no run at all.
int main(int argc, char** argv) {
  CLI::App app{"Compares components with reference numbers in a folder."};
  grevy::agreement::Arguments arguments;
  app.add_option("FOLDER", arguments.folder, "Folder with manifest.json and .npy files")
      ->required();
  app.add_option("--plugin-path", arguments.plugin_path, "Folder or file searched first (repeats)")
      ->allow_extra_args(false);
  app.add_option("--only", arguments.only, "Only cases whose name matches, with * and ?");
  app.add_option("--table", arguments.table, "File for a table in Markdown");
  try {
    app.parse(argc, argv);
    return grevy::agreement::run_all(arguments);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "grevy-agreement: %s\n", e.what());
    return 2;
  }
}
