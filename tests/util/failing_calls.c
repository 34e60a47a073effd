/* System calls that fail when they are told to, for LD_PRELOAD.
 *
 *   HIWL_FAIL_CALL   rename, fsync, write, pread, read, or clock
 *   HIWL_FAIL_PATH   only on files whose path contains this
 *   HIWL_FAIL_FROM   the first of these calls that fails, counted from 1
 *   HIWL_FAIL_COUNT  how many fail; all the rest if not set
 *   HIWL_FAIL_ERRNO  with which error; 0 for an early end of the file
 *
 * `clock` makes the time of day jump back and forth by days instead.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;

/* Whether this call, of this kind and on this path, is to fail. */
static int fails(const char *call, const char *path) {
    const char *which = getenv("HIWL_FAIL_CALL"), *part = getenv("HIWL_FAIL_PATH");
    if (!which || strcmp(which, call) || (part && !strstr(path, part))) return 0;
    const char *from = getenv("HIWL_FAIL_FROM"), *count = getenv("HIWL_FAIL_COUNT");
    long number = atomic_fetch_add(&calls, 1) + 1, first = from ? atol(from) : 1;
    return number >= first && (!count || number < first + atol(count));
}

static int fails_on(const char *call, int fd) {
    char link[64], path[4096];
    if (!getenv("HIWL_FAIL_CALL")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

static long with_error(void) {
    const char *number = getenv("HIWL_FAIL_ERRNO");
    errno = number ? atoi(number) : EIO;
    return errno ? -1 : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) {
    return fails("rename", to) ? (int)with_error() : REAL(rename)(from, to);
}

int fsync(int fd) {
    return fails_on("fsync", fd) ? (int)with_error() : REAL(fsync)(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    return fails_on("write", fd) ? with_error() : REAL(write)(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length) {
    return fails_on("read", fd) ? with_error() : REAL(read)(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    return fails_on("pread", fd) ? with_error() : REAL(pread64)(fd, bytes, length, at);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = REAL(clock_gettime)(clock, time);
    if (clock == CLOCK_REALTIME && fails("clock", "")) {
        time->tv_sec += atomic_load(&calls) % 2 ? 3 * 86400 : -5 * 86400;
    }
    return result;
}
