// Structs of every size, in both directions: each is used as far as it reaches, or refused, and
// nothing behind it is read. Pages that cannot be read lie behind each of them.
#include "plugin_support.hpp"

#include <grevy/abi.h>
#include <grevy/host/experiment.hpp>
#include <grevy/host/trainer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <set>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

const std::filesystem::path sized = test_plugins / "abi/sized.so";
const std::filesystem::path newer = test_plugins / "abi/newer.so";

// Two unknown members behind what abi.h has.
constexpr std::size_t beyond = 16;

template <class Body>
void for_sizes(const char* type, std::size_t whole, Body&& body) {
  for (std::size_t size = 0; size <= whole + beyond; ++size) {
    CAPTURE(type);
    CAPTURE(size);
    const Setting setting("GREVY_SIZED", std::string(type) + " " + std::to_string(size));
    body(size);
  }
}

// With each pointer of a whole struct null in turn.
template <class Body>
void for_null_pointers(const char* type, std::size_t whole, Body&& body) {
  for (std::size_t at = 8; at + sizeof(void*) <= whole; at += sizeof(void*)) {
    CAPTURE(type);
    CAPTURE(at);
    const Setting setting(
        "GREVY_SIZED", std::string(type) + " " + std::to_string(whole) + " " + std::to_string(at));
    body(at);
  }
}

// One slot of a table: where it is, and a call that reaches it.
template <class Ref>
struct Slot {
  const char* operation;
  std::size_t at;
  std::function<void(const Ref&)> call;
};

void check_refused(const Caught& error, const std::string& text) {
  CHECK(error.code == ErrorCode::incompatible);
  CHECK_MESSAGE(error.says(text), error.text);
  CHECK(error.says(sized.string()));
}

// Calls every slot; `has(at)` says which the plugin offers, the others must be errors.
template <class Ref, class Has>
void check_slots(const Ref& component, const std::vector<Slot<Ref>>& slots, Has&& has) {
  for (const Slot<Ref>& slot : slots) {
    CAPTURE(slot.operation);
    const Caught error = catch_error([&] { slot.call(component); });
    if (has(slot.at)) {
      CHECK_MESSAGE(error.code == ErrorCode{}, error.text);
      continue;
    }
    CHECK(error.code == ErrorCode::unimplemented);
    CHECK(error.says("the plugin does not offer this operation"));
    CHECK(error.plugin == "abi.sized");
    CHECK(error.operation == slot.operation);
  }
}

// A table of every size, and with every slot null. Make makes the component in a new host.
template <class Table, class Make, class Slots>
void check_table(const char* type, Make&& make, const Slots& slots) {
  const std::size_t destroy_ends = offsetof(Table, destroy) + sizeof(void*);
  const std::string unusable = "has a component that cannot be created or destroyed";
  for_sizes(type, sizeof(Table), [&](std::size_t size) {
    Host host(only({sized}));
    if (size < destroy_ends) return check_refused(catch_error([&] { make(host); }), unusable);
    const auto component = make(host);
    check_slots(*component, slots, [&](std::size_t at) { return at + sizeof(void*) <= size; });
    const bool has_extension = size >= offsetof(Table, extension) + sizeof(void*);
    CHECK((component->extension("any") != nullptr) == has_extension);
  });
  for_null_pointers(type, sizeof(Table), [&](std::size_t null_at) {
    Host host(only({sized}));
    if (null_at < destroy_ends) return check_refused(catch_error([&] { make(host); }), unusable);
    const auto component = make(host);
    check_slots(*component, slots, [&](std::size_t at) { return at != null_at; });
    CHECK((component->extension("any") != nullptr) == (null_at != offsetof(Table, extension)));
  });
}

Prediction one() { return {at::ones({1, 1}), at::ones({1, 1}), at::ones({1, 1})}; }

}  // namespace

// ---- What a plugin gives the host -----------------------------------------------------------

TEST_CASE("a criterion's table of every size, and with every slot null") {
  using Table = grevy_criterion_table;
  const std::vector<Slot<CriterionRef>> slots = {
      {"describe", offsetof(Table, describe), [](auto& c) { c.info(); }},
      {"evaluate", offsetof(Table, evaluate), [](auto& c) { c.evaluate({one()}, 0); }},
      {"visit_tensors", offsetof(Table, visit_tensors), [](auto& c) { c.tensors(); }},
      {"visit_statistics", offsetof(Table, visit_statistics), [](auto& c) { c.statistics(); }},
  };
  check_table<Table>(
      "grevy_criterion_table", [](Host& host) { return criterion(host, "sized-criterion", ""); },
      slots);
}

