// Names: listing, aliases, and components that are linked into the application.
#include <grevy/host/host.hpp>
#include <grevy/plugin.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace grevy;
using namespace grevy::host;

namespace {

// Takes a built-in's name; every loss is 7.
class Seven : public ContrastiveCriterion {
 public:
  struct Options {
    double temperature = 7;
    static constexpr auto fields() {
      return grevy::fields(field("temperature", &Options::temperature, "Taken as the loss."));
    }
  };
  Seven(const Options& options, const Context&) : value_(options.temperature) {}
  Loss compute(const Prediction& p) override {
    const at::Tensor loss = p.reference.sum() * 0 + value_;
    return {loss, loss, loss};
  }

 private:
  double value_;
};

class Eight : public Seven {
 public:
  using Seven::Seven;
};

}  // namespace

GREVY_REGISTER(Seven, "NCE", "Always 7.")
GREVY_REGISTER(Eight, "always", "Always the same.", "constant")
GREVY_PLUGIN("tests.application", "1.0.0")

namespace {

Host make_host() {
  HostOptions options;
  options.plugin_path = {GREVY_BUILTIN_PLUGINS};
  options.search_default_folders = false;
  return Host(std::move(options));
}

double loss_of(Host& host, const char* name, const char* options = "{}") {
  const auto criterion = host.create_criterion(name, options, {});
  const at::Tensor rows = at::ones({2, 3});
  return criterion->evaluate({{rows, rows, rows}}, 2).loss.item<double>();
}

template <class Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("names are listed by kind and shell pattern") {
  const Host host = make_host();
  using Names = std::vector<std::string>;
  CHECK(host.names(Kind::model, "offset5-*") == Names{"offset5-model"});
  CHECK(host.names(Kind::model, "resample?-model") == Names{"resample5-model", "resample1-model"});
  CHECK(host.names(Kind::criterion, "Fixed[CE]*NCE").size() == 2);
  CHECK(host.names(Kind::solver, "offset*").empty());
  const Names solvers = host.names(Kind::solver);
  for (const char* name :
       {"multi-session", "multi-session-aux", "supervised-solver-xcebra", "multiobjective-solver",
        "single-session", "single-session-aux", "single-session-hybrid", "single-session-full",
        "regularized-solver", "unified-session"}) {
    CAPTURE(name);
    CHECK(std::count(solvers.begin(), solvers.end(), name) == 1);
  }
}

TEST_CASE("an alias is a further name") {
  Host host = make_host();
  CHECK(contains(error_of([&] { host.find(Kind::criterion, "mine"); }), "there is no criterion"));
  host.alias(Kind::criterion, "InfoNCE", "mine");
  CHECK(host.find(Kind::criterion, "mine").component->name == "FixedCosineInfoNCE");
  CHECK(host.names(Kind::criterion, "mine").size() == 1);
  CHECK(error_of([&] { host.alias(Kind::criterion, "NCE", "mine"); }) ==
        "the criterion \"mine\" exists already, in " +
            host.find(Kind::criterion, "mine").plugin->file.string());
  CHECK(contains(error_of([&] { host.alias(Kind::model, "nothing", "other"); }),
                 "there is no model \"nothing\""));
  // Another host knows nothing of it.
  CHECK(contains(error_of([&] { make_host().find(Kind::criterion, "mine"); }), "there is no"));
}

TEST_CASE("an application adds components of its own, and takes a name only when it says so") {
  Host host = make_host();
  CHECK(contains(error_of([&] { host.add(grevy_plugin_entry_v1()); }),
                 "the criterion \"NCE\" exists already, in "));
  CHECK(contains(error_of([&] { loss_of(host, "always"); }), "there is no criterion"));
  const double before = loss_of(host, "NCE");

  host.add(grevy_plugin_entry_v1(), true);
  CHECK(host.plugins().back().id == "tests.application");
  CHECK(loss_of(host, "NCE") == 7);
  CHECK(loss_of(host, "constant", R"({"temperature": 3})") == 3);
  CHECK(loss_of(host, "grevy.criterions/NCE") == before);
  CHECK(error_of([&] { host.add(grevy_plugin_entry_v1(), true); }) ==
        "plugin \"tests.application\" exists already, application/tests.application");
}

TEST_CASE("options given once do not stay for the next instance") {
  Host host = make_host();
  host.add(grevy_plugin_entry_v1(), true);
  CHECK(loss_of(host, "always", R"({"temperature": 3})") == 3);
  CHECK(loss_of(host, "always") == 7);
}

TEST_CASE("a descriptor that is not one is refused") {
  Host host = make_host();
  CHECK(error_of([&] { host.add(nullptr); }) == "application: gives no valid descriptor");
  grevy_plugin other = *grevy_plugin_entry_v1();
  other.abi_major = 99;
  CHECK(contains(error_of([&] { host.add(&other); }), "was built for ABI 99."));
}
