#include "plugin_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/abi.h>
#include <grevy/host/experiment.hpp>
#include <grevy/host/host.hpp>
#include <grevy/host/trainer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <mutex>
#include <sstream>
#include <sys/stat.h>
#include <thread>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

namespace fs = std::filesystem;

const fs::path good = fs::path(GREVY_TEST_PLUGINS) / "good";

fs::path bad(const std::string& name) { return fs::path(GREVY_TEST_PLUGINS) / "bad" / name; }
fs::path bad_file(const std::string& name) { return bad(name) / (name + ".so"); }
fs::path good_file(const std::string& name) { return good / (name + ".so"); }

at::Tensor rows(std::vector<float> values) { return at::tensor(values).reshape({-1, 2}); }

Prediction prediction() { return {rows({1, 2, 3, 4}), rows({1, 3, 3, 4}), rows({5, 5})}; }

double loss_of(const CriterionRef& c) {
  return c.evaluate({prediction()}, c.info().parts.size()).loss.item<double>();
}

bool is_mapped(const fs::path& file) {
  return file_bytes("/proc/self/maps").find(file.string()) != std::string::npos;
}

std::string with_inner(const std::string& inner) {
  return R"({"inner": {"name": ")" + inner + R"("}})";
}

}  // namespace

// ---- Good plugins ---------------------------------------------------------------------------

TEST_CASE("every good plugin is found, and none is refused") {
  const Host host(only({good}));
  CHECK(host.plugins().size() == 7);
  CHECK(host.refused().empty());
  for (const PluginManifest& plugin : host.plugins()) CHECK(plugin.problem.empty());
}

TEST_CASE("the shortest useful criterion has at most 20 lines and a gradient") {
  std::istringstream source(
      file_bytes(fs::path(GREVY_TEST_DATA).parent_path() / "plugins/good/shortest.cpp"));
  int lines = 0;
  for (std::string line; std::getline(source, line);)
    lines += !line.empty() && line.rfind("//", 0) != 0;
  CHECK(lines >= 10);
  CHECK(lines <= 20);

  Host host(only({good_file("shortest")}));
  const auto pull_push = criterion(host, "pull-push");
  CHECK(pull_push->info().parts == std::vector<std::string>{"pos", "neg"});
  Prediction p = prediction();
  p.reference.requires_grad_(true);
  const Evaluation evaluation = pull_push->evaluate({p}, 2);
  CHECK(evaluation.parts[0].item<double>() == doctest::Approx(0.25));
  evaluation.loss.backward();
  CHECK(p.reference.grad().abs().sum().item<double>() > 0);
}

TEST_CASE("a criterion wraps another that it gets from the host") {
  Host host(only({good, GREVY_BUILTIN_PLUGINS}));
  const auto inner = criterion(host, "LearnableCosineInfoNCE");
  const auto outer =
      criterion(host, "times", R"({"factor": 4, "inner": {"name": "LearnableCosineInfoNCE"}})");
  CHECK(loss_of(*outer) == doctest::Approx(4 * loss_of(*inner)));
  CHECK(outer->info().parts == inner->info().parts);
  CHECK(outer->statistics().at(0).name == "temperature");

  const NamedTensors tensors = outer->tensors();
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].name == "inner.log_inverse_temperature");
  CHECK(tensors[0].trained);
  // The same storage: what the host writes, the inner criterion reads.
  tensors[0].tensor.detach().fill_(std::log(2.0));
  CHECK(outer->statistics().at(0).value == doctest::Approx(0.5));
}

TEST_CASE(
    "a plugin that a component asks for by a name of its own is among those of the training") {
  host::Host host(only(
      {GREVY_BUILTIN_PLUGINS, test_plugins / "bad/hidden", test_plugins / "good/shortest.so"}));
  const host::Experiment experiment(
      host, {{"model", {{"name", "offset1-model"}, {"num_output", 3}, {"num_units", 4}}},
             {"criterion", {{"name", "hidden"}}}});
  const host::Trainer trainer = host::Trainer::without_data(host, experiment, {2});
  std::vector<std::string> ids;
  for (const nlohmann::json& plugin : trainer.plugins()) ids.push_back(plugin.at("id"));
  CHECK(ids ==
        std::vector<std::string>{"grevy.models", "grevy.solvers", "zoo.hidden", "zoo.shortest"});
}

