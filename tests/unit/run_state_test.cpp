#include "training/run_state.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using grevy::Error;
using grevy::host::Change;
using grevy::host::changes_validation;
using grevy::host::check_allowed_names;
using grevy::host::data_changes;
using grevy::host::experiment_changes;
using grevy::host::is_allowed;
using grevy::host::plugin_changes;
using grevy::host::RunState;
using nlohmann::json;

namespace {

// "NAME: FROM -> TO" each.
std::vector<std::string> texts(const std::vector<Change>& changes) {
  std::vector<std::string> list;
  for (const Change& c : changes) list.push_back(c.name + ": " + c.from_text + " -> " + c.to_text);
  return list;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("run state: comes back as it was stored") {
  RunState state;
  CHECK(RunState::from_json(state.to_json()).to_json() == state.to_json());
  state.best = RunState::Best{4, 0.5};
  state.log_bytes = 123;
  state.allowed.push_back({{"step", 3}, {"name", "/seed"}});
  state.data = {{"/data/neural", "float32 [2, 3] sha256:ab"}};
  const RunState again = RunState::from_json(state.to_json());
  CHECK(again.to_json() == state.to_json());
  CHECK(again.best->step == 4);
  CHECK(again.best->loss == 0.5);
  CHECK(again.log_bytes == 123);
  CHECK(again.data == state.data);
}

TEST_CASE("run state: what is not there or something else stays empty") {
  for (const json& run : {json(), json(3), json::object(), json{{"best", "x"}, {"log_bytes", -1}},
                          json{{"best", {{"step", 0.5}, {"loss", 1}}}, {"allowed", 1}},
                          json{{"best", {{"step", 1}, {"loss", "low"}}}}}) {
    const RunState state = RunState::from_json(run);
    CHECK_FALSE(state.best);
    CHECK_FALSE(state.log_bytes);
    CHECK(state.allowed == json::array());
    CHECK(state.data.is_null());
  }
}

TEST_CASE("run state: the smallest parts that differ") {
  const json a = {{"x", {{"y/z", 1}, {"same", 0}}}, {"list", {1, 2}}, {"sizes", {1}}, {"gone", {}}};
  const json b = {
      {"x", {{"y/z", 2}, {"same", 0}}}, {"list", {1, 3}}, {"sizes", {1, 2}}, {"new", "n"}};
  CHECK(experiment_changes(a, a).empty());
  CHECK(texts(experiment_changes(a, b)) == Texts{"/gone: null -> nothing", "/list/1: 2 -> 3",
                                                 "/new: nothing -> \"n\"", "/sizes: [1] -> [1,2]",
                                                 "/x/y~1z: 1 -> 2"});
  // Of another kind: the whole of it.
  const json kinds = {{"a", json::object()}, {"b", json::array()}, {"c", 1}};
  const json others = {{"a", 1}, {"b", json::object()}, {"c", json::array()}};
  CHECK(texts(experiment_changes(kinds, others)) ==
        Texts{"/a: {} -> 1", "/b: [] -> {}", "/c: 1 -> []"});
}

TEST_CASE("run state: plugins of another version or hash") {
  const auto plugin = [](const char* id, const char* version, const char* hash) {
    return json{{"id", id}, {"version", version}, {"sha256", hash}, {"file", "anywhere"}};
  };
  json moved = plugin("a", "1", "aa");
  moved["file"] = "elsewhere";
  CHECK(plugin_changes({plugin("a", "1", "aa")}, {moved}).empty());
  CHECK(texts(plugin_changes({plugin("a", "1", "aa"), plugin("b", "1", "bb")},
                             {plugin("a", "1", "ab"), plugin("c", "1", "cc")})) ==
        Texts{R"(plugin:a: {"sha256":"aa","version":"1"} -> {"sha256":"ab","version":"1"})",
              R"(plugin:b: {"sha256":"bb","version":"1"} -> nothing)",
              R"(plugin:c: nothing -> {"sha256":"cc","version":"1"})"});
  CHECK(plugin_changes({1, "x", {{"id", 3}}, {{"version", "1"}}}, json()).empty());
  // Two files of one id, in whichever order.
  const json one = plugin("a", "1", "aa"), other = plugin("a", "1", "ab");
  CHECK(plugin_changes({one, other}, {other, one}).empty());
  for (const json& now : {json{one}, json{other}, json{one, plugin("a", "1", "ac")}})
    CHECK(plugin_changes({one, other}, now).size() == 1);
}

TEST_CASE("run state: recordings with other values, and those that nobody knows") {
  const json a = {{"/data/neural", "x"}, {"/data/labels/position", "y"}},
             b = {{"/data/neural", "z"}, {"/data/trials", "t"}};
  CHECK(data_changes(a, a).empty());
  CHECK(data_changes(json(), a).empty());
  CHECK(data_changes(a, json()).empty());
  CHECK(texts(data_changes(a, b)) == Texts{"/data/labels/position: \"y\" -> nothing",
                                           "/data/neural: \"x\" -> \"z\"",
                                           "/data/trials: nothing -> \"t\""});
}

TEST_CASE("run state: which changes make validation losses others") {
  const auto changes = [](const char* name) { return changes_validation({name, {}, {}, {}, {}}); };
  for (const char* name : {"/criterion/temperature", "/data/neural", "/sampling/conditional",
                           "/seed", "/training/batch_size", "/training/valid_batches",
                           "/model/num_units", "/solver/name", "plugin:grevy.models"})
    CHECK_MESSAGE(changes(name), name);
  for (const char* name : {"/optimizer/learning_rate", "/threads", "/training/num_steps",
                           "/training/save_frequency", "/evaluation/neighbours"})
    CHECK_FALSE_MESSAGE(changes(name), name);
}

TEST_CASE("run state: what names allow") {
  const Change rate{"/optimizer/learning_rate", {}, {}, {}, {}};
  CHECK(is_allowed(rate, {"/seed", "/optimizer/learning_rate"}));
  CHECK(is_allowed(rate, {"/optimizer"}));
  CHECK_FALSE(is_allowed(rate, {}));
  CHECK_FALSE(is_allowed(rate, {"/opti", "/optimizer/learning_rate/x", "plugin:a"}));
  CHECK(is_allowed({"plugin:a", {}, {}, {}, {}}, {"plugin:a"}));
  check_allowed_names({"/a", "plugin:a"});
  for (const std::string name : {"", "/", "plugin:", "optimizer.learning_rate"})
    CHECK_THROWS_WITH_AS(check_allowed_names({name}),
                         ("--allow: found \"" + name +
                          "\"; must be a place in the experiment, such as "
                          "/optimizer/learning_rate, or plugin:ID")
                             .c_str(),
                         Error);
  CHECK_THROWS_WITH_AS(check_allowed_names({"a\n\xE5"}),
                       doctest::Contains("--allow: found \"a\\n\xEF\xBF\xBD\"; must be"), Error);
}
