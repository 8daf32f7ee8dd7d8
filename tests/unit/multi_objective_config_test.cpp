#include "experiment/short_form.hpp"

#include <grevy/error.hpp>
#include <grevy/host/multi_objective_config.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::expand_short_forms;
using grevy::host::MultiObjectiveConfig;
using nlohmann::json;

namespace {

template <typename Call>
void check_error(ErrorCode code, const std::string& text, Call call) {
  try {
    call();
    FAIL_CHECK("no error, expected: " << text);
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == text);
    CHECK(error.code() == code);
  }
}

void push_labelled(MultiObjectiveConfig& config, std::int64_t begin, std::int64_t end) {
  config.set_slice(begin, end);
  config.set_loss("nn.MSELoss");
  config.set_label("position");
  config.push();
}

}  // namespace

TEST_CASE("multi-objective config: the same as the list written by hand") {
  std::vector<std::string> warnings;
  MultiObjectiveConfig config([&](const std::string& text) { warnings.push_back(text); });
  config.set_slice(0, 8);
  config.set_loss("FixedEuclideanInfoNCE", {{"temperature", 0.5}});
  config.set_distribution("time", {{"time_offset", 10}});
  config.push();
  config.set_distribution("time_delta", {{"label_name", "position"}, {"time_delta", 3}});
  config.set_slice(0, 4);
  config.set_loss("InfoNCE", {});
  config.push();
  config.set_loss("InfoNCE");
  config.set_distribution("delta_normal", {{"label_name", "speed"}, {"delta", 0.1}});
  config.set_slice(4, 6);
  config.push();
  const json by_hand = json::parse(R"([
    {"slice": [0, 8], "loss": {"name": "FixedEuclideanInfoNCE", "temperature": 0.5},
     "distribution": {"name": "time", "time_offset": 10}},
    {"slice": [0, 4], "loss": {"name": "InfoNCE"},
     "distribution": {"name": "time_delta", "label_name": "position", "time_delta": 3}},
    {"slice": [4, 6], "loss": {"name": "InfoNCE"},
     "distribution": {"name": "delta_normal", "label_name": "speed", "delta": 0.1}}])");
  CHECK(config.finalize() == by_hand);
  CHECK(config.finalize() == by_hand);
  CHECK(warnings.empty());
  const json document = expand_short_forms({{"model", {{"name", "m"}}}, {"objectives", by_hand}});
  CHECK(expand_short_forms({{"model", {{"name", "m"}}}, {"objectives", config.finalize()}}) ==
        document);
}

TEST_CASE("multi-objective config: labels, and more after finalize") {
  MultiObjectiveConfig config;
  push_labelled(config, 0, 2);
  json list =
      json::parse(R"([{"slice": [0, 2], "loss": {"name": "nn.MSELoss"}, "label": "position"}])");
  CHECK(config.finalize() == list);
  push_labelled(config, 2, 4);
  list.push_back(list[0]);
  list[1]["slice"] = {2, 4};
  CHECK(config.finalize() == list);
}

TEST_CASE("multi-objective config: push names the first part that is missing") {
  MultiObjectiveConfig config;
  const auto push = [&] { config.push(); };
  const std::string rest = " before, for every objective";
  check_error(ErrorCode::invalid_state, "push: the slice is missing; call set_slice" + rest, push);
  config.set_loss("InfoNCE");
  check_error(ErrorCode::invalid_state, "push: the slice is missing; call set_slice" + rest, push);
  config.set_slice(0, 2);
  check_error(ErrorCode::invalid_state,
              "push: the distribution is missing; call set_distribution, or set_label," + rest,
              push);
  config.set_distribution("time", {{"time_offset", 1}});
  config.push();
  config.set_slice(2, 4);
  config.set_label("position");
  check_error(ErrorCode::invalid_state, "push: the loss is missing; call set_loss" + rest, push);
}