TEST_CASE("wrappers nest, and each inner component has a seed of its own") {
  Host host(only({good, GREVY_BUILTIN_PLUGINS}));
  const auto twice = criterion(
      host, "scaled",
      R"({"factor": 3, "inner": {"name": "scaled", "factor": 5, "inner": {"name": "InfoNCE"}}})");
  CHECK(loss_of(*twice) == doctest::Approx(15 * loss_of(*criterion(host, "InfoNCE"))));
}

TEST_CASE("a model's buffer is stored, not trained, and follows the training mode") {
  Host host(only({good}));
  const auto model = host.create_model("centred", R"({"momentum": 1})", channels(2));
  check_model(*model, channels(2));
  const NamedTensors tensors = model->tensors();
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "weight");
  CHECK(tensors[0].trained);
  CHECK(tensors[1].name == "mean");
  CHECK_FALSE(tensors[1].trained);
  CHECK_FALSE(tensors[1].tensor.requires_grad());

  const at::Tensor windows = at::tensor({1.0f, 2.0f, 3.0f, 6.0f}).reshape({2, 2, 1});
  model->set_training(false);
  model->forward(windows);
  CHECK(tensors[1].tensor.equal(at::zeros({2})));
  model->set_training(true);
  model->forward(windows);
  CHECK(tensors[1].tensor.equal(at::tensor({2.0f, 4.0f})));
}

TEST_CASE("seeds decide what a component draws") {
  Host host(only({good}));
  const auto weight = [&](std::uint64_t seed) {
    CreateOptions create = channels(4);
    create.seed = seed;
    return host.create_model("centred", "{}", create)->tensors()[0].tensor.detach();
  };
  CHECK(weight(1).equal(weight(1)));
  CHECK_FALSE(weight(1).equal(weight(2)));
}

TEST_CASE("a solver that overrides infer() alone trains, validates and embeds") {
  Host host(only({good, GREVY_BUILTIN_PLUGINS}));
  const Experiment experiment(
      host,
      {{"model", {{"name", "centred"}}},
       {"criterion", {{"name", "pull-push"}}},
       {"solver", {{"name", "in-batch"}}},
       {"training",
        {{"num_steps", 6}, {"batch_size", 8}, {"valid_frequency", 3}, {"valid_batches", 2}}}});
  const Recording recording(at::linspace(-1, 1, 200).reshape({100, 2}));
  Trainer trainer(host, experiment, recording.slice(0, 80), recording.slice(80, 100));
  int validations = 0;
  FitCallbacks callbacks;
  callbacks.on_step = [&](const StepReport& report) {
    validations += report.validation_loss.has_value();
    CHECK(report.statistics.size() == 3);
  };
  CHECK(trainer.fit(callbacks));
  CHECK(validations == 2);
  const at::Tensor embedding = trainer.transform(recording.neural());
  CHECK(embedding.sizes() == at::IntArrayRef{100, 3});
  CHECK(embedding.isfinite().all().item<bool>());
}

TEST_CASE("a plugin in plain C, without LibTorch, passes tensors on") {
  Host host(only({good_file("plain-c")}));
  CHECK(host.plugins().at(0).stamp.empty());
  const at::Tensor windows = at::rand({2, 1, 5});
  {
    const auto model = host.create_model("passthrough", "{}", channels(1));
    const ModelInfo info = model->info();
    CHECK(info.offset == Offset{2, 3});
    CHECK(info.normalized);
    CHECK_FALSE(info.convolutional);
    CHECK(info.resample_factor == 4);
    const at::Tensor output = model->forward(windows);
    CHECK(output.is_same(windows));
    CHECK(windows.use_count() == 2);
    CHECK(model->forward_all(windows, 3).size() == 3);
    CHECK(windows.use_count() == 2);
    CHECK(model->tensors().empty());
  }
  CHECK(windows.use_count() == 1);

  const auto reference = criterion(host, "reference");
  const at::Tensor scalar = at::full({1, 1}, 2.5).requires_grad_(true);
  CHECK(reference->evaluate({{scalar, scalar, {}}}, 0).loss.is_same(scalar));
  CHECK(reference->statistics().at(0).value == 7);
}

