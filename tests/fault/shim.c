/* Counts the libc calls that change something below a directory, and at the k-th kills the process before the call, or
 * lets it fail with an errno. Loaded with LD_PRELOAD; armed by `fault_arm` (ctypes finds it in the process itself).
 *
 *   FAULT_ROOT   calls on paths below it count; others are logged as "outside"
 *   fault_arm(k, code, mode, log)
 *       k     the call that is hit, from 1; 0: only count
 *       code  0: SIGKILL before the call; else the errno it fails with
 *       mode  ONCE: that call only; STICKY: it and all after it; ALLOCATING: those of them that need new blocks;
 *             LINKS: those of them that make a hard link; SHORT: no fault, but write() takes half of what it is given
 *       log   a file to which one line a call is appended (number, call, path, tab, what else it was given), or NULL
 *   fault_count()  calls so far
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, STICKY, ALLOCATING, LINKS, SHORT };

static long count, at;
static int code, mode, armed, log_fd = -1;

long fault_count(void) { return count; }

void fault_arm(long k, int with, int how, const char *log) {
  at = k, code = with, mode = how, count = 0;
  if (log_fd >= 0) syscall(SYS_close, log_fd);
  log_fd = log ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  armed = 1;
}

static void name_of(int fd, char *out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long n = fd == AT_FDCWD ? syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/cwd", out, PATH_MAX - 1)
                          : syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
  out[n > 0 ? n : 0] = 0;
}

/* What else a call was given: the source of a rename or link, a symlink's text, a mode, the size of a write. */
static __thread char also[2 * PATH_MAX]; /* commands have threads */

static int also_text(const char *text) { snprintf(also, sizeof also, "%s", text); return 0; }
static int also_number(long number) { snprintf(also, sizeof also, "%ld", number); return 0; }
static int also_path(int fd, const char *path) {
  static __thread char base[PATH_MAX];
  if (path[0] == '/') return also_text(path);
  name_of(fd, base);
  snprintf(also, sizeof also, "%s/%s", base, path);
  return 0;
}

/* 1: the call is to fail (errno is set); 0: it is to be made. */
static int hit(const char *call, int allocates, int fd, const char *path) {
  static __thread char full[2 * PATH_MAX];
  const char *root = getenv("FAULT_ROOT");
  int saved = errno;
  if (!armed || !root) { also[0] = 0; return 0; }
  if (path && path[0] == '/') {
    snprintf(full, sizeof full, "%s", path);
  } else {
    name_of(fd, full);
    if (path) {
      size_t n = strlen(full);
      snprintf(full + n, sizeof full - n, "/%s", path);
    }
  }
  errno = saved;
  size_t length = strlen(root);
  int inside = !strncmp(full, root, length) && (full[length] == '/' || !full[length]);
  if (!inside && (full[0] != '/' || !strncmp(full, "/dev/", 5) || !strncmp(full, "/proc/", 6))) {
    if (strncmp(full, "/dev/shm/", 9)) { also[0] = 0; return 0; } /* pipes, terminals */
  }
  long mine = inside ? __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) : 0;
  if (log_fd >= 0) {
    static __thread char text[4 * PATH_MAX + 64];
    int n = inside ? snprintf(text, sizeof text, "%ld %s %s\t%s\n", mine, call, full, also)
                   : snprintf(text, sizeof text, "outside %s %s\t%s\n", call, full, also);
    syscall(SYS_write, log_fd, text, n);
  }
  also[0] = 0;
  if (!inside || !at || mode == SHORT) return 0;
  int now = mode == ONCE ? mine == at : mine >= at && (mode == STICKY || (mode == LINKS ? !strncmp(call, "link", 4) : allocates));
  if (!now) return 0;
  if (!code) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
  errno = code;
  return 1;
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITES(flags) (((flags) & (O_CREAT | O_TRUNC)) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE)
#define MODE(flags) \
  mode_t m = 0; \
  if (WRITES(flags)) { va_list a; va_start(a, flags); m = va_arg(a, mode_t); va_end(a); }

