/* Records every change of files below given directories, and every sync, in the processes that load it (LD_PRELOAD) and
 * in all that these start: what a disk was asked to do, in order, and what it has promised to keep.
 *
 * JOURNAL names a file that all of them share: struct control, then from BEGIN on struct record one after the other,
 * each with its texts and its data; journal.py reads them. JOURNAL_ROOTS are the directories, with ':' between them, and
 * JOURNAL_PAUSE how many microseconds a sync takes longer than it would. A change and its record are one step under a
 * lock, so that the order of the records is that of the changes. A sync says which record was the last when it began:
 * it promises nothing of what came later. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/sendfile.h>
#include "calls.h"

enum { BEGIN = 4096, ROOTS = 8 };
enum kind { CREATE = 1, MKDIR, LINK, UNLINK, RMDIR, RENAME, WRITE, TRUNCATE, PUNCH, ALLOCATE, SYNC, SYNCFS, MAP, NOTE, STRANGE };

struct control {
    _Atomic int32_t owner, unused; /* the process that holds the lock */
    _Atomic int64_t count, end;    /* records so far, and where the next one begins */
};

struct record { /* journal.py unpacks the same */
    int64_t kind, root, device, inode, parent, other, offset, length, begin, name_bytes, other_bytes, data_bytes;
};

struct file { int root; struct stat stat; };
struct place { int root, fd; int64_t device, parent; char name[NAME_MAX + 1]; };

static struct control *control;
static int journal = -1, root_count;
static long sync_pause;
static const char *roots[ROOTS];
static atomic_int leaving;

/* Sharing */

int journal_open(const char *path) {
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (journal < 0) return -1;
    void *found = (void *)syscall(SYS_mmap, NULL, BEGIN, PROT_READ | PROT_WRITE, MAP_SHARED, journal, 0);
    if (found == MAP_FAILED) return -1;
    control = found;
    return 0;
}

/* Called again by copies of a process (tests/support/prepared.py), with an environment of their own. */
__attribute__((constructor)) void read_environment(void) {
    char *path = getenv("JOURNAL"), *list = getenv("JOURNAL_ROOTS"), *pause = getenv("JOURNAL_PAUSE");
    if (!path || !list) return;
    list = strdup(list);
    for (char *root = strtok(list, ":"); root && root_count < ROOTS; root = strtok(NULL, ":")) roots[root_count++] = root;
    sync_pause = pause ? atol(pause) : 0;
    journal_open(path);
}

/* Whether the process that holds the lock has ended without giving it back. */
static int has_ended(int process) {
    char path[64], text[256] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    char *state = strrchr(text, ')');
    return state && (state[2] == 'Z' || state[2] == 'X');
}

static void append(struct record *record, const char *name, const char *other, const void *data) {
    static const char nothing[1];
    record->name_bytes = name ? (int64_t)strlen(name) : 0;
    record->other_bytes = other ? (int64_t)strlen(other) : 0;
    struct iovec parts[] = {
        {record, sizeof *record},
        {(void *)(name ? name : nothing), (size_t)record->name_bytes},
        {(void *)(other ? other : nothing), (size_t)record->other_bytes},
        {(void *)(data ? data : nothing), (size_t)record->data_bytes},
    };
    int64_t end = atomic_load(&control->end) ? atomic_load(&control->end) : BEGIN;
    for (size_t n = 0; n < sizeof parts / sizeof *parts; n++)
        for (size_t done = 0; done < parts[n].iov_len;) {
            long more = syscall(SYS_pwrite64, journal, (char *)parts[n].iov_base + done, parts[n].iov_len - done, end);
            if (more <= 0) abort();
            done += (size_t)more;
            end += more;
        }
    atomic_store(&control->end, end);
    atomic_fetch_add(&control->count, 1);
}

void journal_lock(void) {
    int32_t mine = (int32_t)syscall(SYS_getpid);
    for (int tries = 1;; tries++) {
        int32_t owner = 0;
        if (atomic_compare_exchange_strong(&control->owner, &owner, mine)) break;
        if (tries % 1000 == 0 && has_ended(owner) && atomic_compare_exchange_strong(&control->owner, &owner, mine)) {
            append(&(struct record){.kind = STRANGE}, "a process was killed between a change and its record", NULL, NULL);
            break;
        }
        sched_yield();
    }
    if (atomic_load(&leaving)) { /* the process ends: this thread changes nothing more */
        atomic_store(&control->owner, 0);
        for (;;) pause_shortly(100 * 1000);
    }
}