TEST_CASE("errors of a plugin in plain C are completed by the host") {
  Host host(only({good_file("plain-c")}));
  const auto model = host.create_model("passthrough", "{}", channels(1));
  model->set_training(true);
  const Caught refused = catch_error([&] { model->set_training(false); });
  CHECK(refused.code == ErrorCode::invalid_state);
  CHECK(refused.says("always trains"));
  check_place(refused, "zoo.plain-c", "passthrough", "set_training");

  const auto silent = criterion(host, "silent-failure");
  const Caught failed = catch_error([&] { silent->evaluate({prediction()}, 0); });
  CHECK(failed.code == ErrorCode::internal);
  CHECK(failed.says("failed with code -7 and no message"));
  check_place(failed, "zoo.plain-c", "silent-failure", "evaluate");
}

TEST_CASE("slots that a table leaves empty report that they are not offered") {
  Host host(only({good_file("plain-c")}));
  const auto solver = host.create_solver("idle", "{}", {});
  grevy_training training{};
  grevy_loader loader{};
  grevy_optimizer optimizer{};
  const std::pair<const char*, std::function<void()>> calls[] = {
      {"attach", [&] { solver->attach({}, {}); }},
      {"fit", [&] { solver->fit(training); }},
      {"step", [&] { solver->step({}, optimizer); }},
      {"validate", [&] { solver->validate(loader); }},
      {"transform",
       [&] {
         solver->transform(0, at::zeros({2, 2}));
       }},
      {"visit_tensors", [&] { solver->tensors(); }},
      {"save_state", [&] { solver->save_state(); }},
      {"load_state", [&] { solver->load_state("{}"); }},
  };
  for (const auto& [operation, call] : calls) {
    const Caught error = catch_error(call);
    CHECK(error.code == ErrorCode::unimplemented);
    check_place(error, "zoo.plain-c", "idle", operation);
  }
}

TEST_CASE("log lines of plugins arrive with level and component") {
  std::vector<std::string> lines;
  HostOptions options = only({good, GREVY_BUILTIN_PLUGINS});
  options.log = [&](LogLevel level, std::string_view component, std::string_view message) {
    lines.push_back(std::to_string(static_cast<int>(level)) + " " + std::string(component) + " " +
                    std::string(message));
  };
  Host host(options);
  host.create_model("passthrough", "{}", channels(1));
  criterion(host, "times", with_inner("InfoNCE"));
  CHECK(lines == std::vector<std::string>{"2 passthrough is made", "3 passthrough is made",
                                          "1 times wraps InfoNCE"});
}

TEST_CASE("plugins built without our build rules do not share what they register") {
  Host host(only({good}));
  const auto one = criterion(host, "by-hand-1");
  const auto two = criterion(host, "by-hand-2");
  CHECK(loss_of(*one) == 1);
  CHECK(loss_of(*two) == 2);
  CHECK(one->plugin() == "zoo.by-hand-1");
  CHECK(two->plugin() == "zoo.by-hand-2");
}

// ---- Bad plugins ----------------------------------------------------------------------------

TEST_CASE("files that are no plugins are refused by name and with a reason") {
  const std::pair<const char*, const char*> cases[] = {
      {"no-note", "has no Grevy note"},
      {"empty-note", "damaged manifest"},
      {"empty-object", "damaged manifest"},
      {"garbage-note", "damaged manifest"},
      {"wrong-types", "damaged manifest"},
      {"deep-note", "nested too deeply"},
      {"two-notes", "two plugin notes"},
      {"component-only", "no plugin note"},
      {"wrong-options", "\"options\" is no object"},
  };
  for (const auto& entry : cases) {
    const char *const name = entry.first, *const reason = entry.second;
    CAPTURE(name);
    const Host host(only({bad(name)}));
    CHECK(host.plugins().empty());
    REQUIRE(host.refused().size() == 1);
    CHECK(host.refused()[0].file == bad_file(name));
    CHECK(host.refused()[0].reason.find(bad_file(name).string()) == 0);
    CHECK(host.refused()[0].reason.find(reason) != std::string::npos);

    const Caught direct = catch_error([&] { Host(only({bad_file(name)})); });
    CHECK(direct.code == ErrorCode::incompatible);
    CHECK(direct.says(bad_file(name).string()));
    CHECK(direct.says(reason));
  }
}

