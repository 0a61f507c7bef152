// Urgent data and whom it is told; datagram sockets that are shut down.
#include "loopback.h"
#include <sys/un.h>

static volatile int urgent, pipes;
static void on_urgent(int signal) { (void)signal; urgent++; }
static void on_pipe(int signal) { (void)signal; pipes++; }

static void wait_for(volatile int *count, int n) {
    for (int i = 0; i < 1000 && *count < n; i++) usleep(1000);
    printf("signals: %d\n", *count);
}

struct owner { int type, pid; };

static void owners(int s) {
    struct owner o;
    int number = -1;
    TRY(fcntl(s, F_GETOWN));
    TRY(fcntl(s, F_GETOWN_EX, &o));
    printf("%d %d\n", o.type, o.pid);
    TRY(fcntl(s, F_SETOWN, 0x7ffffff0));
    TRY(fcntl(s, F_SETOWN, -0x7ffffff0));
    TRY(fcntl(s, F_SETOWN, 0x80000000));
    TRY(fcntl(s, F_SETOWN, -getpgrp()));
    fcntl(s, F_GETOWN_EX, &o);
    printf("%d %d\n", o.type, o.pid == getpgrp());
    printf("group: %d\n", fcntl(s, F_GETOWN) == -getpgrp());
    o = (struct owner){9, getpid()};
    TRY(fcntl(s, F_SETOWN_EX, &o));
    o = (struct owner){0, 0};
    TRY(fcntl(s, F_SETOWN_EX, &o));
    TRY(fcntl(s, F_GETOWN));
    o = (struct owner){0, getpid()};
    TRY(fcntl(s, F_SETOWN_EX, &o));
    printf("own: %d\n", fcntl(s, F_GETOWN) == getpid());
    TRY(ioctl(s, FIOGETOWN, &number));
    printf("%d\n", number == getpid());
    number = 0;
    TRY(ioctl(s, SIOCSPGRP, &number));
    TRY(ioctl(s, SIOCGPGRP, &number));
    printf("%d\n", number);
    int pair[2];
    pipe(pair);
    TRY(ioctl(pair[0], FIOGETOWN, &number));
    TRY(fcntl(pair[0], F_SETOWN, getpid()));
    printf("%d\n", fcntl(pair[0], F_GETOWN) == getpid());
}

static void out_of_band(void) {
    int pair[2];
    connection(pair);
    signal(SIGURG, on_urgent);
    owners(pair[1]);
    TRY(send(pair[0], "a", 1, MSG_OOB));
    usleep(20000);
    printf("nobody is told: %d\n", urgent);
    char c;
    TRY(recv(pair[1], &c, 1, MSG_OOB));
    TRY(fcntl(pair[1], F_SETOWN, getpid()));
    TRY(send(pair[0], "xyz", 3, MSG_OOB));
    wait_for(&urgent, 1);
    show_events(pair[1]);
    char text[10] = {0};
    TRY(recv(pair[1], text, 9, 0));
    int mark = -1;
    TRY(ioctl(pair[1], SIOCATMARK, &mark));
    printf("mark: %d\n", mark);
    TRY(recv(pair[1], text, 9, MSG_OOB));
    printf("%c\n", text[0]);
    TRY(recv(pair[1], text, 9, MSG_OOB));
    struct owner o = {2, getpgrp()};
    TRY(fcntl(pair[1], F_SETOWN_EX, &o));
    TRY(send(pair[0], "b", 1, MSG_OOB));
    wait_for(&urgent, 2);
    o = (struct owner){0, getpid()};
    TRY(fcntl(pair[1], F_SETOWN_EX, &o));
    TRY(send(pair[0], "c", 1, MSG_OOB));
    wait_for(&urgent, 3);
    // Another process.
    int ready[2];
    pipe(ready);
    pid_t pid = fork();
    if (pid == 0) {
        urgent = 0;
        fcntl(pair[1], F_SETOWN, getpid());
        write(ready[1], "r", 1);
        wait_for(&urgent, 1);
        _exit(0);
    }
    read(ready[0], text, 1);
    TRY(send(pair[0], "d", 1, MSG_OOB));
    waitpid(pid, NULL, 0);
    printf("ours: %d\n", urgent);
}

static void shut_down(int family, int type) {
    int pair[2];
    if (family == AF_UNIX) {
        socketpair(AF_UNIX, type, 0, pair);
    } else {
        pair[0] = socket(family, type, 0);
        CONNECT4(pair[0], "127.0.0.1", 9999);
    }
    pipes = 0;
    TRY(shutdown(pair[0], SHUT_WR));
    TRY(write(pair[0], "a", 1));
    printf("signals: %d\n", pipes);
    TRY(send(pair[0], "a", 1, 0));
    printf("signals: %d\n", pipes);
    TRY(send(pair[0], "a", 1, MSG_NOSIGNAL));
    printf("signals: %d\n", pipes);
}

int main(void) {
    setpgid(0, 0);
    out_of_band();
    signal(SIGPIPE, on_pipe);
    shut_down(AF_INET, SOCK_DGRAM);
    shut_down(AF_UNIX, SOCK_DGRAM);
    shut_down(AF_UNIX, SOCK_SEQPACKET);
    shut_down(AF_UNIX, SOCK_STREAM);
    int pair[2];
    pipes = 0;
    pipe(pair);
    close(pair[0]);
    TRY(write(pair[1], "a", 1));
    printf("signals: %d\n", pipes);
    return 0;
}
