#include "log_sum_exp.hpp"

#include "kernels/row_kernels.hpp"
#include "kernels/shares.hpp"

#include <grevy/error.hpp>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace grevy::criterions {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Columns of a tile: with the rows of a block it stays in the first-level cache.
constexpr std::size_t tile_columns = 256;
// Products below which a thread of its own costs more than it saves.
constexpr std::int64_t fewest_products = 1 << 16;

std::size_t rounded(std::size_t count, std::size_t step) {
  return (count + step - 1) / step * step;
}
std::size_t size_of(const at::Tensor& t, std::int64_t axis) {
  return static_cast<std::size_t>(t.size(axis));
}

// A matrix with zeros behind its rows and columns up to whole blocks.
class Padded {
 public:
  Padded(std::size_t count, std::size_t width) : width_(width), data_(count * width) {}
  Padded(const at::Tensor& values, std::size_t count, std::size_t width) : Padded(count, width) {
    const at::Tensor dense = values.contiguous();
    const std::size_t used = size_of(dense, 1);
    for (std::size_t i = 0; i < size_of(dense, 0); ++i)
      std::copy_n(dense.data_ptr<float>() + i * used, used, row(i));
  }
  float* row(std::size_t i) { return data_.data() + i * width_; }
  const float* row(std::size_t i) const { return data_.data() + i * width_; }
  std::size_t width() const { return width_; }

  at::Tensor part(at::IntArrayRef shape) const {
    at::Tensor values = at::empty(shape, at::kFloat);
    const std::size_t used = size_of(values, 1);
    for (std::size_t i = 0; i < size_of(values, 0); ++i)
      std::copy_n(row(i), used, values.data_ptr<float>() + i * used);
    return values;
  }
  void add(const Padded& other) {
    for (std::size_t i = 0; i < data_.size(); ++i) data_[i] += other.data_[i];
  }

 private:
  std::size_t width_;
  std::vector<float> data_;
};

// The matrix rows . columns^T, made a tile at a time.
class Products {
 public:
  Products(const at::Tensor& rows, const at::Tensor& columns)
      : num_rows_(size_of(rows, 0)),
        num_columns_(size_of(columns, 0)),
        depth_(size_of(rows, 1)),
        width_(rounded(depth_, kernels_.lanes)),
        padded_columns_(rounded(num_columns_, kernels_.lanes)),
        rows_(rows, num_blocks() * block_rows(), width_),
        columns_(columns, padded_columns_, width_),
        tiles_(depth_ * padded_columns_),
        zeros_(tile_columns) {
    for (std::size_t begin = 0; begin < padded_columns_; begin += tile_columns) {
      const std::size_t count = tile_width(begin);
      float* tile = tiles_.data() + begin * depth_;
      for (std::size_t d = 0; d < depth_; ++d)
        for (std::size_t j = 0; j < count; ++j) tile[d * count + j] = columns_.row(begin + j)[d];
    }
  }

  std::size_t block_rows() const { return 2 * kernels_.rows_at_once; }
  std::size_t num_blocks() const { return rounded(num_rows_, block_rows()) / block_rows(); }
  std::size_t padded_rows() const { return num_blocks() * block_rows(); }

  // Of each row of blocks [begin, end): the largest element, and the sum of exp(element - largest).
  void forward(std::size_t begin, std::size_t end, float* largest, float* sums) const {
    Tile tile(*this);
    std::vector<float> most(block_rows()), sum(block_rows());
    for (std::size_t block = begin; block < end; ++block) {
      std::fill(most.begin(), most.end(), -std::numeric_limits<float>::infinity());
      std::fill(sum.begin(), sum.end(), 0.0F);
      for (std::size_t column = 0; column < padded_columns_; column += tile_columns) {
        tile.compute(block, column);
        for (std::size_t r = 0; r < block_rows(); ++r) {
          const float here = kernels_.largest(tile.row(r), tile.width());
          if (here > most[r]) {
            sum[r] *= std::exp(most[r] - here);
            most[r] = here;
          }
          sum[r] += kernels_.exponentials(tile.row(r), tile.width(), most[r]);
        }
      }
      const std::size_t first = block * block_rows();
      for (std::size_t r = 0; r < block_rows() && first + r < num_rows_; ++r) {
        largest[first + r] = most[r];
        sums[first + r] = sum[r];
      }
    }
  }

  struct Gradients {
    explicit Gradients(const Products& p)
        : rows(p.padded_rows(), p.width_), columns(p.padded_columns_, p.width_) {}
    Padded rows, columns;
  };

  // largest: what forward() gave; weight: the gradient of log sum exp over the sum. Adds to `sum`.
  void backward(std::size_t begin, std::size_t end, const float* largest, const float* weight,
                Gradients& sum) const {
    Tile tile(*this);
    Padded scaled(block_rows(), width_);
    std::vector<const float*> factors(block_rows());
    for (std::size_t r = 0; r < block_rows(); ++r) factors[r] = scaled.row(r);
    std::vector<float*> targets(block_rows());
    for (std::size_t block = begin; block < end; ++block) {
      const std::size_t first = block * block_rows();
      for (std::size_t r = 0; r < block_rows(); ++r) {
        const float g = first + r < num_rows_ ? weight[first + r] : 0.0F;
        for (std::size_t d = 0; d < width_; ++d) scaled.row(r)[d] = g * rows_.row(first + r)[d];
        targets[r] = sum.rows.row(first + r);
      }
      for (std::size_t column = 0; column < padded_columns_; column += tile_columns) {
        tile.compute(block, column);
        for (std::size_t r = 0; r < block_rows(); ++r)
          kernels_.exponentials(tile.row(r), tile.width(),
                                first + r < num_rows_ ? largest[first + r] : 0.0F);
        kernels_.multiply(tile.rows(), targets.data(), block_rows(), columns_.row(column),
                          tile.width(), width_, nullptr);
        kernels_.outer(tile.rows(), factors.data(), block_rows(), sum.columns.row(column),
                       tile.width(), width_);
      }
      for (std::size_t r = 0; r < block_rows() && first + r < num_rows_; ++r)
        for (std::size_t d = 0; d < width_; ++d) targets[r][d] *= weight[first + r];
    }
  }

