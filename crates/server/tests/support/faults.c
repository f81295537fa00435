/* Makes writes fail: loaded before the C library into the server under test.
 *
 * While the file FAULTS_WHEN exists, every FAULTS_EVERY-th write or flush to a file in the
 * folder FAULTS_IN fails, in the way that the first word of FAULTS_WHEN names:
 *   full   the system says that the disk is full
 *   error  the system says that the device failed
 *   torn   the first half is written, and then the device fails
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_ulong counted;

static char mode(void) {
    const char *when = getenv("FAULTS_WHEN");
    char word = 0;
    int file = when ? open(when, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    if (read(file, &word, 1) != 1) word = 0;
    close(file);
    return word;
}

static int is_ours(int file) {
    const char *folder = getenv("FAULTS_IN");
    char link[64], path[4096];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

/* 0, or how this call fails. */
static char strikes(int file) {
    const char *every = getenv("FAULTS_EVERY");
    int kept = errno;
    char word = every && is_ours(file) ? mode() : 0;
    errno = kept;
    if (!word) return 0;
    return atomic_fetch_add(&counted, 1) % strtoul(every, NULL, 10) == 0 ? word : 0;
}

static int failure(char word) {
    errno = word == 'f' ? ENOSPC : EIO;
    return -1;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *from, size_t octets) {
    REAL(write);
    char word = strikes(file);
    if (!word) return real(file, from, octets);
    if (word == 't' && octets > 1) real(file, from, octets / 2);
    return failure(word);
}

ssize_t pwrite(int file, const void *from, size_t octets, off_t at) {
    REAL(pwrite);
    char word = strikes(file);
    if (!word) return real(file, from, octets, at);
    if (word == 't' && octets > 1) real(file, from, octets / 2, at);
    return failure(word);
}

ssize_t pwrite64(int file, const void *from, size_t octets, off64_t at) {
    REAL(pwrite64);
    char word = strikes(file);
    if (!word) return real(file, from, octets, at);
    if (word == 't' && octets > 1) real(file, from, octets / 2, at);
    return failure(word);
}

ssize_t writev(int file, const struct iovec *from, int count) {
    REAL(writev);
    char word = strikes(file);
    if (!word) return real(file, from, count);
    if (word == 't' && count > 1) real(file, from, count / 2);
    return failure(word);
}

int fsync(int file) {
    REAL(fsync);
    char word = strikes(file);
    return word ? failure(word) : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync);
    char word = strikes(file);
    return word ? failure(word) : real(file);
}

int ftruncate(int file, off_t octets) {
    REAL(ftruncate);
    char word = strikes(file);
    return word ? failure(word) : real(file, octets);
}

int ftruncate64(int file, off64_t octets) {
    REAL(ftruncate64);
    char word = strikes(file);
    return word ? failure(word) : real(file, octets);
}
