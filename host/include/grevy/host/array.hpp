// grevy/host/array.hpp: arrays of numbers or text in .npy and .npz files.
//
// Reads NumPy format versions 1.0, 2.0 and 3.0: boolean, signed and unsigned integers of 8 to 64
// bits, floats of 16, 32 and 64 bits, text of fixed width ("<U5", "|S5": 1 to 536870911 characters
// an element), C or Fortran order, little or big endian. Refuses object, complex and structured
// arrays: nothing in a file is ever executed. Every size is checked against the file's length
// before memory is taken.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef GREVY_HOST_ARRAY_HPP
#define GREVY_HOST_ARRAY_HPP

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

// What the file holds, whatever its byte order.
enum class ElementType {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64,
  utf32_text,  // "<U5": UTF-32
  byte_text    // "|S5": bytes
};

// "float32", "int64", ... as NumPy calls them; "str" and "bytes" for text.
const char* to_string(ElementType type);

struct StoredArray;  // internal

// An immutable array that shares ownership of its bytes: copies are cheap. Safe to read from
// several threads. A mapped file must not be shortened while an Array refers to it.
class Array {
 public:
  // Opens a file; .npy or .npz is told by its content, not by its name. `key` picks the member of
  // an .npz (without ".npy"); empty means the only one. A .npy is memory-mapped, a member of an
  // .npz is read into memory.
  // Errors: not_found (no file, no such key; lists the keys), invalid_type (object or other
  // refused dtype, not a NumPy file), invalid_value (truncated, malformed, too large, key missing
  // where several arrays exist). Messages name the file and the member, as do those of the
  // conversions below.
  static Array open(const std::filesystem::path& file, const std::string& key = {});

  // A float32 or int64 array in memory, row-major. Errors: invalid_value unless shape multiplies to
  // values.size().
  static Array from_values(std::vector<std::int64_t> shape, std::vector<float> values);
  static Array from_values(std::vector<std::int64_t> shape, std::vector<std::int64_t> values);

  const std::vector<std::int64_t>& shape() const { return shape_; }  // empty for a scalar
  std::int64_t size() const;                  // product of shape; 1 for a scalar
  ElementType type() const { return type_; }  // as stored
  bool is_integer() const;                    // booleans count as integers
  bool is_text() const;                       // of either kind
  bool is_mapped() const { return mapped_; }  // its bytes are pages of the file

  // Row-major float32. Shares the file's pages where the file holds just that, converts into new
  // memory otherwise. The pointer keeps the bytes alive. float64 beyond float32's range becomes
  // infinity (and is refused later by the caller's finiteness check). Errors: invalid_type for
  // text.
  std::shared_ptr<const float> to_float32() const;

  // Row-major int64. Errors: invalid_type for float arrays and text, invalid_value for a uint64
  // above INT64_MAX.
  std::vector<std::int64_t> to_int64() const;

  // Row-major UTF-8, without the NULs that pad an element to the array's width. Errors:
  // invalid_type for numbers; invalid_value for a number that is no Unicode scalar value, or bytes
  // that are no UTF-8: the message names the row (index along the first dimension, from 0).
  std::vector<std::string> to_text() const;

 private:
  StoredArray stored() const;
  [[noreturn]] void refuse_conversion(const char* allowed) const;

  std::shared_ptr<const unsigned char> bytes_;  // first element; keeps mapping or buffer alive
  std::vector<std::int64_t> shape_;
  ElementType type_ = ElementType::float32;
  std::size_t element_bytes_ = 0;
  std::string source_ = "array in memory";  // begins messages
  bool fortran_ = false;
  bool swapped_ = false;  // byte order differs from this machine's
  bool mapped_ = false;
};

// Writes a float32 (rows, columns) .npy in pieces, in constant memory. The file appears under its
// name only after finish(): bytes go to a temporary file beside it, which is synced and renamed.
// An unfinished writer removes its temporary file. Errors: io (names the file and the reason),
// invalid_state (more rows than announced; finish() with fewer).
class NpyWriter {
 public:
  // Opens the temporary file, for `rows` rows in all.
  NpyWriter(std::filesystem::path file, std::int64_t rows, std::int64_t columns);
  ~NpyWriter();
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  // The next rows, row-major.
  void append(const float* values, std::int64_t rows);
  // The file is whole now.
  void finish();

 private:
  std::filesystem::path file_, temporary_;
  std::int64_t rows_, columns_, written_ = 0;
  int descriptor_ = -1;
};

// Writes a whole array at once, as NpyWriter does: float32 or int64 of any shape. `values` is
// row-major. Errors: io.
void write_npy(const std::filesystem::path& file, const std::vector<std::int64_t>& shape,
               const float* values);
void write_npy(const std::filesystem::path& file, const std::vector<std::int64_t>& shape,
               const std::int64_t* values);

}  // namespace grevy::host

#endif