 private:
  std::size_t tile_width(std::size_t column) const {
    return std::min(tile_columns, padded_columns_ - column);
  }

  class Tile {
   public:
    explicit Tile(const Products& products)
        : products_(products),
          values_(products.block_rows() * tile_columns),
          in_(products.block_rows()),
          out_(products.block_rows()) {}
    // Columns that are padding are -infinity.
    void compute(std::size_t block, std::size_t column) {
      const Products& p = products_;
      width_ = p.tile_width(column);
      for (std::size_t r = 0; r < in_.size(); ++r) {
        in_[r] = p.rows_.row(block * in_.size() + r);
        out_[r] = values_.data() + r * width_;
      }
      p.kernels_.multiply(in_.data(), out_.data(), in_.size(), p.tiles_.data() + column * p.depth_,
                          p.depth_, width_, p.zeros_.data());
      for (std::size_t j = p.num_columns_; j < column + width_; ++j)
        for (float* row : out_) row[j - column] = -std::numeric_limits<float>::infinity();
    }
    std::size_t width() const { return width_; }
    float* row(std::size_t r) { return out_[r]; }
    const float* const* rows() const { return out_.data(); }

   private:
    const Products& products_;
    std::vector<float> values_;
    std::vector<const float*> in_;
    std::vector<float*> out_;
    std::size_t width_ = 0;
  };

  const kernels::RowKernels& kernels_ = kernels::row_kernels();
  std::size_t num_rows_, num_columns_, depth_, width_, padded_columns_;
  Padded rows_, columns_;
  std::vector<float> tiles_;  // columns, transposed: (depth, width) of each tile
  std::vector<float> zeros_;
};

LogSumExp with_libtorch(const at::Tensor& rows, const at::Tensor& columns) {
  const at::Tensor x = at::mm(rows, columns.t());
  const at::Tensor largest = x.detach().amax(1);
  return {at::logsumexp(x - largest.unsqueeze(1), {1}), largest};
}

class LogSumExpBackward : public torch::autograd::Node {
 public:
  std::shared_ptr<const Products> products;
  std::int64_t shares = 1;
  at::Tensor largest, sums;
  SavedVariable rows, columns;

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(2);
    if (products == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
    return at::GradMode::is_enabled() ? differentiable(gradients[0]) : fast(gradients[0]);
  }
  void release_variables() override {
    products.reset();
    largest.reset();
    sums.reset();
    rows.reset_data();
    columns.reset_data();
  }
  std::string name() const override { return "GrevyLogSumExpBackward"; }

 private:
  variable_list fast(const at::Tensor& gradient) const {
    const at::Tensor weight = (gradient / sums).contiguous();
    std::vector<Products::Gradients> totals;
    for (std::int64_t s = 0; s < shares; ++s) totals.emplace_back(*products);
    kernels::for_shares(products->num_blocks(), shares,
                        [&](std::size_t s, std::size_t begin, std::size_t end) {
                          products->backward(begin, end, largest.data_ptr<float>(),
                                             weight.data_ptr<float>(), totals[s]);
                        });
    for (std::size_t s = 1; s < totals.size(); ++s) {
      totals[0].rows.add(totals[s].rows);
      totals[0].columns.add(totals[s].columns);
    }
    return {totals[0].rows.part(rows.unpack().sizes()),
            totals[0].columns.part(columns.unpack().sizes())};
  }

  variable_list differentiable(const at::Tensor& gradient) {
    const at::Tensor r = rows.unpack(), c = columns.unpack();
    const at::Tensor weighted = gradient.unsqueeze(1) * at::softmax(at::mm(r, c.t()), 1);
    return {at::mm(weighted, c), at::mm(weighted.t(), r)};
  }
};

bool is_plain(const at::Tensor& t) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.dim() == 2 && t.numel() > 0;
}

}  // namespace

LogSumExp log_sum_exp_products(const at::Tensor& rows, const at::Tensor& columns) {
  if (!is_plain(rows) || !is_plain(columns) || rows.size(1) != columns.size(1))
    return with_libtorch(rows, columns);
  const at::Tensor r = rows.detach(), c = columns.detach();
  const auto products = std::make_shared<const Products>(r, c);
  const std::int64_t shares = kernels::num_shares(std::min(
      r.size(0) * c.size(0) / fewest_products, static_cast<std::int64_t>(products->num_blocks())));
  const at::Tensor largest = at::empty({r.size(0)}, at::kFloat), sums = at::empty_like(largest);
  kernels::for_shares(
      products->num_blocks(), shares, [&](std::size_t, std::size_t begin, std::size_t end) {
        products->forward(begin, end, largest.data_ptr<float>(), sums.data_ptr<float>());
      });
  at::Tensor log_sum = sums.log();
  if (!torch::autograd::compute_requires_grad(rows, columns)) return {log_sum, largest};
  auto node =
      std::shared_ptr<LogSumExpBackward>(new LogSumExpBackward(), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(rows, columns));
  node->products = products;
  node->shares = shares;
  node->largest = largest;
  node->sums = sums;
  node->rows = SavedVariable(rows, false);
  node->columns = SavedVariable(columns, false);
  torch::autograd::set_history(log_sum, node);
  return {log_sum, largest};
}

}  // namespace grevy::criterions
