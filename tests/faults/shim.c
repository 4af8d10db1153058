/* Makes chosen system calls fail in the processes that load it (LD_PRELOAD), and in all that these start.
 *
 * FAULTS_RULES names a file that all of them map: struct rule[RULES] below, written by failing.py. So a rule acts at
 * once in processes that run already, and its counts are of all processes together. Without the file nothing fails.
 * Calls that glibc makes inside itself are not seen (calls.h), but for those of readdir. */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <sys/statvfs.h>
#include "calls.h"

enum { RULES = 16, CALLS = 128, TEXT = 512 };
enum mode { FAIL = 0, HANG = 1, SHORT = 2, KILL = 3, FAIL_DONE = 4, EMPTY = 5 };

struct rule { /* 680 bytes: 3 × int32, padding, 3 × int64, 2 texts. failing.py packs the same. */
    _Atomic int32_t active;
    int32_t mode, error, unused;
    int64_t after, times;           /* the first AFTER calls pass, then TIMES calls fail (-1: all) */
    _Atomic int64_t seen;           /* calls that fit */
    char calls[CALLS], path[TEXT];  /* " read pread " with spaces around each; a part of the path */
};

static struct rule *rules;

/* Called again by copies of a process (tests/support/prepared.py), with an environment of their own. */
__attribute__((constructor)) void read_environment(void) {
    const char *name = getenv("FAULTS_RULES");
    int fd = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof(struct rule) * RULES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found != MAP_FAILED) rules = found;
}

static int is_any_active(void) {
    if (!rules) return 0;
    for (int n = 0; n < RULES; n++)
        if (atomic_load(&rules[n].active)) return 1;
    return 0;
}

/* The path of NAME below the directory FD, as text: links and dots stay. */
static void path_at(int fd, const char *name, char *out) {
    out[0] = 0;
    if (!name) name = "";
    if (name[0] != '/') {
        if (fd != AT_FDCWD) path_of(fd, out);
        else if (syscall(SYS_getcwd, out, PATH_MAX) < 0) out[0] = 0;
        if (name[0]) strncat(out, "/", PATH_MAX * 2 - strlen(out) - 1);
    }
    strncat(out, name, PATH_MAX * 2 - strlen(out) - 1);
}

/* The mode of the rule that says this call fails, with errno set; -1 where it does not. */
static int judge(const char *call, const char *path, const char *other) {
    char word[40];
    snprintf(word, sizeof word, " %s ", call);
    for (int n = 0; n < RULES; n++) {
        struct rule *rule = &rules[n];
        if (!atomic_load(&rule->active) || !strstr(rule->calls, word)) continue;
        if (!strstr(path, rule->path) && !(other && strstr(other, rule->path))) continue;
        int64_t number = atomic_fetch_add(&rule->seen, 1);
        if (number < rule->after || (rule->times >= 0 && number >= rule->after + rule->times)) continue;
        if (rule->mode == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        if (rule->mode == HANG) {
            while (atomic_load(&rule->active)) pause_shortly(10 * 1000);
            continue;
        }
        if (rule->mode == FAIL || rule->mode == FAIL_DONE) errno = rule->error;
        return rule->mode;
    }
    return -1;
}

static int fd_fails(const char *call, int fd) {
    char path[PATH_MAX * 2];
    if (!is_any_active()) return -1;
    int before = errno;
    path_of(fd, path);
    errno = before;
    return judge(call, path, NULL);
}

static int at_fails(const char *call, int fd, const char *name, int fd2, const char *name2) {
    char path[PATH_MAX * 2], other[PATH_MAX * 2];
    if (!is_any_active()) return -1;
    int before = errno;
    path_at(fd, name, path);
    if (name2) path_at(fd2, name2, other);
    errno = before;
    return judge(call, path, name2 ? other : NULL);
}

static size_t halve(size_t count) { return count > 1 ? count / 2 : count; }

/* Runs ACT unless it is to fail. FAIL_DONE: it happens and an error is reported all the same. */
#define GUARD(mode, type, act) do { int mode_ = (mode); \
    if (mode_ == FAIL) return (type)-1; \
    if (mode_ == FAIL_DONE) { int error_ = errno; (void)(act); errno = error_; return (type)-1; } \
    return (act); } while (0)
#define GUARD_SHORT(mode, act, half) do { int short_ = (mode); \
    if (short_ == SHORT) return (half); \
    if (short_ == EMPTY) return 0; \
    GUARD(short_, ssize_t, act); } while (0)