void journal_unlock(void) { atomic_store(&control->owner, 0); }

void journal_note(const void *data, int64_t length) {
    journal_lock();
    append(&(struct record){.kind = NOTE, .data_bytes = length}, NULL, NULL, data);
    journal_unlock();
}

static void leave(int status) {
    if (control) {
        journal_lock();
        atomic_store(&leaving, 1);
        atomic_store(&control->owner, 0);
    }
    for (;;) syscall(SYS_exit_group, status);
}
void _exit(int status) { leave(status); __builtin_unreachable(); }
void _Exit(int status) { leave(status); __builtin_unreachable(); }

/* What is recorded */

/* The number of the longest root that a path lies in, or -1. */
static int root_of(const char *path) {
    int found = -1;
    size_t longest = 0;
    for (int n = 0; n < root_count; n++) {
        size_t length = strlen(roots[n]);
        if (length <= longest || strncmp(path, roots[n], length) || (path[length] && path[length] != '/')) continue;
        found = n;
        longest = length;
    }
    return found;
}

/* Whether a descriptor is that of a regular file below a root, or of a directory too. */
static int find_file(int fd, struct file *out, int directories) {
    char path[PATH_MAX];
    if (!control || !root_count) return 0;
    int before = errno;
    int found = !fstat(fd, &out->stat) && (S_ISREG(out->stat.st_mode) || (directories && S_ISDIR(out->stat.st_mode)));
    if (found) {
        path_of(fd, path);
        out->root = root_of(path);
        found = out->root >= 0;
    }
    errno = before;
    return found;
}

/* The directory that a path leads to, open, and the last name in it; 0 where that lies below no root. */
static int find_place(int directory, const char *path, struct place *out) {
    char above[PATH_MAX], whole[PATH_MAX + NAME_MAX + 2];
    if (!control || !root_count || !path || strlen(path) >= PATH_MAX) return 0;
    int before = errno;
    strcpy(above, path);
    for (size_t last = strlen(above); last > 1 && above[last - 1] == '/'; last--) above[last - 1] = 0;
    char *slash = strrchr(above, '/');
    const char *name = slash ? slash + 1 : above;
    if (strlen(name) > NAME_MAX) return 0;
    memcpy(out->name, name, strlen(name) + 1);
    if (!slash) strcpy(above, ".");
    else if (slash == above) above[1] = 0;
    else *slash = 0;
    out->fd = (int)syscall(SYS_openat, directory, above, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    int found = out->fd >= 0 && !fstat(out->fd, &status);
    if (found) {
        path_of(out->fd, whole);
        found = root_of(whole) >= 0;
        strcat(strcat(whole, "/"), out->name);
        out->root = root_of(whole);
        out->device = (int64_t)status.st_dev;
        out->parent = (int64_t)status.st_ino;
    }
    if (!found && out->fd >= 0) syscall(SYS_close, out->fd);
    errno = before;
    return found;
}

static void end_place(struct place *place) {
    int before = errno;
    syscall(SYS_close, place->fd);
    errno = before;
}

static int64_t inode_at(struct place *place) {
    struct stat status;
    int before = errno;
    int64_t found = fstatat(place->fd, place->name, &status, AT_SYMLINK_NOFOLLOW) ? 0 : (int64_t)status.st_ino;
    errno = before;
    return found;
}

static void note_name(enum kind kind, struct place *place, int64_t inode) {
    struct record record = {.kind = kind, .root = place->root, .device = place->device, .inode = inode, .parent = place->parent};
    append(&record, place->name, NULL, NULL);
}

static struct record about(enum kind kind, const struct file *file) {
    return (struct record){
        .kind = kind, .root = file->root, .device = (int64_t)file->stat.st_dev, .inode = (int64_t)file->stat.st_ino};
}

static void note_strange(const char *what) { append(&(struct record){.kind = STRANGE}, what, NULL, NULL); }

static void note_write(const struct file *file, int64_t offset, const void *data, int64_t length) {
    struct record record = about(WRITE, file);
    record.offset = offset;
    record.length = record.data_bytes = length;
    append(&record, NULL, NULL, data);
}

static void note_vector(const struct file *file, int64_t offset, const struct iovec *v, int n, int64_t length) {
    char *data = malloc((size_t)length), *at = data;
    for (int i = 0; i < n && at < data + length; i++) {
        size_t left = (size_t)(data + length - at), part = v[i].iov_len < left ? v[i].iov_len : left;
        memcpy(at, v[i].iov_base, part);
        at += part;
    }
    note_write(file, offset, data, length);
    free(data);
}

/* What the kernel has copied from one file to another. */
static void note_copy(const struct file *file, int64_t offset, int source, int64_t from, int64_t length) {
    char *data = malloc((size_t)length);
    for (int64_t done = 0; done < length;) {
        long more = syscall(SYS_pread64, source, data + done, length - done, from + done);
        if (more <= 0) abort();
        done += more;
    }
    note_write(file, offset, data, length);
    free(data);
}

static void note_range(enum kind kind, const struct file *file, int64_t offset, int64_t length) {
    struct record record = about(kind, file);
    record.offset = offset;
    record.length = length;
    append(&record, NULL, NULL, NULL);
}

static int64_t position(int fd) { return lseek(fd, 0, SEEK_CUR); }

/* Does ACT, and NOTE with its result where it has succeeded, in one step. */
#define STEP(type, act, note) do { journal_lock(); type done = (act); int error_ = errno; if (done >= 0) { note; } \
    journal_unlock(); errno = error_; return done; } while (0)

