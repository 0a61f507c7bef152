// Seeking, reading and writing in the simple devices.
#include "report.h"

int main(void) {
    const char *names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    char bytes[16];
    for (int i = 0; i < 5; i++) {
        int fd = open(names[i], O_RDWR);
        puts(names[i]);
        TRY(lseek(fd, 5, SEEK_SET));
        TRY(lseek(fd, 0, SEEK_CUR));
        TRY(lseek(fd, -7, SEEK_CUR));
        TRY(lseek(fd, 0, SEEK_END));
        TRY(lseek(fd, 0, SEEK_DATA));
        TRY(lseek(fd, 0, SEEK_HOLE));
        TRY(lseek(fd, 0, 77));
        TRY(read(fd, bytes, sizeof bytes));
        TRY(lseek(fd, 0, SEEK_CUR));
        TRY(write(fd, bytes, sizeof bytes));
        TRY(lseek(fd, 0, SEEK_CUR));
        TRY(pread(fd, bytes, sizeof bytes, 7));
        TRY(pwrite(fd, bytes, sizeof bytes, 7));
        TRY(ftruncate(fd, 0));
        TRY(fallocate(fd, 0, 0, 1));
        close(fd);
    }
    return 0;
}
