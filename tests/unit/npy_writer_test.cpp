#include "array_support.hpp"

#include <csignal>
#include <sys/resource.h>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

// Limits the length of written files, which makes write() fail as a full disk would.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("npy writer: pieces give the same file as a whole, as NumPy writes it") {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  NpyWriter writer(folder / "a.npy", 3, 2);
  writer.append(values.data(), 1);
  writer.append(nullptr, 0);
  writer.append(values.data() + 2, 2);
  CHECK_FALSE(fs::exists(folder / "a.npy"));
  writer.finish();
  write_npy(folder / "b.npy", {3, 2}, values.data());
  const std::string expected = npy("<f4", "(3, 2)", raw<float>({1, 2, 3, 4, 5, 6}));
  CHECK(file_bytes(folder / "a.npy") == expected);
  CHECK(file_bytes(folder / "b.npy") == expected);
  CHECK(std::distance(fs::directory_iterator(folder / ""), {}) == 2);
}

TEST_CASE("npy writer: shapes and types of whole arrays") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.npy";
  const std::vector<std::int64_t> values{5, -6};
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{2}, {2, 1}, {1, 1, 2, 1, 1, 1, 1, 1}}) {
    write_npy(file, shape, values.data());  // replaces the one before
    CHECK(Array::open(file).shape() == shape);
    CHECK(Array::open(file).to_int64() == values);
  }
  const float one = 1;
  write_npy(file, {}, &one);
  CHECK(file_bytes(file) == npy("<f4", "()", raw({1.0F})));
  write_npy(file, {0, 4}, static_cast<const float*>(nullptr));
  CHECK(Array::open(file).shape() == std::vector<std::int64_t>{0, 4});
  const Failure failure = failure_of([&] { write_npy(file, {-1}, &one); });
  CHECK(failure.code == ErrorCode::invalid_value);
  CHECK(failure.says("a.npy: negative dimension"));
}

TEST_CASE("npy writer: too many, too few, too late") {
  const TemporaryFolder folder;
  const std::vector<float> values(8);
  NpyWriter writer(folder / "a.npy", 3, 2);
  const Failure many = failure_of([&] { writer.append(values.data(), 4); });
  CHECK(many.code == ErrorCode::invalid_state);
  CHECK(many.says("4 rows; allowed: 0 to 3"));
  CHECK(failure_of([&] { writer.append(values.data(), -1); }).says("append() of -1 rows"));
  writer.append(values.data(), 2);
  const Failure few = failure_of([&] { writer.finish(); });
  CHECK(few.code == ErrorCode::invalid_state);
  CHECK(few.says("finish() after 2 rows; 3 were announced"));
  writer.append(values.data(), 1);
  writer.finish();
  const Failure late = failure_of([&] { writer.append(values.data(), 0); });
  CHECK(late.code == ErrorCode::invalid_state);
  CHECK(late.says("a.npy: the writer has finished"));
  CHECK(failure_of([&] { writer.finish(); }).code == ErrorCode::invalid_state);
  CHECK(floats(Array::open(folder / "a.npy")).size() == 6);
}

TEST_CASE("npy writer: an unfinished one leaves nothing behind, nor touches the file before") {
  const TemporaryFolder folder;
  const float value = 1;
  { NpyWriter(folder / "a.npy", 1, 1).append(&value, 1); }
  CHECK(fs::is_empty(folder.path()));
  const fs::path old = folder.write("old.npy", two_floats);
  { NpyWriter writer(old, 1, 1); }
  CHECK(file_bytes(old) == two_floats);
}

TEST_CASE("npy writer: places that cannot be written") {
  const TemporaryFolder folder;
  const float value = 1;
  const Failure missing = failure_of([&] { NpyWriter(folder / "no/a.npy", 1, 1); });
  CHECK(missing.code == ErrorCode::io);
  CHECK(missing.says("no/a.npy: cannot be created: No such file"));
  CHECK(failure_of([&] { write_npy(folder / "no/a.npy", {1}, &value); }).code == ErrorCode::io);
  const Failure device = failure_of([] { NpyWriter("/dev/null", 1, 1); });
  CHECK(device.code == ErrorCode::io);
  CHECK(device.says("not a regular file"));
  CHECK(failure_of([&] { NpyWriter(folder / "", 1, 1); }).code == ErrorCode::io);
  CHECK(failure_of([&] { NpyWriter(folder / "a", -1, 1); }).code == ErrorCode::invalid_value);
  CHECK(failure_of([&] { NpyWriter(folder / "a", INT64_MAX, 9); }).says("overflows"));
  CHECK(fs::is_empty(folder.path()));
  NpyWriter blocked(folder / "b.npy", 1, 1);
  blocked.append(&value, 1);
  fs::create_directory(folder / "b.npy");  // in the way of the rename
  const Failure rename = failure_of([&] { blocked.finish(); });
  CHECK(rename.code == ErrorCode::io);
  CHECK(rename.says("b.npy: cannot be put in place"));
  fs::remove(folder / "b.npy");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("npy writer: a failed write names the reason and removes the file") {
  const TemporaryFolder folder;
  const std::vector<float> values(1000);
  const Failure whole = failure_of([&] {
    const FileLimit limit(1024);
    write_npy(folder / "a.npy", {1000}, values.data());
  });
  CHECK(whole.code == ErrorCode::io);
  CHECK(whole.says("File too large"));
  const Failure start = failure_of([&] {
    const FileLimit limit(0);
    NpyWriter(folder / "a.npy", 1000, 1);
  });
  CHECK(start.code == ErrorCode::io);
  CHECK(fs::is_empty(folder.path()));
  NpyWriter writer(folder / "a.npy", 1000, 1);
  const Failure piece = failure_of([&] {
    const FileLimit limit(1024);
    writer.append(values.data(), 1000);
  });
  CHECK(piece.code == ErrorCode::io);
  CHECK(piece.says("a.npy: cannot be written: File too large"));
  CHECK(fs::is_empty(folder.path()));
  CHECK(failure_of([&] { writer.append(values.data(), 1); }).says("has failed before"));
}