/* Bytes */
ssize_t write(int fd, const void *b, size_t n) {
    REAL(write);
    struct file f;
    if (!find_file(fd, &f, 0)) return real(fd, b, n);
    STEP(ssize_t, real(fd, b, n), if (done) note_write(&f, position(fd) - done, b, done));
}
#define PWRITE(name, off) ssize_t name(int fd, const void *b, size_t n, off o) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, b, n, o); \
    STEP(ssize_t, real(fd, b, n, o), if (done) note_write(&f, o, b, done)); }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
ssize_t writev(int fd, const struct iovec *v, int n) {
    REAL(writev);
    struct file f;
    if (!find_file(fd, &f, 0)) return real(fd, v, n);
    STEP(ssize_t, real(fd, v, n), if (done) note_vector(&f, position(fd) - done, v, n, done));
}
#define PWRITEV(name, off) ssize_t name(int fd, const struct iovec *v, int n, off o) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, v, n, o); \
    STEP(ssize_t, real(fd, v, n, o), if (done) note_vector(&f, o, v, n, done)); }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)
#define PWRITEV2(name, off) ssize_t name(int fd, const struct iovec *v, int n, off o, int flags) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, v, n, o, flags); \
    STEP(ssize_t, real(fd, v, n, o, flags), if (done) note_vector(&f, o < 0 ? position(fd) - done : o, v, n, done)); }
PWRITEV2(pwritev2, off_t)
PWRITEV2(pwritev64v2, off64_t)
ssize_t copy_file_range(int in, off64_t *io, int out, off64_t *oo, size_t n, unsigned flags) {
    REAL(copy_file_range);
    struct file f;
    if (!find_file(out, &f, 0)) return real(in, io, out, oo, n, flags);
    int64_t from = io ? *io : position(in), to = oo ? *oo : position(out);
    STEP(ssize_t, real(in, io, out, oo, n, flags), if (done) note_copy(&f, to, in, from, done));
}
#define SENDFILE(name, off) ssize_t name(int out, int in, off *o, size_t n) { \
    REAL(name); struct file f; if (!find_file(out, &f, 0)) return real(out, in, o, n); \
    int64_t from = o ? *o : position(in), to = position(out); \
    STEP(ssize_t, real(out, in, o, n), if (done) note_copy(&f, to, in, from, done)); }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)
#define FTRUNCATE(name, off) int name(int fd, off n) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, n); \
    STEP(int, real(fd, n), note_range(TRUNCATE, &f, 0, n)); }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)
