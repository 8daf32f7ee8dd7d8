// Encoders that are made of a function, without a plugin.
#ifndef GREVY_TESTS_FUNCTION_MODEL_HPP
#define GREVY_TESTS_FUNCTION_MODEL_HPP

#include <grevy/calls.hpp>

#include <functional>
#include <utility>
#include <vector>

namespace grevy::tests {

// An encoder made of a function; keeps the modes that it was put into.
class Encoder {
 public:
  using Function = std::function<at::Tensor(const at::Tensor&)>;

  Encoder(ModelInfo info, Function function) : info_(info), function_(std::move(function)) {
    table_.struct_size = sizeof(table_);
    table_.describe = describe;
    table_.forward = forward;
    table_.set_training = set_training;
    table_.visit_tensors = visit_tensors;
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  ModelRef ref() { return ModelRef({&table_, this}, "encoder", "tests"); }
  const std::vector<bool>& modes() const { return modes_; }
  void keep_evaluating() { keeps_evaluating_ = true; }  // refuses to be put into training

 private:
  static Encoder& object(void* self) { return *static_cast<Encoder*>(self); }
  static std::int32_t describe(void* self, grevy_model_info* out, const grevy_error_sink*) {
    const ModelInfo& info = object(self).info_;
    out->num_input = info.num_input;
    out->num_output = info.num_output;
    out->offset_left = info.offset.left;
    out->offset_right = info.offset.right;
    out->flags = info.convolutional ? GREVY_MODEL_CONVOLUTIONAL : 0;
    out->resample_factor = 1;
    out->num_tensors = 1;
    return 0;
  }
  static std::int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                              std::uint64_t, const grevy_error_sink*) {
    outputs[0] = give(object(self).function_(borrow(windows)));
    return 0;
  }
  static std::int32_t set_training(void* self, std::uint32_t training, const grevy_error_sink*) {
    object(self).modes_.push_back(training != 0);
    return training != 0 && object(self).keeps_evaluating_ ? GREVY_ERROR_INVALID_STATE : 0;
  }
  static std::int32_t visit_tensors(void*, const grevy_tensor_sink*, const grevy_error_sink*) {
    return 0;
  }

  ModelInfo info_;
  Function function_;
  std::vector<bool> modes_;
  bool keeps_evaluating_ = false;
  grevy_model_table table_{};
};

inline ModelInfo shape(std::int64_t channels, std::int64_t width, std::int64_t length = 1) {
  ModelInfo info;
  info.num_input = channels;
  info.num_output = width;
  info.offset = {0, length};
  info.convolutional = length > 1;
  return info;
}

}  // namespace grevy::tests

#endif
