#include "plugins/elf_notes.hpp"

#include "elf_image.hpp"
#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <elf.h>
#include <functional>
#include <string>
#include <sys/stat.h>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::ElfNote;
using grevy::host::read_grevy_notes;
using namespace grevy::tests;

namespace {

Image without_segment(Image image) {
  image.segment.p_type = PT_NULL;
  image.sections[2].sh_type = SHT_PROGBITS;
  return image;
}

Image changed(const std::function<void(Image&)>& change) {
  Image image = image_with(note("Grevy", 7, "{}"));
  change(image);
  return image;
}

std::vector<ElfNote> read_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  return read_grevy_notes(folder.write("plugin.so", bytes));
}

std::vector<ElfNote> read_area(const std::string& area) {
  return read_bytes(image_with(area).bytes());
}

void check_fails(const std::string& bytes, const std::string& piece) {
  CAPTURE(piece);
  try {
    read_bytes(bytes);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.code() == ErrorCode::incompatible);
    CHECK(message.find("plugin.so: ") != std::string::npos);
    CHECK(message.find(piece) != std::string::npos);
  }
}

// A damaged file is refused or read; what AddressSanitizer would see, nobody else may.
void check_survives(const std::filesystem::path& file) {
  try {
    const std::size_t count = read_grevy_notes(file).size();
    CHECK(count <= 3);
  } catch (const Error&) {
  }
}

}  // namespace

TEST_CASE("elf notes: several notes, in file order") {
  const auto notes = read_area(note("Grevy", 1, "{\"a\":1}") + note("Grevy", 2, "{\"bb\":22}") +
                               note("Grevy", 0xffffffff, ""));
  REQUIRE(notes.size() == 3);
  CHECK(notes[0].type == 1);
  CHECK(notes[0].text == "{\"a\":1}");
  CHECK(notes[1].type == 2);
  CHECK(notes[1].text == "{\"bb\":22}");
  CHECK(notes[2].type == 0xffffffff);
  CHECK(notes[2].text.empty());
}

TEST_CASE("elf notes: trailing zero bytes are removed, inner ones stay") {
  const auto notes = read_area(note("Grevy", 1, std::string("a\0b\0\0\0", 6)));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].text == std::string("a\0b", 3));
}

TEST_CASE("elf notes: zero padding around notes") {
  const std::string zeros(20, '\0');
  const auto notes =
      read_area(zeros + note("Grevy", 1, "a") + zeros + note("Grevy", 2, "b") + zeros);
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].text == "a");
  CHECK(notes[1].text == "b");
}

TEST_CASE("elf notes: the last note may lack its padding") {
  std::string area = note("Grevy", 1, "abcde");
  area.resize(area.size() - 3);
  CHECK(read_area(area).at(0).text == "abcde");
}

TEST_CASE("elf notes: foreign notes are skipped") {
  const auto notes =
      read_area(note("GNU", 3, "12345678901234567890") + note("Grevy", 1, "a") +
                note("Grevy2", 1, "no") + note("Grev", 1, "no") + note("grevy", 1, "no"));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].text == "a");
}

TEST_CASE("elf notes: section without segment") {
  const Image image = without_segment(image_with(note("Grevy", 5, "a")));
  const auto notes = read_bytes(image.bytes());
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].type == 5);
  CHECK(notes[0].text == "a");

  Image no_segments = image;
  no_segments.header.e_phnum = 0;
  no_segments.header.e_phentsize = 0;
  CHECK(read_bytes(no_segments.bytes()).size() == 1);
}

TEST_CASE("elf notes: a segment alone is enough") {
  CHECK(read_bytes(changed([](Image& i) { i.header.e_shoff = ~0ull; }).bytes()).size() == 1);
  CHECK(read_bytes(changed([](Image& i) { i.header.e_shoff = 0; }).bytes()).size() == 1);
}