#define TRUNCATE_PATH(name, off) int name(const char *p, off n) { \
    REAL(name); struct file f; int fd = (int)syscall(SYS_openat, AT_FDCWD, p, O_PATH | O_CLOEXEC); \
    int found = fd >= 0 && find_file(fd, &f, 0); if (fd >= 0) syscall(SYS_close, fd); if (!found) return real(p, n); \
    STEP(int, real(p, n), note_range(TRUNCATE, &f, 0, n)); }
TRUNCATE_PATH(truncate, off_t)
TRUNCATE_PATH(truncate64, off64_t)

static void note_fallocate(const struct file *file, int mode, int64_t offset, int64_t length) {
    if (!mode) note_range(ALLOCATE, file, offset, length);
    else if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) note_range(PUNCH, file, offset, length);
    else if (mode != FALLOC_FL_KEEP_SIZE) note_strange("fallocate in an unknown mode");
}
#define FALLOCATE(name, off) int name(int fd, int mode, off o, off n) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, mode, o, n); \
    STEP(int, real(fd, mode, o, n), note_fallocate(&f, mode, o, n)); }
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)
#define POSIX_FALLOCATE(name, off) int name(int fd, off o, off n) { \
    REAL(name); struct file f; if (!find_file(fd, &f, 0)) return real(fd, o, n); \
    STEP(int, real(fd, o, n), if (!done) note_range(ALLOCATE, &f, o, n)); }
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)
static void *map(void *at, size_t n, int protection, int flags, int fd, int64_t o) {
    struct file f;
    char path[PATH_MAX];
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && find_file(fd, &f, 0)) {
        struct record record = about(MAP, &f);
        path_of(fd, path);
        journal_lock();
        append(&record, path, NULL, NULL);
        journal_unlock();
    }
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, o);
}
void *mmap(void *at, size_t n, int p, int flags, int fd, off_t o) { return map(at, n, p, flags, fd, o); }
void *mmap64(void *at, size_t n, int p, int flags, int fd, off64_t o) { return map(at, n, p, flags, fd, o); }

/* Durability */
static int sync_file(int fd, int (*real)(int), enum kind kind) {
    struct file f;
    if (!find_file(fd, &f, 1)) return real(fd);
    struct record record = about(kind, &f);
    record.begin = atomic_load(&control->count);
    int done = real(fd), error = errno;
    if (sync_pause) pause_shortly(sync_pause);
    if (!done) {
        journal_lock();
        append(&record, NULL, NULL, NULL);
        journal_unlock();
    }
    errno = error;
    return done;
}
int fsync(int fd) { REAL(fsync); return sync_file(fd, real, SYNC); }
int fdatasync(int fd) { REAL(fdatasync); return sync_file(fd, real, SYNC); }
int syncfs(int fd) { REAL(syncfs); return sync_file(fd, real, SYNCFS); }

/* Names */
static void note_open(struct place *place, int fd, int known, int flags) {
    struct file f;
    if (flags & (O_DSYNC | O_DIRECT)) note_strange("open with O_SYNC, O_DSYNC or O_DIRECT");
    if (!known) note_name(CREATE, place, inode_at(place));
    else if ((flags & O_TRUNC) && find_file(fd, &f, 0)) note_range(TRUNCATE, &f, 0, 0);
}
static int is_nameless(int flags) { return (flags & __O_TMPFILE) == __O_TMPFILE; }
static int changes_names(int flags) { return (flags & (O_CREAT | O_TRUNC)) || is_nameless(flags); }
#define WATCH_OPEN(directory, path, flags, act) do { struct place at; \
    if (!changes_names(flags) || !find_place(directory, path, &at)) return (act); \
    journal_lock(); int known = inode_at(&at) != 0, fd_ = (int)(act), error_ = errno; \
    if (fd_ >= 0 && is_nameless(flags)) note_strange("open with O_TMPFILE"); \
    else if (fd_ >= 0) note_open(&at, fd_, known, flags); \
    journal_unlock(); end_place(&at); errno = error_; return fd_; } while (0)
#define OPEN(name) int name(const char *p, int flags, ...) { REAL(name); va_list a; va_start(a, flags); mode_t m = mode_of(flags, a); va_end(a); \
    WATCH_OPEN(AT_FDCWD, p, flags, real(p, flags, m)); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int d, const char *p, int flags, ...) { REAL(name); va_list a; va_start(a, flags); mode_t m = mode_of(flags, a); va_end(a); \
    WATCH_OPEN(d, p, flags, real(d, p, flags, m)); }
