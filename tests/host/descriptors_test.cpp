// What plugins and applications say of themselves, wrongly.
#include "host/ops_support.hpp"
#include "plugins/name_pattern.hpp"
#include "plugins/trust.hpp"
#include "unit/temporary_folder.hpp"

#include <torch/cuda.h>

#include <sys/resource.h>
#include <sys/stat.h>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
namespace fs = std::filesystem;

namespace {

const fs::path liar = test_plugins / "bad/liar/liar.so";

Caught lie(const char* what) {
  const Setting setting("GREVY_TEST_LIE", what);
  return catch_error([&] {
    Host host(only({liar}));
    criterion(host, "liar");
  });
}

// An application's plugin of one component, to be changed.
struct Application {
  std::string manifest =
      R"({"kind":"criterion","name":"x","aliases":[],"version":"1","summary":"","options":{}})";
  grevy_component component = {sizeof(component), GREVY_KIND_CRITERION, {}, {"x", 1}, nullptr};
  const grevy_component* list[1] = {&component};
  grevy_plugin plugin = {
      sizeof(plugin), GREVY_ABI_MAJOR, GREVY_ABI_MINOR, 1, {"app", 3}, {"1", 1}, {}, list};

  Caught refusal() {
    component.manifest = grevy::detail::text_of(manifest);
    return catch_error([&] { Host(only({})).add(&plugin); });
  }
};

void check_refused(const Caught& error, const std::string& part) {
  CHECK(error.code == ErrorCode::incompatible);
  CHECK_MESSAGE(error.says(part), error.text);
}

// A model that describes itself as told.
struct Described {
  grevy_model_info info{};
  grevy_model_table table{};

  Described() {
    table.struct_size = sizeof(table);
    table.describe = [](void* self, grevy_model_info* out, const grevy_error_sink*) {
      const std::uint32_t size = out->struct_size;
      *out = static_cast<Described*>(self)->info;
      out->struct_size = size;
      return std::int32_t{GREVY_OK};
    };
    info.num_input = info.num_output = info.offset_right = info.resample_factor = info.num_tensors =
        1;
  }
  Caught refusal(std::int64_t num_input) {
    return catch_error([&] {
      check_model(ModelRef({&table, this}, "described", "app"), channels(num_input));
    });
  }
};

}  // namespace

TEST_CASE("a library whose descriptor is not what its manifest says") {
  CHECK(lie("").text.empty());
  for (const char* what : {"major", "minor", "stamp"}) {
    CAPTURE(what);
    check_refused(lie(what), "liar.so: its descriptor and its manifest disagree");
  }
  check_refused(lie("size"), "liar.so: gives no valid descriptor");
  check_refused(lie("component-size"), "liar.so: registers a component without a table");
  // Kinds that this host does not know are left out, and so the known one is missing.
  for (const char* what : {"nothing", "kind"}) {
    CAPTURE(what);
    check_refused(lie(what), "its manifest has a criterion \"liar\" that it does not register");
  }
}

TEST_CASE("an application's descriptor that is not one") {
  Application whole;
  check_refused(whole.refusal(), "app: registers a component without a table");
  Application small;
  small.plugin.struct_size = 8;
  check_refused(small.refusal(), "application: gives no valid descriptor");
  Application listless;
  listless.plugin.components = nullptr;
  check_refused(listless.refusal(), "application: gives no valid descriptor");
  listless.plugin.component_count = 0;
  CHECK(listless.refusal().text.empty());
  Application empty;
  empty.list[0] = nullptr;
  check_refused(empty.refusal(), "app: registers a component without a manifest");
  Application older;
  older.component.struct_size = 8;
  check_refused(older.refusal(), "app: registers a component without a manifest");
  Application damaged;
  damaged.manifest = "{";
  check_refused(damaged.refusal(), "app: has a damaged manifest: ");
}

TEST_CASE("components of no kind") {
  const grevy_host& host = plugin_host();
  grevy_create_args args{};
  args.struct_size = sizeof(args);
  grevy_instance instance{};
  for (const std::uint32_t kind : {0u, 4u}) {
    const Caught error = catch_error([&] {
      checked([&](auto* errors) {
        return host.create(&host, kind, grevy::detail::text_of("x"), &args, &instance, errors);
      });
    });
    CHECK(error.code == ErrorCode::invalid_value);
    CHECK(error.says("unknown kind " + std::to_string(kind)));
  }
  CHECK(to_string(static_cast<Kind>(4)) == std::string("unknown kind"));
}

TEST_CASE("names that an alias cannot be") {
  Host host(only({GREVY_BUILTIN_PLUGINS}));
  for (const char* name : {"", "a/b"})
    CHECK(catch_error([&] {
            host.alias(Kind::criterion, "InfoNCE", name);
          }).says(std::string("found \"") + name + "\"; an alias has at least one byte"));
}

TEST_CASE("models that need more than any memory holds") {
  constexpr std::int64_t most = std::int64_t{1} << 26;
  Described wide;
  wide.info.num_input = most + 1;
  CHECK(wide.refusal(most + 1).says("num_input 67108865 (asked for 67108865)"));
  Described deep;
  deep.info.offset_left = most;
  CHECK(deep.refusal(1).says("offset (67108864, 1)"));
}