TEST_CASE("elf notes: a program's own notes are not taken for a plugin's") {
  const std::string none = "has no Grevy note: it is not a Grevy plugin";
  check_fails(image_with("").bytes(), none);
  check_fails(image_with(note("GNU", 3, "1234")).bytes(), none);
  check_fails(image_with(std::string(64, '\0')).bytes(), none);
  Image image = without_segment(image_with(note("Grevy", 1, "a")));
  SUBCASE("section of another name") { image.sections[2].sh_name = 23; }
  SUBCASE("name outside the table") { image.sections[2].sh_name = 0xffffffff; }
  SUBCASE("section without bytes") { image.sections[2].sh_type = SHT_NOBITS; }
  SUBCASE("no section headers") { image.header.e_shoff = 0; }
  SUBCASE("names' index outside") { image.header.e_shstrndx = 3; }
  SUBCASE("names are no string table") { image.sections[1].sh_type = SHT_PROGBITS; }
  check_fails(image.bytes(), none);
}

TEST_CASE("elf notes: other files") {
  check_fails("", "is not an ELF shared library");
  check_fails("\x7f", "is not an ELF shared library");
  check_fails("#!/bin/sh\necho this is no library, whatever its name\n",
              "is not an ELF shared library");
  check_fails(
      "\x7f"
      "ELF\2\1",
      "is truncated or damaged: the ELF header is cut off");
  const auto type = [](Elf64_Half value) {
    return changed([value](Image& i) { i.header.e_type = value; }).bytes();
  };
  check_fails(type(ET_EXEC), "is not an ELF shared library: it is a program");
  check_fails(type(ET_REL), "is not an ELF shared library: it is an object file");
  check_fails(type(0x1234), "it is of unknown number 4660");
}

TEST_CASE("elf notes: files for other machines") {
  const std::string piece = "was built for another machine: it is ";
  check_fails(changed([](Image& i) { i.header.e_ident[EI_CLASS] = ELFCLASS32; }).bytes(),
              piece + "not 64-bit");
  check_fails(changed([](Image& i) { i.header.e_ident[EI_DATA] = ELFDATA2MSB; }).bytes(),
              piece + "not little-endian");
  check_fails(changed([](Image& i) { i.header.e_machine = kOtherMachine; }).bytes(), piece);
  check_fails(changed([](Image& i) { i.header.e_machine = 0xfedc; }).bytes(),
              piece + "of unknown number 65244");
}

TEST_CASE("elf notes: missing file, folder, pipe") {
  const TemporaryFolder folder;
  const auto message = [](const std::filesystem::path& file, ErrorCode code) -> std::string {
    try {
      read_grevy_notes(file);
    } catch (const Error& error) {
      CHECK(error.code() == code);
      return error.what();
    }
    return "";
  };
  const std::string absent = (folder / "absent.so").string();
  CHECK(message(absent, ErrorCode::not_found) == absent + ": no such file");
  CHECK(message(folder.path(), ErrorCode::incompatible) ==
        folder.path().string() + ": is not an ELF shared library: it is a folder");
  const auto pipe = folder / "pipe.so";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(message(pipe, ErrorCode::incompatible) ==
        pipe.string() + ": is not an ELF shared library: it is not a regular file");
  const auto below = folder.write("plugin.so", "") / "x";
  CHECK(message(below, ErrorCode::not_found) == below.string() + ": no such file");
}

TEST_CASE("elf notes: absurd sizes in notes") {
  const std::string beyond = "is truncated or damaged: a note reaches beyond its area";
  const std::string rest = padded(std::string("Grevy")) + "text";
  for (const std::uint32_t size : {0xffffffffu, 0xfffffffcu, 0x80000000u, 64u}) {
    CAPTURE(size);
    check_fails(image_with(note_header(size, 4) + rest).bytes(), beyond);
    check_fails(image_with(note_header(6, size) + rest).bytes(), beyond);
    check_fails(image_with(note_header(size, size) + rest).bytes(), beyond);
  }
}

