// Encoders whose embedding is cut into slices: which features a slice has, and how they are scaled.
#include "trainer_support.hpp"

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

constexpr const char* subspaces = "SubspaceMultiobjectiveModel";

json module_of(std::int64_t num_output, const char* name = "offset1-model-mse") {
  return {{"name", name}, {"num_units", 4}, {"num_output", num_output}};
}

Owned<ModelRef> make(const char* name, const json& options, std::int64_t num_output,
                     const char* module = "offset1-model-mse") {
  json all = options;
  all["module"] = module_of(num_output, module);
  host::CreateOptions create;
  create.num_input = 3;
  auto model = builtin_host().create_model(name, all.dump(), create);
  fill(model->tensors());
  model->set_training(false);
  return model;
}

const at::Tensor& windows() {
  static const at::Tensor made = inp({7, 3, 1});
  return made;
}

std::vector<at::Tensor> tensors_of(const Owned<ModelRef>& model, const at::Tensor& given) {
  const at::NoGradGuard no_grad;
  return model->forward_all(given, model->info().num_tensors);
}
std::vector<at::Tensor> tensors_of(const char* name, const json& options, std::int64_t num_output) {
  return tensors_of(make(name, options, num_output), windows());
}

// What the encoder inside gives.
at::Tensor encoded(std::int64_t num_output) {
  const at::NoGradGuard no_grad;
  const auto model = builtin_model("offset1-model-mse", 3, 4, num_output);
  fill(model->tensors());
  return model->forward(windows());
}

at::Tensor cut(const at::Tensor& features, std::int64_t begin, std::int64_t end) {
  return features.slice(1, begin, end);
}
at::Tensor unit(const at::Tensor& features) { return features / features.norm(2, 1, true); }

void check_close(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  CHECK((found - expected).abs().max().item<float>() < 1e-6);
}
void check_length(const at::Tensor& features, double length) {
  check_close(features.norm(2, 1), at::full({features.size(0)}, length, at::kFloat));
}

json ranges(const json& list, bool renormalize = false, const char* mode = "auto") {
  return {{"feature_ranges", list}, {"renormalize", renormalize}, {"renormalize_mode", mode}};
}

}  // namespace

TEST_CASE("dimensions cut from the start, or from the end of the slice before") {
  const at::Tensor y = encoded(6);
  for (const bool scaled : {false, true}) {
    const auto as_wanted = [&](const at::Tensor& features) {
      return scaled ? unit(features) : features;
    };
    json options = {{"dimensions", {2, 4, 6}}, {"renormalize", scaled}};
    const auto overlapping = tensors_of("MultiobjectiveModel", options, 6);
    REQUIRE(overlapping.size() == 4);
    check_close(overlapping[0], y);  // never scaled
    for (const std::int64_t i : {1, 2, 3})
      check_close(overlapping[static_cast<std::size_t>(i)], as_wanted(cut(y, 0, 2 * i)));
    options["output_mode"] = "separate";
    const auto separate = tensors_of("MultiobjectiveModel", options, 6);
    REQUIRE(separate.size() == 4);
    check_close(separate[0], y);
    for (const std::int64_t i : {1, 2, 3})
      check_close(separate[static_cast<std::size_t>(i)], as_wanted(cut(y, 2 * i - 2, 2 * i)));
  }
  const auto appended =
      tensors_of("MultiobjectiveModel", {{"dimensions", {4}}, {"append_last_dimension", true}}, 6);
  REQUIRE(appended.size() == 3);
  check_close(appended[2], y);
  // Without order, where the mode needs none.
  const auto unsorted = tensors_of("MultiobjectiveModel", {{"dimensions", {6, 2}}}, 6);
  check_close(unsorted[1], y);
  check_close(unsorted[2], cut(y, 0, 2));
}

TEST_CASE("dimensions that do not fit are refused") {
  const std::pair<json, std::string> cases[] = {
      {{{"dimensions", {2, 4}}}, "the largest of the dimensions is 4; must be num_output, 6"},
      {{{"dimensions", {2, 8}}}, "the largest of the dimensions is 8; must be num_output, 6"},
      {{{"dimensions", {2, 6}}, {"append_last_dimension", true}},
       "the dimensions reach num_output, 6, already; append_last_dimension must be false"},
      {{{"dimensions", {9}}, {"append_last_dimension", true}},
       "dimensions [9,6]: must be at least 1 and at most 6"},
      {{{"dimensions", {6, 2}}, {"output_mode", "separate"}},
       "must be at least 1 and at most 6, each above the one before"},
      {{{"dimensions", json::array()}}, "the largest of the dimensions is 0"},
      {{{"dimensions", {0, 6}}}, "dimensions [0,6]: must be at least 1 and at most 6"},
      {{{"dimensions", {2.5, 6}}}, "dimensions: found 2.5; must be an integer"},
      {{{"dimensions", {2, 6}}, {"output_mode", "nested"}},
       "found \"nested\"; must be one of \"overlapping\", \"separate\""},
  };
  for (const auto& [options, text] : cases) {
    const std::string found =
        refusal([&, given = options] { make("MultiobjectiveModel", given, 6); });
    CHECK_MESSAGE(contains(found, text), found);
  }
}

