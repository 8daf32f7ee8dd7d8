// Plugins that do one wrong thing each. Every one has an error that says what is wrong; none ends
// or stops the host, but for those that end the process themselves.
#include "plugin_support.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <new>
#include <sys/wait.h>
#include <unistd.h>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

const std::filesystem::path rude = test_plugins / "abi/rude.so";

std::string doing(const std::string& what) { return R"({"do":")" + what + R"("})"; }

// What JSON can hold is UTF-8.
bool is_utf8(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

struct Case {
  const char *what, *text;
};

template <class Act>
void check_cases(const std::vector<Case>& cases, ErrorCode code, const char* operation, Act&& act) {
  Host host(only({rude}));
  for (const Case& c : cases) {
    CAPTURE(c.what);
    const Caught error = catch_error([&] { act(host, doing(c.what)); });
    CHECK(error.code == code);
    CHECK_MESSAGE(error.says(c.text), error.text);
    CHECK(is_utf8(error.text));
    check_place(error, "abi.rude", "rude", operation);
  }
}

const char* const bad_name = "\"; a name is 1 to 1024 bytes of UTF-8";

}  // namespace

TEST_CASE("the rude components are as good as any where they are not asked to be rude") {
  Host host(only({rude}));
  const auto polite = criterion(host, "rude");
  const at::Tensor one = at::ones({1, 1});
  CHECK(polite->info().parts.empty());
  CHECK(polite->evaluate({{one, one, one}}, 0).loss.is_same(one));
  CHECK(polite->tensors().empty());
  CHECK(polite->statistics().empty());
  CHECK(host.create_model("rude", "{}", channels(1))->info().num_output == 1);
  // Flags that nobody knows yet are ignored; of two that contradict each other, one holds.
  const SolverInfo info = host.create_solver("rude", "{}", channels(1))->info();
  CHECK(info.num_positives == 1);
  CHECK(info.sessions == SolverInfo::Sessions::joined);
}

TEST_CASE("names and counts of the parts of a loss") {
  check_cases(
      {
          {"parts-null", "gave 1 parts without names; allowed: 0 to 4096 with names"},
          {"parts-negative", "gave 18446744073709551615 parts; allowed: 0 to 4096"},
          {"parts-huge", "gave 4097 parts; allowed: 0 to 4096"},
          {"parts-utf8", "gave the name \"caf\xef\xbf\xbd \xf0\x9f\x92\xa9 "},
          {"parts-long", bad_name},
          {"parts-empty", "gave the name \"\"; a name is 1 to 1024 bytes of UTF-8"},
      },
      ErrorCode::invalid_value, "describe",
      [](Host& host, const std::string& options) { criterion(host, "rude", options)->info(); });
}

TEST_CASE("names of tensors and statistics, and a tensor that is none") {
  check_cases(
      {{"no-tensor", "gave no tensor for \"weight\""},
       {"tensor-utf8", bad_name},
       {"tensor-huge", bad_name},
       {"tensor-negative", bad_name},
       {"tensor-null", bad_name}},
      ErrorCode::invalid_value, "visit_tensors",
      [](Host& host, const std::string& options) { criterion(host, "rude", options)->tensors(); });
  check_cases({{"statistic-utf8", bad_name},
               {"statistic-huge", bad_name},
               {"statistic-negative", bad_name},
               {"statistic-empty", bad_name}},
              ErrorCode::invalid_value, "visit_statistics",
              [](Host& host, const std::string& options) {
                criterion(host, "rude", options)->statistics();
              });
}

TEST_CASE("a loss, a part, an output or an embedding that is missing") {
  const at::Tensor one = at::ones({1, 1});
  const auto evaluate = [&](Host& host, const std::string& options) {
    criterion(host, "rude", options)->evaluate({{one, one, one}}, 2);
  };
  check_cases({{"no-loss", "the loss must be a scalar tensor"}}, ErrorCode::invalid_value,
              "evaluate", evaluate);
  check_cases({{"no-parts", "every part of the loss must be a scalar tensor"}},
              ErrorCode::invalid_value, "evaluate", evaluate);
  check_cases({{"no-output", "returned no tensor"}}, ErrorCode::invalid_value, "forward",
              [&](Host& host, const std::string& options) {
                host.create_model("rude", options, channels(1))->forward(one);
              });
  check_cases({{"no-embedding", "the embedding must have two axes"}}, ErrorCode::invalid_value,
              "transform", [&](Host& host, const std::string& options) {
                host.create_solver("rude", options, channels(1))->transform(0, one);
              });
}

