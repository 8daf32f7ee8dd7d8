// A ConvStack over a recording that comes one row at a time.
#ifndef GREVY_PLUGINS_MODELS_CONV_STREAM_HPP
#define GREVY_PLUGINS_MODELS_CONV_STREAM_HPP

#include "conv_stack.hpp"

#include <memory>
#include <vector>

namespace grevy::models {

// Every layer keeps as many of its last input rows as its kernel is long, so that a new row costs
// one row of each layer. Same numbers as ConvStack, to the bit.
class ConvStream {
 public:
  explicit ConvStream(std::shared_ptr<const ConvStack> stack);

  void reset();
  // The newest output row, num_output floats, valid until the next call; null while there is none.
  const float* push(const float* row);

 private:
  // The last `length` rows, always side by side: each is written twice.
  struct History {
    std::vector<float> rows;  // (2 * length, width)
    std::size_t length = 0, width = 0, next = 0, count = 0;
    void push(const float* row);
    bool is_full() const { return count == length; }
    const float* oldest() const { return rows.data() + next * width; }
  };

  std::shared_ptr<const ConvStack> stack_;
  std::vector<History> inputs_;  // of each layer
  std::vector<float> row_;
};

}  // namespace grevy::models

#endif