TEST_CASE("any ranges that hold every feature are cut as they are") {
  const at::Tensor y = encoded(8);
  const json lists[] = {{{0, 8}},
                        {{4, 8}, {0, 4}},
                        {{0, 8}, {1, 2}, {4, 6}},
                        {{0, 8}, {0, 4}, {2, 6}},
                        {{0, 5}, {2, 8}},
                        {{0, 8}, {0, 4}, {4, 8}},
                        {{0, 8}, {0, 8}}};
  for (const json& list : lists) {
    CAPTURE(list.dump());
    const auto tensors = tensors_of(subspaces, ranges(list), 8);
    REQUIRE(tensors.size() == 1 + list.size());
    check_close(tensors[0], y);
    for (std::size_t i = 0; i < list.size(); ++i)
      check_close(tensors[1 + i], cut(y, list[i][0], list[i][1]));
  }
}

TEST_CASE("scaled pieces make the whole sqrt(pieces) long") {
  const at::Tensor y = encoded(8);
  const auto two = tensors_of(subspaces, ranges({{0, 8}, {5, 8}}, true), 8);
  check_close(two[0], at::cat({unit(cut(y, 0, 5)), unit(cut(y, 5, 8))}, 1));
  check_length(two[1], std::sqrt(2.));
  check_length(two[2], 1);
  const auto three = tensors_of(subspaces, ranges({{2, 5}, {0, 8}}, true, "pieces"), 8);
  check_close(three[0], at::cat({unit(cut(y, 0, 2)), unit(cut(y, 2, 5)), unit(cut(y, 5, 8))}, 1));
  check_length(three[1], 1);
  check_length(three[2], std::sqrt(3.));
  const auto four = tensors_of(subspaces, ranges({{0, 8}, {2, 4}, {4, 6}}, true), 8);
  check_length(four[1], 2);
  check_length(four[2], 1);
  check_length(four[3], 1);
}

TEST_CASE(
    "disjoint ranges are scaled by themselves and keep their features, whatever their order") {
  const at::Tensor y = encoded(8);
  for (const char* mode : {"auto", "pieces"}) {
    const auto tensors = tensors_of(subspaces, ranges({{4, 8}, {0, 4}}, true, mode), 8);
    check_close(tensors[1], unit(cut(y, 4, 8)));
    check_close(tensors[2], unit(cut(y, 0, 4)));
    check_close(tensors[0], at::cat({unit(cut(y, 0, 4)), unit(cut(y, 4, 8))}, 1));
  }
}

TEST_CASE("per_slice scales every slice by itself, and the whole not at all") {
  const at::Tensor y = encoded(8);
  const json lists[] = {{{0, 8}, {5, 8}}, {{0, 8}, {0, 4}, {2, 6}}, {{4, 8}, {0, 4}}};
  for (const json& list : lists) {
    CAPTURE(list.dump());
    const auto tensors = tensors_of(subspaces, ranges(list, true, "per_slice"), 8);
    check_close(tensors[0], y);
    for (std::size_t i = 0; i < list.size(); ++i)
      check_close(tensors[1 + i], unit(cut(y, list[i][0], list[i][1])));
  }
}

TEST_CASE("ranges without common pieces are scaled one by one, unless pieces are asked for") {
  const at::Tensor y = encoded(8);
  const json lists[] = {{{0, 8}, {0, 4}, {2, 6}},   // overlap within the rest
                        {{0, 8}, {1, 2}, {4, 6}},   // a gap within the rest
                        {{0, 5}, {2, 8}},           // no range is the whole
                        {{0, 8}, {0, 4}, {4, 8}},   // nothing is left over
                        {{0, 8}, {0, 8}, {2, 4}}};  // the whole twice
  for (const json& list : lists) {
    CAPTURE(list.dump());
    const auto tensors = tensors_of(subspaces, ranges(list, true), 8);
    check_close(tensors[0], y);
    for (std::size_t i = 0; i < list.size(); ++i) check_length(tensors[1 + i], 1);
    const std::string found =
        refusal([&, given = list] { make(subspaces, ranges(given, true, "pieces"), 8); });
    CHECK_MESSAGE(contains(found, "do not divide into pieces"), found);
    CHECK_MESSAGE(contains(found, "the whole embedding, [0, 8]"), found);
    CHECK_NOTHROW(make(subspaces, ranges(list, false, "pieces"), 8));
  }
}