TEST_CASE("a plugin for another ABI or LibTorch is listed, but neither opened nor used") {
  const std::pair<const char*, const char*> cases[] = {
      {"other-abi", "was built for ABI 2.5; this host has 1.0"},
      {"other-libtorch", "was built against \"libtorch 0.4.1 cxx11abi=0 cpu\"; this host has"},
      {"needs-libtorch",
       "has an empty stamp, as plugins without LibTorch have, but needs libtorch"},
      {"borrows-libtorch",
       "has an empty stamp, as plugins without LibTorch have, but needs _ZN2at15get_num_threadsEv"},
      {"borrows-caffe2",
       "has an empty stamp, as plugins without LibTorch have, but needs _ZNK6caffe28TypeMeta4name"},
      {"borrows-c10d",
       "has an empty stamp, as plugins without LibTorch have, but needs _ZN4c10d11PrefixStore"},
      {"borrows-aoti",
       "has an empty stamp, as plugins without LibTorch have, but needs "
       "aoti_torch_device_type_cpu"},
      {"needs-by-path", "has an empty stamp, as plugins without LibTorch have, but needs /"},
  };
  for (const auto& entry : cases) {
    const char *const name = entry.first, *const reason = entry.second;
    CAPTURE(name);
    Host host(only({bad(name)}));
    CHECK(host.plugins().at(0).problem.find(reason) == 0);
    const Caught used = catch_error([&] { criterion(host, name); });
    CHECK(used.code == ErrorCode::incompatible);
    CHECK(used.says(reason));
    CHECK(used.says(bad_file(name).string()));
    CHECK_FALSE(is_mapped(bad_file(name)));

    const Caught direct = catch_error([&] { Host(only({bad_file(name)})); });
    CHECK(direct.code == ErrorCode::incompatible);
    CHECK(direct.says(reason));
    CHECK(direct.says(bad_file(name).string()));
  }
}

TEST_CASE("a library that is not what its manifest says is refused when it is opened") {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"undefined-symbol", "undefined-symbol", "grevy_zoo_no_such_function"},
      {"no-entry", "no-entry", "does not export grevy_plugin_entry_v1"},
      {"null-entry", "null-entry", "gives no valid descriptor"},
      {"null-list", "null-list", "gives no valid descriptor"},
      {"disagrees", "disagrees", "its descriptor and its manifest disagree"},
      {"unregistered", "unregistered", "registers the criterion \"registered\" twice"},
      {"unregistered", "registered", "registers the criterion \"registered\" twice"},
      {"undeclared", "undeclared", "registers components that its manifest does not have"},
      {"null-table", "null-table", "a component without a table"},
      {"null-component", "null-component", "a component without a table"},
      {"no-create", "no-create", "cannot be created or destroyed"},
  };
  for (const auto& entry : cases) {
    const char *const folder = std::get<0>(entry), *const name = std::get<1>(entry),
                      *const reason = std::get<2>(entry);
    CAPTURE(name);
    Host host(only({bad(folder)}));
    REQUIRE(host.find(Kind::criterion, name).component != nullptr);
    for (int attempt = 0; attempt < 2; ++attempt) {
      const Caught error = catch_error([&] { criterion(host, name); });
      CHECK(error.code == ErrorCode::incompatible);
      CHECK_MESSAGE(error.says(reason), error.text);
      CHECK(error.says(bad_file(folder).string()));
    }
  }
}