TEST_CASE("a model's table of every size, and with every slot null") {
  using Table = grevy_model_table;
  const std::vector<Slot<ModelRef>> slots = {
      {"describe", offsetof(Table, describe), [](auto& m) { m.info(); }},
      {"forward", offsetof(Table, forward),
       [](auto& m) {
         m.forward(at::ones({1, 1}));
       }},
      {"set_training", offsetof(Table, set_training), [](auto& m) { m.set_training(true); }},
      {"visit_tensors", offsetof(Table, visit_tensors), [](auto& m) { m.tensors(); }},
  };
  check_table<Table>(
      "grevy_model_table",
      [](Host& host) { return host.create_model("sized-model", "{}", channels(1)); }, slots);
}

TEST_CASE("a solver's table of every size, and with every slot null") {
  using Table = grevy_solver_table;
  const grevy_training training{};
  const grevy_loader loader{};
  const grevy_optimizer optimizer{};
  const at::Tensor samples = at::ones({2, 2});
  const std::vector<Slot<SolverRef>> slots = {
      {"describe", offsetof(Table, describe), [](auto& s) { s.info(); }},
      {"attach", offsetof(Table, attach), [](auto& s) { s.attach({}, {}); }},
      {"fit", offsetof(Table, fit), [&](auto& s) { s.fit(training); }},
      {"step", offsetof(Table, step), [&](auto& s) { s.step({}, optimizer); }},
      {"validate", offsetof(Table, validate), [&](auto& s) { s.validate(loader); }},
      {"transform", offsetof(Table, transform), [&](auto& s) { s.transform(0, samples); }},
      {"visit_tensors", offsetof(Table, visit_tensors), [](auto& s) { s.tensors(); }},
      {"save_state", offsetof(Table, save_state), [](auto& s) { s.save_state(); }},
      {"load_state", offsetof(Table, load_state), [](auto& s) { s.load_state("{}"); }},
  };
  check_table<Table>(
      "grevy_solver_table",
      [](Host& host) { return host.create_solver("sized-solver", "{}", channels(1)); }, slots);
}

TEST_CASE("a component of every size, and with every pointer null") {
  const auto check = [](std::size_t first_good, std::size_t size, const std::string& text) {
    Host host(only({sized}));
    const Caught error = catch_error([&] { criterion(host, "sized-criterion"); });
    if (size < first_good) return check_refused(error, text);
    CHECK_MESSAGE(error.code == ErrorCode{}, error.text);
  };
  for_sizes("grevy_component", sizeof(grevy_component), [&](std::size_t size) {
    check(sizeof(grevy_component), size, "registers a component without a table");
  });
  for_null_pointers("grevy_component", sizeof(grevy_component), [&](std::size_t at) {
    if (at == offsetof(grevy_component, table))
      check(1, 0, "registers a component without a table");
    else if (at == offsetof(grevy_component, name) || at == offsetof(grevy_component, name) + 8)
      check(1, 0, "registers components that its manifest does not have");
    else
      check(0, 0, "");
  });
}

TEST_CASE("a plugin's descriptor of every size, and with every pointer null") {
  for_sizes("grevy_plugin", sizeof(grevy_plugin), [](std::size_t size) {
    Host host(only({sized}));
    const Caught error = catch_error([&] { criterion(host, "sized-criterion"); });
    if (size < sizeof(grevy_plugin)) return check_refused(error, "gives no valid descriptor");
    CHECK_MESSAGE(error.code == ErrorCode{}, error.text);
  });
  for_null_pointers("grevy_plugin", sizeof(grevy_plugin), [](std::size_t at) {
    Host host(only({sized}));
    const Caught error = catch_error([&] { criterion(host, "sized-criterion"); });
    if (at == offsetof(grevy_plugin, components))
      return check_refused(error, "gives no valid descriptor");
    // Minor version and count; then the id.
    if (at == offsetof(grevy_plugin, abi_minor))
      return check_refused(error, "that it does not register");
    if (at == offsetof(grevy_plugin, id) || at == offsetof(grevy_plugin, id) + 8)
      return check_refused(error, "its descriptor and its manifest disagree");
    CHECK_MESSAGE(error.code == ErrorCode{}, error.text);
  });
}

TEST_CASE("a descriptor that counts its components wrongly") {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "that it does not register"},
      {"2", "\"sized-solver\" that it does not register"},
      {"4", "registers components that its manifest does not have: 4, not 3"},
      {"2147483648", "registers components that its manifest does not have: 2147483648, not 3"},
      {"4294967295", "registers components that its manifest does not have: 4294967295, not 3"},
  };
  for (const auto& wrong : cases) {
    CAPTURE(wrong.first);
    const Setting setting("GREVY_SIZED", std::string("components ") + wrong.first);
    Host host(only({sized}));
    check_refused(catch_error([&] { criterion(host, "sized-criterion"); }), wrong.second);
  }
}

TEST_CASE("an error of every size is understood as far as it reaches") {
  Host host(only({sized}));
  const auto failing = criterion(host, "sized-criterion");
  for_sizes("grevy_error_info", sizeof(grevy_error_info), [&](std::size_t size) {
    const Caught error = catch_error([&] { failing->evaluate({one(), one()}, 0); });
    CHECK(error.code == ErrorCode::io);
    const bool has_message = size >= offsetof(grevy_error_info, plugin);
    CHECK(error.says(has_message ? ": why" : "failed with code 8 and no message"));
    if (size >= sizeof(grevy_error_info))
      check_place(error, "who", "what", "where");
    else
      check_place(error, "abi.sized", "sized-criterion", "evaluate");
  });
}

