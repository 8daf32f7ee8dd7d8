/* grevy/kernel.h: the extension "grevy.kernel/1" of the host: a plugin computes by itself, in plain
 * memory, and the host makes a step of the autograd graph of it.
 *
 * run() hands the kernel views of contiguous buffers: inputs to read, outputs to fill, and, in the
 * backward pass, gradients. No operation of LibTorch is needed, nor its headers; sizes of a handle
 * come from grevy_ops.inspect (grevy/ops.h).
 */
#ifndef GREVY_KERNEL_H
#define GREVY_KERNEL_H

#include <grevy/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The id of this extension. */
#define GREVY_KERNEL_EXTENSION "grevy.kernel/1"

/* Memory with a shape, laid out as DLTensor of DLPack 0.x and 1.x, which it may be cast to. FROZEN.
 */
typedef struct grevy_view {
  void* data;           /* the first element, aligned for its type; NULL: none, or no such view */
  int32_t device_type;  /* kDLCPU 1, kDLCUDA 2: as GREVY_CPU and GREVY_CUDA */
  int32_t device_id;    /* of a GPU; 0 on the CPU */
  int32_t dims;         /* number of axes */
  uint8_t type_code;    /* kDLInt 0, kDLUInt 1, kDLFloat 2, kDLBool 6 */
  uint8_t type_bits;    /* of an element: 8, 32, 64 */
  uint16_t type_lanes;  /* 1 */
  int64_t* shape;       /* one size per axis */
  int64_t* strides;     /* one per axis, in elements: row-major without gaps */
  uint64_t byte_offset; /* 0 */
} grevy_view;

/* A buffer that the host is asked to make, on the device of the inputs. FROZEN. */
typedef struct grevy_buffer {
  uint32_t dtype;       /* GREVY_FLOAT32 ... */
  uint32_t reserved;    /* 0 */
  const int64_t* sizes; /* one per axis; lent for the call. NULL where dims is 0 */
  uint64_t dims;        /* number of axes */
} grevy_buffer;

/* What a kernel works on. All of it is lent for the call. */
typedef struct grevy_kernel_views {
  uint32_t struct_size;
  uint32_t reserved;
  const grevy_view* inputs;           /* to read */
  uint64_t input_count;               /* how many */
  const grevy_view* outputs;          /* forward: to fill; backward: to read */
  uint64_t output_count;              /* how many */
  const grevy_view* kept;             /* forward: to fill; backward: to read */
  uint64_t kept_count;                /* how many */
  const grevy_view* output_gradients; /* backward: to read, one per output. NULL in forward */
  const grevy_view* input_gradients;  /* backward: to fill, one per input; data is NULL where none
                                         is wanted. NULL in forward */
} grevy_kernel_views;

/* A function on plain memory. Buffers to fill hold anything at first. It must reach to destroy;
 * what is not covered behind it is empty. */
typedef struct grevy_kernel {
  uint32_t struct_size;
  uint32_t reserved;
  grevy_text name; /* for errors; copied */
  void* context;   /* the plugin's own; ends with destroy */
  /* Fills outputs and kept, within the call of run(). */
  int32_t (*forward)(void* context, const grevy_kernel_views* views,
                     const grevy_error_sink* errors);
  /* Fills the wanted input_gradients. NULL: the kernel has no gradient, and asking for one is an
   * error with its name. [any] Not always from the thread that called run(), and from several at a
   * time where several differentiate one graph: a context that is written to needs a lock. A second
   * derivative is refused by name. */
  int32_t (*backward)(void* context, const grevy_kernel_views* views,
                      const grevy_error_sink* errors);
  /* Once, when nobody needs the kernel any more, from any thread. May be NULL. */
  void (*destroy)(void* context);
  /* Whose kernel it is, for errors, which arise long after the component was called; copied. */
  grevy_text plugin;    /* its id */
  grevy_text component; /* its name */
} grevy_kernel;

/* What the host gives for GREVY_KERNEL_EXTENSION; constant until the process ends. */
typedef struct grevy_kernels {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Runs kernel->forward once and gives the outputs, with kernel->backward as their history
   * where an input requires gradients; outputs of integers or booleans are no results of the
   * history. Inputs must be on one device; what is not contiguous is copied. outputs: those to
   * return, a slot of `results` each; kept: what backward needs as well, freed with the graph. The
   * context is the host's from the call on, also when it fails, unless the struct does not reach to
   * destroy. Errors: INVALID_VALUE (no input, devices, sizes), INVALID_TYPE, and what forward
   * reports. */
  int32_t (*run)(const grevy_kernel* kernel, grevy_tensor* const* inputs, uint64_t input_count,
                 const grevy_buffer* outputs, uint64_t output_count, const grevy_buffer* kept,
                 uint64_t kept_count, grevy_tensor** results, const grevy_error_sink* errors);
} grevy_kernels;

#ifdef __cplusplus
}
#endif

#endif
