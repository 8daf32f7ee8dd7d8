// Encoders whose embedding is cut into slices, one per objective (Schneider et al. 2025,
// arXiv:2502.12977). The first tensor is the whole embedding, then come the slices.
#include <grevy/plugin.hpp>

#include <algorithm>

namespace grevy::models {
namespace {

// Features [begin, end) of the embedding.
struct Slice {
  std::int64_t begin = 0, end = 0;
};
using Slices = std::vector<Slice>;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_value, message);
}

// A float would be cut off silently.
std::int64_t integer(const nlohmann::json& number, const char* option) {
  if (!number.is_number_integer())
    refuse(std::string(option) + ": found " + number.dump() + "; must be an integer");
  return number.get<std::int64_t>();
}

std::string text(const Slice& s) {
  return "[" + std::to_string(s.begin) + ", " + std::to_string(s.end) + "]";
}

std::string text(const Slices& slices) {
  std::string all;
  for (const Slice& s : slices) all += (all.empty() ? "" : ", ") + text(s);
  return all;
}

at::Tensor cut(const at::Tensor& embedding, const Slice& s) {
  return embedding.slice(1, s.begin, s.end);
}

at::Tensor unit(const at::Tensor& features) { return features / features.norm(2, 1, true); }

bool by_begin(const Slice& a, const Slice& b) { return a.begin < b.begin; }

bool overlap(const Slice& a, const Slice& b) { return a.begin < b.end && b.begin < a.end; }

// An encoder and the slices of its embedding.
class Sliced : public Model {
 public:
  ModelInfo info() const final { return info_; }
  void set_training(bool training) final {
    Model::set_training(training);
    module_->set_training(training);
  }

  at::Tensor forward(const at::Tensor& windows) final { return scaled(module_->forward(windows)); }
  std::vector<at::Tensor> forward_all(const at::Tensor& windows) final {
    return split(forward(windows));
  }
  bool embeds_samples() const final { return module_->embeds_samples(); }
  std::vector<std::vector<at::Tensor>> forward_samples(const at::Tensor& series,
                                                       const std::vector<at::Tensor>& sets) final {
    auto embedded = module_->forward_samples(series, sets, 1);
    for (std::vector<at::Tensor>& set : embedded) set = split(scaled(set.front()));
    return embedded;
  }

 protected:
  Sliced(Nested module, const Context& context)
      : module_(context.create<ModelRef>(module, "module")), info_(module_->info()) {
    adopt("module.", module_->tensors());
  }

  // pieces: parts of the embedding that are scaled to length 1 before it is cut; none, and
  // renormalised: the slices are, each by itself.
  void set_slices(Slices slices, bool renormalize, Slices pieces = {}) {
    slices_ = std::move(slices);
    pieces_ = std::move(pieces);
    info_.num_tensors = 1 + static_cast<std::int64_t>(slices_.size());
    info_.normalized = renormalize;
  }
  std::int64_t num_features() const { return info_.num_output; }
  bool is_convolutional() const { return info_.convolutional; }

 private:
  at::Tensor scaled(const at::Tensor& embedding) const {
    if (pieces_.empty()) return embedding;
    std::vector<at::Tensor> parts;
    for (const Slice& piece : pieces_) parts.push_back(unit(cut(embedding, piece)));
    return at::cat(parts, 1);
  }
  std::vector<at::Tensor> split(const at::Tensor& embedding) const {
    std::vector<at::Tensor> tensors = {embedding};
    for (const Slice& s : slices_) {
      const at::Tensor features = cut(embedding, s);
      tensors.push_back(info_.normalized && pieces_.empty() ? unit(features) : features);
    }
    return tensors;
  }

  Owned<ModelRef> module_;
  ModelInfo info_;
  Slices slices_, pieces_;
};

// ---- dimensions --------------------------------------------------------------------------------

class Multiobjective : public Sliced {
 public:
  struct Options {
    Nested module;
    Json dimensions;
    bool renormalize = false;
    std::string_view output_mode = "overlapping";
    bool append_last_dimension = false;
    static constexpr auto fields() {
      return grevy::fields(
          field("module", &Options::module, "The encoder."),
          field("dimensions", &Options::dimensions, "Where the slices end, x0, x1, ...")
              .schema(R"("type":"array","minItems":1,"items":{"type":"integer","minimum":1})")
              .required(),
          field("renormalize", &Options::renormalize, "Scale every slice to length 1."),
          field("output_mode", &Options::output_mode,
                "Slices 0:x0, 0:x1, ... (overlapping) or 0:x0, x0:x1, ... (separate).")
              .one_of("overlapping", "separate"),
          field("append_last_dimension", &Options::append_last_dimension,
                "Add the encoder's num_output to the dimensions."));
    }
  };

  Multiobjective(const Options& options, const Context& context) : Sliced(options.module, context) {
    set_slices(make_slices(options), options.renormalize);
  }