TEST_CASE("a table of an older minor version lacks operations, which are errors, not crashes") {
  for (const char* name : {"older-minor", "torn-table"}) {
    CAPTURE(name);
    Host host(only({bad(name)}));
    const auto old = criterion(host, name);
    CHECK(old->info().parts.empty());
    const Caught error = catch_error([&] { old->statistics(); });
    CHECK(error.code == ErrorCode::unimplemented);
    check_place(error, ("zoo." + std::string(name)).c_str(), name, "visit_statistics");
  }
  Host host(only({bad("older-minor"), bad("torn-table")}));
  const at::Tensor scalar = at::ones({1, 1});
  const std::vector<Prediction> predictions = {{scalar, scalar, scalar}};
  CHECK(criterion(host, "older-minor")->evaluate(predictions, 0).loss.item<double>() == 1);
  const Caught torn = catch_error([&] { criterion(host, "torn-table")->evaluate(predictions, 0); });
  CHECK(torn.code == ErrorCode::unimplemented);
}

TEST_CASE("a plugin of a newer minor version is used; kinds that we do not know are ignored") {
  Host host(only({bad("newer-minor")}));
  CHECK(host.refused().empty());
  REQUIRE(host.plugins().size() == 1);
  CHECK(host.plugins()[0].abi_minor == 9);
  CHECK(host.plugins()[0].components.size() == 1);
  CHECK(criterion(host, "newer-minor")->statistics().at(0).value == 7);
}

TEST_CASE("what a component throws becomes an error with its place") {
  struct Case {
    const char *name, *operation, *text;
  };
  const Case cases[] = {
      {"throws-in-constructor", "create", "no luck today"},
      {"throws-int", "evaluate", "threw something that is no std::exception"},
      {"fails-in-libtorch", "evaluate", "cannot be multiplied"},
  };
  for (const Case& c : cases) {
    const char *const name = c.name, *const operation = c.operation, *const text = c.text;
    CAPTURE(name);
    Host host(only({bad(name)}));
    const Caught error = catch_error([&, n = name] { loss_of(*criterion(host, n)); });
    CHECK(error.code == ErrorCode::internal);
    CHECK(error.says(text));
    CHECK_FALSE(error.says("Exception raised from"));
    check_place(error, ("zoo." + std::string(name)).c_str(), name, operation);
  }
}

TEST_CASE("a component that claims success without an instance is an error") {
  Host host(only({bad("no-instance")}));
  const Caught error = catch_error([&] { criterion(host, "no-instance"); });
  CHECK(error.code == ErrorCode::invalid_state);
  CHECK(error.says("gave no instance"));
  check_place(error, "zoo.no-instance", "no-instance", "create");
}

TEST_CASE("models that do not do what they describe are caught by check_model") {
  struct Case {
    const char *name, *operation, *text;
  };
  const Case cases[] = {
      {"wrong-shape", "forward",
       "returned shape [3, 4] for windows of shape [3, 2, 1]; its "
       "description promises [3, 3]"},
      {"undefined-tensor", "forward", "returned no tensor"},
      {"lying-model", "describe", "num_input 3 (asked for 2)"},
  };
  for (const Case& c : cases) {
    const char *const name = c.name, *const operation = c.operation, *const text = c.text;
    CAPTURE(name);
    Host host(only({bad(name)}));
    const auto model = host.create_model(name, "{}", channels(2));
    const Caught error = catch_error([&] { check_model(*model, channels(2)); });
    CHECK(error.code == ErrorCode::invalid_value);
    CHECK_MESSAGE(error.says(text), error.text);
    check_place(error, ("zoo." + std::string(name)).c_str(), name, operation);
  }
}

TEST_CASE("a loss that is no scalar is an error of the criterion") {
  Host host(only({bad("vector-loss"), good}));
  const Caught error = catch_error([&] { loss_of(*criterion(host, "vector-loss")); });
  CHECK(error.code == ErrorCode::invalid_value);
  CHECK(error.says("the loss must be a scalar tensor"));
  check_place(error, "zoo.vector-loss", "vector-loss", "evaluate");
}

