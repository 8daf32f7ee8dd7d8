/* grevy/ops.h: the extension "grevy.ops/1" of the host: operations on tensors that the host runs,
 * with autograd.
 *
 * A plugin that computes through this table knows tensors as handles alone, links nothing of
 * LibTorch, has an empty stamp, and so is one file for hosts of every LibTorch. It asks for
 * the table with grevy_host.extension in create(); NULL means that the host has none.
 *
 * Rules beyond those of abi.h
 *   Operations  Each has a name with a revision ("conv1d/1") and a number (GREVY_OP_CONV1D). What
 *               an operation does never changes: another behaviour is another revision with a
 *               number of its own, and both stay. Numbers from op_count on are unknown to this
 *               host.
 *   Tensors     Handles in are borrowed. A handle out carries one reference: tensor_release of
 *               grevy_host gives it back.
 *   Errors      A wrong number of inputs, a NULL where a tensor, a list or room for a result is
 *               needed, a shape or a type that does not fit: GREVY_ERROR_INVALID_VALUE or
 *               _INVALID_TYPE with the operation's name and what it takes. A struct that does not
 *               reach as far as its comment says: _INCOMPATIBLE. Nothing aborts; what is no handle
 *               at all cannot be noticed. NULL for the error sink means that nobody asks why.
 *   Growth      Of a struct of the plugin the host reads what struct_size covers. A struct that the
 *               host fills has its struct_size set by the caller to its own sizeof; the host lowers
 *               it to what it has filled, where it is older than the caller.
 *   Limits      A tensor that is made here from sizes or bounds has at most 2^32 elements and 64
 *               axes; a list has at most 4096 tensors.
 *   Threads     Everything is [any]: tensors that two threads use at a time are only read.
 *               Recording is switched for the calling thread alone.
 */
#ifndef GREVY_OPS_H
#define GREVY_OPS_H

#include <grevy/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The id of this extension. */
#define GREVY_OPS_EXTENSION "grevy.ops/1"

/* Types of elements. Wherever a type is optional, GREVY_FLOAT32 is meant. */
enum {
  GREVY_FLOAT32 = 0,
  GREVY_FLOAT64 = 1,
  GREVY_INT64 = 2,
  GREVY_INT32 = 3,
  GREVY_UINT8 = 4,
  GREVY_BOOL = 5,       /* a byte, 0 or 1 */
  GREVY_OTHER_TYPE = 99 /* inspect() alone says it: not to be made or read here */
};

/* Where elements are. */
enum { GREVY_CPU = 1, GREVY_CUDA = 2, GREVY_OTHER_DEVICE = 99 };

/* What a tensor is. The arrays are lent as long as the tensor lives. */
typedef struct grevy_tensor_info {
  uint32_t struct_size;   /* set by the caller, lowered by the host; see Growth */
  uint32_t dtype;         /* GREVY_FLOAT32 ... */
  uint64_t dims;          /* number of axes */
  const int64_t* sizes;   /* one per axis */
  const int64_t* strides; /* one per axis, in elements */
  int64_t count;          /* of elements */
  uint32_t device_type;   /* GREVY_CPU ... */
  int32_t device_index;   /* of a GPU; 0 on the CPU */
  uint32_t is_contiguous; /* 1: row-major without gaps */
  uint32_t requires_grad; /* 1: operations on it are recorded */
} grevy_tensor_info;

/* Kinds of attributes. */
enum {
  GREVY_ATTRIBUTE_NONE = 0,      /* left out: the default */
  GREVY_ATTRIBUTE_INTEGER = 1,   /* integer; also for a boolean: 0 and 1 */
  GREVY_ATTRIBUTE_NUMBER = 2,    /* number */
  GREVY_ATTRIBUTE_INTEGERS = 3,  /* count values of int64_t at data */
  GREVY_ATTRIBUTE_TEXT = 4,      /* count bytes at data */
  GREVY_ATTRIBUTE_GENERATOR = 5, /* data is a grevy_generator */
  GREVY_ATTRIBUTE_BOOLEAN = 6 /* integer is 0 or 1; as a number it is a boolean, the weakest type */
};