 private:
  Slices make_slices(const Options& options) const {
    std::vector<std::int64_t> ends;
    for (const auto& end : options.dimensions.parse()) ends.push_back(integer(end, "dimensions"));
    const std::int64_t last = ends.empty() ? 0 : *std::max_element(ends.begin(), ends.end());
    if (options.append_last_dimension) {
      if (last == num_features())
        refuse("the dimensions reach num_output, " + std::to_string(last) +
               ", already; append_last_dimension must be false");
      ends.push_back(num_features());
    } else if (last != num_features()) {
      refuse("the largest of the dimensions is " + std::to_string(last) + "; must be num_output, " +
             std::to_string(num_features()));
    }
    const bool separate = options.output_mode == "separate";
    Slices slices;
    for (const std::int64_t end : ends) {
      const std::int64_t begin = separate && !slices.empty() ? slices.back().end : 0;
      if (end <= begin || end > num_features())
        refuse("dimensions " + options_text(ends) + ": must be at least 1 and at most " +
               std::to_string(num_features()) + (separate ? ", each above the one before" : ""));
      slices.push_back({begin, end});
    }
    return slices;
  }
  static std::string options_text(const std::vector<std::int64_t>& ends) {
    return nlohmann::json(ends).dump();
  }
};

// ---- feature ranges ----------------------------------------------------------------------------

// Which parts of the embedding are scaled to length 1 before slices are cut from it. Disjoint
// slices are their own pieces. Where one slice is the whole embedding, the others and what they
// leave over are. No pieces: other overlaps cannot be served by one scaling of the embedding.
Slices pieces_of(Slices slices, std::int64_t num_features) {
  const auto disjoint = [](const Slices& sorted) {
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (overlap(sorted[i - 1], sorted[i])) return false;
    return true;
  };
  std::sort(slices.begin(), slices.end(), by_begin);
  if (disjoint(slices)) return slices;
  Slices rest;
  for (const Slice& s : slices)
    if (s.begin != 0 || s.end != num_features) rest.push_back(s);
  if (rest.size() + 1 != slices.size() || !disjoint(rest)) return {};
  Slices pieces = rest;
  if (rest.front().begin > 0) pieces.insert(pieces.begin(), {0, rest.front().begin});
  if (rest.back().end < num_features) pieces.push_back({rest.back().end, num_features});
  if (pieces.size() == rest.size()) return {};
  for (std::size_t i = 1; i < pieces.size(); ++i)
    if (pieces[i - 1].end != pieces[i].begin) return {};
  return pieces;
}

class Subspaces : public Sliced {
 public:
  struct Options {
    Nested module;
    Json feature_ranges;
    bool renormalize = false;
    std::string_view renormalize_mode = "auto";
    static constexpr auto fields() {
      return grevy::fields(
          field("module", &Options::module, "The encoder."),
          field("feature_ranges", &Options::feature_ranges,
                "The slices, [first, last + 1] each; together they hold every feature.")
              .schema(
                  R"("type":"array","minItems":1,"items":{"type":"array","items":{"type":"integer","minimum":0},"minItems":2,"maxItems":2})")
              .required(),
          field("renormalize", &Options::renormalize, "Scale to length 1."),
          field("renormalize_mode", &Options::renormalize_mode,
                "What is scaled: every slice by itself (per_slice), or the slices and what they "
                "leave of one that is the whole embedding, which then has length sqrt(pieces); "
                "auto: pieces where they exist.")
              .one_of("auto", "pieces", "per_slice"));
    }
  };

  Subspaces(const Options& options, const Context& context) : Sliced(options.module, context) {
    if (context.name == "SubspaceMultiobjectiveConvolutionalModel" && !is_convolutional())
      refuse("the module is not convolutional; use SubspaceMultiobjectiveModel");
    Slices slices;
    for (const auto& range : options.feature_ranges.parse()) {
      if (!range.is_array() || range.size() != 2)
        refuse("feature_ranges: found " + range.dump() + "; must be [first, last + 1]");
      slices.push_back({integer(range[0], "feature_ranges"), integer(range[1], "feature_ranges")});
    }
    check(slices);
    Slices pieces;
    if (options.renormalize && options.renormalize_mode != "per_slice")
      pieces = pieces_of(slices, num_features());
    if (options.renormalize && options.renormalize_mode == "pieces" && pieces.empty())
      refuse("feature_ranges " + text(slices) +
             ": do not divide into pieces; needed: disjoint ranges, or the whole embedding, [0, " +
             std::to_string(num_features()) +
             "], with disjoint and adjacent ranges that leave something over; or renormalize_mode "
             "\"per_slice\"");
    set_slices(std::move(slices), options.renormalize, std::move(pieces));
  }

 private:
  void check(const Slices& slices) const {
    std::vector<bool> held(static_cast<std::size_t>(num_features()), false);
    for (const Slice& s : slices) {
      if (s.begin < 0 || s.begin >= s.end || s.end > num_features())
        refuse("feature range " + text(s) + ": must be [first, last + 1] within [0, " +
               std::to_string(num_features()) + "]");
      std::fill(held.begin() + s.begin, held.begin() + s.end, true);
    }
    const auto missing = std::find(held.begin(), held.end(), false);
    if (missing != held.end())
      refuse("feature_ranges " + text(slices) + ": no range holds feature " +
             std::to_string(missing - held.begin()) + "; together they must hold all " +
             std::to_string(num_features()));
  }
};

}  // namespace
}  // namespace grevy::models

GREVY_REGISTER(grevy::models::Multiobjective, "MultiobjectiveModel",
               "An encoder whose embedding is cut at given dimensions.")
GREVY_REGISTER(grevy::models::Subspaces, "SubspaceMultiobjectiveModel",
               "An encoder whose embedding is cut into any subspaces.",
               "SubspaceMultiobjectiveConvolutionalModel")
