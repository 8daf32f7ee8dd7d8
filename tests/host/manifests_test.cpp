// Manifests that a host has to read: files made of notes alone, which are never opened.
#include "plugin_support.hpp"
#include "unit/elf_image.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/abi.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace {

json plugin_note(const std::string& id) {
  return {{"plugin", id}, {"version", "1.0.0"}, {"abi", {1, 0}}, {"stamp", ""}};
}

json component_note(const std::string& name) {
  return {{"kind", "criterion"},      {"name", name},
          {"aliases", json::array()}, {"version", "1.0.0"},
          {"summary", "For tests."},  {"options", {{"type", "object"}}}};
}

json with_aliases(const std::string& name, const json& aliases) {
  json note = component_note(name);
  note["aliases"] = aliases;
  return note;
}

json changed(json note, const char* key, const json& value) {
  note[key] = value;
  return note;
}

std::string notes(const std::string& plugin, const std::vector<std::string>& components) {
  std::string area = note("Grevy", GREVY_NOTE_PLUGIN, plugin);
  for (const std::string& component : components)
    area += note("Grevy", GREVY_NOTE_COMPONENT, component);
  return area;
}

std::string file_of(const json& plugin, const std::vector<json>& components) {
  std::vector<std::string> texts;
  for (const json& component : components) texts.push_back(component.dump());
  return image_with(notes(plugin.dump(), texts)).bytes();
}

// Why the file is refused; empty if it is not.
std::string refusal_of(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.write("plugin.so", bytes);
  const Host host(only({folder.path()}));
  CHECK(host.plugins().size() + host.refused().size() == 1);
  if (host.refused().empty()) return "";
  const std::string reason = host.refused().front().reason;
  CHECK_NOTHROW(json(reason).dump());  // is UTF-8
  CHECK(reason.size() < (std::size_t{66} << 10));
  CHECK(reason.find(file.string() + ": ") == 0);
  const Caught direct = catch_error([&] { Host(only({file})); });
  CHECK(direct.code == ErrorCode::incompatible);
  CHECK(direct.text == reason);
  return reason;
}

void check_refused(const std::string& bytes, const std::string& text) {
  const std::string reason = refusal_of(bytes);
  CHECK_MESSAGE(reason.find("has a damaged manifest: ") != std::string::npos, reason);
  CHECK_MESSAGE(reason.find(text) != std::string::npos, reason);
}

std::string long_name(std::size_t size) { return std::string(size, 'n'); }

}  // namespace

TEST_CASE("a manifest with every letter that a name may have") {
  const std::string name = "Größe {a} ☃ \"quoted\" \\ 'x'";
  CHECK(refusal_of(file_of(plugin_note("a/b.c"), {component_note(name)})).empty());
  CHECK(refusal_of(file_of(plugin_note(long_name(255)), {component_note(long_name(255))})).empty());
}

TEST_CASE("names that are empty, too long, or no names") {
  const json good = component_note("good");
  const std::string rule = " must be 1 to 255 bytes without control characters";
  for (const std::string& name :
       {std::string(), long_name(256), long_name(std::size_t{1} << 20), std::string("a\nb"),
        std::string("\x1b[31mred"), std::string("a\0b", 3), std::string("\x7f")}) {
    CAPTURE(name.substr(0, 100));
    const std::string found = "; found " + std::to_string(name.size()) + " bytes: \"";
    check_refused(file_of(plugin_note(name), {good}), "\"plugin\"" + rule + found);
    check_refused(file_of(changed(plugin_note("id"), "version", name), {good}),
                  "\"version\"" + rule + found);
    const std::string slash = rule + " and \"/\"" + found;
    check_refused(file_of(plugin_note("id"), {good, component_note(name)}), "\"name\"" + slash);
    check_refused(file_of(plugin_note("id"), {with_aliases("good", {"fine", name})}),
                  "\"aliases\"" + slash);
    check_refused(file_of(plugin_note("id"), {changed(good, "version", name)}),
                  "\"version\"" + rule + found);
  }
  check_refused(file_of(plugin_note("id"), {component_note("a/b")}), "and \"/\"; found 3 bytes");
}

