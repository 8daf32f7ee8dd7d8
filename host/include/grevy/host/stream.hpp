// grevy/host/stream.hpp: embeds a recording sample by sample, while it is being made.
#ifndef GREVY_HOST_STREAM_HPP
#define GREVY_HOST_STREAM_HPP

#include <grevy/host/trainer.hpp>

#include <cstdint>
#include <memory>

namespace grevy::host {

// How a stream begins.
struct StreamOptions {
  std::int64_t session = 0;  // whose encoder embeds
  // The first sample also stands for the `left` ones before it, as in Trainer::transform.
  bool pad = true;
};

// What a stream gives is the transform of all samples so far, row by row, up to rounding, but for
// the rows that transform pads at the end. Models that offer grevy/stream.h use again what earlier
// samples computed, and push() allocates nothing (the encoders made of convolutions alone:
// offset5-, offset10-, ... offset50-model); others embed a whole window for every sample.
//
// Parameters are those of the moment the stream is made. Threads: one at a time; streams are
// independent of each other. Keep the Trainer alive longer, and do not train it meanwhile.
class Stream {
 public:
  // Errors: out_of_range (session), unimplemented for models that resample, PluginError.
  explicit Stream(const Trainer& trainer, const StreamOptions& options = {});
  ~Stream();
  Stream(Stream&&) noexcept;

  std::int64_t num_input() const;   // channels, C
  std::int64_t num_output() const;  // width of the embedding, D
  // push() gives the embedding of the sample that came so many calls before: right - 1.
  std::int64_t delay() const;
  bool is_incremental() const;  // the model offers grevy/stream.h

  // sample: C floats, not searched for NaN and infinity. Returns whether `embedding`, D floats, was
  // written: from call `right` on with padding, from call L on without. Errors: invalid_value for
  // null pointers; of models without grevy/stream.h, PluginError. Of all members: invalid_state for
  // a Stream that was moved from.
  bool push(const float* sample, float* embedding);
  void reset();  // forgets all samples

 private:
  struct Impl;
  Impl& impl() const;  // errors: invalid_state for one that was moved from
  std::unique_ptr<Impl> impl_;
};

}  // namespace grevy::host

#endif
