/* Calls on files under one folder, counted, and one of them made to fail, torn, or the process's
 * last. Linked before libc, or loaded with LD_PRELOAD; what it does is read from the environment
 * when the process starts and by faults_begin():
 *
 *   GREVY_FAULT_FOLDER  absolute, without links: calls on it and in it count; unset: none do
 *   GREVY_FAULT_CALLS   which count, of open (for writing), write, sync, rename (and link),
 *                       unlink, mkdir, truncate, close (of what was opened for writing), lock;
 *                       unset: all but lock
 *   GREVY_FAULT_AT      the call that is met, from 1; unset: none, calls are only counted
 *   GREVY_FAULT_ACTION  fail: it fails
 *                       tear: a write takes half, and the next call that counts fails
 *                       short: a write takes half
 *                       kill: SIGKILL before the call
 *                       kill-torn: SIGKILL after half a write
 *                       stop: SIGSTOP before the call, which is made after SIGCONT
 *   GREVY_FAULT_ERROR   ENOSPC, EIO, EDQUOT, EROFS, ENOLCK, EOPNOTSUPP: what errno is then
 *   GREVY_FAULT_LASTS   1: all calls that count fail from there on
 *   GREVY_FAULT_RECORD  a file that gets a line "KIND PATH [PATH]" for each call
 *   GREVY_FAULT_SIGNAL  a number, sent to the process some time after its first call that counts
 *   GREVY_FAULT_DELAY   after how many microseconds
 *   GREVY_FAULT_INTERVAL  and again every so many microseconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN, WRITE, SYNC, RENAME, UNLINK, MKDIR, TRUNCATE, CLOSE, LOCK, NUM_KINDS };
static const char* const kind_names[NUM_KINDS] = {"open",  "write",    "sync",  "rename", "unlink",
                                                  "mkdir", "truncate", "close", "lock"};

enum action { FAIL, TEAR, SHORT, KILL, KILL_TORN, STOP, NUM_ACTIONS };
static const char* const action_names[NUM_ACTIONS] = {"fail", "tear",      "short",
                                                      "kill", "kill-torn", "stop"};

enum verdict { PASS, FAILS, HALF };

enum { MAX_DESCRIPTORS = 4096 };

static struct {
  char folder[PATH_MAX];
  size_t length; /* of folder; 0: nothing counts */
  bool counts[NUM_KINDS];
  long at;
  enum action action;
  int error;
  bool lasts;
  int record;
} plan;
static atomic_long num_calls;
/* Of descriptors: 1 opened on something in the folder, 2 and for writing. */
static atomic_char opened[MAX_DESCRIPTORS];

/* ---- The plan ----------------------------------------------------------------------------------
 */

static const char* setting(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value && *value ? value : otherwise;
}

static int error_of(const char* name) {
  static const struct {
    const char* name;
    int number;
  } errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT},
                {"EROFS", EROFS},   {"ENOLCK", ENOLCK}, {"EOPNOTSUPP", EOPNOTSUPP}};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; ++i)
    if (strcmp(name, errors[i].name) == 0) return errors[i].number;
  return EIO;
}

static enum action action_of(const char* name) {
  for (int i = 0; i < NUM_ACTIONS; ++i)
    if (strcmp(name, action_names[i]) == 0) return (enum action)i;
  return FAIL;
}

static void choose_kinds(const char* names) {
  char list[256];
  snprintf(list, sizeof list, ",%s,", names);
  for (int i = 0; i < NUM_KINDS; ++i) {
    char name[32];
    snprintf(name, sizeof name, ",%s,", kind_names[i]);
    plan.counts[i] = *names ? strstr(list, name) != NULL : i != LOCK;
  }
}