TEST_CASE("texts that are no UTF-8") {
  const std::string plugin = plugin_note("id").dump(), good = component_note("good").dump();
  const auto with = [](std::string text, const std::string& what, const std::string& by) {
    return text.replace(text.find(what), what.size(), by);
  };
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    CAPTURE(bad);
    for (const char* what : {"good", "For tests.", "object", "1.0.0"})
      check_refused(image_with(notes(plugin, {with(good, what, bad)})).bytes(),
                    "invalid string: ill-formed UTF-8 byte");
    check_refused(image_with(notes(with(plugin, "id", bad), {good})).bytes(),
                  "invalid string: ill-formed UTF-8 byte");
  }
}

TEST_CASE("versions of the ABI that are no two whole numbers") {
  const std::string rule = "\"abi\" must be two whole numbers from 0 on; found ";
  const auto with_abi = [](const json& abi) {
    return file_of(changed(plugin_note("id"), "abi", abi), {component_note("good")});
  };
  check_refused(with_abi({1, -1}), rule + "-1");
  check_refused(with_abi({-1, 0}), rule + "-1");
  check_refused(with_abi({1.5, 0}), rule + "1.5");
  check_refused(with_abi({1, 1e300}), rule + "1e+300");
  check_refused(with_abi({1, std::uint64_t{1} << 32}), rule + "4294967296");
  check_refused(with_abi({1, "0"}), rule + "\"0\"");
  check_refused(with_abi({1}), "out of range");
  check_refused(with_abi(1), "cannot use at() with number");
  CHECK(refusal_of(with_abi({1, 4294967295u})).empty());
}

TEST_CASE("one name twice in a plugin") {
  const std::string twice = "the criterion \"x\" is there twice";
  const json id = plugin_note("id"), x = component_note("x"), y = component_note("y");
  check_refused(file_of(id, {x, x}), twice);
  check_refused(file_of(id, {x, with_aliases("y", {"x"})}), twice);
  check_refused(file_of(id, {with_aliases("y", {"x"}), with_aliases("z", {"x"})}), twice);
  check_refused(file_of(id, {with_aliases("y", {"x", "x"})}), twice);
  // Another kind is another name; kinds of newer minors do not count.
  CHECK(refusal_of(file_of(id, {x, y, changed(x, "kind", "model")})).empty());
  CHECK(refusal_of(file_of(id, {x, changed(x, "kind", "later"), changed(x, "kind", "later")}))
            .empty());
}

TEST_CASE("two plugins with one id") {
  const TemporaryFolder folder;
  folder.write("a.so", file_of(plugin_note("one.id"), {component_note("x"), component_note("y")}));
  folder.write("b.so", file_of(plugin_note("one.id"), {component_note("x"), component_note("z")}));
  const Host host(only({folder.path()}));
  CHECK(host.plugins().size() == 2);
  for (const char* name : {"x", "one.id/x"}) {
    const Caught error = catch_error([&] { host.find(Kind::criterion, name); });
    CHECK(error.code == ErrorCode::invalid_value);
    CHECK(error.says("a.so (one.id), "));
    CHECK(error.says("b.so (one.id); these have the same id: remove one"));
  }
  // Where only one of the two answers, there is nothing to choose.
  CHECK(host.find(Kind::criterion, "one.id/y").component->name == "y");
  CHECK(host.find(Kind::criterion, "z").component->name == "z");
}

TEST_CASE("notes damaged at every byte: listed or refused") {
  const std::string good =
      file_of(plugin_note("id"), {component_note("x"), with_aliases("y", {"z"})});
  const std::size_t size = good.size() - kNames.size() - 3 * sizeof(Elf64_Shdr);
  const TemporaryFolder folder;
  for (std::size_t at = kAreaAt; at < size; ++at) {
    CAPTURE(at);
    for (const int value : {0x00, 0xff, good[at] + 1}) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      folder.write("plugin.so", bad);
      const Host host(only({folder.path()}));
      REQUIRE(host.plugins().size() + host.refused().size() == 1);
      for (const RefusedFile& file : host.refused()) CHECK_NOTHROW(json(file.reason).dump());
      for (const PluginManifest& plugin : host.plugins()) CHECK(plugin.components.size() <= 2);
    }
  }
}
