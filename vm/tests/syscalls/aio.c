#include "report.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static aio_context_t context;

static struct iocb request(int operation, int fd, void *buf, size_t len, long long offset) {
    return (struct iocb){.aio_data = 4711 + operation, .aio_lio_opcode = operation, .aio_fildes = fd, .aio_buf = (uintptr_t)buf,
                         .aio_nbytes = len, .aio_offset = offset};
}

static long submit(int count, struct iocb **requests) { return syscall(SYS_io_submit, context, count, requests); }

static void events(long least, long most) {
    struct io_event e[8] = {0};
    struct timespec soon = {0, 10000000};
    long n = report("io_getevents", syscall(SYS_io_getevents, context, least, most, e, &soon));
    for (long i = 0; i < n; i++) printf("  %lld result %lld %lld\n", (long long)e[i].data, (long long)e[i].res, (long long)e[i].res2);
    fflush(stdout);
}

int main(void) {
    aio_context_t other = 1;
    TRY(syscall(SYS_io_setup, 10, &other));
    other = 0;
    TRY(syscall(SYS_io_setup, 0, &other));
    TRY(syscall(SYS_io_setup, 10, NULL));
    TRY(syscall(SYS_io_setup, 10, &context));
    TRY(context != 0);
    int file = open("/tmp/aio-file", O_CREAT | O_RDWR | O_TRUNC, 0600);
    unlink("/tmp/aio-file");
    char text[] = "some text", buf[20] = {0}, more[5] = {0};
    struct iocb a = request(IOCB_CMD_PWRITE, file, text, 9, 5), b = request(IOCB_CMD_PREAD, file, buf, 20, 7);
    struct iocb *list[] = {&a, &b};
    TRY(submit(1, list));
    events(1, 8);
    TRY(submit(1, list + 1));
    events(1, 8);
    puts(buf);
    events(0, 8);
    events(1, 8);
    struct iovec parts[] = {{buf, 3}, {more, 4}};
    struct iocb c = request(IOCB_CMD_PREADV, file, parts, 2, 5), d = request(IOCB_CMD_FSYNC, file, NULL, 0, 0);
    struct iocb *both[] = {&c, &d};
    TRY(submit(2, both));
    struct io_event one;
    TRY(syscall(SYS_io_getevents, context, 2, 2, (struct io_event[2]){0}, NULL));
    printf("%.3s|%s\n", buf, more);
    // With an eventfd.
    int e = eventfd(0, EFD_NONBLOCK);
    a.aio_flags = IOCB_FLAG_RESFD, a.aio_resfd = e;
    TRY(submit(1, list));
    events(1, 1);
    eventfd_t value = 0;
    eventfd_read(e, &value);
    printf("%d\n", (int)value);
    // What is wrong.
    a.aio_resfd = 0;
    TRY(submit(1, list));
    a.aio_flags = 0;
    a.aio_fildes = 99;
    TRY(submit(1, list));
    a.aio_fildes = file, a.aio_lio_opcode = 77;
    TRY(submit(1, list));
    a.aio_lio_opcode = IOCB_CMD_PWRITE, a.aio_reserved2 = 1;
    TRY(submit(1, list));
    a.aio_reserved2 = 0;
    int only = open("/dev/null", O_RDONLY);
    a.aio_fildes = only;
    TRY(submit(1, list));
    a.aio_fildes = file;
    struct iocb *second[] = {&b, NULL};
    TRY(submit(2, second));
    events(1, 8);
    TRY(submit(-1, list));
    TRY(submit(0, list));
    TRY(submit(1, NULL));
    TRY(syscall(SYS_io_submit, 8, 1, list));
    TRY(syscall(SYS_io_getevents, context, 2, 1, &one, NULL));
    TRY(syscall(SYS_io_getevents, context, -1, 1, &one, NULL));
    TRY(syscall(SYS_io_getevents, 8, 0, 1, &one, NULL));
    TRY(syscall(SYS_io_destroy, 8));
    TRY(syscall(SYS_io_destroy, context));
    TRY(syscall(SYS_io_destroy, context));
    return 0;
}