/* Reads the environment again and counts from nothing. */
void faults_begin(void) {
  plan.length = 0;
  plan.at = atol(setting("GREVY_FAULT_AT", "0"));
  plan.action = action_of(setting("GREVY_FAULT_ACTION", "fail"));
  plan.error = error_of(setting("GREVY_FAULT_ERROR", "EIO"));
  plan.lasts = *setting("GREVY_FAULT_LASTS", "0") == '1';
  choose_kinds(setting("GREVY_FAULT_CALLS", ""));
  const char* record = setting("GREVY_FAULT_RECORD", NULL);
  plan.record = record ? (int)syscall(SYS_openat, AT_FDCWD, record,
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)
                       : -1;
  atomic_store(&num_calls, 0);
  snprintf(plan.folder, sizeof plan.folder, "%s", setting("GREVY_FAULT_FOLDER", ""));
  plan.length = strlen(plan.folder);
}

__attribute__((constructor)) static void begin(void) { faults_begin(); }

/* ---- Which call it is --------------------------------------------------------------------------
 */

/* The absolute path of a file named relative to an open folder; links are not followed. */
static void resolve(int folder, const char* path, char* result) {
  char start[PATH_MAX] = "";
  int held = -1, used = 0;
  if (sscanf(path, "/proc/thread-self/fd/%d%n", &held, &used) == 1 &&
      (path[used] == '/' || !path[used])) {
    folder = held;
    path += path[used] ? used + 1 : used;
  }
  if (*path == '/') {
    snprintf(result, PATH_MAX, "%s", path);
    return;
  }
  if (folder == AT_FDCWD) {
    if (syscall(SYS_getcwd, start, sizeof start) < 0) *start = 0;
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", folder);
    const ssize_t length = readlink(link, start, sizeof start - 1);
    start[length > 0 ? length : 0] = 0;
  }
  const size_t length = strlen(start);
  memcpy(result, start, length);
  snprintf(result + length, PATH_MAX - length, *path ? "/%s" : "%s", path);
}

static bool is_inside(const char* path) {
  if (plan.length == 0 || strncmp(path, plan.folder, plan.length) != 0) return false;
  return path[plan.length] == 0 || path[plan.length] == '/';
}

static bool is_opened(int descriptor, int how) {
  return plan.length > 0 && descriptor >= 0 && descriptor < MAX_DESCRIPTORS &&
         atomic_load(&opened[descriptor]) >= how;
}

static void remember(int descriptor, const char* path, bool for_writing) {
  if (descriptor < 0 || descriptor >= MAX_DESCRIPTORS) return;
  atomic_store(&opened[descriptor], (char)(is_inside(path) ? 1 + for_writing : 0));
}

/* ---- What happens to it ------------------------------------------------------------------------
 */

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static const char* inner(const char* path) {
  const char* rest = path + plan.length;
  return is_inside(path) && *rest == '/' ? rest + 1 : ".";
}

static void record(enum kind kind, const char* path, const char* other) {
  if (plan.record < 0) return;
  char line[2 * PATH_MAX];
  const int length = snprintf(line, sizeof line, other ? "%s %s %s\n" : "%s %s\n", kind_names[kind],
                              inner(path), other ? inner(other) : "");
  syscall(SYS_write, plan.record, line, (size_t)length);
}

static void start_timer(void) {
  const int number = atoi(setting("GREVY_FAULT_SIGNAL", "0"));
  if (number == 0) return;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
  const long delay = atol(setting("GREVY_FAULT_DELAY", "1"));
  const long interval = atol(setting("GREVY_FAULT_INTERVAL", "0"));
  const struct itimerspec times = {{interval / 1000000, interval % 1000000 * 1000},
                                   {delay / 1000000, delay % 1000000 * 1000}};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &times, NULL))
    abort();
}

static enum verdict fails(void) {
  errno = plan.error;
  return FAILS;
}

static enum verdict meet(enum kind kind) {
  switch (plan.action) {
    case TEAR:
    case SHORT:
      return kind == WRITE ? HALF : fails();
    case KILL:
      die();
      return PASS;
    case KILL_TORN:
      if (kind != WRITE) die();
      return HALF;
    case STOP:
      kill(getpid(), SIGSTOP);
      return PASS;
    default:
      return fails();
  }
}

