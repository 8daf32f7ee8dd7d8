// What a checkpoint says of its run, and what changed since: documents and names, a NUL between.
#include "training/run_state.hpp"

#include "json_support.hpp"

using namespace grevy::fuzz;
using namespace grevy::host;
using nlohmann::json;

namespace {

void check_state(const json& document) {
  const json stored = RunState::from_json(document).to_json();
  expect(RunState::from_json(stored).to_json() == stored, "the state changed");
}

// Each change names a place where the two differ, and putting all of them in gives the other one.
void check_changes(json from, const json& to) {
  const std::vector<Change> changes = experiment_changes(from, to);
  expect(changes.empty() == (from == to), "equal and different were mixed up");
  for (const Change& change : changes) {
    const json::json_pointer place(change.name);
    const bool was = from.contains(place), is = to.contains(place);
    expect(was || is, "a change where nothing is: " + change.name);
    expect(change.from == (was ? from.at(place) : json()), "another value was there before");
    expect(change.to == (is ? to.at(place) : json()), "another value is there now");
    expect(is_allowed(change, {change.name}), "a change is not allowed by its own name");
    expect(!is_allowed(change, {}), "a change is allowed by no name");
  }
}

void check_names(const json& from, const json& to, std::string_view names) {
  std::vector<std::string> list;
  while (!names.empty()) {
    const auto [name, rest] = split(names, '\n');
    list.emplace_back(name);
    names = rest;
  }
  if (!accepts([&] { check_allowed_names(list); }, "--allow: found \"", names.size() + 65536))
    return;
  for (const Change& change : plugin_changes(from, to)) {
    expect(change.name.rfind("plugin:", 0) == 0, "a plugin's change has another name");
    (void)is_allowed(change, list);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [first, rest] = split(view(data, size), '\0');
  const auto [second, names] = split(rest, '\0');
  const auto from = read_json(first);
  if (!from) return 0;
  check_state(*from);
  const auto to = read_json(second);
  if (!to) return 0;
  check_changes(*from, *to);
  check_names(*from, *to, names);
  return 0;
}
