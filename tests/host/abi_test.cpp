#include "unit/temporary_folder.hpp"

#include <grevy/abi.h>
#include <grevy/detail/guard.hpp>
#include <grevy/detail/note.hpp>
#include <grevy/tensor.hpp>

#include <doctest/doctest.h>
#include <torch/types.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <regex>
#include <string_view>

using namespace grevy;
using grevy::tests::file_bytes;

// ---- Layout on LP64: a change here breaks every plugin that is in use -------------------------

#if defined(__LP64__)
#define SIZE(type, size) static_assert(sizeof(type) == (size) && alignof(type) <= 8, #type)
#define AT(type, member, offset) \
  static_assert(offsetof(type, member) == (offset), #type "." #member)

SIZE(grevy_text, 16);
AT(grevy_text, data, 0);
AT(grevy_text, size, 8);

SIZE(grevy_error_info, 72);
AT(grevy_error_info, struct_size, 0);
AT(grevy_error_info, code, 4);
AT(grevy_error_info, message, 8);
AT(grevy_error_info, plugin, 24);
AT(grevy_error_info, component, 40);
AT(grevy_error_info, operation, 56);

SIZE(grevy_error_sink, 24);
AT(grevy_error_sink, struct_size, 0);
AT(grevy_error_sink, reserved, 4);
AT(grevy_error_sink, context, 8);
AT(grevy_error_sink, report, 16);

SIZE(grevy_text_sink, 24);
AT(grevy_text_sink, struct_size, 0);
AT(grevy_text_sink, reserved, 4);
AT(grevy_text_sink, context, 8);
AT(grevy_text_sink, write, 16);

SIZE(grevy_statistic, 24);
AT(grevy_statistic, name, 0);
AT(grevy_statistic, value, 16);

SIZE(grevy_statistic_sink, 24);
AT(grevy_statistic_sink, struct_size, 0);
AT(grevy_statistic_sink, reserved, 4);
AT(grevy_statistic_sink, context, 8);
AT(grevy_statistic_sink, add, 16);

SIZE(grevy_tensor_sink, 24);
AT(grevy_tensor_sink, struct_size, 0);
AT(grevy_tensor_sink, reserved, 4);
AT(grevy_tensor_sink, context, 8);
AT(grevy_tensor_sink, add, 16);

SIZE(grevy_instance, 16);
AT(grevy_instance, table, 0);
AT(grevy_instance, self, 8);

SIZE(grevy_create_args, 80);
AT(grevy_create_args, struct_size, 0);
AT(grevy_create_args, reserved, 4);
AT(grevy_create_args, host, 8);
AT(grevy_create_args, name, 16);
AT(grevy_create_args, options, 32);
AT(grevy_create_args, device, 48);
AT(grevy_create_args, seed, 64);
AT(grevy_create_args, num_input, 72);

SIZE(grevy_host, 64);
AT(grevy_host, struct_size, 0);
AT(grevy_host, abi_major, 4);
AT(grevy_host, abi_minor, 8);
AT(grevy_host, reserved, 12);
AT(grevy_host, context, 16);
AT(grevy_host, tensor_retain, 24);
AT(grevy_host, tensor_release, 32);
AT(grevy_host, log, 40);
AT(grevy_host, create, 48);
AT(grevy_host, extension, 56);

SIZE(grevy_model_info, 56);
AT(grevy_model_info, struct_size, 0);
AT(grevy_model_info, flags, 4);
AT(grevy_model_info, num_input, 8);
AT(grevy_model_info, num_output, 16);
AT(grevy_model_info, offset_left, 24);
AT(grevy_model_info, offset_right, 32);
AT(grevy_model_info, resample_factor, 40);
AT(grevy_model_info, num_tensors, 48);

SIZE(grevy_model_table, 64);
AT(grevy_model_table, struct_size, 0);
AT(grevy_model_table, reserved, 4);
AT(grevy_model_table, create, 8);
AT(grevy_model_table, destroy, 16);
AT(grevy_model_table, describe, 24);
AT(grevy_model_table, forward, 32);
AT(grevy_model_table, set_training, 40);
AT(grevy_model_table, visit_tensors, 48);
AT(grevy_model_table, extension, 56);

SIZE(grevy_prediction, 24);
AT(grevy_prediction, reference, 0);
AT(grevy_prediction, positive, 8);
AT(grevy_prediction, negative, 16);

SIZE(grevy_criterion_info, 24);
AT(grevy_criterion_info, struct_size, 0);
AT(grevy_criterion_info, flags, 4);
AT(grevy_criterion_info, parts, 8);
AT(grevy_criterion_info, part_count, 16);

SIZE(grevy_criterion_table, 64);
AT(grevy_criterion_table, struct_size, 0);
AT(grevy_criterion_table, reserved, 4);
AT(grevy_criterion_table, create, 8);
AT(grevy_criterion_table, destroy, 16);
AT(grevy_criterion_table, describe, 24);
AT(grevy_criterion_table, evaluate, 32);
AT(grevy_criterion_table, visit_tensors, 40);
AT(grevy_criterion_table, visit_statistics, 48);
AT(grevy_criterion_table, extension, 56);

SIZE(grevy_batch, 64);
AT(grevy_batch, struct_size, 0);
AT(grevy_batch, session, 4);
AT(grevy_batch, reference, 8);
AT(grevy_batch, positives, 16);
AT(grevy_batch, positive_count, 24);
AT(grevy_batch, negative, 32);
AT(grevy_batch, index, 40);
AT(grevy_batch, index_reversed, 48);
AT(grevy_batch, series, 56);

SIZE(grevy_loader, 32);
AT(grevy_loader, struct_size, 0);
AT(grevy_loader, reserved, 4);
AT(grevy_loader, context, 8);
AT(grevy_loader, num_batches, 16);
AT(grevy_loader, next, 24);

SIZE(grevy_optimizer, 32);
AT(grevy_optimizer, struct_size, 0);
AT(grevy_optimizer, reserved, 4);
AT(grevy_optimizer, context, 8);
AT(grevy_optimizer, zero_grad, 16);
AT(grevy_optimizer, step, 24);

SIZE(grevy_training, 72);
AT(grevy_training, struct_size, 0);
AT(grevy_training, reserved, 4);
AT(grevy_training, context, 8);
AT(grevy_training, loader, 16);
AT(grevy_training, valid_loader, 24);
AT(grevy_training, optimizer, 32);
AT(grevy_training, first_step, 40);
AT(grevy_training, num_steps, 48);
AT(grevy_training, end_step, 56);
AT(grevy_training, end_validation, 64);

SIZE(grevy_component_name, 32);
AT(grevy_component_name, component, 0);
AT(grevy_component_name, plugin, 16);

SIZE(grevy_solver_parts, 56);
AT(grevy_solver_parts, struct_size, 0);
AT(grevy_solver_parts, reserved, 4);
AT(grevy_solver_parts, models, 8);
AT(grevy_solver_parts, model_count, 16);
AT(grevy_solver_parts, criterions, 24);
AT(grevy_solver_parts, criterion_count, 32);
AT(grevy_solver_parts, model_names, 40);
AT(grevy_solver_parts, criterion_names, 48);

SIZE(grevy_solver_info, 16);
AT(grevy_solver_info, struct_size, 0);
AT(grevy_solver_info, flags, 4);
AT(grevy_solver_info, num_positives, 8);

SIZE(grevy_solver_table, 104);
AT(grevy_solver_table, struct_size, 0);
AT(grevy_solver_table, reserved, 4);
AT(grevy_solver_table, create, 8);
AT(grevy_solver_table, destroy, 16);
AT(grevy_solver_table, describe, 24);
AT(grevy_solver_table, attach, 32);
AT(grevy_solver_table, fit, 40);
AT(grevy_solver_table, step, 48);
AT(grevy_solver_table, validate, 56);
AT(grevy_solver_table, transform, 64);
AT(grevy_solver_table, visit_tensors, 72);
AT(grevy_solver_table, save_state, 80);
AT(grevy_solver_table, load_state, 88);
AT(grevy_solver_table, extension, 96);

SIZE(grevy_component, 48);
AT(grevy_component, struct_size, 0);
AT(grevy_component, kind, 4);
AT(grevy_component, manifest, 8);
AT(grevy_component, name, 24);
AT(grevy_component, table, 40);

SIZE(grevy_plugin, 72);
AT(grevy_plugin, struct_size, 0);
AT(grevy_plugin, abi_major, 4);
AT(grevy_plugin, abi_minor, 8);
AT(grevy_plugin, component_count, 12);
AT(grevy_plugin, id, 16);
AT(grevy_plugin, version, 32);
AT(grevy_plugin, stamp, 48);
AT(grevy_plugin, components, 64);

#undef SIZE
#undef AT
#endif

// ---- Numbers -----------------------------------------------------------------------------------

static_assert(GREVY_ABI_MAJOR == 1 && GREVY_ABI_MINOR == 0);
static_assert(GREVY_KIND_MODEL == 1 && GREVY_KIND_CRITERION == 2 && GREVY_KIND_SOLVER == 3);
static_assert(GREVY_LOG_DEBUG == 0 && GREVY_LOG_INFO == 1 && GREVY_LOG_WARNING == 2 &&
              GREVY_LOG_ERROR == 3);
static_assert(GREVY_TENSOR_PARAMETER == 0 && GREVY_TENSOR_BUFFER == 1);
static_assert(GREVY_MODEL_CONVOLUTIONAL == 1 && GREVY_MODEL_NORMALIZED == 2);
static_assert(GREVY_CRITERION_EXPECTS_NORMALIZED == 1 && GREVY_CRITERION_PARTS_ARE_LOSSES == 2);
static_assert(GREVY_SOLVER_SEVERAL_SESSIONS == 1 && GREVY_SOLVER_JOINED_SESSIONS == 2 &&
              GREVY_SOLVER_REFERENCE_MODELS == 4 && GREVY_SOLVER_FULL_BATCH == 8 &&
              GREVY_SOLVER_SUPERVISED == 16);
static_assert(GREVY_ACTION_VALIDATE == 1 && GREVY_ACTION_STOP == 2);
static_assert(GREVY_NOTE_PLUGIN == 1 && GREVY_NOTE_COMPONENT == 2);

constexpr bool same(ErrorCode code, int abi, int number) {
  return static_cast<int>(code) == abi && abi == number;
}
static_assert(GREVY_OK == 0);
static_assert(same(ErrorCode::internal, GREVY_ERROR_INTERNAL, 1));
static_assert(same(ErrorCode::invalid_value, GREVY_ERROR_INVALID_VALUE, 2));
static_assert(same(ErrorCode::invalid_type, GREVY_ERROR_INVALID_TYPE, 3));
static_assert(same(ErrorCode::not_found, GREVY_ERROR_NOT_FOUND, 4));
static_assert(same(ErrorCode::out_of_range, GREVY_ERROR_OUT_OF_RANGE, 5));
static_assert(same(ErrorCode::invalid_state, GREVY_ERROR_INVALID_STATE, 6));
static_assert(same(ErrorCode::unimplemented, GREVY_ERROR_UNIMPLEMENTED, 7));
static_assert(same(ErrorCode::io, GREVY_ERROR_IO, 8));
static_assert(same(ErrorCode::non_finite, GREVY_ERROR_NON_FINITE, 9));
static_assert(same(ErrorCode::cancelled, GREVY_ERROR_CANCELLED, 10));
static_assert(same(ErrorCode::incompatible, GREVY_ERROR_INCOMPATIBLE, 11));

static_assert(std::string_view(GREVY_ENTRY_NAME) == "grevy_plugin_entry_v1");

// ---- Completeness ------------------------------------------------------------------------------

namespace {

// The header without its comments.
std::string header_code() {
  const std::string text =
      file_bytes(std::filesystem::path(GREVY_TEST_DATA) / "../../sdk/include/grevy/abi.h");
  return std::regex_replace(text, std::regex(R"(/\*[^*]*\*+([^/*][^*]*\*+)*/)"), "");
}

std::string this_test() {
  return file_bytes(std::filesystem::path(GREVY_TEST_DATA) / "../host/abi_test.cpp");
}

// Calls body(match) for every match of a pattern.
template <class Body>
int for_matches(const std::string& text, const std::string& pattern, Body&& body) {
  const std::regex regex(pattern);
  int count = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at, ++count)
    body(*at);
  return count;
}

}  // namespace

