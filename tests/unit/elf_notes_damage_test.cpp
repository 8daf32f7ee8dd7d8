// A real plugin, damaged in every way that one byte or one length can be: the reader gives notes or
// refuses the file, and gives no note that is not there.
#include "elf_image.hpp"
#include "plugins/elf_notes.hpp"
#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::ElfNote;
using grevy::host::read_grevy_notes;
using namespace grevy::tests;

namespace {

namespace fs = std::filesystem;

// Where something lies in the file.
struct Range {
  std::size_t begin = 0, size = 0;
  std::size_t end() const { return begin + size; }
};

// A kept plugin, for this machine whatever it was built for; the reader runs nothing of it.
class Plugin {
 public:
  Plugin()
      : bytes_(file_bytes(fs::path(GREVY_TEST_DATA).parent_path() /
                          "plugins/released/1.0/criterion.so")) {
    REQUIRE(bytes_.size() > sizeof(Elf64_Ehdr));
    put(offsetof(Elf64_Ehdr, e_machine), kThisMachine);
    header_ = get<Elf64_Ehdr>(0);
    for (unsigned i = 0; i < header_.e_phnum; ++i)
      find_notes(segments().begin + i * sizeof(Elf64_Phdr));
    REQUIRE(note_ends_.size() == 3);
    file_ = folder_.write("plugin.so", bytes_);
    descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(descriptor_ >= 0);
  }
  ~Plugin() { ::close(descriptor_); }
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const fs::path& file() const { return file_; }
  Range header() const { return {0, sizeof(Elf64_Ehdr)}; }
  Range segments() const { return {header_.e_phoff, header_.e_phnum * sizeof(Elf64_Phdr)}; }
  Range sections() const { return {header_.e_shoff, header_.e_shnum * sizeof(Elf64_Shdr)}; }
  Range notes() const { return notes_; }
  // Where the segment's header says how long it is.
  std::size_t size_field() const { return notes_at_ + offsetof(Elf64_Phdr, p_filesz); }
  // Beginnings of the notes, and behind the last, the end.
  std::vector<std::size_t> note_bounds() const {
    std::vector<std::size_t> bounds = {notes_.begin};
    bounds.insert(bounds.end(), note_ends_.begin(), note_ends_.end());
    return bounds;
  }
  std::size_t size() const { return bytes_.size(); }
  unsigned char byte(std::size_t at) const { return static_cast<unsigned char>(bytes_[at]); }

  template <typename T>
  T get(std::size_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }

  // Runs `body` while the file has another value at a place.
  template <typename T, class Body>
  void with(std::size_t at, T value, Body&& body) {
    write(at, &value, sizeof(T));
    body();
    write(at, bytes_.data() + at, sizeof(T));
  }

 private:
  template <typename T>
  void put(std::size_t at, T value) {
    std::memcpy(&bytes_[at], &value, sizeof(T));
  }
  void write(std::size_t at, const void* data, std::size_t size) {
    REQUIRE(::pwrite(descriptor_, data, size, static_cast<off_t>(at)) ==
            static_cast<ssize_t>(size));
  }
  void find_notes(std::size_t segment_at) {
    const auto segment = get<Elf64_Phdr>(segment_at);
    if (segment.p_type != PT_NOTE || bytes_.compare(segment.p_offset + 12, 6, "Grevy\0", 6) != 0)
      return;
    notes_at_ = segment_at;
    notes_ = {segment.p_offset, segment.p_filesz};
    for (std::size_t at = notes_.begin; at < notes_.end();) {
      const auto note = get<Elf64_Nhdr>(at);
      at += sizeof(note) + (note.n_namesz + 3) / 4 * 4 + (note.n_descsz + 3) / 4 * 4;
      note_ends_.push_back(at);
    }
  }

  TemporaryFolder folder_;
  fs::path file_;
  std::string bytes_;
  Elf64_Ehdr header_{};
  std::size_t notes_at_ = 0;
  Range notes_;
  std::vector<std::size_t> note_ends_;
  int descriptor_ = -1;
};

struct Outcome {
  std::vector<ElfNote> notes;
  std::string error;
};

// What the reader says; an exception of another kind ends the test.
Outcome read(const fs::path& file) {
  try {
    return {read_grevy_notes(file), ""};
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::incompatible);
    CHECK(std::string(e.what()).find(file.string() + ": ") == 0);
    return {{}, e.what()};
  }
}

// Damaged notes are still parts of the file.
void check_bounded(const Plugin& plugin) {
  std::size_t total = 0;
  for (const ElfNote& note : read(plugin.file()).notes) total += note.text.size();
  CHECK(total <= plugin.size());
}