TEST_CASE("texts of errors: repaired, cut, or replaced where there is none to read") {
  const std::string cut = "... (67108864 bytes)";
  check_cases({{"fail-utf8", "create: caf\xef\xbf\xbd \xf0\x9f\x92\xa9 \xef\xbf\xbd\xef\xbf\xbd"},
               {"fail-huge", cut.c_str()},
               {"fail-long", "... (1048576 bytes)"},
               {"fail-negative", "failed with code 8 and no message"},
               {"fail-null", "failed with code 8 and no message"},
               {"fail-empty", "failed with code 8 and no message"},
               {"report-nothing", "failed with code 8 and no message"}},
              ErrorCode::io, "create",
              [](Host& host, const std::string& options) { criterion(host, "rude", options); });
  Host host(only({rude}));
  const Caught huge = catch_error([&] { criterion(host, "rude", doing("fail-huge")); });
  CHECK(huge.text.size() < (std::size_t{65} << 10));
}

TEST_CASE("places of errors: repaired and cut") {
  Host host(only({rude}));
  const auto place_of = [&](const char* what) {
    const Caught error = catch_error([&] { criterion(host, "rude", doing(what)); });
    CHECK(error.code == ErrorCode::io);
    CHECK(is_utf8(error.text));
    CHECK(error.text.size() < 4096);
    return error;
  };
  CHECK(place_of("place-utf8").component.find("caf\xef\xbf\xbd ") == 0);
  CHECK(place_of("place-huge").component.find("... (67108864 bytes)") == 1024);
  check_place(place_of("place-negative"), "abi.rude", "rude", "create");
}

TEST_CASE("lines of the log: repaired, cut, and whatever listens, the plugin goes on") {
  std::vector<std::string> lines;
  Host host(logging({rude}, lines));
  for (const char* what : {"log-utf8", "log-huge", "log-long", "log-negative", "log-null"})
    CHECK(criterion(host, "rude", doing(what)));
  REQUIRE(lines.size() == 5);
  for (const std::string& line : lines) {
    CHECK(is_utf8(line));
    CHECK(line.size() < (std::size_t{67} << 10));
  }
  CHECK(lines[0].find("caf\xef\xbf\xbd ") == 0);
  CHECK(lines[1].find("... (67108864 bytes)") != std::string::npos);
  CHECK(lines[3] == ": ");

  HostOptions options = only({rude});
  options.log = [](LogLevel, std::string_view, std::string_view) { throw std::bad_alloc(); };
  Host throwing(options);
  CHECK(criterion(throwing, "rude", doing("log-utf8")));
}

TEST_CASE("making components wrongly") {
  Host host(only({rude}));
  const std::pair<Case, ErrorCode> cases[] = {
      {{"make-without-args", "needs arguments and a place for the instance"},
       ErrorCode::invalid_value},
      {{"make-without-place", "needs arguments and a place for the instance"},
       ErrorCode::invalid_value},
      {{"make-without-sink", "failed with code 4 and no message"}, ErrorCode::not_found},
      {{"make-kind", "unknown kind 77"}, ErrorCode::invalid_value},
      {{"make-deep", "nested too deeply"}, ErrorCode::invalid_value},
      {{"make-utf8", "there is no criterion \"caf\xef\xbf\xbd "}, ErrorCode::not_found},
      {{"make-long", "... (1048576 bytes)\""}, ErrorCode::not_found},
      {{"make-negative", "there is no criterion \"\""}, ErrorCode::not_found},
      {{"make-null", "there is no criterion \"\""}, ErrorCode::not_found},
  };
  for (const auto& entry : cases) {
    const Case& c = entry.first;
    CAPTURE(c.what);
    const Caught error = catch_error([&] { criterion(host, "rude", doing(c.what)); });
    CHECK(error.code == entry.second);
    CHECK_MESSAGE(error.says(c.text), error.text);
    CHECK(is_utf8(error.text));
  }
  // Options that are no JSON are the component's to refuse; this one does not look.
  CHECK(criterion(host, "rude", doing("make-no-json")));
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  CHECK(catch_error([&] { criterion(host, "rude", deep); }).says("nested too deeply"));
}