TEST_CASE("every struct, member and number of abi.h is asserted above") {
  const std::string code = header_code(), test = this_test();
  const int structs =
      for_matches(code, R"(struct (grevy_\w+) \{([^}]*)\})", [&](const auto& found) {
        const std::string type = found[1];
        CHECK_MESSAGE(test.find("SIZE(" + type + ", ") != std::string::npos, type);
        // A slot's name stands in (*name), another member's before the semicolon.
        const int members = for_matches(found[2], R"(\(\*(\w+)\)|(\w+);)", [&](const auto& member) {
          const std::string name = member[1].matched ? member[1] : member[2];
          CHECK_MESSAGE(test.find("AT(" + type + ", " + name + ", ") != std::string::npos,
                        type << "." << name);
        });
        CHECK(members >= 2);
      });
  CHECK(structs == 25);
  const int numbers = for_matches(code, R"((GREVY_[A-Z_]+) =)", [&](const auto& found) {
    const std::string name = found[1];
    const bool compared = test.find(name + " == ") != std::string::npos ||
                          test.find(", " + name + ", ") != std::string::npos;
    CHECK_MESSAGE(compared, name);
  });
  CHECK(numbers == 34);
}

// ---- Notes -------------------------------------------------------------------------------------

TEST_CASE("a note is laid out as ELF wants it, padded with zeros") {
  static constexpr auto note = grevy::detail::make_note<5>(2, "{\"a\"}");
  static_assert(sizeof(note) == 12 + 8 + 8 && alignof(decltype(note)) == 4);
  const char expected[] = "\6\0\0\0\10\0\0\0\2\0\0\0Grevy\0\0\0{\"a\"}\0\0";
  CHECK(std::memcmp(&note, expected, sizeof(note)) == 0);
}