TEST_CASE("a number in a name with more digits than a number has") {
  const std::string digits(16, '1');
  CHECK_FALSE(match_name("model-{scale}", "model-1." + digits));
  CHECK(match_name("model-{scale}", "model-1.5").has_value());
}

TEST_CASE("devices that are not there, or none") {
  for (const char* text : {"cuda:", "cuda:1x", "cuda:1234", "CPU", "cudas"})
    CHECK(catch_error([&] {
            parse_device(text);
          }).says(std::string("device \"") + text + "\" is not known; allowed: \"cpu\""));
  const Caught far = catch_error([] { parse_device("cuda:999"); });
  CHECK(far.code == ErrorCode::not_found);
  CHECK(far.says("device \"cuda:999\" is not available; this LibTorch sees "));
  CHECK(parse_device("cuda_if_available").is_cpu() != torch::cuda::is_available());
  if (!torch::cuda::is_available())
    CHECK(catch_error([] { parse_device("cuda"); }).says("sees 0 CUDA device(s)"));
}

TEST_CASE("folders of the environment: empty names, none, and those of the user") {
  const TemporaryFolder home;
  const char* given = std::getenv("HOME");
  const std::string before = given == nullptr ? "" : given;
  const auto searched = [&](const std::string& data, const std::string& own) {
    std::vector<fs::path> folders;
    {
      const Setting path("GREVY_PLUGIN_PATH", ":" + own + "::"), share("XDG_DATA_HOME", data),
          user("HOME", own);
      folders = Host(HostOptions{}).folders();
    }
    ::setenv("HOME", before.c_str(), 1);
    return folders;
  };
  const auto has = [](const std::vector<fs::path>& folders, const fs::path& folder) {
    return std::find(folders.begin(), folders.end(), fs::weakly_canonical(folder)) != folders.end();
  };
  fs::create_directories(home / ".local/share/grevy/plugins");
  fs::create_directories(home / "grevy/plugins");
  CHECK(has(searched("", home.path()), home / ".local/share/grevy/plugins"));
  CHECK(has(searched("", home.path()), home.path()));
  CHECK(has(searched(home.path(), ""), home / "grevy/plugins"));
  CHECK_FALSE(has(searched("", ""), home / "grevy/plugins"));
  ::unsetenv("HOME");
  const std::vector<fs::path> folders = Host(HostOptions{}).folders();
  ::setenv("HOME", before.c_str(), 1);
  CHECK_FALSE(has(folders, home / ".local/share/grevy/plugins"));
}

TEST_CASE("a file that its folder has left out is refused when it is asked for") {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  const fs::path file = folder / "shortest.so";
  fs::copy_file(test_plugins / "good/shortest.so", file);
  REQUIRE(::chmod(file.c_str(), 0666) == 0);
  check_refused(catch_error([&] {
                  Host(only({folder.path(), file}));
                }),
                "shortest.so: may be changed by others");
}

// The sanitizer finds out with a pipe whether memory can be read, and has no descriptors then.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("a folder that cannot be read is an error where it is asked for, a line elsewhere") {
  const TemporaryFolder folder;
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  const rlimit nothing{0, old.rlim_max};
  std::vector<std::string> lines;
  HostOptions options = logging({}, lines);
  options.search_default_folders = true;
  const Setting path("GREVY_PLUGIN_PATH", folder.path().string());
  ::setrlimit(RLIMIT_NOFILE, &nothing);
  const Caught asked = catch_error([&] { Host(only({folder.path()})); });
  const Host host(options);
  options.log = nullptr;
  const Host silent(options);
  ::setrlimit(RLIMIT_NOFILE, &old);
  const std::string text = folder.path().string() + ": cannot be read: Too many open files";
  CHECK(asked.code == ErrorCode::io);
  CHECK(asked.text == text);
  REQUIRE_FALSE(lines.empty());
  CHECK(lines[0] == "plugins: " + text);
  CHECK(host.refused().at(0).reason == text);
  CHECK(silent.refused().at(0).reason == text);
}
#endif

TEST_CASE("a plugin that is gone, or was touched, while it is loaded") {
  const TemporaryFolder folder;
  const fs::path name = folder.write("plugin.so", "text");
  CHECK(catch_error([&] { PluginFile(folder / "absent"); }).code == ErrorCode::not_found);
  CHECK(catch_error([&] { PluginFile(name / "below"); }).code == ErrorCode::io);
  const PluginFile file(name);
  fs::last_write_time(name, fs::last_write_time(name) + std::chrono::seconds(5));
  CHECK(catch_error([&] { file.require_unchanged(); }).says("was changed while it was being"));
  fs::remove(name);
  const Caught gone = catch_error([&] { file.require_unchanged(); });
  CHECK(gone.code == ErrorCode::io);
  CHECK(gone.text == name.string() + ": cannot be read: No such file or directory");
}