/* What an operation is told beside its tensors; one of the members after kind. FROZEN. */
typedef struct grevy_attribute {
  uint32_t kind;     /* GREVY_ATTRIBUTE_* */
  uint32_t reserved; /* 0 */
  int64_t integer;   /* of GREVY_ATTRIBUTE_INTEGER and _BOOLEAN */
  double number;     /* of GREVY_ATTRIBUTE_NUMBER */
  const void* data;  /* of the others, lent for the call */
  uint64_t count;    /* of what data points to */
} grevy_attribute;

/* The state of a stream of random numbers, on the CPU. Numbers are drawn there and moved, so that
 * they are the same on every device. Of one LibTorch generation the same seed gives the same
 * numbers. Opaque; one thread at a time. */
typedef struct grevy_generator grevy_generator;

/* The operations: (tensors) [attributes]. A tensor or an attribute with "?" may be left out: NULL,
 * GREVY_ATTRIBUTE_NONE, or not counted where nothing follows. Each gives one tensor. Axes count
 * from 0, or from the end with -1. "dims?" left out means all axes; keep?, a boolean, keeps them
 * with size 1. Two tensors are broadcast against each other, and of two types the wider one comes
 * out, with a number as the weakest. */
enum {
  /* Two operands, (a?, b?) [number?]: the number stands for the tensor that is left out. */
  GREVY_OP_ADD = 0,            /* "add/1": a + b */
  GREVY_OP_SUBTRACT = 1,       /* "subtract/1": a - b */
  GREVY_OP_MULTIPLY = 2,       /* "multiply/1": a * b */
  GREVY_OP_DIVIDE = 3,         /* "divide/1": a / b, of integers too a fraction */
  GREVY_OP_POWER = 4,          /* "power/1": a to the b */
  GREVY_OP_MINIMUM = 5,        /* "minimum/1": the lesser; NaN if one is */
  GREVY_OP_MAXIMUM = 6,        /* "maximum/1": the greater; NaN if one is */
  GREVY_OP_EQUAL = 7,          /* "equal/1": boolean, like those that follow */
  GREVY_OP_NOT_EQUAL = 8,      /* "not_equal/1" */
  GREVY_OP_LESS = 9,           /* "less/1" */
  GREVY_OP_LESS_EQUAL = 10,    /* "less_equal/1" */
  GREVY_OP_GREATER = 11,       /* "greater/1" */
  GREVY_OP_GREATER_EQUAL = 12, /* "greater_equal/1" */
  GREVY_OP_LOGICAL_AND = 13,   /* "logical_and/1": of truth values, not 0 is true */
  GREVY_OP_LOGICAL_OR = 14,    /* "logical_or/1" */

  /* Of each element, (x). */
  GREVY_OP_LOGICAL_NOT = 15, /* "logical_not/1" */
  GREVY_OP_IS_FINITE = 16,   /* "is_finite/1": neither NaN nor infinite */
  GREVY_OP_NEGATE = 17,      /* "negate/1" */
  GREVY_OP_ABSOLUTE = 18,    /* "absolute/1" */
  GREVY_OP_SIGN = 19,        /* "sign/1": -1, 0 or 1 */
  GREVY_OP_EXP = 20,         /* "exp/1" */
  GREVY_OP_LOG = 21,         /* "log/1" */
  GREVY_OP_LOG1P = 22,       /* "log1p/1": log(1 + x) */
  GREVY_OP_SQRT = 23,        /* "sqrt/1" */
  GREVY_OP_RSQRT = 24,       /* "rsqrt/1": 1 / sqrt(x) */
  GREVY_OP_SQUARE = 25,      /* "square/1" */
  GREVY_OP_RECIPROCAL = 26,  /* "reciprocal/1" */
  GREVY_OP_SIN = 27,         /* "sin/1" */
  GREVY_OP_COS = 28,         /* "cos/1" */
  GREVY_OP_FLOOR = 29,       /* "floor/1" */
  GREVY_OP_RELU = 30,        /* "relu/1" */
  GREVY_OP_GELU = 31,        /* "gelu/1": x Phi(x), by erf (Hendrycks & Gimpel 2016) */
  GREVY_OP_TANH = 32,        /* "tanh/1" */
  GREVY_OP_SIGMOID = 33,     /* "sigmoid/1" */
  GREVY_OP_SOFTPLUS = 34,    /* "softplus/1": log(1 + exp x) */
  GREVY_OP_CLAMP = 35,       /* "clamp/1" (x) [low: number?, high: number?]; one at least */
  GREVY_OP_WHERE = 36,       /* "where/1" (condition, a?, b?) [number?]: a where true, else b */