OPENAT(openat)
OPENAT(openat64)
int creat(const char *p, mode_t m) { REAL(creat); WATCH_OPEN(AT_FDCWD, p, O_CREAT | O_TRUNC, real(p, m)); }
int creat64(const char *p, mode_t m) { REAL(creat64); WATCH_OPEN(AT_FDCWD, p, O_CREAT | O_TRUNC, real(p, m)); }
long syscall(long number, ...) { /* openat2 has no function in glibc */
    REAL(syscall);
    long a[6];
    va_list args;
    va_start(args, number);
    for (int n = 0; n < 6; n++) a[n] = va_arg(args, long);
    va_end(args);
    if (number != SYS_openat2) return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    int flags = (int)*(const uint64_t *)a[2]; /* struct open_how begins with them */
    WATCH_OPEN((int)a[0], (const char *)a[1], flags, real(number, a[0], a[1], a[2], a[3], 0L, 0L));
}
/* Does ACT, and records what it does to the name at the path P of D. */
#define WATCH_NAME(kind, d, p, act) do { struct place at; if (!find_place(d, p, &at)) return (act); \
    journal_lock(); int done = (act), error_ = errno; \
    if (!done) note_name(kind, &at, kind == MKDIR || kind == LINK ? inode_at(&at) : 0); \
    journal_unlock(); end_place(&at); errno = error_; return done; } while (0)
int unlink(const char *p) { REAL(unlink); WATCH_NAME(UNLINK, AT_FDCWD, p, real(p)); }
int unlinkat(int d, const char *p, int f) { REAL(unlinkat); WATCH_NAME((f & AT_REMOVEDIR ? RMDIR : UNLINK), d, p, real(d, p, f)); }
int rmdir(const char *p) { REAL(rmdir); WATCH_NAME(RMDIR, AT_FDCWD, p, real(p)); }
int mkdir(const char *p, mode_t m) { REAL(mkdir); WATCH_NAME(MKDIR, AT_FDCWD, p, real(p, m)); }
int mkdirat(int d, const char *p, mode_t m) { REAL(mkdirat); WATCH_NAME(MKDIR, d, p, real(d, p, m)); }
int link(const char *p, const char *q) { REAL(link); WATCH_NAME(LINK, AT_FDCWD, q, real(p, q)); }
int linkat(int d, const char *p, int e, const char *q, int f) { REAL(linkat); WATCH_NAME(LINK, e, q, real(d, p, e, q, f)); }
int symlink(const char *p, const char *q) { REAL(symlink); WATCH_NAME(STRANGE, AT_FDCWD, q, real(p, q)); }
int symlinkat(const char *p, int d, const char *q) { REAL(symlinkat); WATCH_NAME(STRANGE, d, q, real(p, d, q)); }
static void note_rename(struct place *from, struct place *to) {
    struct record record = {.kind = RENAME, .root = to->root, .device = to->device, .inode = inode_at(to),
        .parent = from->parent, .other = to->parent};
    append(&record, from->name, to->name, NULL);
}
#define WATCH_RENAME(d, p, e, q, act) do { struct place from, to; \
    if (!find_place(e, q, &to)) return (act); \
    int inside = find_place(d, p, &from); \
    journal_lock(); int done = (act), error_ = errno; \
    if (!done && inside) note_rename(&from, &to); \
    else if (!done) note_strange("a rename from elsewhere"); \
    journal_unlock(); if (inside) end_place(&from); end_place(&to); errno = error_; return done; } while (0)
int rename(const char *p, const char *q) { REAL(rename); WATCH_RENAME(AT_FDCWD, p, AT_FDCWD, q, real(p, q)); }
int renameat(int d, const char *p, int e, const char *q) { REAL(renameat); WATCH_RENAME(d, p, e, q, real(d, p, e, q)); }
int renameat2(int d, const char *p, int e, const char *q, unsigned f) { REAL(renameat2); WATCH_RENAME(d, p, e, q, real(d, p, e, q, f)); }
