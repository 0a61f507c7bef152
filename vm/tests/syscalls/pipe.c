#include "report.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

int main(void) {
    int p[2];
    char buf[70000];
    memset(buf, 'x', sizeof buf);
    TRY(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    TRY(read(p[0], buf, 10));
    TRY(write(p[1], buf, 4096));
    TRY(write(p[1], buf, sizeof buf));
    TRY(write(p[1], buf, 1));
    int n = 0;
    TRY(ioctl(p[0], FIONREAD, &n));
    printf("%d %d\n", n, fcntl(p[0], F_GETPIPE_SZ));
    TRY(read(p[0], buf, 8192));
    TRY(write(p[1], buf, 4096));
    TRY(write(p[1], buf, 5000));
    struct pollfd f[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    TRY(poll(f, 2, 0));
    printf("%x %x\n", f[0].revents, f[1].revents);
    while (read(p[0], buf, sizeof buf) > 0) {}
    TRY(poll(f, 2, 0));
    printf("%x %x\n", f[0].revents, f[1].revents);
    struct iovec v[2] = {{"abc", 3}, {"defg", 4}};
    TRY(writev(p[1], v, 2));
    TRY(lseek(p[0], 0, SEEK_CUR));
    TRY(pread(p[0], buf, 1, 0));
    TRY(write(p[0], buf, 1));
    TRY(read(p[1], buf, 1));
    TRY(close(p[1]));
    TRY(read(p[0], buf, 100));
    TRY(read(p[0], buf, 100));
    f[0].revents = 0;
    TRY(poll(f, 1, 0));
    printf("%x\n", f[0].revents);
    TRY(close(p[0]));
    TRY(close(p[0]));
    TRY(pipe(p));
    TRY(fcntl(p[1], F_SETPIPE_SZ, 4096));
    if (fork() == 0) {
        close(p[1]);
        long total = 0, got;
        while ((got = read(p[0], buf, 1000)) > 0) total += got;
        printf("child read %ld\n", total);
        fflush(stdout);
        _exit(3);
    }
    close(p[0]);
    TRY(write(p[1], buf, sizeof buf));
    close(p[1]);
    int status;
    OK(wait(&status));
    printf("%x\n", status);
    TRY(pipe(p));
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    TRY(write(p[1], "x", 1));
    f[0] = (struct pollfd){p[1], POLLOUT, 0};
    TRY(poll(f, 1, 0));
    printf("%x\n", f[0].revents);
    signal(SIGPIPE, SIG_DFL);
    if (fork() == 0) {
        write(p[1], "x", 1);
        _exit(0);
    }
    wait(&status);
    printf("%x\n", status);
    return 0;
}
