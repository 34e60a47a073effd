/* System calls that fail when they are told to, for LD_PRELOAD.
 *
 *   HIWL_FAIL_CALL    which: open, read, pread, write, pwrite, fsync, rename,
 *                     unlink, mkdir, flock, ftruncate, fstat, readdir, mmap,
 *                     malloc, thread, spawn, or clock; several with commas
 *   HIWL_FAIL_PATH    only on files whose path contains this
 *   HIWL_FAIL_FROM    the first of these calls that fails, counted from 1
 *   HIWL_FAIL_COUNT   how many fail; all the rest if not set
 *   HIWL_FAIL_ERRNO   with which error; 0 for an early end of the file
 *   HIWL_FAIL_SIGNAL  end the process with this signal instead
 *   HIWL_FAIL_NO_CHILDREN  also, processes start none
 *   HIWL_FAIL_TALLY   a file to which the number of such calls is added, by
 *                     name, at the process's end
 *
 * `clock` makes the time of day jump back and forth by days instead.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_long calls;
static const char *which, *part, *tally;
static long first = 1, count = -1, error = EIO, deadly;
/* Set when the variables have been read: allocations come before. */
static atomic_int ready;

__attribute__((constructor)) static void begin(void) {
    const char *text;
    which = getenv("HIWL_FAIL_CALL");
    part = getenv("HIWL_FAIL_PATH");
    tally = getenv("HIWL_FAIL_TALLY");
    if ((text = getenv("HIWL_FAIL_FROM"))) first = atol(text);
    if ((text = getenv("HIWL_FAIL_COUNT"))) count = atol(text);
    if ((text = getenv("HIWL_FAIL_ERRNO"))) error = atol(text);
    if ((text = getenv("HIWL_FAIL_SIGNAL"))) deadly = atol(text);
    if (which) ready = 1;
}

__attribute__((destructor)) static void end(void) {
    if (!which || !tally) return;
    ready = 0;
    FILE *file = fopen(tally, "a");
    if (!file) return;
    fprintf(file, "%s %ld\n", which, atomic_load(&calls));
    fclose(file);
}

static int is_named(const char *call) {
    size_t length = strlen(call);
    for (const char *at = which; (at = strstr(at, call)); at += length) {
        int begins = at == which || at[-1] == ',';
        if (begins && (at[length] == 0 || at[length] == ',')) return 1;
    }
    return 0;
}

/* Whether this call, of this kind and on this path, is to fail. */
static int fails(const char *call, const char *path) {
    if (!ready || !is_named(call) || (part && !strstr(path, part))) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    int now = number >= first && (count < 0 || number < first + count);
    if (now && deadly) {
        signal((int)deadly, SIG_DFL);
        syscall(SYS_kill, getpid(), (int)deadly);
        pause();
    }
    return now;
}

static int fails_on(const char *call, int fd) {
    char link[64], path[4096];
    if (!ready || !is_named(call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

static long with_error(void) {
    errno = (int)error;
    return errno ? -1 : 0;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails("open", path) ? (int)with_error() : REAL(open64)(path, flags, mode);
}

int rename(const char *from, const char *to) {
    return fails("rename", to) ? (int)with_error() : REAL(rename)(from, to);
}

int unlink(const char *path) {
    return fails("unlink", path) ? (int)with_error() : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir", path) ? (int)with_error() : REAL(mkdir)(path, mode);
}

int fsync(int fd) {
    return fails_on("fsync", fd) ? (int)with_error() : REAL(fsync)(fd);
}

int flock(int fd, int operation) {
    return fails_on("flock", fd) ? (int)with_error() : REAL(flock)(fd, operation);
}

int ftruncate64(int fd, off64_t length) {
    return fails_on("ftruncate", fd) ? (int)with_error() : REAL(ftruncate64)(fd, length);
}

int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict out) {
    /* Without a path it is asked whether there is such a call. */
    const char *volatile named = path;
    int now = named && (*named ? fails("fstat", named) : fails_on("fstat", fd));
    return now ? (int)with_error() : REAL(statx)(fd, path, flags, mask, out);
}

struct dirent64 *readdir64(DIR *folder) {
    if (fails_on("readdir", dirfd(folder))) {
        with_error();
        return NULL;
    }
    return REAL(readdir64)(folder);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return fails_on("write", fd) ? with_error() : REAL(write)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return fails_on("pwrite", fd) ? with_error() : REAL(pwrite64)(fd, bytes, length, at);
}

ssize_t read(int fd, void *bytes, size_t length) {
    return fails_on("read", fd) ? with_error() : REAL(read)(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    return fails_on("pread", fd) ? with_error() : REAL(pread64)(fd, bytes, length, at);
}

void *mmap64(void *where, size_t length, int protection, int flags, int fd, off64_t at) {
    if (fails("mmap", "")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return REAL(mmap64)(where, length, protection, flags, fd, at);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict how,
                   void *(*work)(void *), void *restrict with) {
    return fails("thread", "") ? EAGAIN : REAL(pthread_create)(thread, how, work, with);
}

int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *restrict how,
                 char *const arguments[restrict], char *const variables[restrict]) {
    if (fails("spawn", file) || getenv("HIWL_FAIL_NO_CHILDREN")) return ENOMEM;
    return REAL(posix_spawnp)(pid, file, actions, how, arguments, variables);
}

/* glibc's own names, since dlsym itself allocates. */
extern void *__libc_malloc(size_t), *__libc_realloc(void *, size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    return fails("malloc", "") ? (errno = ENOMEM, NULL) : __libc_malloc(size);
}

void *realloc(void *old, size_t size) {
    return fails("malloc", "") ? (errno = ENOMEM, NULL) : __libc_realloc(old, size);
}

void *calloc(size_t members, size_t size) {
    return fails("malloc", "") ? (errno = ENOMEM, NULL) : __libc_calloc(members, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    if (fails("malloc", "")) return ENOMEM;
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : ENOMEM;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = REAL(clock_gettime)(clock, time);
    if (clock == CLOCK_REALTIME && fails("clock", "")) {
        time->tv_sec += atomic_load(&calls) % 2 ? 3 * 86400 : -5 * 86400;
    }
    return result;
}