#define OPEN(name) \
  int name(const char *p, int flags, ...) { \
    REAL(name); MODE(flags); \
    if (WRITES(flags) && hit(#name, 1, AT_FDCWD, p)) return -1; \
    return real(p, flags, m); }
#define OPENAT(name) \
  int name(int d, const char *p, int flags, ...) { \
    REAL(name); MODE(flags); \
    if (WRITES(flags) && hit(#name, 1, d, p)) return -1; \
    return real(d, p, flags, m); }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

#define CALL(type, name, allocates, fd, path, params, args) \
  type name params { REAL(name); if (hit(#name, allocates, fd, path)) return -1; return real args; }

CALL(int, creat, 1, AT_FDCWD, p, (const char *p, mode_t m), (p, m))
CALL(int, creat64, 1, AT_FDCWD, p, (const char *p, mode_t m), (p, m))

ssize_t write(int fd, const void *data, size_t n) {
  REAL(write);
  if (hit("write", also_number(n) + 1, fd, 0)) return -1;
  if (armed && mode == SHORT && n > 1) {
    char path[PATH_MAX];
    const char *root = getenv("FAULT_ROOT");
    name_of(fd, path);
    if (root && !strncmp(path, root, strlen(root))) n = 1 + n / 2;
  }
  return real(fd, data, n);
}
CALL(ssize_t, pwrite, 1, fd, 0, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
CALL(ssize_t, pwrite64, 1, fd, 0, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
CALL(ssize_t, writev, 1, fd, 0, (int fd, const struct iovec *v, int n), (fd, v, n))
CALL(ssize_t, pwritev, 1, fd, 0, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
CALL(ssize_t, pwritev64, 1, fd, 0, (int fd, const struct iovec *v, int n, off64_t o), (fd, v, n, o))
ssize_t sendfile(int, int, off_t *, size_t);
ssize_t sendfile64(int, int, off64_t *, size_t);
CALL(ssize_t, sendfile, 1, out, 0, (int out, int in, off_t *o, size_t n), (out, in, o, n))
CALL(ssize_t, sendfile64, 1, out, 0, (int out, int in, off64_t *o, size_t n), (out, in, o, n))
CALL(ssize_t, copy_file_range, 1, out, 0,
     (int in, off64_t *i, int out, off64_t *o, size_t n, unsigned f), (in, i, out, o, n, f))
CALL(ssize_t, splice, 1, out, 0, (int in, off64_t *i, int out, off64_t *o, size_t n, unsigned f), (in, i, out, o, n, f))

int ioctl(int fd, unsigned long request, ...) {
  va_list a;
  REAL(ioctl);
  va_start(a, request);
  void *argument = va_arg(a, void *);
  va_end(a);
  if (request == FICLONERANGE && hit("ioctl", 1, fd, 0)) return -1;
  return real(fd, request, argument);
}

CALL(int, ftruncate, 1, fd, 0, (int fd, off_t n), (fd, n))
CALL(int, ftruncate64, 1, fd, 0, (int fd, off64_t n), (fd, n))
CALL(int, truncate, 1, AT_FDCWD, p, (const char *p, off_t n), (p, n))
CALL(int, truncate64, 1, AT_FDCWD, p, (const char *p, off64_t n), (p, n))
CALL(int, fallocate, 1, fd, 0, (int fd, int m, off_t o, off_t n), (fd, m, o, n))
CALL(int, fallocate64, 1, fd, 0, (int fd, int m, off64_t o, off64_t n), (fd, m, o, n))

CALL(int, rename, also_path(AT_FDCWD, a), AT_FDCWD, b, (const char *a, const char *b), (a, b))
CALL(int, renameat, also_path(d, a), e, b, (int d, const char *a, int e, const char *b), (d, a, e, b))
CALL(int, renameat2, also_path(d, a), e, b, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f))
CALL(int, link, also_path(AT_FDCWD, a) + 1, AT_FDCWD, b, (const char *a, const char *b), (a, b))
CALL(int, linkat, also_path(d, a) + 1, e, b, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
CALL(int, symlink, also_text(t) + 1, AT_FDCWD, p, (const char *t, const char *p), (t, p))
CALL(int, symlinkat, also_text(t) + 1, d, p, (const char *t, int d, const char *p), (t, d, p))
CALL(int, unlink, 0, AT_FDCWD, p, (const char *p), (p))
CALL(int, unlinkat, also_number(f), d, p, (int d, const char *p, int f), (d, p, f))
CALL(int, rmdir, 0, AT_FDCWD, p, (const char *p), (p))
CALL(int, remove, 0, AT_FDCWD, p, (const char *p), (p))
CALL(int, mkdir, also_number(m) + 1, AT_FDCWD, p, (const char *p, mode_t m), (p, m))
CALL(int, mkdirat, also_number(m) + 1, d, p, (int d, const char *p, mode_t m), (d, p, m))
CALL(int, mkfifo, 1, AT_FDCWD, p, (const char *p, mode_t m), (p, m))
CALL(int, mknod, 1, AT_FDCWD, p, (const char *p, mode_t m, dev_t v), (p, m, v))

CALL(int, chmod, also_number(m), AT_FDCWD, p, (const char *p, mode_t m), (p, m))
CALL(int, fchmod, also_number(m), fd, 0, (int fd, mode_t m), (fd, m))
CALL(int, fchmodat, also_number(m), d, p, (int d, const char *p, mode_t m, int f), (d, p, m, f))
CALL(int, chown, 0, AT_FDCWD, p, (const char *p, uid_t u, gid_t g), (p, u, g))
CALL(int, lchown, 0, AT_FDCWD, p, (const char *p, uid_t u, gid_t g), (p, u, g))
CALL(int, fchown, 0, fd, 0, (int fd, uid_t u, gid_t g), (fd, u, g))
CALL(int, fchownat, 0, d, p, (int d, const char *p, uid_t u, gid_t g, int f), (d, p, u, g, f))
CALL(int, utimensat, 0, d, p, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f))
CALL(int, futimens, 0, fd, 0, (int fd, const struct timespec t[2]), (fd, t))
CALL(int, utimes, 0, AT_FDCWD, p, (const char *p, const struct timeval t[2]), (p, t))

/* These change nothing, but they fail, and what follows them counts on it that they did not. */
CALL(int, fsync, 0, fd, 0, (int fd), (fd))
CALL(int, fdatasync, 0, fd, 0, (int fd), (fd))
CALL(int, syncfs, 0, fd, 0, (int fd), (fd))
CALL(int, flock, 0, fd, 0, (int fd, int op), (fd, op))