/* `other`: where a rename or a link goes to. */
static enum verdict judge(enum kind kind, const char* path, const char* other) {
  if (!is_inside(path) && !(other && is_inside(other))) return PASS;
  if (!plan.counts[kind]) return PASS;
  const long number = atomic_fetch_add(&num_calls, 1) + 1;
  record(kind, path, other);
  if (number == 1) start_timer();
  if (plan.at == 0 || number < plan.at) return PASS;
  if (number == plan.at) return meet(kind);
  const bool torn = plan.action == TEAR && number == plan.at + 1;
  return torn || plan.lasts ? fails() : PASS;
}

static enum verdict judge_at(enum kind kind, int folder, const char* path) {
  if (plan.length == 0) return PASS;
  char whole[PATH_MAX];
  resolve(folder, path, whole);
  return judge(kind, whole, NULL);
}

/* For calls on descriptors that were opened at least `how`. */
static enum verdict judge_opened(enum kind kind, int descriptor, int how) {
  return is_opened(descriptor, how) ? judge_at(kind, descriptor, "") : PASS;
}

/* ---- The calls ---------------------------------------------------------------------------------
 */

static bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; }

static int open_at(int folder, const char* path, int flags, mode_t mode) {
  if (writes(flags) && judge_at(OPEN, folder, path) != PASS) return -1;
  const int descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
  if (plan.length > 0) {
    char whole[PATH_MAX];
    resolve(folder, path, whole);
    remember(descriptor, whole, writes(flags));
  }
  return descriptor;
}

static mode_t mode_of(int flags, va_list list) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define DEFINE_OPEN(name)                        \
  int name(const char* path, int flags, ...) {   \
    va_list list;                                \
    va_start(list, flags);                       \
    const mode_t mode = mode_of(flags, list);    \
    va_end(list);                                \
    return open_at(AT_FDCWD, path, flags, mode); \
  }