TEST_CASE("a loss that becomes NaN ends a training with the step before intact") {
  Host host(only({bad("nan-loss"), GREVY_BUILTIN_PLUGINS}));
  const Experiment experiment(host, {{"model", {{"name", "offset1-model-mse"}, {"num_output", 2}}},
                                     {"criterion", {{"name", "nan-loss"}, {"after_steps", 3}}},
                                     {"training", {{"num_steps", 10}, {"batch_size", 8}}}});
  const Recording recording(at::linspace(-1, 1, 200).reshape({100, 2}));
  Trainer trainer(host, experiment, recording);
  const Caught error = catch_error([&] { trainer.fit(); });
  CHECK(error.code == ErrorCode::non_finite);
  CHECK_MESSAGE(error.says("step 3"), error.text);
  CHECK_MESSAGE(error.says("nan-loss"), error.text);
  CHECK(trainer.step() == 3);
  for (const NamedTensor& t : trainer.model().tensors())
    CHECK(t.tensor.isfinite().all().item<bool>());
}

TEST_CASE("composition without an end stops at a depth") {
  Host host(only({bad("endless"), good, GREVY_BUILTIN_PLUGINS}));
  const Caught error = catch_error([&] { criterion(host, "endless"); });
  CHECK(error.code == ErrorCode::invalid_state);
  CHECK(error.says("components nest deeper than 16"));
  // The depth is that of one composition, not a count of failures.
  CHECK(criterion(host, "scaled", with_inner("InfoNCE")));
}

// ---- Files and folders ----------------------------------------------------------------------

TEST_CASE("a folder may hold anything; what is no plugin is refused by name") {
  const TemporaryFolder folder;
  folder.write("text.so", "int main() { return 0; }\n");
  folder.write("empty.so", "");
  folder.write("notes.txt", "not looked at");
  folder.write("libold.so.1", "not looked at");
  fs::create_directory(folder / "folder.so");
  fs::create_symlink(folder / "nowhere", folder / "dangling.so");
  fs::create_symlink(folder / "loop.so", folder / "loop.so");
  REQUIRE(::mkfifo((folder / "pipe.so").c_str(), 0600) == 0);
  fs::copy_file(good_file("shortest"), folder / "shortest.so");

  Host host(only({folder.path()}));
  REQUIRE(host.plugins().size() == 1);
  CHECK(host.plugins()[0].file == fs::canonical(folder / "shortest.so"));
  const std::vector<std::string> names = {"dangling.so", "empty.so", "folder.so",
                                          "loop.so",     "pipe.so",  "text.so"};
  REQUIRE(host.refused().size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(host.refused()[i].file == folder / names[i]);
    CHECK_FALSE(host.refused()[i].reason.empty());
  }
  CHECK(criterion(host, "pull-push"));

  for (const char* name : {"text.so", "empty.so", "pipe.so", "loop.so"}) {
    CAPTURE(name);
    const Caught direct = catch_error([&] { Host(only({folder / name})); });
    const bool is_loop = std::string(name) == "loop.so";
    CHECK(direct.code == (is_loop ? ErrorCode::not_found : ErrorCode::incompatible));
    CHECK(direct.says((folder / name).string()));
    // Also where the file was met before, in a folder of the same path.
    const Caught again = catch_error([&] { Host(only({folder.path(), folder / name})); });
    CHECK(again.code == direct.code);
    CHECK(again.says((folder / name).string()));
  }
}

TEST_CASE("plugin_path entries that do not exist are errors; default folders are not") {
  const TemporaryFolder folder;
  for (const char* name : {"missing", "missing.so"}) {
    const Caught error = catch_error([&] { Host(only({good, folder / name})); });
    CHECK(error.code == ErrorCode::not_found);
    CHECK(error.says((folder / name).string()));
  }
  CHECK(Host(only({folder.path()})).plugins().empty());
}

TEST_CASE("an unusable plugin that its folder has already shown is still refused as a file") {
  const Caught error = catch_error([&] {
    Host(only({bad("other-abi"), good, bad_file("other-abi")}));
  });
  CHECK(error.code == ErrorCode::incompatible);
  CHECK(error.says(bad_file("other-abi").string()));
}

