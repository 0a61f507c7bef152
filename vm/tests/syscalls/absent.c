// RWF_NOWAIT where the disk would have to be waited for: there is nothing now, and there is once somebody has waited.
#include "report.h"
#include <sys/syscall.h>
#include <sys/uio.h>

#define NOWAIT 8

static char block[256 << 10];

static long get(int fd, size_t len, long offset) {
    struct iovec v = {block, len};
    return syscall(SYS_preadv2, fd, &v, 1, offset, offset < 0 ? -1L : 0L, NOWAIT);
}

int main(void) {
    char path[] = "/tmp/absent-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    memset(block, 'b', sizeof block);
    TRY(write(fd, block, sizeof block));
    TRY(fsync(fd));
    TRY(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    TRY(get(fd, 10, 100));
    TRY(lseek(fd, 150000, SEEK_SET));
    TRY(get(fd, 10, -1));
    TRY(lseek(fd, 0, SEEK_CUR));
    TRY(pread(fd, block, 10, 100));
    TRY(pread(fd, block, 10, 150000));
    TRY(get(fd, 10, 100));
    TRY(get(fd, 10, -1));
    TRY(lseek(fd, 0, SEEK_CUR));
}
