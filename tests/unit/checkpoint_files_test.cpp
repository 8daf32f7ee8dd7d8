#include "training/checkpoint_files.hpp"

#include "files/file_hash.hpp"
#include "temporary_folder.hpp"
#include "training/checkpoint_info.hpp"

#include <grevy/error.hpp>
#include <grevy/host/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace fs = std::filesystem;

using namespace grevy::host;
using grevy::Error;
using grevy::ErrorCode;
using grevy::tests::file_bytes;
using grevy::tests::TemporaryFolder;
using nlohmann::json;

namespace {

const fs::path kept = fs::path(GREVY_TEST_DATA) / "checkpoints";

void write_checkpoint(const fs::path& file, std::int64_t step) {
  StoredTensors content;
  content.tensors["a"] = {"U8", {3}, {1, 2, static_cast<unsigned char>(step)}};
  content.tensors["b"] = {"F32", {}, {0, 0, 128, 63}};
  store_info({{"step", step}, {"text", "\"grevy.sha256\":\""}}, content);
  write_safetensors(file, content);
}

std::string refusal(const fs::path& run, ErrorCode code = ErrorCode::invalid_value) {
  try {
    open_checkpoint(run);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "accepted";
}

std::vector<std::string> names(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

using Names = std::vector<std::string>;

// Further names of the file keep what they had.
void damage(const fs::path& file) {
  std::string bytes = file_bytes(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  fs::remove(file);
  std::ofstream(file, std::ios::binary) << bytes;
}

// A link to itself: it is there, and not even root can read it.
void make_unreadable(const fs::path& file) {
  fs::remove_all(file);
  fs::create_symlink(file.filename(), file);
}

// Stores a checkpoint after every step given; those in `best` are the best so far.
void store_all(CheckpointFiles& files, const std::vector<std::int64_t>& steps,
               const std::vector<std::int64_t>& best = {}) {
  for (const std::int64_t step : steps)
    files.store(step, std::count(best.begin(), best.end(), step) != 0,
                [&](const fs::path& file) { write_checkpoint(file, step); });
}

// Every copy with one other byte at `at` is refused, and the file is named.
void check_altered(const TemporaryFolder& folder, const std::string& bytes, std::size_t at,
                   const std::vector<int>& masks) {
  const fs::path file = folder / "altered";
  for (const int mask : masks) {
    std::string altered = bytes;
    altered[at] = static_cast<char>(altered[at] ^ mask);
    folder.write("altered", altered);
    const std::string text = refusal(file);
    CAPTURE(at);
    CAPTURE(mask);
    CHECK_MESSAGE(text.rfind(file.string() + ": ", 0) == 0, text);
  }
}

void check_truncated(const std::string& bytes) {
  const TemporaryFolder folder;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const fs::path file = folder.write("short", bytes.substr(0, length));
    const std::string text = refusal(file);
    CAPTURE(length);
    CHECK_MESSAGE(text.rfind(file.string() + ": ", 0) == 0, text);
  }
  CHECK(refusal(folder.write("long", bytes + '\0')) != "accepted");
}

}  // namespace

TEST_CASE("checkpoint files: whatever byte is altered, it is noticed") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a", 7);
  const std::string bytes = file_bytes(folder / "a");
  CHECK(open_checkpoint(folder / "a").info.at("step") == 7);
  // One bit, the case of a letter, '1' for '2' in the format's name, all bits.
  for (std::size_t at = 0; at < bytes.size(); ++at)
    check_altered(folder, bytes, at, {1, 0x20, 3, 0x80, 0xff});
  check_truncated(bytes);
}

TEST_CASE("checkpoint files: the checksum is that of the file with zeros in its place") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a", 7);
  std::string bytes = file_bytes(folder / "a");
  const std::string digits = read_safetensors(folder / "a").metadata.at(checksum_key);
  REQUIRE(digits.size() == 64);
  bytes.replace(bytes.find(digits), 64, std::string(64, '0'));
  CHECK(sha256_of_file(folder.write("zeros", bytes)) == digits);
  CHECK(refusal(folder / "zeros") ==
        (folder / "zeros").string() + ": is damaged: its bytes do not give its checksum");
}

