#include "files/cebra_checkpoint.hpp"

#include "temporary_folder.hpp"
#include "torch_writer.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::CebraCheckpoint;
using grevy::host::read_cebra_checkpoint;
using grevy::host::StoredTensor;
using grevy::host::StoredTensors;
using grevy::tests::pickle;
using grevy::tests::pickle_dict;
using grevy::tests::pickle_global;
using grevy::tests::pickle_integer;
using grevy::tests::pickle_list;
using grevy::tests::pickle_tensor;
using grevy::tests::pickle_text;
using grevy::tests::pickle_tuple;
using grevy::tests::six_floats;
using grevy::tests::TemporaryFolder;
using grevy::tests::TensorText;
using grevy::tests::write_zip;
using Json = nlohmann::json;
using Form = CebraCheckpoint::Form;
using Shape = std::vector<std::int64_t>;

namespace {

fs::path data_file(const std::string& name) { return fs::path(GREVY_TEST_DATA) / "torch" / name; }

std::vector<std::pair<std::string, Shape>> names_and_shapes(const StoredTensors& tensors) {
  std::vector<std::pair<std::string, Shape>> found;
  for (const auto& [name, tensor] : tensors.tensors) found.emplace_back(name, tensor.shape);
  return found;
}

std::vector<float> floats(const StoredTensor& tensor) {
  REQUIRE(tensor.dtype == "F32");
  std::vector<float> values(tensor.bytes.size() / 4);
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// The parts of a solver's state dict, each as a pickle, to be changed one by one.
using Parts = std::map<std::string, std::string>;

Parts good_parts() {
  return {{"model", pickle_dict({{"net.0.weight", pickle_tensor({})}})},
          {"optimizer", pickle_dict({{"state", "}"}, {"param_groups", "]"}})},
          {"loss", pickle_tensor({"0", 6, 0, {6}, {1}})},
          {"decode", "]"},
          {"criterion", "}"},
          {"version", pickle_text("0.6.1")},
          {"log", "}"}};
}

std::string whole(const Parts& parts) { return pickle_dict({parts.begin(), parts.end()}); }

CebraCheckpoint read(const std::string& value) {
  const TemporaryFolder folder;
  return read_cebra_checkpoint(
      write_zip(folder / "a.pt", {{"archive/data.pkl", pickle(value)}, six_floats()}));
}

CebraCheckpoint read_with(const std::string& key, const std::string& value) {
  Parts parts = good_parts();
  parts[key] = value;
  return read(whole(parts));
}

void check_refused(const std::string& value, const std::string& piece,
                   ErrorCode code = ErrorCode::invalid_value) {
  try {
    read(value);
    FAIL("nothing was thrown for: " << piece);
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CAPTURE(piece);
    CHECK(error.code() == code);
    CHECK(message.find("a.pt") != std::string::npos);
    CHECK(message.find(piece) != std::string::npos);
    CHECK(message.size() < 700);
  }
}

void check_part_refused(const std::string& key, const std::string& value,
                        const std::string& piece) {
  Parts parts = good_parts();
  parts[key] = value;
  check_refused(whole(parts), piece);
}

std::string moments(const std::string& step) {
  return pickle_dict(
      {{"step", step}, {"exp_avg", pickle_tensor({})}, {"exp_avg_sq", pickle_tensor({})}});
}

std::string optimizer(const std::string& key, const std::string& state) {
  return pickle_dict({{"state", "}" + key + state + "s"}, {"param_groups", "]"}});
}

std::string numbers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> pieces;
  for (const std::int64_t value : values) pieces.push_back(pickle_integer(value));
  return pickle_list(pieces);
}

}  // namespace

