#include "new_project.hpp"

#include "print_json.hpp"
#include "templates.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

namespace grevy::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t max_name_length = 64;

// By front: the sets of templates that make a project.
const std::map<std::string, std::vector<std::string>> sets = {
    {"torch", {"@KIND@-cpp", "@KIND@", "@KIND@-torch", "torch"}},
    {"portable", {"@KIND@-cpp", "@KIND@", "portable"}},
    {"raw", {"@KIND@-raw", "@KIND@", "raw"}}};

struct ProjectFile {
  std::string path, text;
};

// Files and folders made so far, removed again unless kept.
class Made {
 public:
  Made() = default;
  ~Made() {
    std::error_code ignored;
    for (auto path = paths_.rbegin(); path != paths_.rend(); ++path) fs::remove(*path, ignored);
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  void add(const fs::path& path) { paths_.push_back(path); }
  void keep() { paths_.clear(); }

 private:
  std::vector<fs::path> paths_;
};

[[noreturn]] void refuse(const fs::path& path, ErrorCode code, const std::string& why) {
  throw Error(code, path.string() + ": " + why);
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& error) {
  refuse(path, ErrorCode::io, "cannot be written: " + error.message());
}

void check_name(const std::string& name) {
  const auto letter = [](unsigned char c) { return c < 0x80 && std::isalpha(c) != 0; };
  const auto allowed = [&](unsigned char c) {
    return letter(c) || std::isdigit(c) != 0 || c == '-' || c == '.';
  };
  const bool fits = !name.empty() && name.size() <= max_name_length && letter(name.front()) &&
                    std::all_of(name.begin(), name.end(), allowed);
  if (!fits)
    throw Error(ErrorCode::invalid_value,
                "name: found \"" + name +
                    "\"; must be letters, digits, '-' and '.', a letter first, at most " +
                    std::to_string(max_name_length) + " characters");
  if (name == "test")
    throw Error(ErrorCode::invalid_value,
                "name: found \"test\"; test.cpp is the project's test, choose another name");
}

host::Kind kind_of(const std::string& text) {
  for (const host::Kind kind : {host::Kind::criterion, host::Kind::model})
    if (host::to_string(kind) == text) return kind;
  return host::Kind::solver;
}

// Two components of one name could not be told apart in an experiment.
void check_free(const Common& common, const NewCommand& command) {
  const host::Host host = make_host(common);
  std::string file;
  try {
    file = host.find(kind_of(command.kind), command.name).plugin->file.string();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::not_found) return;
    throw;
  }
  throw Error(ErrorCode::invalid_value, "name: the " + command.kind + " \"" + command.name +
                                            "\" exists already, in " + file +
                                            "; choose another name");
}

void check_folder(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status))
    refuse(folder, ErrorCode::invalid_value, "exists and is not a folder");
  const bool empty = fs::is_empty(folder, error);
  if (error) refuse(folder, ErrorCode::io, "cannot be read: " + error.message());
  if (!empty)
    refuse(folder, ErrorCode::invalid_value,
           "exists and is not empty; choose another folder with --dir");
}

std::string target_of(const NewCommand& command) {
  const std::string end = "-" + command.kind, name = "-" + command.name;
  const bool ends_so =
      name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  return ends_so ? command.name : command.name + end;
}

std::string camel_case(const std::string& words) {
  std::string text;
  bool begins = true;
  for (const unsigned char c : words) {
    if (std::isalnum(c) != 0) text += static_cast<char>(begins ? std::toupper(c) : c);
    begins = std::isalnum(c) == 0;
  }
  return text;
}

std::string fill_in(std::string_view pattern,
                    const std::vector<std::pair<std::string, std::string>>& values) {
  std::string text(pattern);
  for (const auto& [placeholder, value] : values)
    for (auto at = text.find(placeholder); at != std::string::npos;
         at = text.find(placeholder, at + value.size()))
      text.replace(at, placeholder.size(), value);
  return text;
}

std::vector<ProjectFile> make_files(const NewCommand& command) {
  const std::string target = target_of(command);
  const std::vector<std::pair<std::string, std::string>> values = {{"@NAME@", command.name},
                                                                   {"@KIND@", command.kind},
                                                                   {"@TARGET@", target},
                                                                   {"@CLASS@", camel_case(target)}};
  std::vector<ProjectFile> files;
  for (const std::string& set : sets.at(command.front))
    for (const TemplateFile& file : template_files())
      if (file.set == fill_in(set, values))
        files.push_back({fill_in(file.path, values), fill_in(file.text, values)});
  return files;
}

void make_folder(const fs::path& folder, Made& made) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return;
  make_folder(folder.parent_path(), made);
  if (fs::create_directory(folder, error)) made.add(folder);
  if (error) fail(folder, error);
}

// Fails where a file of this name exists, whoever made it in the meantime.
void write_new(const fs::path& path, const std::string& text, Made& made) {
  std::FILE* file = std::fopen(path.c_str(), "wx");
  if (file == nullptr) fail(path, {errno, std::generic_category()});
  made.add(path);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int problem = errno;
  if (std::fclose(file) != 0) fail(path, {errno, std::generic_category()});
  if (!written) fail(path, {problem, std::generic_category()});
}

// The lines of the first block of shell commands.
std::vector<std::string> commands_in(const std::string& readme) {
  std::vector<std::string> commands;
  std::istringstream lines(readme);
  std::string line;
  while (std::getline(lines, line) && line != "```sh") continue;
  while (std::getline(lines, line) && line != "```") commands.push_back(line);
  return commands;
}

void print(const Common& common, const json& project) {
  if (common.json) {
    print_json(project);
    return;
  }
  if (common.quiet) return;
  std::cout << project.at("folder").get<std::string>() << ":";
  for (const json& file : project.at("files")) std::cout << " " << file.get<std::string>();
  std::cout << "\nNext, in that folder, with the bin folder of an installed Grevy on the PATH:\n";
  for (const json& command : project.at("commands"))
    std::cout << "  " << command.get<std::string>() << "\n";
}

}  // namespace

void new_project(const Common& common, const NewCommand& command) {
  check_name(command.name);
  const fs::path folder = command.folder.empty() ? fs::path(command.name) : command.folder;
  check_folder(folder);
  check_free(common, command);

  json project = {{"folder", folder.string()},
                  {"kind", command.kind},
                  {"name", command.name},
                  {"front", command.front},
                  {"files", json::array()}};
  if (command.front != "raw") project["class"] = camel_case(target_of(command));
  Made made;
  make_folder(folder, made);
  for (const ProjectFile& file : make_files(command)) {
    write_new(folder / file.path, file.text, made);
    project["files"].push_back(file.path);
    if (file.path == "README.md") project["commands"] = commands_in(file.text);
  }
  made.keep();
  print(common, project);
}

}  // namespace grevy::cli