// ---- Tensors -----------------------------------------------------------------------------------

TEST_CASE("handles count references exactly") {
  at::Tensor tensor = at::ones({2});
  grevy_tensor* lent = lend(tensor);
  CHECK(tensor.use_count() == 1);
  {
    const at::Tensor borrowed = borrow(lent);
    CHECK(borrowed.is_same(tensor));
    CHECK(tensor.use_count() == 2);
  }
  CHECK(tensor.use_count() == 1);

  grevy_tensor* given = give(tensor);
  CHECK(tensor.use_count() == 2);
  CHECK(take(given).is_same(tensor));
  CHECK(tensor.use_count() == 1);

  grevy_tensor* moved = give(std::move(tensor));
  const at::Tensor back = take(moved);
  CHECK(back.use_count() == 1);
}

TEST_CASE("no tensor is NULL, in both directions") {
  CHECK(lend({}) == nullptr);
  CHECK(give({}) == nullptr);
  CHECK_FALSE(borrow(nullptr).defined());
  CHECK_FALSE(take(nullptr).defined());
}

// ---- Errors ------------------------------------------------------------------------------------

namespace {

const grevy::detail::Place outer{"outer.plugin", "outer", "evaluate"};

// Throws inside the C function of "inner", as the caller "outer" sees it.
template <class Body>
PluginError across(Body&& body) {
  try {
    grevy::detail::ErrorCatcher(outer).run([&](const grevy_error_sink* errors) {
      return grevy::detail::guarded(errors, {"inner.plugin", "inner", "forward"}, body);
    });
  } catch (const PluginError& e) {
    return e;
  }
  return {ErrorCode{}, "nothing was thrown", "", "", ""};
}

// Reports `info` and returns `code`, as a plugin in C would.
PluginError reported(std::int32_t code, const grevy_error_info& info) {
  try {
    grevy::detail::ErrorCatcher(outer).run([&](const grevy_error_sink* errors) {
      errors->report(errors->context, &info);
      return code;
    });
  } catch (const PluginError& e) {
    return e;
  }
  return {ErrorCode{}, "nothing was thrown", "", "", ""};
}

grevy_error_info info_of(const char* message, const char* plugin, const char* component,
                         const char* operation) {
  return {sizeof(grevy_error_info),          0,
          grevy::detail::text_of(message),   grevy::detail::text_of(plugin),
          grevy::detail::text_of(component), grevy::detail::text_of(operation)};
}

}  // namespace