TEST_CASE("components that need each other end at a depth") {
  Host host(only({rude}));
  for (int attempt = 0; attempt < 2; ++attempt)
    for (const char* name : {"cycle-a", "cycle-b"}) {
      CAPTURE(name);
      const Caught loss = catch_error([&, n = name] { criterion(host, n); });
      const Caught model = catch_error([&, n = name] { host.create_model(n, "{}", channels(1)); });
      for (const Caught& error : {loss, model}) {
        CHECK(error.code == ErrorCode::invalid_state);
        CHECK_MESSAGE(error.says("components nest deeper than 16"), error.text);
      }
    }
}

TEST_CASE("descriptions of models with numbers that cannot be") {
  const Case cases[] = {
      {"tensors-negative", "num_tensors -1"},
      {"tensors-huge", "num_tensors 9223372036854775807"},
      {"output-negative", "num_output -1"},
      {"output-huge", "num_output 9223372036854775807"},
      {"left-negative", "offset (-1, 1)"},
      {"left-huge", "offset (9223372036854775807, 1)"},
      {"right-zero", "offset (0, 0)"},
      {"right-huge", "offset (0, 9223372036854775807)"},
      {"resample-zero", "resample_factor 0"},
      {"resample-huge", "resample_factor 9223372036854775807"},
      {"input-huge", "num_input 9223372036854775807 (asked for 1)"},
  };
  Host host(only({rude}));
  for (const Case& c : cases) {
    CAPTURE(c.what);
    const auto model = host.create_model("rude", doing(c.what), channels(1));
    const Caught error = catch_error([&] { check_model(*model, channels(1)); });
    CHECK(error.code == ErrorCode::invalid_value);
    CHECK_MESSAGE(error.says(c.text), error.text);
    check_place(error, "abi.rude", "rude", "describe");
  }
  const auto model = host.create_model("rude", "{}", channels(1));
  for (const std::int64_t count :
       {std::int64_t{-1}, std::int64_t{0}, std::int64_t{4097}, INT64_MAX})
    CHECK(catch_error([&] {
            model->forward_all(at::ones({1, 1}), count);
          }).says("tensors; allowed: 1 to 4096"));
}

TEST_CASE("descriptions and states of solvers") {
  check_cases(
      {{"positives-negative", "wants -1 sets of positives; allowed: 0 (any number) to 4096"},
       {"positives-huge", "wants 9223372036854775807 sets of positives"}},
      ErrorCode::invalid_value, "describe", [](Host& host, const std::string& options) {
        host.create_solver("rude", options, channels(1))->info();
      });
  Host host(only({rude}));
  const auto state = [&](const char* what) {
    return host.create_solver("rude", doing(what), channels(1))->save_state();
  };
  CHECK(state("state-long").size() == std::size_t{1} << 20);
  CHECK(state("state-negative").empty());
  CHECK(state("state-null").empty());
}

// ---- Processes --------------------------------------------------------------------------------

namespace {

// How a process of its own ends that makes the criterion.
int status_of(const char* what) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    ::close(STDOUT_FILENO);
    ::close(STDERR_FILENO);
    Host host(only({rude}));
    // The manifest alone harms nobody.
    if (host.plugins().size() != 1) ::_exit(1);
    criterion(host, "rude", doing(what));
    ::_exit(0);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("a plugin that ends its process is listed without harm, and ends only its process") {
  CHECK(status_of("nothing") == 0);
  const int aborted = status_of("abort");
  CHECK(WIFSIGNALED(aborted));
  CHECK(WTERMSIG(aborted) == SIGABRT);
  const int left = status_of("exit");
  CHECK(WIFEXITED(left));
  CHECK(WEXITSTATUS(left) == 3);
}