TEST_CASE("checkpoint files: a checksum of another form is refused") {
  const TemporaryFolder folder;
  write_checkpoint(folder / "a", 7);
  const std::string bytes = file_bytes(folder / "a");
  const std::string digits = read_safetensors(folder / "a").metadata.at(checksum_key);
  for (const std::string& other : {digits.substr(1) + "\\u0030", std::string()}) {
    std::string changed = bytes;
    changed.replace(changed.find(digits), 64, other);
    CHECK(refusal(folder.write("b", changed)) != "accepted");
  }
}

TEST_CASE("checkpoint files: those kept of every format are read, and noticed when torn") {
  const std::pair<const char*, std::string> formats[] = {{"1", "grevy.checkpoint/1"},
                                                         {"2", "grevy.checkpoint/2"}};
  for (const auto& entry : formats) {
    const std::string name = entry.first, format = entry.second;
    CAPTURE(format);
    const fs::path file = kept / name / "checkpoint.safetensors";
    const OpenedCheckpoint opened = open_checkpoint(file);
    CHECK(opened.info.at("format") == format);
    CHECK(opened.info.at("step") == 5);
    CHECK(opened.content.tensors.count("model.net.0.weight") == 1);
    CHECK(opened.warning.empty());
    check_truncated(file_bytes(file));
  }
  const TemporaryFolder folder;
  const std::string bytes = file_bytes(kept / "2/checkpoint.safetensors");
  Random random(5, "damage");
  for (int i = 0; i < 500; ++i)
    check_altered(folder, bytes, random.below(bytes.size()),
                  {1 + static_cast<int>(random.below(255))});
}

TEST_CASE("checkpoint files: the last ones and the best are kept") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {2, 4, 6, 8, 10}, {2, 4});
  CHECK(names(folder.path()) == Names{"best.safetensors", "checkpoint-6.safetensors",
                                      "checkpoint-8.safetensors", "checkpoint.safetensors"});
  CHECK(open_checkpoint(folder.path()).info.at("step") == 10);
  CHECK(open_checkpoint(run.best()).info.at("step") == 4);
  for (const std::int64_t step : {6, 8})
    CHECK(open_checkpoint(run.predecessor(step)).info.at("step") == step);
  store_all(files, {10});  // once more
  CHECK(names(folder.path()).size() == 4);

  CheckpointFiles one(run, 1);
  CHECK(one.resume(open_checkpoint(folder.path()), 10, 4));
  store_all(one, {11});
  CHECK(names(folder.path()) == Names{"best.safetensors", "checkpoint.safetensors"});
}

TEST_CASE("checkpoint files: a failed write leaves the newest one where it was") {
  const TemporaryFolder folder;
  CheckpointFiles files(RunFolder(folder.path()), 2);
  store_all(files, {1, 2});
  const auto fail = [](const fs::path&) { throw Error(ErrorCode::io, "disk full"); };
  for (int i = 0; i < 2; ++i) {
    CHECK_THROWS_WITH_AS(files.store(3, true, fail), "disk full", Error);
    CHECK(open_checkpoint(folder.path()).info.at("step") == 2);
    CHECK(open_checkpoint(RunFolder(folder.path()).predecessor(1)).info.at("step") == 1);
  }
  store_all(files, {4});
  CHECK(names(folder.path()) == Names{"checkpoint-2.safetensors", "checkpoint.safetensors"});
}

TEST_CASE("checkpoint files: where the newest is damaged, the one before it is used") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2, 3}, {1});
  damage(run.checkpoint());
  const std::string damaged = ": is damaged: its bytes do not give its checksum; ";
  OpenedCheckpoint opened = open_checkpoint(folder.path());
  CHECK(opened.file == run.predecessor(2));
  CHECK(opened.info.at("step") == 2);
  CHECK(opened.warning == run.checkpoint().string() + damaged + run.predecessor(2).string() +
                              ", of step 2, is used instead");
  CHECK(refusal(run.checkpoint()).rfind(run.checkpoint().string() + ": is damaged", 0) == 0);

  CheckpointFiles again(run, 3);
  CHECK(again.resume(opened, 2, 1));
  CHECK(names(folder.path()) == Names{"best.safetensors", "checkpoint-1.safetensors",
                                      "checkpoint-2.safetensors", "checkpoint.safetensors",
                                      "checkpoint.safetensors.damaged"});
  CHECK(open_checkpoint(folder.path()).warning.empty());
  CHECK(open_checkpoint(folder.path()).info.at("step") == 2);
  store_all(again, {3});
  CHECK(open_checkpoint(run.predecessor(2)).info.at("step") == 2);

  for (const fs::path& file : {run.checkpoint(), run.predecessor(2), run.predecessor(1)})
    damage(file);
  opened = open_checkpoint(folder.path());
  CHECK(opened.file == run.best());
  CHECK(opened.damaged.size() == 3);
  damage(run.best());
  std::string all;
  for (const fs::path& file :
       {run.checkpoint(), run.predecessor(2), run.predecessor(1), run.best()})
    all += file.string() + damaged;
  CHECK(refusal(folder.path()) + "; " == all);
}