TEST_CASE("success is no error") {
  grevy::detail::ErrorCatcher(outer).run([](const grevy_error_sink*) { return GREVY_OK; });
  CHECK(grevy::detail::guarded(nullptr, outer, [] {}) == GREVY_OK);
}

TEST_CASE("exceptions keep code, message and place across the boundary") {
  const PluginError own = across([] { throw Error(ErrorCode::io, "disk full"); });
  CHECK(own.code() == ErrorCode::io);
  CHECK(own.message() == "disk full");
  CHECK(std::string(own.what()) == "inner (inner.plugin) forward: disk full");

  const PluginError nested = across(
      [] { throw PluginError(ErrorCode::cancelled, "stopped", "deep.plugin", "deep", "fit"); });
  CHECK(nested.code() == ErrorCode::cancelled);
  CHECK(std::string(nested.what()) == "deep (deep.plugin) fit: stopped");

  const PluginError standard = across([] { throw std::runtime_error("oops"); });
  CHECK(standard.code() == ErrorCode::internal);
  CHECK(standard.message() == "oops");

  CHECK(across([] { throw "text"; }).message() == "threw something that is no std::exception");
}

TEST_CASE("errors of LibTorch come without its stack trace") {
  const PluginError error = across([] { at::mm(at::ones({2, 3}), at::ones({2, 3})); });
  CHECK(error.code() == ErrorCode::internal);
  CHECK(error.message().find("cannot be multiplied") != std::string::npos);
  CHECK(error.message().find('\n') == std::string::npos);
}