TEST_CASE("elf notes: absurd places and sizes in headers") {
  const std::uint64_t values[] = {~0ull, ~0ull - 3, 1ull << 63, 1ull << 40, 4096};
  for (const std::uint64_t value : values) {
    CAPTURE(value);
    const std::string damaged = "is truncated or damaged: ";
    check_fails(changed([&](Image& i) { i.segment.p_offset = value; }).bytes(),
                damaged + "note area");
    check_fails(changed([&](Image& i) { i.segment.p_filesz = value; }).bytes(),
                damaged + "note area");
    check_fails(changed([&](Image& i) { i.header.e_phoff = value; }).bytes(),
                damaged + "program headers");
    const auto section = [&](const std::function<void(Image&)>& change) {
      Image image = without_segment(image_with(note("Grevy", 1, "a")));
      change(image);
      return image.bytes();
    };
    check_fails(section([&](Image& i) { i.header.e_shoff = value; }), damaged + "section headers");
    check_fails(section([&](Image& i) { i.sections[1].sh_offset = value; }),
                damaged + "section names");
    check_fails(section([&](Image& i) { i.sections[1].sh_size = value; }),
                damaged + "section names");
    check_fails(section([&](Image& i) { i.sections[2].sh_offset = value; }), damaged + "note area");
    check_fails(section([&](Image& i) { i.sections[2].sh_size = value; }), damaged + "note area");
  }
  check_fails(changed([](Image& i) { i.header.e_phentsize = 1; }).bytes(),
              "program headers: found entries of 1 bytes; must be 56");
  check_fails(changed([](Image& i) { i.header.e_phnum = 0xffff; }).bytes(), "program headers");
}

TEST_CASE("elf notes: limits") {
  std::string many;
  for (int i = 0; i < 4096; ++i) many += note(i % 2 == 0 ? "Grevy" : "GNU", 1, "");
  CHECK(read_area(many).size() == 2048);
  check_fails(image_with(many + note("GNU", 1, "")).bytes(), "more than 4096 notes");
  const std::size_t most = std::size_t{4} << 20;
  CHECK(read_area(note("Grevy", 1, std::string(most, 'x'))).at(0).text.size() == most);
  check_fails(image_with(note("Grevy", 1, std::string(most + 1, 'x'))).bytes(),
              "a Grevy note has 4194305 bytes; at most 4194304 are allowed");
}

TEST_CASE("elf notes: an area of more than 64 MiB is refused unread") {
  const TemporaryFolder folder;
  Image image = image_with(note("Grevy", 1, "a"));
  image.segment.p_filesz = (std::uint64_t{64} << 20) + 1;
  const auto file = folder.write("plugin.so", image.bytes());
  std::filesystem::resize_file(file, std::uint64_t{1} << 30);
  CHECK_THROWS_WITH_AS(
      read_grevy_notes(file),
      (file.string() + ": is truncated or damaged: note area: found 67108865 bytes; at most "
                       "67108864 are allowed")
          .c_str(),
      Error);
}

TEST_CASE("elf notes: many segments over one area are refused") {
  const TemporaryFolder folder;
  Image image = image_with(note("Grevy", 1, "a"));
  image.header.e_phnum = 3;
  image.segment.p_offset = 4096;
  image.segment.p_filesz = std::uint64_t{30} << 20;
  const auto file = folder.write("plugin.so", raw(image.header) + raw(image.segment) +
                                                  raw(image.segment) + raw(image.segment));
  std::filesystem::resize_file(file, std::uint64_t{31} << 20);
  CHECK_THROWS_WITH_AS(read_grevy_notes(file),
                       doctest::Contains("the note areas together have more than 67108864 bytes"),
                       Error);
}

TEST_CASE("elf notes: truncated at every byte") {
  const TemporaryFolder folder;
  const std::string area = note("GNU", 3, "1234") + note("Grevy", 1, "{}") + note("Grevy", 2, "");
  const std::string by_segment = image_with(area).bytes();
  const std::string by_section = without_segment(image_with(area)).bytes();
  for (std::size_t size = 0; size < by_section.size(); ++size) {
    CAPTURE(size);
    check_survives(folder.write("plugin.so", by_segment.substr(0, size)));
    const auto file = folder.write("plugin.so", by_section.substr(0, size));
    CHECK_THROWS_AS(read_grevy_notes(file), Error);
  }
}

TEST_CASE("elf notes: damaged at every byte") {
  const TemporaryFolder folder;
  const std::string area = note("GNU", 3, "1234") + note("Grevy", 1, "{}") + note("Grevy", 2, "");
  for (const std::string& good :
       {image_with(area).bytes(), without_segment(image_with(area)).bytes()}) {
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const char value : {'\0', '\1', '\x7f', '\x80', '\xff'}) {
        std::string bad = good;
        bad[at] = value;
        check_survives(folder.write("plugin.so", bad));
      }
    }
  }
}