#define DEFINE_OPENAT(name)                                \
  int name(int folder, const char* path, int flags, ...) { \
    va_list list;                                          \
    va_start(list, flags);                                 \
    const mode_t mode = mode_of(flags, list);              \
    va_end(list);                                          \
    return open_at(folder, path, flags, mode);             \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* What std::ofstream opens with. */
static FILE* stream_open(const char* name, const char* path, const char* mode) {
  const bool for_writing = strpbrk(mode, "wa+") != NULL;
  if (for_writing && judge_at(OPEN, AT_FDCWD, path) != PASS) return NULL;
  FILE* (*next)(const char*, const char*);
  *(void**)&next = dlsym(RTLD_NEXT, name);
  FILE* stream = next(path, mode);
  if (stream && plan.length > 0) {
    char whole[PATH_MAX];
    resolve(AT_FDCWD, path, whole);
    remember(fileno(stream), whole, for_writing);
  }
  return stream;
}
FILE* fopen(const char* path, const char* mode) { return stream_open("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return stream_open("fopen64", path, mode); }

static ssize_t write_half(int descriptor, const void* data, size_t size, off_t offset) {
  if (size / 2 == 0) {
    if (plan.action == KILL_TORN) die();
    return fails(), -1;
  }
  const ssize_t written = offset < 0
                              ? (ssize_t)syscall(SYS_write, descriptor, data, size / 2)
                              : (ssize_t)syscall(SYS_pwrite64, descriptor, data, size / 2, offset);
  if (plan.action == KILL_TORN) die();
  return written;
}

ssize_t write(int descriptor, const void* data, size_t size) {
  const enum verdict verdict = judge_opened(WRITE, descriptor, 2);
  if (verdict == FAILS) return -1;
  if (verdict == HALF) return write_half(descriptor, data, size, -1);
  return syscall(SYS_write, descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  const enum verdict verdict = judge_opened(WRITE, descriptor, 2);
  if (verdict == FAILS) return -1;
  if (verdict == HALF) return write_half(descriptor, parts[0].iov_base, parts[0].iov_len, -1);
  return syscall(SYS_writev, descriptor, parts, count);
}

static ssize_t write_at(int descriptor, const void* data, size_t size, off_t offset) {
  const enum verdict verdict = judge_opened(WRITE, descriptor, 2);
  if (verdict == FAILS) return -1;
  if (verdict == HALF) return write_half(descriptor, data, size, offset);
  return syscall(SYS_pwrite64, descriptor, data, size, offset);
}
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  return write_at(descriptor, data, size, offset);
}
ssize_t pwrite64(int descriptor, const void* data, size_t size, off64_t offset) {
  return write_at(descriptor, data, size, offset);
}

int fsync(int descriptor) {
  if (judge_opened(SYNC, descriptor, 1) != PASS) return -1;
  return (int)syscall(SYS_fsync, descriptor);
}
int fdatasync(int descriptor) {
  if (judge_opened(SYNC, descriptor, 1) != PASS) return -1;
  return (int)syscall(SYS_fdatasync, descriptor);
}

static int truncate_to(int descriptor, off_t size) {
  if (judge_opened(TRUNCATE, descriptor, 2) != PASS) return -1;
  return (int)syscall(SYS_ftruncate, descriptor, size);
}
int ftruncate(int descriptor, off_t size) { return truncate_to(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return truncate_to(descriptor, size); }

/* A file whose closing fails is closed all the same. */
int close(int descriptor) {
  const enum verdict verdict = judge_opened(CLOSE, descriptor, 2);
  if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS) atomic_store(&opened[descriptor], 0);
  const int result = (int)syscall(SYS_close, descriptor);
  if (verdict == PASS) return result;
  errno = plan.error;
  return -1;
}

int fclose(FILE* stream) {
  const int descriptor = fileno(stream);
  const enum verdict verdict = judge_opened(CLOSE, descriptor, 2);
  if (descriptor >= 0 && descriptor < MAX_DESCRIPTORS) atomic_store(&opened[descriptor], 0);
  int (*next)(FILE*);
  *(void**)&next = dlsym(RTLD_NEXT, "fclose");
  const int result = next(stream);
  if (verdict == PASS) return result;
  errno = plan.error;
  return EOF;
}

/* Renames and links: whatever comes to be under another name. */
static enum verdict judge_pair(int from, const char* old, int to, const char* new) {
  if (plan.length == 0) return PASS;
  char source[PATH_MAX], target[PATH_MAX];
  resolve(from, old, source);
  resolve(to, new, target);
  return judge(RENAME, source, target);
}

int renameat2(int from, const char* old, int to, const char* new, unsigned flags) {
  if (judge_pair(from, old, to, new) != PASS) return -1;
  return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}
int renameat(int from, const char* old, int to, const char* new) {
  return renameat2(from, old, to, new, 0);
}
int rename(const char* old, const char* new) { return renameat(AT_FDCWD, old, AT_FDCWD, new); }
int linkat(int from, const char* old, int to, const char* new, int flags) {
  if (judge_pair(from, old, to, new) != PASS) return -1;
  return (int)syscall(SYS_linkat, from, old, to, new, flags);
}
int link(const char* old, const char* new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int folder, const char* path, int flags) {
  if (judge_at(UNLINK, folder, path) != PASS) return -1;
  return (int)syscall(SYS_unlinkat, folder, path, flags);
}
int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
/* What std::filesystem::remove calls. */
int remove(const char* path) {
  if (judge_at(UNLINK, AT_FDCWD, path) != PASS) return -1;
  const int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (result == 0 || errno != EISDIR) return result;
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int flock(int descriptor, int operation) {
  if (judge_opened(LOCK, descriptor, 1) != PASS) return -1;
  return (int)syscall(SYS_flock, descriptor, operation);
}

int mkdirat(int folder, const char* path, mode_t mode) {
  if (judge_at(MKDIR, folder, path) != PASS) return -1;
  return (int)syscall(SYS_mkdirat, folder, path, mode);
}
int mkdir(const char* path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