TEST_CASE("a plugin that was cut off is refused, wherever the cut is") {
  const std::string whole = file_bytes(good_file("plain-c"));
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof(header));
  std::size_t loaded = 0;  // what follows is for debuggers
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, whole.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_LOAD)
      loaded = std::max<std::size_t>(loaded, segment.p_offset + segment.p_filesz);
  }
  REQUIRE(loaded > 4096);
  const TemporaryFolder folder;
  for (std::size_t size : {std::size_t{1}, std::size_t{15}, std::size_t{63}, std::size_t{64},
                           std::size_t{300}, std::size_t{1000}, loaded / 2, loaded - 1}) {
    CAPTURE(size);
    const fs::path file = folder.write("cut.so", whole.substr(0, size));
    const Host host(only({folder.path()}));
    CHECK(host.plugins().empty());
    REQUIRE(host.refused().size() == 1);
    CHECK(host.refused()[0].reason.find(file.string()) == 0);
    const Caught direct = catch_error([&] { Host(only({file})); });
    CHECK(direct.code == ErrorCode::incompatible);
    CHECK(direct.says(file.string()));
  }
  folder.write("cut.so", whole);
  CHECK(Host(only({folder.path()})).plugins().size() == 1);
}

TEST_CASE("two plugins that claim one name: the error names both, an id chooses") {
  Host host(only({bad("twin-a"), bad("twin-b")}));
  const Caught error = catch_error([&] { host.find(Kind::criterion, "twin"); });
  CHECK(error.code == ErrorCode::invalid_value);
  CHECK(error.says(bad_file("twin-a").string()));
  CHECK(error.says(bad_file("twin-b").string()));
  CHECK(error.says("plugin-id/name"));
  CHECK(criterion(host, "zoo.twin-a/twin")->plugin() == "zoo.twin-a");
  CHECK(criterion(host, "zoo.twin-b/twin")->plugin() == "zoo.twin-b");
  CHECK(catch_error([&] { host.find(Kind::criterion, "zoo.twin-c/twin"); }).code ==
        ErrorCode::not_found);
  CHECK(catch_error([&] { host.find(Kind::model, "twin"); }).code == ErrorCode::not_found);
}

TEST_CASE("one file that is reached in several ways is one plugin") {
  const TemporaryFolder folder;
  fs::create_symlink(bad_file("twin-a"), folder / "link.so");
  fs::create_directory_symlink(bad("twin-a"), folder / "linked");
  Host host(only({bad("twin-a"), folder.path(), folder / "linked", bad_file("twin-a"),
                  bad("twin-b") / "../twin-a"}));
  CHECK(host.plugins().size() == 1);
  CHECK(criterion(host, "twin")->plugin() == "zoo.twin-a");
}

TEST_CASE("an unknown component: what there is, the nearest, where it was looked for") {
  const TemporaryFolder folder;
  folder.write("text.so", "text");
  const Host host(only({good, folder.path()}));
  const Caught error = catch_error([&] { host.find(Kind::criterion, "pull-pusch"); });
  CHECK(error.code == ErrorCode::not_found);
  CHECK(error.says("there is no criterion \"pull-pusch\"; did you mean \"pull-push\"?"));
  CHECK(error.says("by-hand-1, by-hand-2, pull-push, reference, scaled, silent-failure"));
  CHECK_FALSE(error.says("centred"));
  CHECK(error.says(fs::canonical(good).string()));
  CHECK(error.says(fs::canonical(folder.path()).string()));
  CHECK(error.says("text.so"));
}

// ---- Life of a library ----------------------------------------------------------------------

TEST_CASE("a library is opened for its first component and never closed") {
  const TemporaryFolder folder;
  const fs::path file = fs::canonical(folder.path()) / "shortest.so";
  fs::copy_file(good_file("shortest"), file);
  {
    Host host(only({folder.path()}));
    CHECK(host.find(Kind::criterion, "pull-push").plugin->file == file);
    CHECK_FALSE(is_mapped(file));
    const auto pull_push = criterion(host, "pull-push");
    CHECK(is_mapped(file));
  }
  CHECK(is_mapped(file));
}