/* Reading and writing */
ssize_t read(int fd, void *b, size_t n) { REAL(read); GUARD_SHORT(fd_fails("read", fd), real(fd, b, n), real(fd, b, halve(n))); }
#define PREAD(name, off) ssize_t name(int fd, void *b, size_t n, off o) { \
    REAL(name); GUARD_SHORT(fd_fails("read", fd), real(fd, b, n, o), real(fd, b, halve(n), o)); }
PREAD(pread, off_t)
PREAD(pread64, off64_t)
ssize_t write(int fd, const void *b, size_t n) { REAL(write); GUARD_SHORT(fd_fails("write", fd), real(fd, b, n), real(fd, b, halve(n))); }
#define PWRITE(name, off) ssize_t name(int fd, const void *b, size_t n, off o) { \
    REAL(name); GUARD_SHORT(fd_fails("write", fd), real(fd, b, n, o), real(fd, b, halve(n), o)); }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
/* Short: half of the first buffer alone. */
static struct iovec halve_first(const struct iovec *v) { struct iovec h = *v; h.iov_len = halve(h.iov_len); return h; }
#define VECTOR(name, call) ssize_t name(int fd, const struct iovec *v, int n) { REAL(name); struct iovec h = n ? halve_first(v) : (struct iovec){0}; \
    GUARD_SHORT(fd_fails(call, fd), real(fd, v, n), real(fd, &h, 1)); }
VECTOR(readv, "read")
VECTOR(writev, "write")
#define PVECTOR(name, call, off) ssize_t name(int fd, const struct iovec *v, int n, off o) { REAL(name); struct iovec h = n ? halve_first(v) : (struct iovec){0}; \
    GUARD_SHORT(fd_fails(call, fd), real(fd, v, n, o), real(fd, &h, 1, o)); }
PVECTOR(preadv, "read", off_t)
PVECTOR(preadv64, "read", off64_t)
PVECTOR(pwritev, "write", off_t)
PVECTOR(pwritev64, "write", off64_t)
#define PVECTOR2(name, call, off) ssize_t name(int fd, const struct iovec *v, int n, off o, int f) { REAL(name); struct iovec h = n ? halve_first(v) : (struct iovec){0}; \
    GUARD_SHORT(fd_fails(call, fd), real(fd, v, n, o, f), real(fd, &h, 1, o, f)); }
PVECTOR2(preadv2, "read", off_t)
PVECTOR2(preadv64v2, "read", off64_t)
PVECTOR2(pwritev2, "write", off_t)
PVECTOR2(pwritev64v2, "write", off64_t)
ssize_t copy_file_range(int in, off64_t *io, int out, off64_t *oo, size_t n, unsigned f) {
    REAL(copy_file_range);
    int mode = fd_fails("copy_file_range", in);
    if (mode < 0) mode = fd_fails("copy_file_range", out);
    GUARD_SHORT(mode, real(in, io, out, oo, n, f), real(in, io, out, oo, halve(n), f));
}

/* Durability and room */
int fsync(int fd) { REAL(fsync); GUARD(fd_fails("fsync", fd), int, real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); GUARD(fd_fails("fdatasync", fd), int, real(fd)); }
int syncfs(int fd) { REAL(syncfs); GUARD(fd_fails("syncfs", fd), int, real(fd)); }
int sync_file_range(int fd, off64_t o, off64_t n, unsigned f) { REAL(sync_file_range); GUARD(fd_fails("sync_file_range", fd), int, real(fd, o, n, f)); }
#define LENGTHEN(name, off) int name(int fd, off n) { REAL(name); GUARD(fd_fails("truncate", fd), int, real(fd, n)); }
LENGTHEN(ftruncate, off_t)
LENGTHEN(ftruncate64, off64_t)
#define ALLOCATE(name, off) int name(int fd, int m, off o, off n) { REAL(name); GUARD(fd_fails("fallocate", fd), int, real(fd, m, o, n)); }
ALLOCATE(fallocate, off_t)
ALLOCATE(fallocate64, off64_t)
#define ALLOCATE_POSIX(name, off) int name(int fd, off o, off n) { REAL(name); return fd_fails("fallocate", fd) == FAIL ? errno : real(fd, o, n); }
ALLOCATE_POSIX(posix_fallocate, off_t)
ALLOCATE_POSIX(posix_fallocate64, off64_t)