TEST_CASE("cebra checkpoint: a solver") {
  const CebraCheckpoint found = read_cebra_checkpoint(data_file("solver.pt"));
  CHECK(found.form == Form::solver);
  CHECK(names_and_shapes(found.model) ==
        std::vector<std::pair<std::string, Shape>>{{"net.0.bias", {2}},
                                                   {"net.0.weight", {2, 2, 2}},
                                                   {"net.2.module.0.bias", {2}},
                                                   {"net.2.module.0.weight", {2, 2, 3}},
                                                   {"net.3.module.0.bias", {2}},
                                                   {"net.3.module.0.weight", {2, 2, 3}},
                                                   {"net.4.module.0.bias", {2}},
                                                   {"net.4.module.0.weight", {2, 2, 3}},
                                                   {"net.5.bias", {2}},
                                                   {"net.5.weight", {2, 2, 3}}});
  CHECK(floats(found.model.tensors.at("net.0.weight")) ==
        std::vector<float>{0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875});
  CHECK(floats(found.model.tensors.at("net.0.bias")) == std::vector<float>{1.25, 1.375});
  CHECK(names_and_shapes(found.criterion) ==
        std::vector<std::pair<std::string, Shape>>{{"log_inverse_temperature", {}}});
  CHECK(floats(found.criterion.tensors.at("log_inverse_temperature")) == std::vector<float>{0.75});
  CHECK(found.loss == std::vector<double>{4.5, 3.75});
  CHECK(found.log == Json{{"pos", {0.5, 0.25}},
                          {"neg", {4.0, 3.5}},
                          {"total", {4.5, 3.75}},
                          {"temperature", {1, 1}}});
  CHECK(found.decode == Json::array());
  CHECK(found.version == "0.6.1");
  CHECK(found.n_features == std::vector<std::int64_t>{2});
  CHECK_FALSE(found.num_sessions.has_value());
  CHECK(found.args.is_null());
  CHECK(found.state.is_null());
  CHECK(found.metadata.is_null());
}

