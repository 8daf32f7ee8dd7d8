#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <nanoflann.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace grevy::host {
namespace {

// The bound that nanoflann prunes with is a running sum and carries rounding of the order of the
// tree's depth times 2e-16; candidates inside this slack are looked at and compared exactly.
constexpr double pruning_slack = 1.0 + 1e-9;

// A query this far away is equally far from every float32 row: in the double sum no difference
// between rows survives. Asking the tree could overflow its bound instead.
constexpr double remote = 1e100;

// Distinct points; each remembers the smallest row that holds it.
struct Points {
  std::int64_t width = 0;
  std::vector<float> values;
  std::vector<std::int64_t> rows;

  std::size_t kdtree_get_point_count() const { return rows.size(); }
  double kdtree_get_pt(std::size_t point, std::size_t column) const {
    return static_cast<double>(values[point * static_cast<std::size_t>(width) + column]);
  }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

// This metric sums the squares in the order of the columns, in double: equal sums are ties.
using Metric = nanoflann::L2_Simple_Adaptor<double, Points, double, std::size_t>;
using Index = nanoflann::KDTreeSingleIndexAdaptor<Metric, Points, -1, std::size_t>;

// nanoflann's result set: nearest point, smallest row among exactly equal distances. The type and
// sort() are for nanoflann 1.5 and newer.
class Nearest {
 public:
  using DistanceType = double;

  Nearest(const std::vector<std::int64_t>& rows, std::int64_t row) : rows_(rows), row_(row) {}

  double worstDist() const { return distance_ * pruning_slack; }
  bool full() const { return true; }
  void sort() const {}
  bool addPoint(double distance, std::size_t point) {
    const std::int64_t row = rows_[point];
    if (distance < distance_ || (distance == distance_ && row < row_)) {
      distance_ = distance;
      row_ = row;
    }
    return true;
  }
  std::int64_t row() const { return row_; }

 private:
  const std::vector<std::int64_t>& rows_;
  double distance_ = std::numeric_limits<double>::infinity();
  std::int64_t row_;
};

void check_shape(std::int64_t count, std::int64_t width) {
  constexpr std::int64_t max_width = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t max_size = std::numeric_limits<std::int64_t>::max() / 8;
  if (width < 1 || width > max_width || count < 1 || count > max_size / width) {
    throw Error(ErrorCode::invalid_value, "nearest label: " + std::to_string(count) +
                                              " rows of width " + std::to_string(width) +
                                              " were given; at least one row and a width of 1 to " +
                                              std::to_string(max_width) + " are needed");
  }
}

std::vector<std::int64_t> all_rows(std::int64_t count, std::int64_t width) {
  check_shape(count, width);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

void check_row(const float* labels, std::int64_t width, std::int64_t row) {
  if (row < 0) {
    throw Error(ErrorCode::out_of_range,
                "nearest label: row " + std::to_string(row) + " is negative; rows count from 0");
  }
  const float* values = labels + row * width;
  const float* bad =
      std::find_if_not(values, values + width, [](float v) { return std::isfinite(v); });
  if (bad == values + width) return;
  throw Error(ErrorCode::non_finite, "continuous label of sample " + std::to_string(row) +
                                         ", column " + std::to_string(bad - values) + ": found " +
                                         std::to_string(*bad) + ", finite values are needed");
}

// Labels repeat a lot; equal rows would give the tree nothing to split and cost time in the leaves.
std::vector<std::int64_t> distinct_rows(const float* labels, std::int64_t width,
                                        std::vector<std::int64_t> rows) {
  const auto compare = [=](std::int64_t a, std::int64_t b) {
    const float* left = labels + a * width;
    const float* right = labels + b * width;
    const auto [l, r] = std::mismatch(left, left + width, right);
    if (l == left + width) return 0;
    return *l < *r ? -1 : 1;
  };
  std::sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
    const int order = compare(a, b);
    return order != 0 ? order < 0 : a < b;
  });
  const auto same = [&](std::int64_t a, std::int64_t b) { return compare(a, b) == 0; };
  rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());
  return rows;
}

Points make_points(const float* labels, std::int64_t width, const std::vector<std::int64_t>& rows) {
  check_shape(static_cast<std::int64_t>(rows.size()), width);
  for (const std::int64_t row : rows) check_row(labels, width, row);
  Points points;
  points.width = width;
  points.rows = distinct_rows(labels, width, rows);
  points.values.reserve(points.rows.size() * static_cast<std::size_t>(width));
  for (const std::int64_t row : points.rows) {
    const float* values = labels + row * width;
    points.values.insert(points.values.end(), values, values + width);
  }
  return points;
}

}  // namespace

struct NearestLabel::Tree {
  explicit Tree(Points given)
      : points(std::move(given)),
        first_row(*std::min_element(points.rows.begin(), points.rows.end())),
        index(static_cast<std::int32_t>(points.width), points) {}

  Points points;
  std::int64_t first_row;
  Index index;
};

NearestLabel::NearestLabel(const float* labels, std::int64_t count, std::int64_t width)
    : NearestLabel(labels, width, all_rows(count, width)) {}

NearestLabel::NearestLabel(const float* labels, std::int64_t width,
                           const std::vector<std::int64_t>& rows)
    : tree_(std::make_unique<Tree>(make_points(labels, width, rows))) {}

NearestLabel::~NearestLabel() = default;
NearestLabel::NearestLabel(NearestLabel&&) noexcept = default;
NearestLabel& NearestLabel::operator=(NearestLabel&&) noexcept = default;

std::int64_t NearestLabel::find(const double* query) const {
  const auto near = [](double value) { return std::abs(value) < remote; };  // false for NaN
  if (!std::all_of(query, query + tree_->points.width, near)) return tree_->first_row;
  Nearest nearest(tree_->points.rows, tree_->first_row);
  tree_->index.findNeighbors(nearest, query, {});
  return nearest.row();
}

}  // namespace grevy::host