  /* Over axes. */
  GREVY_OP_SUM = 37,         /* "sum/1" (x) [dims?, keep?] */
  GREVY_OP_MEAN = 38,        /* "mean/1" (x) [dims?, keep?] */
  GREVY_OP_VARIANCE = 39,    /* "variance/1" (x) [dims?, keep?, unbiased? = 1] */
  GREVY_OP_LARGEST = 40,     /* "largest/1" (x) [dims?, keep?]; ties share the gradient */
  GREVY_OP_SMALLEST = 41,    /* "smallest/1" (x) [dims?, keep?]; likewise */
  GREVY_OP_ARGMAX = 42,      /* "argmax/1" (x) [dim, keep?]: int64 */
  GREVY_OP_NORM = 43,        /* "norm/1" (x) [p: number? = 2, dims?, keep?] */
  GREVY_OP_LOGSUMEXP = 44,   /* "logsumexp/1" (x) [dims, keep?] */
  GREVY_OP_SOFTMAX = 45,     /* "softmax/1" (x) [dim] */
  GREVY_OP_LOG_SOFTMAX = 46, /* "log_softmax/1" (x) [dim] */
  GREVY_OP_CUMSUM = 47,      /* "cumsum/1" (x) [dim] */

  /* Products. */
  GREVY_OP_MATMUL = 48, /* "matmul/1" (a, b): of matrices, stacks of them, vectors */
  GREVY_OP_EINSUM = 49, /* "einsum/1" (tensors...) [equation: text] */
  GREVY_OP_LINEAR = 50, /* "linear/1" (x, weight (out, in), bias?) */
  GREVY_OP_CONV1D = 51, /* "conv1d/1" (x (n, C, T), weight (D, C / groups, k), bias? (D))
                           [stride? = 1, padding? = 0, dilation? = 1, groups? = 1] */

  /* Shapes. Those marked with a star give a view: what is written to one is seen in the other. */
  GREVY_OP_RESHAPE = 52,      /* "reshape/1" (x) [sizes]: one may be -1; a view where it can be */
  GREVY_OP_TRANSPOSE = 53,    /* "transpose/1" * (x) [dim, dim] */
  GREVY_OP_PERMUTE = 54,      /* "permute/1" * (x) [dims] */
  GREVY_OP_UNSQUEEZE = 55,    /* "unsqueeze/1" * (x) [dim] */
  GREVY_OP_SQUEEZE = 56,      /* "squeeze/1" * (x) [dim] */
  GREVY_OP_EXPAND = 57,       /* "expand/1" * (x) [sizes]: -1 keeps an axis */
  GREVY_OP_SELECT = 58,       /* "select/1" * (x) [dim, index] */
  GREVY_OP_SLICE = 59,        /* "slice/1" * (x) [dim, start? = 0, end? = all, step? = 1] */
  GREVY_OP_UNFOLD = 60,       /* "unfold/1" * (x) [dim, size, step]: windows, on a new last axis */
  GREVY_OP_FLIP = 61,         /* "flip/1" (x) [dims] */
  GREVY_OP_CAT = 62,          /* "cat/1" (tensors...) [dim? = 0] */
  GREVY_OP_STACK = 63,        /* "stack/1" (tensors...) [dim? = 0] */
  GREVY_OP_INDEX_SELECT = 64, /* "index_select/1" (x, index int64 (k)) [dim] */
  GREVY_OP_GATHER = 65,       /* "gather/1" (x, index int64) [dim] */

  /* Copies and casts. */
  GREVY_OP_CONTIGUOUS = 66, /* "contiguous/1" (x): row-major; x itself where it is */
  GREVY_OP_CLONE = 67,      /* "clone/1" (x): a copy, with its graph */
  GREVY_OP_DETACH = 68,     /* "detach/1" * (x): without its graph */
  GREVY_OP_TO = 69,         /* "to/1" (x, like?) [dtype?, device: text?]: of the type and on the
                               device of `like`, then of those named */

