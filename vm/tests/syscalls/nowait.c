// preadv2(2), pwritev2(2): flags for one call, RWF_NOWAIT above all.
#include "report.h"
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define HIPRI 1
#define DSYNC 2
#define SYNC 4
#define NOWAIT 8
#define APPEND 16

static char buf[1 << 20];

// The C library asks for positions only of calls that have flags it knows.
static long rw(int number, int fd, void *bytes, size_t len, long offset, int flags) {
    struct iovec v = {bytes, len};
    return syscall(number, fd, &v, 1, offset, offset < 0 ? -1L : 0L, flags);
}
static long get(int fd, size_t len, long offset, int flags) { return rw(SYS_preadv2, fd, buf, len, offset, flags); }
static long put(int fd, const char *text, long offset, int flags) {
    return rw(SYS_pwritev2, fd, (void *)text, strlen(text), offset, flags);
}

// Opposite ends of a stream: what would wait does not.
static void stream(const char *what, int in, int out) {
    printf("-- %s\n", what);
    TRY(get(in, 10, -1, NOWAIT));
    TRY(put(out, "hello", -1, NOWAIT));
    TRY(get(in, 3, -1, NOWAIT));
    TRY(get(in, 10, -1, NOWAIT | HIPRI));
    TRY(get(in, 10, -1, NOWAIT));
    TRY(get(in, 10, 0, NOWAIT));
    TRY(get(in, 10, 0, 0));
    TRY(put(out, "more", -1, HIPRI | DSYNC));
    TRY(get(in, 10, -1, 0));
    // Until it is full.
    long total = 0, n;
    while ((n = rw(SYS_pwritev2, out, buf, 4096, -1, NOWAIT)) > 0) total += n;
    printf("full: %s\n", n < 0 ? strerrorname_np(errno) : "nothing");
    while (total > 0 && (n = get(in, sizeof buf, -1, NOWAIT)) > 0) total -= n;
    printf("left: %ld\n", total);
    TRY(get(in, 10, -1, NOWAIT));
    close(out);
    TRY(get(in, 10, -1, NOWAIT));
    close(in);
}

static void files(void) {
    printf("-- files\n");
    char path[] = "/tmp/nowait-XXXXXX";
    int fd = mkstemp(path);
    TRY(put(fd, "hello", -1, DSYNC));
    TRY(put(fd, "world", 0, SYNC));
    TRY(put(fd, "!", -1, APPEND));
    TRY(lseek(fd, 0, SEEK_CUR));
    TRY(lseek(fd, 2, SEEK_SET));
    TRY(put(fd, "?", 0, APPEND));
    TRY(lseek(fd, 0, SEEK_CUR));
    TRY(put(fd, "xy", -1, APPEND | DSYNC | HIPRI));
    TRY(lseek(fd, 0, SEEK_CUR));
    TRY(get(fd, 100, 0, 0));
    printf("%.9s\n", buf);
    TRY(get(fd, 100, 0, HIPRI | DSYNC | SYNC));
    TRY(get(fd, 100, 0, APPEND));
    // What is in memory is read at once.
    TRY(get(fd, 3, 0, NOWAIT));
    printf("%.3s\n", buf);
    TRY(get(fd, 3, 100, NOWAIT));
    for (int bit = 16; bit < 32; bit++) {
        if (get(fd, 1, 0, 1u << bit) != -1 || errno != EOPNOTSUPP) printf("reading takes %d\n", bit);
        if (put(fd, "x", 0, 1u << bit) != -1 || errno != EOPNOTSUPP) printf("writing takes %d\n", bit);
    }
    TRY(get(fd, 1, -2, 0));
    TRY(get(-1, 1, 0, 1 << 20));
    TRY(get(-1, 1, 0, NOWAIT));
    close(fd);
    fd = open(path, O_WRONLY);
    TRY(get(fd, 1, 0, NOWAIT));
    TRY(get(fd, 1, 0, 1 << 20));
    close(fd);
    unlink(path);
}

static void others(void) {
    printf("-- others\n");
    int fd = open("/dev/null", O_RDWR);
    TRY(get(fd, 10, 0, NOWAIT));
    TRY(put(fd, "x", 0, NOWAIT));
    close(fd);
    fd = open("/dev/zero", O_RDWR);
    TRY(get(fd, 10, 0, NOWAIT));
    TRY(put(fd, "x", 0, NOWAIT));
    close(fd);
    fd = eventfd(0, 0);
    TRY(get(fd, 8, -1, NOWAIT));
    uint64_t one = 1;
    write(fd, &one, 8);
    TRY(get(fd, 8, -1, NOWAIT));
    close(fd);
    fd = open("/proc/self/stat", O_RDONLY);
    TRY(get(fd, 10, 0, NOWAIT));
    close(fd);
    fd = open("/dev/urandom", O_RDONLY);
    TRY(get(fd, 10, 0, NOWAIT));
    close(fd);
    fd = open("/", O_RDONLY);
    TRY(get(fd, 10, 0, NOWAIT));
    close(fd);
    fd = open("/dev/full", O_RDWR);
    TRY(get(fd, 10, 0, NOWAIT));
    close(fd);
}

int main(void) {
    int pair[2];
    pipe(pair);
    stream("pipe", pair[0], pair[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    stream("socket", pair[0], pair[1]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    TRY(get(pair[0], 10, -1, NOWAIT));
    TRY(put(pair[1], "hello", -1, NOWAIT));
    TRY(get(pair[0], 10, -1, NOWAIT));
    files();
    others();
    return 0;
}