TEST_CASE("a graph outlives the model, the host and the plugin's file") {
  at::Tensor output, weight;
  {
    const TemporaryFolder folder;
    fs::copy_file(good_file("models"), folder / "models.so");
    Host host(only({folder.path()}));
    const auto model = host.create_model("own-gradient", "{}", channels(2));
    weight = model->tensors()[0].tensor;
    output = model->forward(at::ones({4, 2, 1}));
  }
  output.sum().backward();
  CHECK(weight.grad().equal(at::full({2, 3}, 40.0f)));
}

TEST_CASE("two hosts in one process, each with its own folders") {
  Host one(only({good_file("shortest"), bad("twin-a")}));
  Host two(only({good, bad("twin-b"), GREVY_BUILTIN_PLUGINS}));
  const auto a = criterion(one, "pull-push");
  const auto b = criterion(two, "pull-push");
  const auto c = criterion(two, "scaled", with_inner("pull-push"));
  for (int i = 0; i < 3; ++i) {
    CHECK(loss_of(*a) == loss_of(*b));
    CHECK(loss_of(*c) == doctest::Approx(2 * loss_of(*a)));
  }
  CHECK(criterion(one, "twin")->plugin() == "zoo.twin-a");
  CHECK(criterion(two, "twin")->plugin() == "zoo.twin-b");
  CHECK(catch_error([&] { one.find(Kind::criterion, "scaled"); }).code == ErrorCode::not_found);
}

TEST_CASE("hosts of different threads make components of one plugin at the same time") {
  const auto work = [](const std::string& name, bool& correct) {
    Host host(only({good, GREVY_BUILTIN_PLUGINS}));
    for (int i = 0; i < 50 && correct; ++i) {
      const std::string options = R"({"factor": )" + std::to_string(i) +
                                  R"(, "inner": {"name": ")" + name + R"(", "temperature": )" +
                                  std::to_string(i + 1) + "}}";
      const auto made = criterion(host, "scaled", options);
      correct = made->statistics().at(0).value == doctest::Approx(i + 1);
    }
  };
  bool first = true, second = true;
  std::thread thread([&] { work("InfoNCE", first); });
  work("LearnableCosineInfoNCE", second);
  thread.join();
  CHECK(first);
  CHECK(second);
}

// ---- Places of errors -----------------------------------------------------------------------

TEST_CASE("an error inside a wrapper names the innermost component") {
  Host host(only({good, bad("throws-in-constructor"), bad("throws-int"), bad("older-minor"),
                  bad("vector-loss"), GREVY_BUILTIN_PLUGINS}));
  const auto evaluate = [&](const std::string& inner) {
    return catch_error([&] { loss_of(*criterion(host, "scaled", with_inner(inner))); });
  };
  const Caught made = evaluate("throws-in-constructor");
  CHECK(made.says("no luck today"));
  check_place(made, "zoo.throws-in-constructor", "throws-in-constructor", "create");

  check_place(evaluate("throws-int"), "zoo.throws-int", "throws-int", "evaluate");

  const Caught missing = evaluate("no-such-criterion");
  CHECK(missing.code == ErrorCode::not_found);
  CHECK(missing.says("there is no criterion \"no-such-criterion\""));

  const Caught options = catch_error(
      [&] { criterion(host, "scaled", R"({"inner": {"name": "InfoNCE", "temperature": -1}})"); });
  CHECK(options.code == ErrorCode::invalid_value);
  CHECK(options.says("option \"temperature\""));
  check_place(options, "grevy.criterions", "FixedCosineInfoNCE", "create");

  // Nobody blames the wrapper's plugin for what it cannot know to be its own.
  const Caught stub = evaluate("older-minor");
  CHECK(stub.code == ErrorCode::unimplemented);
  check_place(stub, "", "older-minor", "visit_tensors");
  check_place(evaluate("vector-loss"), "", "vector-loss", "evaluate");
}

TEST_CASE("options are checked with their component's name") {
  Host host(only({good}));
  const Caught error = catch_error([&] { criterion(host, "scaled", R"({"factr": 2})"); });
  CHECK(error.code == ErrorCode::invalid_value);
  check_place(error, "zoo.scaled", "scaled", "create");
}