TEST_CASE("a plugin's error is completed by what the caller knows") {
  const PluginError bare = reported(GREVY_ERROR_IO, info_of("why", "", "", ""));
  CHECK(std::string(bare.what()) == "outer (outer.plugin) evaluate: why");
  const PluginError named = reported(GREVY_ERROR_IO, info_of("why", "", "outer", "step"));
  CHECK(std::string(named.what()) == "outer (outer.plugin) step: why");
  // Another component is perhaps of another plugin.
  const PluginError other = reported(GREVY_ERROR_IO, info_of("why", "", "other", "step"));
  CHECK(std::string(other.what()) == "other (unknown plugin) step: why");
}

TEST_CASE("codes that do not exist are internal errors, silence gets a message") {
  for (const std::int32_t code : {-1, 12, 1 << 30}) {
    const PluginError error = reported(code, info_of("", "", "", ""));
    CHECK(error.code() == ErrorCode::internal);
    CHECK(error.message() == "failed with code " + std::to_string(code) + " and no message");
  }
}

TEST_CASE("what a shorter error struct does not cover is not read") {
  grevy_error_info info = info_of("why", "not read", "not read", "not read");
  info.struct_size = offsetof(grevy_error_info, plugin);
  CHECK(std::string(reported(GREVY_ERROR_IO, info).what()) == "outer (outer.plugin) evaluate: why");
  info.struct_size = offsetof(grevy_error_info, message);
  CHECK(reported(GREVY_ERROR_IO, info).message() == "failed with code 8 and no message");
}