void damage_every_byte(Plugin& plugin, Range range) {
  for (std::size_t at = range.begin; at < range.end(); ++at) {
    CAPTURE(at);
    for (const unsigned value : {0x00u, 0xffu, plugin.byte(at) + 1u})
      plugin.with(at, static_cast<unsigned char>(value), [&] { check_bounded(plugin); });
  }
}

}  // namespace

TEST_CASE("elf damage: whole, the plugin has three notes") {
  const Plugin plugin;
  const Outcome whole = read(plugin.file());
  CHECK(whole.error.empty());
  CHECK(whole.notes.size() == 3);
}

TEST_CASE("elf damage: every byte of the header") {
  Plugin plugin;
  damage_every_byte(plugin, plugin.header());
}

TEST_CASE("elf damage: every byte of the program headers") {
  Plugin plugin;
  damage_every_byte(plugin, plugin.segments());
}

TEST_CASE("elf damage: every byte of the section headers, with and without the segment") {
  Plugin plugin;
  damage_every_byte(plugin, plugin.sections());
  // Without program headers the notes are found by their section.
  plugin.with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{0}, [&] {
    CHECK(read(plugin.file()).notes.size() == 3);
    damage_every_byte(plugin, plugin.sections());
  });
}

TEST_CASE("elf damage: every byte of the notes") {
  Plugin plugin;
  damage_every_byte(plugin, plugin.notes());
}

TEST_CASE("elf damage: an area that ends at every byte") {
  Plugin plugin;
  const std::vector<std::size_t> bounds = plugin.note_bounds();
  const std::vector<ElfNote> all = read(plugin.file()).notes;
  for (std::size_t size = 0; size < plugin.notes().size; ++size) {
    CAPTURE(size);
    std::size_t complete = 0, rest = size;
    while (rest >= bounds[complete + 1] - bounds[complete]) {
      rest -= bounds[complete + 1] - bounds[complete];
      ++complete;
    }
    // What is too short for a note's header is padding.
    const bool cut = rest >= sizeof(Elf64_Nhdr);
    plugin.with(plugin.size_field(), std::uint64_t{size}, [&] {
      const Outcome outcome = read(plugin.file());
      if (cut) {
        CHECK(outcome.error.find("is truncated or damaged: a note reaches beyond its area") !=
              std::string::npos);
        return;
      }
      // No note in the segment: the section has them all.
      REQUIRE(outcome.notes.size() == (complete == 0 ? all.size() : complete));
      for (std::size_t i = 0; i < outcome.notes.size(); ++i)
        CHECK(outcome.notes[i].text == all[i].text);
    });
  }
}

TEST_CASE("elf damage: an area that is longer than its notes") {
  Plugin plugin;
  const std::uint64_t whole = plugin.notes().size, left = plugin.size() - plugin.notes().begin;
  for (std::uint64_t more = 1; more <= 64; ++more) {
    CAPTURE(more);
    plugin.with(plugin.size_field(), whole + more, [&] { check_bounded(plugin); });
  }
  for (const std::uint64_t size : {left + 1, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    CAPTURE(size);
    plugin.with(plugin.size_field(), size, [&] {
      CHECK(read(plugin.file()).error.find("is truncated or damaged: note area: ") !=
            std::string::npos);
    });
  }
}

TEST_CASE("elf damage: every length in a note's header") {
  Plugin plugin;
  const std::vector<std::size_t> bounds = plugin.note_bounds();
  for (std::size_t i = 0; i + 1 < bounds.size(); ++i) {
    for (const std::size_t field :
         {offsetof(Elf64_Nhdr, n_namesz), offsetof(Elf64_Nhdr, n_descsz)}) {
      CAPTURE(i);
      CAPTURE(field);
      const auto check = [&](std::uint32_t value, bool beyond) {
        CAPTURE(value);
        plugin.with(bounds[i] + field, value, [&] {
          check_bounded(plugin);
          if (beyond)
            CHECK(read(plugin.file()).error.find("reaches beyond its area") != std::string::npos);
        });
      };
      for (std::uint32_t size = 0; size <= plugin.notes().size; ++size) check(size, false);
      for (const std::uint32_t size : {static_cast<std::uint32_t>(plugin.notes().size), 0x7fffffffu,
                                       0x80000000u, 0xfffffffcu, 0xfffffffdu, 0xffffffffu})
        check(size, true);
    }
  }
}

TEST_CASE("elf damage: a file that ends at every byte of its notes and headers") {
  const Plugin plugin;
  const std::string whole = file_bytes(plugin.file());
  const TemporaryFolder folder;
  const auto cut_at = [&](std::size_t size) {
    CAPTURE(size);
    const Outcome outcome = read(folder.write("plugin.so", whole.substr(0, size)));
    CHECK_FALSE(outcome.error.empty());
  };
  for (std::size_t size = 0; size <= plugin.segments().end(); ++size) cut_at(size);
  for (std::size_t size = plugin.notes().begin; size <= plugin.notes().end(); ++size) cut_at(size);
}