TEST_CASE("checkpoint files: newest first, whichever name it has") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2, 3, 4}, {4});
  damage(run.checkpoint());
  CHECK(open_checkpoint(folder.path()).file == run.best());
  CHECK(open_checkpoint(folder.path()).info.at("step") == 4);
  fs::remove(run.predecessor(3));
  fs::copy_file(run.predecessor(2), run.best(), fs::copy_options::overwrite_existing);
  CHECK(open_checkpoint(folder.path()).file == run.predecessor(2));
  damage(run.best());
  CHECK(open_checkpoint(folder.path()).damaged.size() == 1);
}

TEST_CASE("checkpoint files: what is written into the newest leaves the best as it is") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 1);
  store_all(files, {1}, {1});
  CHECK(file_bytes(run.best()) == file_bytes(run.checkpoint()));
  for (const bool is_after_resume : {false, true}) {
    CAPTURE(is_after_resume);
    if (is_after_resume) {
      fs::remove(run.best());
      CHECK(files.resume(open_checkpoint(folder.path()), 1, 1));
    }
    std::fstream(run.checkpoint(), std::ios::in | std::ios::out | std::ios::binary) << "x";
    CHECK(open_checkpoint(folder.path()).file == run.best());
    CHECK(files.resume(open_checkpoint(folder.path()), 1, 1));
    fs::remove(run.checkpoint());
    fs::copy_file(run.best(), run.checkpoint());
  }
}

TEST_CASE("checkpoint files: the best is found again, or what is no longer the best set aside") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2, 3}, {1});
  const OpenedCheckpoint newest = open_checkpoint(folder.path());
  CHECK(files.resume(newest, 3, 2));  // not named before a crash
  CHECK(open_checkpoint(run.best()).info.at("step") == 2);
  CHECK_FALSE(files.resume(newest, 3, std::nullopt));
  CHECK_FALSE(fs::exists(run.best()));
  CHECK(open_checkpoint(run.best_before(2)).info.at("step") == 2);
  CHECK_FALSE(files.resume(newest, 3, std::nullopt));  // nothing to set aside
  fs::remove(run.predecessor(2));
  CHECK(files.resume(newest, 3, 2));  // from where it was set aside
  damage(run.best());
  fs::remove(run.best_before(2));
  CHECK_FALSE(files.resume(newest, 3, 2));
  CHECK(names(folder.path()) ==
        Names{"best.safetensors.damaged", "checkpoint-1.safetensors", "checkpoint.safetensors"});
  folder.write("best.safetensors.before-7", "");
  CHECK(run.files().size() == 4);
}

TEST_CASE("checkpoint files: those of a course that was given up are removed") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2, 3});
  write_checkpoint(run.checkpoint(), 1);
  files.resume(open_checkpoint(folder.path()), 1, std::nullopt);
  CHECK(names(folder.path()) == Names{"checkpoint-1.safetensors", "checkpoint.safetensors"});
}

TEST_CASE("checkpoint files: a best one of no step is none") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2});
  StoredTensors content = read_safetensors(run.checkpoint());
  content.metadata["step"] = "\"two\"";
  write_safetensors(run.best(), content);
  CHECK(files.resume(open_checkpoint(folder.path()), 2, 1));
  CHECK(open_checkpoint(run.best()).info.at("step") == 1);
}

TEST_CASE("checkpoint files: without the newest, and without any") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CHECK(refusal(folder.path(), ErrorCode::not_found) ==
        run.checkpoint().string() + ": no such file");
  CheckpointFiles files(run, 2);
  store_all(files, {1, 2});
  fs::remove(run.checkpoint());
  CHECK(open_checkpoint(folder.path()).warning == run.checkpoint().string() + ": no such file; " +
                                                      run.predecessor(1).string() +
                                                      ", of step 1, is used instead");
}