TEST_CASE("multi-objective config: warnings") {
  std::vector<std::string> warnings;
  MultiObjectiveConfig config([&](const std::string& text) { warnings.push_back(text); });
  config.set_slice(0, 3);
  config.set_slice(0, 2);
  config.set_loss("nn.L1Loss");
  config.set_loss("nn.MSELoss");
  config.set_label("a");
  config.set_label("b");
  config.push();
  CHECK(warnings ==
        std::vector<std::string>{
            "the slice is set again before push; the one set before it, [0, 3], is replaced",
            "the loss is set again before push; the one set before it, {\"name\": \"nn.L1Loss\"}, "
            "is replaced",
            "the label is set again before push; the one set before it, \"a\", is replaced"});
  warnings.clear();
  config.set_slice(2, 4);
  CHECK(config.finalize() ==
        json::parse(R"([{"slice": [0, 2], "loss": {"name": "nn.MSELoss"}, "label": "b"}])"));
  CHECK(warnings == std::vector<std::string>{"finalize: the objective that was set last, "
                                             "{\"slice\": [2, 4]}, was not pushed and is left "
                                             "out"});
  MultiObjectiveConfig silent;
  silent.set_slice(0, 2);
  silent.set_label("a");
  silent.set_label("b");
  silent.set_loss("nn.MSELoss");
  silent.push();
  silent.set_label("c");
  CHECK(silent.finalize().at(0).at("label") == "b");
}

TEST_CASE("multi-objective config: options that are refused at once") {
  MultiObjectiveConfig config;
  check_error(ErrorCode::invalid_type,
              "set_loss: the options of \"InfoNCE\" are of type array; must be an object", [&] {
                config.set_loss("InfoNCE", {1, 2});
              });
  check_error(ErrorCode::invalid_value,
              "set_distribution: the options of \"time\" hold the key \"name\"; it must be left "
              "out",
              [&] {
                config.set_distribution("time", {{"name", "x"}});
              });
}

TEST_CASE("multi-objective config: finalize refuses what an experiment would") {
  const auto finalize = [](const char* distribution, const json& options) {
    MultiObjectiveConfig config;
    config.set_slice(0, 2);
    config.set_loss("InfoNCE");
    config.set_distribution(distribution, options);
    config.push();
    config.finalize();
  };
  check_error(ErrorCode::invalid_value,
              "/objectives/0/distribution/name: found \"delta_vmf\"; must be one of \"time\", "
              "\"time_delta\", \"delta_normal\"",
              [&] { finalize("delta_vmf", nullptr); });
  check_error(ErrorCode::invalid_value,
              "/objectives/0/distribution: the key \"time_offset\" is missing; allowed keys: name, "
              "time_offset [The sample time_offset later.]",
              [&] { finalize("time", nullptr); });
  MultiObjectiveConfig config;
  push_labelled(config, 0, 2);
  push_labelled(config, 0, 2);
  for (int i = 0; i < 2; ++i)
    check_error(ErrorCode::invalid_value,
                "/objectives/1/slice: found [0, 2], the slice of /objectives/0; slices must differ",
                [&] { config.finalize(); });
  config = MultiObjectiveConfig();
  push_labelled(config, 2, 0);
  check_error(ErrorCode::invalid_value,
              "/objectives/0/slice: found [2, 0]; must be [begin, end] with begin below end",
              [&] { config.finalize(); });
  config = MultiObjectiveConfig();
  push_labelled(config, 0, 2);
  config.set_slice(2, 4);
  config.set_loss("nn.MSELoss");
  config.set_label("a");
  config.set_distribution("time", {{"time_offset", 1}});
  config.push();
  check_error(ErrorCode::invalid_value,
              "/objectives/1: found \"distribution\" and \"label\"; must have either "
              "\"distribution\" or \"label\"",
              [&] { config.finalize(); });
}

TEST_CASE("multi-objective config: names that are not UTF-8") {
  std::string warning;
  MultiObjectiveConfig config([&](const std::string& text) { warning = text; });
  config.set_label("\xFF");
  config.set_label("a");
  CHECK(warning.find("the label is set again") == 0);
}