TEST_CASE("cebra checkpoint: the state of Adam") {
  const CebraCheckpoint found = read_cebra_checkpoint(data_file("solver.pt"));
  REQUIRE(found.optimizer.size() == 11);
  CHECK(found.optimizer.begin()->first == 0);
  CHECK(found.optimizer.rbegin()->first == 10);
  for (const auto& item : found.optimizer) {
    CHECK(item.second.step == 2);
    CHECK_FALSE(item.second.max_exp_avg_sq.has_value());
  }
  CHECK(floats(found.optimizer.at(1).exp_avg) == std::vector<float>{0.125, 0.25});
  CHECK(floats(found.optimizer.at(1).exp_avg_sq) == std::vector<float>{0.25, 0.375});
  CHECK(found.optimizer.at(10).exp_avg.shape.empty());
  const Json& group = found.param_groups.at(0);
  CHECK(group.at("lr") == 0.01);
  CHECK(group.at("betas") == Json{0.9, 0.999});
  CHECK(group.at("amsgrad") == false);
  CHECK(group.at("foreach").is_null());
  CHECK(group.at("params") == Json{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("cebra checkpoint: an estimator") {
  const CebraCheckpoint found = read_cebra_checkpoint(data_file("estimator.pt"));
  CHECK(found.form == Form::estimator);
  CHECK(found.args.at("model_architecture") == "offset1-model");
  CHECK(found.args.at("batch_size") == 512);
  CHECK(found.args.at("delta") == 0.125);
  CHECK(found.args.at("verbose") == true);
  CHECK(found.args.at("conditional").is_null());
  CHECK(found.args.at("optimizer_kwargs") ==
        Json::parse(R"([["betas", [0.9, 0.999]], ["amsgrad", false]])"));
  CHECK(found.args.at("device") ==
        Json{{"type", "torch.device"}, {"args", {"cuda", 0}}, {"state", nullptr}});
  CHECK(found.state.at("n_features_") == 3);
  CHECK(found.state.at("solver_name_") == "single-session");
  CHECK(found.state.at("num_sessions_").is_null());
  CHECK(found.state.at("offset_") == Json{{"type", "cebra.data.datatypes.Offset"},
                                          {"args", Json::array()},
                                          {"state", {{"left", 0}, {"right", 1}}}});
  CHECK(found.state.at("label_types_").at(0).at(0).at("args").at(0) == "f8");
  CHECK(found.state.at("label_types_").at(0).at(1) == Json{100, 2});
  CHECK(found.metadata.at("torch_version") == "1.13.1");
  CHECK(found.metadata.at("backend") == "sklearn");
  CHECK(found.version == "0.6.1");
  CHECK(found.n_features == std::vector<std::int64_t>{3});
  CHECK_FALSE(found.num_sessions.has_value());
  CHECK(found.model.tensors.size() == 8);
  CHECK(found.model.tensors.at("net.5.weight").shape == Shape{1, 2});
  CHECK(found.criterion.tensors.empty());
  CHECK(found.optimizer.size() == 2);
  CHECK(found.optimizer.at(1).step == 7);
}

TEST_CASE("cebra checkpoint: several sessions") {
  const CebraCheckpoint found = read_cebra_checkpoint(data_file("sessions.pt"));
  CHECK(found.n_features == std::vector<std::int64_t>{2, 3});
  CHECK(found.num_sessions == 2);
  CHECK(found.optimizer.empty());
  CHECK(found.model.tensors.size() == 12);
  CHECK(found.model.tensors.at("0.net.0.weight").shape == Shape{2, 2, 2});
  CHECK(found.model.tensors.at("1.net.0.weight").shape == Shape{2, 3, 2});
  CHECK(found.model.tensors.count("1.net.2.module.0.bias") == 1);
}

TEST_CASE("cebra checkpoint: a model alone") {
  const CebraCheckpoint found = read_cebra_checkpoint(data_file("views.pt"));
  CHECK(found.form == Form::model);
  CHECK(found.model.tensors.size() == 8);
  CHECK(found.model.tensors.at("columns").shape == Shape{4, 3});
  CHECK(found.loss.empty());
  CHECK(found.n_features.empty());
  CHECK(found.log.is_null());
}

TEST_CASE("cebra checkpoint: what is optional") {
  const CebraCheckpoint plain = read(whole(good_parts()));
  CHECK(plain.form == Form::solver);
  CHECK(plain.loss == std::vector<double>{0, 1, 2, 3, 4, 5});
  CHECK(plain.n_features.empty());
  CHECK_FALSE(read_with("num_sessions", "N").num_sessions.has_value());
  CHECK(read_with("num_sessions", "K\3").num_sessions == 3);
  CHECK(read_with("n_features", numbers({4, 5})).n_features == std::vector<std::int64_t>{4, 5});
  CHECK(read_with("loss", pickle_tensor({"0", 6, 0, {0}, {1}})).loss.empty());
  const std::string keys = "}" + pickle_tuple({pickle_text("loss_train"), "K\1"}) + "]K\2as";
  CHECK(read_with("log", keys).log == Json{{"loss_train_1", {2}}});
  const std::string scalar = pickle_tensor({"0", 6, 3, {}, {}});
  CHECK(read_with("log", pickle_dict({{"total", pickle_list({scalar})}})).log ==
        Json{{"total", {3.0}}});
}

TEST_CASE("cebra checkpoint: steps and amsgrad") {
  const std::string scalar = pickle_tensor({"0", 6, 4, {}, {}});
  const auto step = [](const std::string& value) {
    return read_with("optimizer", optimizer("K\5", moments(value))).optimizer.at(5).step;
  };
  CHECK(step(scalar) == 4);
  CHECK(step("K\x09") == 9);
  const std::string largest = moments("K\1") + pickle_text("max_exp_avg_sq") + scalar + "s";
  const auto found = read_with("optimizer", optimizer("K\5", largest)).optimizer.at(5);
  REQUIRE(found.max_exp_avg_sq.has_value());
  CHECK(floats(*found.max_exp_avg_sq) == std::vector<float>{4});

  const auto refused = [](const std::string& value, const std::string& piece) {
    check_part_refused("optimizer", optimizer("K\5", moments(value)), piece);
  };
  const std::string place = "a.pt, \"optimizer/state/5/step\": ";
  refused(pickle_integer(-1), place + "found -1; must be an integer from 0 to 2^53");
  refused("G\x3f\xf8" + std::string(6, '\0'), place + "found 1.5; must be an integer");
  refused("G\x7f\xf8" + std::string(6, '\0'), place + "found null; must be an integer");
  refused(pickle_integer(INT64_MAX), place + "found 9223372036854775807; must be an integer");
  refused(pickle_text("2"), place + "found \"2\"; must be an integer");
  refused(pickle_tensor({}), place + "found a tensor of 6 elements; must be 1");
}

TEST_CASE("cebra checkpoint: missing keys") {
  for (const auto& item : good_parts()) {
    Parts parts = good_parts();
    parts.erase(item.first);
    check_refused(whole(parts), "a.pt: the key \"" + item.first + "\" is missing; there are: \"");
  }
  const std::string solver = whole(good_parts());
  Parts estimator{{"args", "}"}, {"state", "}"}, {"state_dict", solver}, {"metadata", "}"}};
  CHECK(read(whole(estimator)).form == Form::estimator);
  for (const auto& item : estimator) {
    Parts parts = estimator;
    parts.erase(item.first);
    check_refused(whole(parts), "a.pt: the key \"" + item.first + "\" is missing; there are: \"");
  }
  estimator["state_dict"] = "}";
  check_refused(whole(estimator),
                "a.pt, \"state_dict\": the key \"model\" is missing; there are: ");
  check_part_refused("optimizer", "}", "a.pt, \"optimizer\": the key \"state\" is missing");
  check_part_refused("optimizer", optimizer("K\1", "}"),
                     "a.pt, \"optimizer/state/1\": the key \"exp_avg\" is missing");
}

TEST_CASE("cebra checkpoint: values of another type") {
  check_part_refused("model", "]", "a.pt, \"model\": found a list; must be a dict");
  check_part_refused("model", pickle_dict({{"net", "}"}}),
                     "a.pt, \"model/net\": found a dict; must be a tensor");
  check_part_refused("model", "}K\1Ns",
                     "a.pt, \"model\": found an integer as a key; must be a text");
  check_part_refused("criterion", "N", "a.pt, \"criterion\": found None; must be a dict");
  check_part_refused("optimizer", "N", "a.pt, \"optimizer\": found None; must be a dict");
  check_part_refused(
      "optimizer", optimizer("N", "}"),
      "a.pt, \"optimizer/state\": found None as a key; must be a parameter's number");
  check_part_refused("optimizer", optimizer(pickle_integer(-1), "}"),
                     "found an integer as a key; must be a parameter's number, from 0");
  check_part_refused("optimizer", optimizer("K\1", "N"),
                     "a.pt, \"optimizer/state/1\": found None; must be a dict");
  check_part_refused("optimizer", pickle_dict({{"state", "}"}, {"param_groups", "}"}}),
                     "a.pt, \"optimizer/param_groups\": found a dict; must be a list");
  check_part_refused("loss", "]", "a.pt, \"loss\": found a list; must be a tensor");
  check_part_refused("loss", pickle_tensor({}),
                     "a.pt, \"loss\": found a tensor of 2 dimensions; must be 1");
  check_part_refused("version", "K\1", "a.pt, \"version\": found an integer; must be a text");
  check_part_refused("log", "]", "a.pt, \"log\": found a list; must be a dict");
  check_part_refused("log", pickle_dict({{"x", pickle_dict({{"y", "C\1a"}})}}),
                     "a.pt, \"log/x/y\": found bytes; JSON has none");
  check_part_refused("log", "}NNs",
                     "a.pt, \"log\": found None as a key; must be a text, an integer");
  check_part_refused("n_features", "N", "\"n_features\": found None; must be an integer or a list");
  check_part_refused("n_features", numbers({0}), "\"n_features/0\": found 0; must be at least 1");
  check_part_refused("n_features", pickle_list({"N"}), "\"n_features/0\": found None; must be an");
  check_part_refused("num_sessions", "K" + std::string(1, '\0'), "\"num_sessions\": found 0; must");
  check_part_refused("num_sessions", "\x88", "\"num_sessions\": found a bool; must be an integer");
}

TEST_CASE("cebra checkpoint: tensors outside their storage name the key") {
  check_part_refused("model", pickle_dict({{"net.0.weight", pickle_tensor({"0", 6, 1, {6}, {1}})}}),
                     "a.pt, \"model/net.0.weight\": offset, shape and stride reach beyond");
  TensorText half{"0", 12, 0, {12}, {1}, "HalfStorage"};
  check_part_refused("loss", pickle_tensor(half),
                     "a.pt, \"loss\": found a tensor of dtype F16; allowed: F32, F64, I64,");
}

TEST_CASE("cebra checkpoint: other files of torch.save") {
  check_refused("]", "a.pt: found a list; must be a dict");
  check_refused("}",
                "a.pt: is no checkpoint of CEBRA: its keys are none; must be those of a solver");
  check_refused(pickle_dict({{"epoch", "K\1"}, {"weights", "}"}}),
                "its keys are \"epoch\", \"weights\"; must be those of a solver");
  check_refused(pickle_dict({{"model", pickle_global("os", "system")}}), "names \"os.system\"",
                ErrorCode::incompatible);
}