TEST_CASE("checkpoint files: a newer format is not taken for a damaged file") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 2);
  store_all(files, {1, 2});
  StoredTensors newer = read_safetensors(run.checkpoint());
  newer.metadata["format"] = "\"grevy.checkpoint/3\"";
  write_safetensors(run.checkpoint(), newer);
  CHECK(refusal(folder.path(), ErrorCode::incompatible).rfind(run.checkpoint().string(), 0) == 0);
}

TEST_CASE("checkpoint files: what cannot be read is neither damaged nor absent") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 3);
  store_all(files, {1, 2, 3}, {2});
  const OpenedCheckpoint newest = open_checkpoint(folder.path());
  const std::string reason = ": cannot be read: Too many levels of symbolic links";
  const std::string text = run.best().string() + reason;
  make_unreadable(run.best());
  for (const std::optional<std::int64_t> best : {std::optional<std::int64_t>(2), {}})
    CHECK_THROWS_WITH_AS(files.resume(newest, 3, best), text.c_str(), Error);
  CHECK(fs::is_symlink(run.best()));  // nothing was set aside
  CHECK(names(folder.path()) == Names{"best.safetensors", "checkpoint-1.safetensors",
                                      "checkpoint-2.safetensors", "checkpoint.safetensors"});
  damage(run.checkpoint());  // the best one may be newer than the one before it
  CHECK(refusal(folder.path(), ErrorCode::io) == text);
  fs::remove(run.best());
  make_unreadable(run.predecessor(2));
  CHECK(refusal(folder.path(), ErrorCode::io) == run.predecessor(2).string() + reason);
  make_unreadable(run.checkpoint());
  CHECK(refusal(folder.path(), ErrorCode::io) == run.checkpoint().string() + reason);
}

TEST_CASE("run folder: one that cannot be looked into is not taken for an empty one") {
  const TemporaryFolder folder;
  const RunFolder run(folder / "run");
  make_unreadable(run.path);
  const std::string reason = "Too many levels of symbolic links";
  CHECK_THROWS_WITH_AS(run.is_used(), (run.path.string() + ": cannot be read: " + reason).c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(run.checkpoints(),
                       (run.checkpoint().string() + ": cannot be looked for: " + reason).c_str(),
                       Error);
  CHECK(refusal(run.path, ErrorCode::io) == run.path.string() + ": cannot be read: " + reason);
}

TEST_CASE("checkpoint files: the best one is named again after a crash in between") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles files(run, 2);
  store_all(files, {1, 2}, {1});
  CheckpointFiles again(run, 2);
  CHECK(again.resume(open_checkpoint(folder.path()), 2, 2));
  CHECK(open_checkpoint(run.best()).info.at("step") == 2);
}

TEST_CASE("checkpoint files: what a killed process had yet to remove is removed on going on") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CheckpointFiles killed(run, 3);
  store_all(killed, {1, 2, 3});
  CheckpointFiles again(run, 2);
  again.resume(open_checkpoint(folder.path()), 3, false);
  CHECK(names(folder.path()) == Names{"checkpoint-2.safetensors", "checkpoint.safetensors"});
}

TEST_CASE("run folder: what is there") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  CHECK_FALSE(run.is_used());
  for (const std::string name : {".grevy-1-0.tmp", "embedding.npy.tmp-1-0"}) folder.write(name, "");
  CHECK_FALSE(run.is_used());
  CHECK(run.leftovers().size() == 2);
  CHECK(run.files().empty());
  for (const std::string name :
       {"checkpoint-20.safetensors", "checkpoint-100.safetensors", "checkpoint-x.safetensors",
        "checkpoint-.safetensors", "checkpoint--1.safetensors", "embedding_0.npy", "notes.txt",
        "checkpoint.safetensors.damaged", "log.jsonl"})
    folder.write(name, "");
  CHECK(run.is_used());
  REQUIRE(run.predecessors().size() == 2);
  CHECK(run.predecessors()[0].step == 100);
  CHECK(run.predecessors()[1].file == run.predecessor(20));
  CHECK(run.files().size() == 5);
  remove_files(run.leftovers());
  remove_files(run.files());
  remove_files({run.checkpoint()});  // not there
  CHECK(names(folder.path()) == Names{"checkpoint--1.safetensors", "checkpoint-.safetensors",
                                      "checkpoint-x.safetensors", "notes.txt"});
  fs::create_directories(folder / "full/sub");
  CHECK_THROWS_WITH_AS(
      remove_files({folder / "full"}),
      ((folder / "full").string() + ": cannot be removed: Directory not empty").c_str(), Error);
}
