#include <grevy/host/stream.h>
#include <grevy/host/stream.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>

// Members are destroyed in reverse: the stream before what it looks at.
struct grevy_run_stream {
  grevy_run_stream(const std::filesystem::path& run, std::int64_t session)
      : trainer(grevy::host::Trainer::from_checkpoint(host, run)),
        stream(trainer, {session, true}) {}
  grevy::host::Host host;
  grevy::host::Trainer trainer;
  grevy::host::Stream stream;
};

namespace {

void report(const std::string& reason, char* error, std::size_t size) {
  if (error == nullptr || size == 0) return;
  const std::size_t length = std::min(reason.size(), size - 1);
  std::memcpy(error, reason.data(), length);
  error[length] = '\0';
}

}  // namespace

grevy_run_stream* grevy_run_stream_open(const char* run, std::int64_t session, char* error,
                                        std::size_t error_size) {
  try {
    return new grevy_run_stream(run == nullptr ? "" : run, session);
  } catch (const std::exception& e) {
    report(e.what(), error, error_size);
    return nullptr;
  }
}

void grevy_run_stream_close(grevy_run_stream* stream) { delete stream; }
std::int64_t grevy_run_stream_num_input(const grevy_run_stream* stream) {
  return stream == nullptr ? 0 : stream->stream.num_input();
}
std::int64_t grevy_run_stream_num_output(const grevy_run_stream* stream) {
  return stream == nullptr ? 0 : stream->stream.num_output();
}
std::int64_t grevy_run_stream_delay(const grevy_run_stream* stream) {
  return stream == nullptr ? 0 : stream->stream.delay();
}
void grevy_run_stream_reset(grevy_run_stream* stream) {
  if (stream != nullptr) stream->stream.reset();
}

std::int32_t grevy_run_stream_push(grevy_run_stream* stream, const float* sample,
                                   float* embedding) {
  if (stream == nullptr) return -1;
  try {
    return stream->stream.push(sample, embedding) ? 1 : 0;
  } catch (const std::exception&) {
    return -1;
  }
}