  /* Making. like?: the new tensor has its type and device; else dtype? on the CPU. */
  GREVY_OP_FULL = 70,      /* "full/1" (like?) [sizes, number, dtype?] */
  GREVY_OP_ARANGE = 71,    /* "arange/1" (like?) [start, end, step, dtype? = GREVY_INT64] */
  GREVY_OP_UNIFORM = 72,   /* "uniform/1" (like?) [sizes, generator, low? = 0, high? = 1, dtype?] */
  GREVY_OP_NORMAL = 73,    /* "normal/1" (like?) [sizes, generator, mean? = 0, std? = 1, dtype?] */
  GREVY_OP_BERNOULLI = 74, /* "bernoulli/1" (like?) [sizes, generator, probability, dtype?]: 0, 1 */
  GREVY_OP_DROPOUT = 75,   /* "dropout/1" (x) [probability, generator]: 0 with that probability,
                              below 1, the rest divided by what remains of 1 */
  GREVY_OP_COUNT = 76      /* how many this header has */
};

/* What an operation takes, for people and tools. The texts are constants of the host. */
typedef struct grevy_op_info {
  uint32_t struct_size; /* set by the caller, lowered by the host; see Growth */
  uint32_t op;          /* its number */
  grevy_text name;      /* "conv1d/1" */
  grevy_text takes;     /* "(x, weight, bias?) [stride?, padding?, dilation?, groups?]" */
} grevy_op_info;

/* Flags of grevy_function. */
enum {
  GREVY_FUNCTION_TWICE = 1u << 0 /* backward computes with operations of this table from what it is
                                    given, so that it can be differentiated in its turn */
};

/* A function that brings its own gradient; see attach_function. It must reach to destroy; what is
 * not covered behind it is empty. */
typedef struct grevy_function {
  uint32_t struct_size;
  uint32_t flags;  /* GREVY_FUNCTION_*; without _TWICE a second derivative is refused by name */
  grevy_text name; /* for errors; copied */
  void* context;   /* the plugin's own; ends with destroy */
  /* From the gradients of the outputs (never NULL; zeros where none came) to those of the inputs:
   * a slot per input, NULL at first and left so for "no gradient". wanted: a slot per input, 0
   * where this backward pass does not use a gradient. Called without recording, with
   * GREVY_FUNCTION_TWICE as the caller of the backward pass has it. [any] Not always from the
   * thread that made it, and from several at a time where several differentiate one graph: a
   * context that is written to needs a lock. It may start backward passes of its own. */
  int32_t (*backward)(void* context, grevy_tensor* const* saved, uint64_t saved_count,
                      grevy_tensor* const* gradients, uint64_t gradient_count,
                      const uint32_t* wanted, grevy_tensor** input_gradients, uint64_t input_count,
                      const grevy_error_sink* errors);
  /* Once, when nobody needs the function any more, from any thread. May be NULL. */
  void (*destroy)(void* context);
  /* Whose function it is, for errors, which arise long after the component was called; copied. */
  grevy_text plugin;    /* its id */
  grevy_text component; /* its name */
} grevy_function;

