// Files on their way between sockets (SCM_RIGHTS): how many there may be, sockets that hold each other, and long chains.
#include "rights.h"
#include <poll.h>
#include <sys/resource.h>

// Whoever looks for sockets that nobody can reach does so when one is closed.
static void close_another(void) {
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    close(s[0]);
    close(s[1]);
}

// Whether the other end of a pipe is gone within some seconds.
static int is_hung_up(int pipe, int ms) {
    struct pollfd f = {pipe, 0, 0};
    return poll(&f, 1, ms) == 1 && f.revents == POLLHUP;
}

// Both sides of a pair wait in it, and a pipe's end with them.
static void show_pair_in_itself(int type) {
    int s[2], p[2];
    socketpair(AF_UNIX, type, 0, s);
    pipe(p);
    int fds[] = {s[0], s[1], p[1]};
    TRY(pass(s[0], fds, 3));
    TRY(pass(s[1], fds, 2));
    close(p[1]);
    close(s[0]);
    TRY(is_hung_up(p[0], 0));
    close(s[1]);
    close_another();
    TRY(is_hung_up(p[0], 5000));
    close(p[0]);
}

// As long as one of a ring can be reached, all are there.
static void show_ring(void) {
    enum { RING = 5 };
    int in[RING], out[RING], p[2];
    pipe(p);
    for (int i = 0; i < RING; i++) {
        int s[2];
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
        in[i] = s[0], out[i] = s[1];
    }
    for (int i = 0; i < RING; i++) TRY(pass(out[i], (int[]){in[(i + 1) % RING], p[1]}, 2));
    close(p[1]);
    for (int i = 0; i < RING; i++) close(out[i]);
    for (int i = 1; i < RING; i++) close(in[i]);
    close_another();
    TRY(is_hung_up(p[0], 100));
    char byte;
    TRY(recv(in[0], &byte, 1, MSG_PEEK));
    close(in[0]);
    close_another();
    TRY(is_hung_up(p[0], 5000));
    close(p[0]);
}

// Connections that nobody accepts hold what was sent to them, even the socket that they wait at.
static void show_listener_in_itself(void) {
    struct sockaddr_un a = {AF_UNIX, ""};
    socklen_t len = sizeof a;
    int p[2], server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    pipe(p);
    bind(server, (void *)&a, sizeof(sa_family_t));
    getsockname(server, (void *)&a, &len);
    listen(server, 3);
    TRY(connect(client, (void *)&a, len));
    TRY(pass(client, (int[]){server, p[1]}, 2));
    close(p[1]);
    close(server);
    TRY(is_hung_up(p[0], 0));
    close(client);
    close_another();
    TRY(is_hung_up(p[0], 5000));
    close(p[0]);
}

// Each of thousands waits in the one before.
static void show_chain(void) {
    int p[2], s[2];
    pipe(p);
    int last = p[1];
    for (int i = 0; i < 20000; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0 || pass(s[1], &last, 1) < 0) {
            printf("%d: %s\n", i, strerrorname_np(errno));
            break;
        }
        close(last);
        close(s[1]);
        last = s[0];
    }
    TRY(is_hung_up(p[0], 0));
    close(last);
    TRY(is_hung_up(p[0], 20000));
    close(p[0]);
}

// A user who may have so many files open may have as many on their way, and one message more.
static void show_limit(void) {
    if (fork() == 0) {
        setresuid(4711, 4711, 4711);
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 20});
        int s[2], t[2], null = open("/dev/null", O_RDWR), fds[] = {null, null, null};
        socketpair(AF_UNIX, SOCK_STREAM, 0, s);
        socketpair(AF_UNIX, SOCK_DGRAM, 0, t);
        for (int i = 0; i < 8; i++) TRY(pass(s[0], fds, 3));
        TRY(pass(t[0], fds, 1));
        TRY(send(s[0], "x", 1, 0));
        char bytes[8];
        TRY(recv(s[1], bytes, 8, MSG_PEEK));
        TRY(pass(t[0], fds, 1));
        for (int i = 0; i < 2; i++) TRY(recv(s[1], bytes, 8, 0));
        for (int i = 0; i < 6; i++) TRY(pass(t[0], fds, 1));
        close(s[1]);
        for (int i = 0; i < 12; i++) TRY(pass(t[0], fds, 2));
        _exit(0);
    }
    wait(NULL);
}

int main(void) {
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) show_pair_in_itself(types[i]);
    show_ring();
    show_listener_in_itself();
    show_limit();
    show_chain();
    return 0;
}