TEST_CASE("ranges that do not fit are refused") {
  const std::pair<json, std::string> cases[] = {
      {{{0, 9}}, "feature range [0, 9]: must be [first, last + 1] within [0, 8]"},
      {{{0, 8}, {3, 3}}, "feature range [3, 3]: must be"},
      {{{0, 8}, {4, 3}}, "feature range [4, 3]: must be"},
      {{{1, 8}}, "no range holds feature 0; together they must hold all 8"},
      {{{0, 4}, {5, 8}}, "no range holds feature 4"},
      {{{0, 7}}, "no range holds feature 7"},
      {json::array(), "no range holds feature 0"},
      {{{0, 8, 9}}, "feature_ranges: found [0,8,9]; must be [first, last + 1]"},
      {{0, 8}, "feature_ranges: found 0; must be [first, last + 1]"},
      {{{-1, 8}}, "feature range [-1, 8]: must be"},
      {{{0, 8.5}}, "feature_ranges: found 8.5; must be an integer"},
  };
  for (const auto& [list, text] : cases) {
    const std::string found = refusal([&, given = list] { make(subspaces, ranges(given), 8); });
    CHECK_MESSAGE(contains(found, text), found);
  }
  CHECK(contains(refusal([] {
                   make(subspaces, ranges({{0, 8}}, true, "halves"), 8);
                 }),
                 "found \"halves\"; must be one of \"auto\", \"pieces\", \"per_slice\""));
  CHECK(contains(refusal([] {
                   make("SubspaceMultiobjectiveConvolutionalModel", ranges({{0, 8}}), 8);
                 }),
                 "the module is not convolutional; use SubspaceMultiobjectiveModel"));
  CHECK(contains(refusal([] {
                   host::CreateOptions create;
                   create.num_input = 3;
                   builtin_host().create_model(subspaces, R"({"feature_ranges": [[0, 8]]})",
                                               create);
                 }),
                 "\"module\""));
  CHECK(contains(refusal([] {
                   make(subspaces, ranges({{0, 8}}), 8, "offset7-model");
                 }),
                 "there is no model \"offset7-model\""));
}

TEST_CASE("an experiment's slices are checked by their schema, with their place") {
  const auto refused = [](const json& options) {
    json model = options;
    model["module"] = module_of(8);
    return refusal([&] { host::Experiment(builtin_host(), json{{"model", model}}); });
  };
  const std::pair<json, std::string> cases[] = {
      {{{"feature_ranges", json::array()}}, "/model/feature_ranges: found []"},
      {{{"feature_ranges", {{0, 8, 9}}}}, "/model/feature_ranges/0: found"},
      {{{"feature_ranges", {{-1, 8}}}}, "/model/feature_ranges/0/0: found -1"},
      {{{"feature_ranges", {{0, 2.5}}}}, "/model/feature_ranges/0/1: found 2.5"},
      {{{"feature_ranges", {{0, 8}}}, {"renormalize_mode", "halves"}},
       "/model/renormalize_mode: found \"halves\""},
      {{{"feature_ranges", {{0, 8}}}, {"renormalize", 1}}, "/model/renormalize: found 1"},
      {json::object(), "/model: the key \"feature_ranges\" is missing"},
  };
  for (const auto& [options, text] : cases) {
    json model = options;
    model["name"] = subspaces;
    const std::string found = refused(model);
    CHECK_MESSAGE(contains(found, text), found);
  }
  const std::pair<json, std::string> dimensions[] = {
      {{{"dimensions", json::array()}}, "/model/dimensions: found []"},
      {{{"dimensions", {0, 8}}}, "/model/dimensions/0: found 0"},
      {{{"dimensions", {8}}, {"output_mode", "nested"}}, "/model/output_mode: found \"nested\""},
      {json::object(), "/model: the key \"dimensions\" is missing"},
  };
  for (const auto& [options, text] : dimensions) {
    json model = options;
    model["name"] = "MultiobjectiveModel";
    const std::string found = refused(model);
    CHECK_MESSAGE(contains(found, text), found);
  }
}

TEST_CASE("a sliced model describes itself as its encoder does, and embeds whole series") {
  const auto plain = builtin_model("offset10-model-mse", 3, 4, 6);
  fill(plain->tensors());
  for (const char* name : {subspaces, "SubspaceMultiobjectiveConvolutionalModel"}) {
    const auto model = make(name, ranges({{0, 6}, {4, 6}}), 6, "offset10-model-mse");
    const ModelInfo info = model->info();
    CHECK(info.offset == Offset{5, 5});
    CHECK(info.convolutional);
    CHECK(info.num_input == 3);
    CHECK(info.num_output == 6);
    CHECK(info.num_tensors == 3);
    CHECK_FALSE(info.normalized);
    host::CreateOptions create;
    create.num_input = 3;
    CHECK_NOTHROW(host::check_model(*model, create));
    CHECK(model->tensors().front().name == "module.net.0.weight");
    const auto tensors = tensors_of(model, inp({1, 3, 30}));
    const at::NoGradGuard no_grad;
    check_close(tensors[0], plain->forward(inp({1, 3, 30})));
    check_close(tensors[2], cut(tensors[0], 4, 6));
  }
  const auto scaled = make(subspaces, ranges({{0, 6}, {4, 6}}, true), 6, "offset10-model-mse");
  CHECK(scaled->info().normalized);
  const auto tensors = tensors_of(scaled, inp({1, 3, 30}));
  CHECK(tensors[2].sizes() == at::IntArrayRef({1, 2, 21}));
  CHECK(at::allclose(tensors[2].norm(2, 1), at::ones({1, 21}), 0, 1e-6));
}