/* Opening */
#define OPEN(name) int name(const char *p, int flags, ...) { REAL(name); va_list a; va_start(a, flags); mode_t m = mode_of(flags, a); va_end(a); \
    GUARD(at_fails("open", AT_FDCWD, p, 0, NULL), int, real(p, flags, m)); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int d, const char *p, int flags, ...) { REAL(name); va_list a; va_start(a, flags); mode_t m = mode_of(flags, a); va_end(a); \
    GUARD(at_fails("open", d, p, 0, NULL), int, real(d, p, flags, m)); }
OPENAT(openat)
OPENAT(openat64)
long syscall(long number, ...) { /* openat2 has no function in glibc */
    REAL(syscall);
    long a[6];
    va_list args;
    va_start(args, number);
    for (int n = 0; n < 6; n++) a[n] = va_arg(args, long);
    va_end(args);
    if (!real) { errno = ENOSYS; return -1; }
    if (number == SYS_openat2 && at_fails("open", (int)a[0], (const char *)a[1], 0, NULL) == FAIL) return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
DIR *opendir(const char *p) { REAL(opendir); if (at_fails("readdir", AT_FDCWD, p, 0, NULL) == FAIL) return NULL; return real(p); }
#define READDIR(name, entry) struct entry *name(DIR *d) { REAL(name); if (fd_fails("readdir", dirfd(d)) == FAIL) return NULL; return real(d); }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

/* Names */
int unlink(const char *p) { REAL(unlink); GUARD(at_fails("unlink", AT_FDCWD, p, 0, NULL), int, real(p)); }
int unlinkat(int d, const char *p, int f) { REAL(unlinkat); GUARD(at_fails(f & AT_REMOVEDIR ? "rmdir" : "unlink", d, p, 0, NULL), int, real(d, p, f)); }
int rmdir(const char *p) { REAL(rmdir); GUARD(at_fails("rmdir", AT_FDCWD, p, 0, NULL), int, real(p)); }
int rename(const char *p, const char *q) { REAL(rename); GUARD(at_fails("rename", AT_FDCWD, p, AT_FDCWD, q), int, real(p, q)); }
int renameat(int d, const char *p, int e, const char *q) { REAL(renameat); GUARD(at_fails("rename", d, p, e, q), int, real(d, p, e, q)); }
int renameat2(int d, const char *p, int e, const char *q, unsigned f) { REAL(renameat2); GUARD(at_fails("rename", d, p, e, q), int, real(d, p, e, q, f)); }
int link(const char *p, const char *q) { REAL(link); GUARD(at_fails("link", AT_FDCWD, p, AT_FDCWD, q), int, real(p, q)); }
int linkat(int d, const char *p, int e, const char *q, int f) { REAL(linkat); GUARD(at_fails("link", d, p, e, q), int, real(d, p, e, q, f)); }
int mkdir(const char *p, mode_t m) { REAL(mkdir); GUARD(at_fails("mkdir", AT_FDCWD, p, 0, NULL), int, real(p, m)); }
int mkdirat(int d, const char *p, mode_t m) { REAL(mkdirat); GUARD(at_fails("mkdir", d, p, 0, NULL), int, real(d, p, m)); }

/* Looking */
#define STAT(name, type) int name(const char *p, struct type *s) { REAL(name); GUARD(at_fails("stat", AT_FDCWD, p, 0, NULL), int, real(p, s)); }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)
#define FSTAT(name, type) int name(int fd, struct type *s) { REAL(name); GUARD(fd_fails("stat", fd), int, real(fd, s)); }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
#define FSTATAT(name, type) int name(int d, const char *p, struct type *s, int f) { REAL(name); GUARD(at_fails("stat", d, p, 0, NULL), int, real(d, p, s, f)); }
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)
int statx(int d, const char *p, int f, unsigned m, struct statx *s) { REAL(statx); GUARD(at_fails("stat", d, p, 0, NULL), int, real(d, p, f, m, s)); }
#define STATVFS(name, type) int name(const char *p, struct type *s) { REAL(name); GUARD(at_fails("statvfs", AT_FDCWD, p, 0, NULL), int, real(p, s)); }
STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)
#define FSTATVFS(name, type) int name(int fd, struct type *s) { REAL(name); GUARD(fd_fails("statvfs", fd), int, real(fd, s)); }
FSTATVFS(fstatvfs, statvfs)
FSTATVFS(fstatvfs64, statvfs64)