/* What the host gives for GREVY_OPS_EXTENSION; constant until the process ends. */
typedef struct grevy_ops {
  uint32_t struct_size;
  uint32_t op_count; /* operations of this host: 0 .. op_count - 1 */

  /* The number of an operation, by name; UINT32_MAX: none. */
  uint32_t (*find)(grevy_text name);
  /* What an operation takes. Errors: NOT_FOUND. */
  int32_t (*describe)(uint32_t op, grevy_op_info* info, const grevy_error_sink* errors);
  /* Runs an operation. output_count: 1. Errors: UNIMPLEMENTED (a number that this host does not
   * know), INVALID_VALUE, INVALID_TYPE. */
  int32_t (*call)(uint32_t op, grevy_tensor* const* inputs, uint64_t input_count,
                  const grevy_attribute* attributes, uint64_t attribute_count,
                  grevy_tensor** outputs, uint64_t output_count, const grevy_error_sink* errors);

  /* One more reference to a tensor, one less, as grevy_host has them, but for as long as the
   * process lives: a graph may outlive its host. NULL is ignored. */
  void (*retain)(grevy_tensor* tensor);
  void (*release)(grevy_tensor* tensor);
  /* The caller sets info->struct_size. Errors: INVALID_VALUE (NULL). */
  int32_t (*inspect)(grevy_tensor* tensor, grevy_tensor_info* info, const grevy_error_sink* errors);
  /* A tensor on the CPU with a copy of row-major elements. sizes may be NULL where dims is 0: a
   * scalar; data where there are no elements. Errors: INVALID_VALUE (sizes), INVALID_TYPE. */
  int32_t (*from_data)(uint32_t dtype, const int64_t* sizes, uint64_t dims, const void* data,
                       grevy_tensor** tensor, const grevy_error_sink* errors);
  /* Writes all elements, row-major and converted to dtype, into `count` places of that type; count
   * must be that of the elements. With count 1 it reads a scalar. Errors: INVALID_VALUE (count),
   * INVALID_TYPE. */
  int32_t (*to_data)(grevy_tensor* tensor, uint32_t dtype, void* data, uint64_t count,
                     const grevy_error_sink* errors);
  /* Writes the values of `source` (broadcast and converted) into `target`, unrecorded: for buffers
   * and gradients of the plugin's own components. Errors: INVALID_VALUE (shapes). */
  int32_t (*assign)(grevy_tensor* target, grevy_tensor* source, const grevy_error_sink* errors);

  /* Whether operations of this thread are recorded from now on; returns whether they were. */
  uint32_t (*set_recording)(uint32_t recording);
  /* Whether a tensor without a history requires gradients. Errors: INVALID_VALUE (it has a
   * history), INVALID_TYPE (no floating-point type). */
  int32_t (*require_gradient)(grevy_tensor* tensor, uint32_t required,
                              const grevy_error_sink* errors);
  /* What backward() has added up for a tensor, shared with it; NULL: nothing yet. */
  int32_t (*gradient)(grevy_tensor* tensor, grevy_tensor** gradient,
                      const grevy_error_sink* errors);
  /* Adds d tensor / d x to the gradient of every x that requires one. `gradient` has the tensor's
   * shape; NULL for a scalar: 1. Errors: INVALID_VALUE, and what functions on the way report. */
  int32_t (*backward)(grevy_tensor* tensor, grevy_tensor* gradient, const grevy_error_sink* errors);
  /* d outputs / d inputs into a slot per input, NULL where it does not depend on it; gradients: one
   * per output, or NULL where all are scalars. create_graph: the results can be differentiated. The
   * history stays usable. Errors: as backward. */
  int32_t (*differentiate)(grevy_tensor* const* outputs, grevy_tensor* const* gradients,
                           uint64_t output_count, grevy_tensor* const* inputs, uint64_t input_count,
                           uint32_t create_graph, grevy_tensor** results,
                           const grevy_error_sink* errors);
  /* Gives values that the plugin has computed from `inputs`, unrecorded, a history of one step: the
   * function's backward. `outputs` are new handles that share the values' memory; those of types
   * that have no gradients, as integers, are no results of the history. `saved`: what backward will
   * be given, inputs and values among them or others; changed in the meantime they are an error of
   * the backward pass. The context is the host's from the call on, also when it fails, unless the
   * struct does not reach to destroy. Errors: INVALID_VALUE. */
  int32_t (*attach_function)(const grevy_function* function, grevy_tensor* const* inputs,
                             uint64_t input_count, grevy_tensor* const* saved, uint64_t saved_count,
                             grevy_tensor* const* values, grevy_tensor** outputs,
                             uint64_t output_count, const grevy_error_sink* errors);

  /* A generator at the start of a seed's stream; release takes it, NULL is ignored. */
  int32_t (*make_generator)(uint64_t seed, grevy_generator** generator,
                            const grevy_error_sink* errors);
  void (*release_generator)(grevy_generator* generator);
} grevy_ops;

#ifdef __cplusplus
}
#endif

#endif