TEST_CASE("an error sink of every size is used once it has its function") {
  std::vector<std::string> lines;
  Host host(logging({sized}, lines));
  for_sizes("grevy_error_sink", sizeof(grevy_error_sink), [&](std::size_t size) {
    lines.clear();
    criterion(host, "sized-criterion", R"({"do":"missing"})");
    const bool has_function = size >= sizeof(grevy_error_sink);
    CHECK(lines == std::vector<std::string>{has_function ? "sized: code 4, reported 4"
                                                         : "sized: code 4, reported 0"});
  });
}

TEST_CASE("arguments of every size: what they do not reach has a default") {
  std::vector<std::string> lines;
  Host host(logging({sized}, lines));
  for_sizes("grevy_create_args", sizeof(grevy_create_args), [&](std::size_t size) {
    lines.clear();
    // The criterion that this one makes and destroys again says what it was given.
    criterion(host, "sized-criterion", R"({"do":"another"})");
    const auto reaches = [&](std::size_t end) { return size >= end; };
    const std::string options =
        reaches(offsetof(grevy_create_args, device)) ? R"({"say":1})" : "{}";
    const std::string device = reaches(offsetof(grevy_create_args, seed)) ? "cpu:0" : "cpu";
    const std::string seed = reaches(offsetof(grevy_create_args, num_input)) ? "7" : "0";
    const std::string num_input = reaches(sizeof(grevy_create_args)) ? "8" : "0";
    CHECK(lines == std::vector<std::string>{"sized: options " + options + " device " + device +
                                            " seed " + seed + " num_input " + num_input});
  });
}

// ---- What the host gives a plugin -----------------------------------------------------------

TEST_CASE("a plugin of a newer minor works, and sees which members this host does not have") {
  std::vector<std::string> lines;
  Host host(logging({newer, GREVY_BUILTIN_PLUGINS}, lines));
  CHECK(host.find(Kind::criterion, "newer-criterion").plugin->abi_minor == 9);
  {
    const auto loss = criterion(host, "newer-criterion");
    CHECK(loss->info().parts.empty());
    const at::Tensor two = at::full({1, 1}, 2);
    CHECK(loss->evaluate({{two, two, two}}, 0).loss.is_same(two));
    CHECK(loss->statistics().at(0).value == 7);
    const Caught error = catch_error([&] { loss->evaluate({one(), one()}, 0); });
    CHECK(error.code == ErrorCode::io);
    CHECK(error.says(": why"));
    check_place(error, "abi.newer", "newer-criterion", "evaluate");
  }
  {
    const auto model = host.create_model("newer-model", "{}", channels(2));
    CHECK(model->info().num_output == 2);
    CHECK(model->tensors().empty());
  }
  const Experiment experiment(
      host, {{"model", {{"name", "offset1-model-mse"}, {"num_units", 4}, {"num_output", 2}}},
             {"solver", {{"name", "newer-solver"}}},
             {"training", {{"num_steps", 2}, {"batch_size", 8}}}});
  Trainer trainer(host, experiment, Recording(at::linspace(-1, 1, 200).reshape({100, 2})));
  CHECK(trainer.fit());
  CHECK(trainer.solver().save_state() == "{}");

  const std::pair<const char*, std::size_t> given[] = {
      {"grevy_host", sizeof(grevy_host)},
      {"grevy_create_args", sizeof(grevy_create_args)},
      {"grevy_error_sink", sizeof(grevy_error_sink)},
      {"grevy_error_info", sizeof(grevy_error_info)},
      {"grevy_text_sink", sizeof(grevy_text_sink)},
      {"grevy_statistic_sink", sizeof(grevy_statistic_sink)},
      {"grevy_tensor_sink", sizeof(grevy_tensor_sink)},
      {"grevy_model_info", sizeof(grevy_model_info)},
      {"grevy_criterion_info", sizeof(grevy_criterion_info)},
      {"grevy_solver_info", sizeof(grevy_solver_info)},
      {"grevy_solver_parts", sizeof(grevy_solver_parts)},
      {"grevy_batch", sizeof(grevy_batch)},
      {"grevy_loader", sizeof(grevy_loader)},
      {"grevy_optimizer", sizeof(grevy_optimizer)},
      {"grevy_training", sizeof(grevy_training)},
  };
  std::set<std::string> expected;
  for (const auto& [type, size] : given)
    expected.insert("newer: " + std::string(type) + " " + std::to_string(size));
  std::set<std::string> found;
  for (const std::string& line : lines)
    if (line.rfind("newer: ", 0) == 0) found.insert(line);
  CHECK(found == expected);
}
