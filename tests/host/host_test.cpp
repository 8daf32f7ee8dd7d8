#include <grevy/host/host.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::host;

TEST_CASE("manifests of the built-in plugins are read without opening a library") {
  HostOptions options;
  options.plugin_path = {GREVY_BUILTIN_PLUGINS};
  options.search_default_folders = false;
  const Host host(options);
  CHECK(host.plugins().size() == 3);
  CHECK(host.refused().empty());
  CHECK(host.find(Kind::criterion, "InfoNCE").component->name == "FixedCosineInfoNCE");
}
