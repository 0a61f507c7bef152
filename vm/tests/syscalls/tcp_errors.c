// What goes wrong with TCP: addresses, ports, resets, calls out of turn.
#include "loopback.h"
#include <sys/time.h>

static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }

static void kinds(void) {
    TRY(socket(AF_INET, SOCK_SEQPACKET, 0));
    TRY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    TRY(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    TRY(socket(AF_INET, SOCK_STREAM, 1000));
    TRY(socket(AF_INET, 77, 0));
    TRY(socket(AF_INET, SOCK_STREAM | 0x100000, 0));
    TRY(socket(1000, SOCK_STREAM, 0));
    TRY(socket(AF_INET, SOCK_RDM, 0));
    TRY(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    TRY(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    int p[2];
    TRY(socketpair(AF_INET, SOCK_STREAM, 0, p));
    if (fork() == 0) {
        setuid(1000);
        TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
        TRY(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
        TRY(socket(AF_PACKET, SOCK_RAW, 0));
        TRY(BIND4(tcp(), "127.0.0.1", 80));
        TRY(BIND4(tcp(), "127.0.0.1", 1024));
        _exit(0);
    }
    wait(NULL);
}

static void addresses(void) {
    int s = tcp(), u = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in a = in4("127.0.0.1", 9000);
    struct sockaddr_in6 b = in6("::1", 9000);
    TRY(bind(s, (void *)&a, 8));
    TRY(bind(s, (void *)&b, sizeof b));
    TRY(bind(u, (void *)&a, sizeof a));
    TRY(bind(u, (void *)&b, 20));
    TRY(bind(s, (void *)1, 16));
    TRY(bind(s, (void *)&a, 200));
    TRY(connect(s, (void *)&a, 1));
    TRY(connect(s, (void *)&a, 8));
    TRY(connect(s, (void *)&b, sizeof b));
    TRY(connect(u, (void *)&a, sizeof a));
    TRY(BIND4(s, "10.1.2.3", 9000));
    TRY(BIND6(u, "2001:db8::1", 9000));
    TRY(BIND6(u, "fe80::1", 9000));
    TRY(CONNECT4(s, "10.1.2.3", 9000));
    TRY(CONNECT4(s, "255.255.255.255", 9000));
    TRY(CONNECT4(s, "224.0.0.1", 9000));
    TRY(CONNECT4(s, "127.255.255.255", 9000));
    TRY(CONNECT6(u, "2001:db8::1", 9000));
    TRY(CONNECT6(u, "ff02::1", 9000));
    TRY(CONNECT6(u, "fe80::1", 9000));
    TRY(CONNECT6(u, "::ffff:10.0.0.1", 9000));
    TRY(CONNECT4(s, "127.0.0.1", 0));
    show_names(s);
    a.sin_family = AF_UNSPEC;
    a.sin_addr.s_addr = 0;
    TRY(bind(s, (void *)&a, sizeof a));
    show_names(s);
    TRY(BIND4(s, "127.0.0.1", 9001));
    TRY(bind(1, (void *)&a, sizeof a));
    TRY(bind(99, (void *)&a, sizeof a));
    socklen_t len = -1;
    TRY(getsockname(s, (void *)&a, &len));
    len = 4;
    TRY(getsockname(s, (void *)&a, &len));
    printf("%d\n", len);
    close(s);
    close(u);
    s = tcp();
    TRY(BIND4(s, "127.0.0.9", 0));
    show_names(s);
    close(s);
}

static void ports(void) {
    int a = tcp(), b = tcp(), c = socket(AF_INET6, SOCK_STREAM, 0);
    TRY(BIND4(a, "127.0.0.1", 9002));
    TRY(BIND4(b, "127.0.0.1", 9002));
    TRY(BIND4(b, "0.0.0.0", 9002));
    TRY(BIND6(c, "::", 9002));
    TRY(BIND6(c, "::1", 9002));
    TRY(BIND4(b, "127.0.0.2", 9002));
    close(b);
    b = tcp();
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(BIND4(b, "127.0.0.1", 9002));
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(BIND4(b, "127.0.0.1", 9002));
    TRY(listen(a, 1));
    TRY(listen(b, 1));
    close(a);
    TRY(listen(b, 1));
    close(b);
    close(c);
    // All of a group have to agree.
    a = tcp(), b = tcp();
    set(a, SOL_SOCKET, SO_REUSEPORT, 1);
    TRY(BIND4(a, "127.0.0.1", 9003));
    TRY(BIND4(b, "127.0.0.1", 9003));
    set(b, SOL_SOCKET, SO_REUSEPORT, 1);
    TRY(BIND4(b, "127.0.0.1", 9003));
    TRY(listen(a, 1));
    TRY(listen(b, 1));
    close(a);
    close(b);
    // A connection that is over keeps its port from those who don't ask to reuse it.
    a = tcp();
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    BIND4(a, "127.0.0.1", 9004);
    listen(a, 1);
    b = tcp();
    CONNECT4(b, "127.0.0.1", 9004);
    c = accept(a, NULL, NULL);
    close(a);
    close(c);
    close(b);
    a = tcp();
    TRY(BIND4(a, "127.0.0.1", 9004));
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(BIND4(a, "127.0.0.1", 9004));
    close(a);
    // Without a port it gets one as it listens.
    a = tcp();
    TRY(listen(a, 1));
    show_names(a);
    TRY(CONNECT4(a, "127.0.0.1", 9004));
    close(a);
}

static void unconnected(void) {
    int s = tcp();
    char byte;
    TRY(recv(s, &byte, 1, 0));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    TRY(shutdown(s, SHUT_WR));
    TRY(accept(s, NULL, NULL));
    TRY(shutdown(s, 7));
    close(s);
    s = tcp();
    BIND4(s, "127.0.0.1", 9005);
    listen(s, 1);
    TRY(recv(s, &byte, 1, 0));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    TRY(CONNECT4(s, "127.0.0.1", 9005));
    TRY(({ int n; ioctl(s, FIONREAD, &n); }));
    TRY(accept4(s, NULL, NULL, 0x1234));
    TRY(shutdown(s, SHUT_RD));
    TRY(accept(s, NULL, NULL));
    show_events(s);
    TRY(listen(s, 1));
    close(s);
    TRY(accept(1, NULL, NULL));
    TRY(listen(1, 1));
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    TRY(listen(u, 1));
    TRY(accept(u, NULL, NULL));
    close(u);
}

static void on_pipe(int signal) { printf("SIGPIPE\n"); }

static void resets(void) {
    int c[2];
    char byte;
    signal(SIGPIPE, on_pipe);
    // Closed with something unread.
    connection(c);
    write(c[0], "unread", 6);
    write(c[1], "still read", 10);
    close(c[1]);
    show_events(c[0]);
    char buf[20];
    TRY(read(c[0], buf, 20));
    TRY(read(c[0], buf, 20));
    TRY(read(c[0], buf, 20));
    TRY(write(c[0], "x", 1));
    show_events(c[0]);
    close(c[0]);
    // Closed without lingering.
    connection(c);
    struct linger now = {1, 0};
    TRY(setsockopt(c[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(c[1]);
    show_events(c[0]);
    show_error(c[0]);
    show_error(c[0]);
    TRY(read(c[0], &byte, 1));
    TRY(write(c[0], "x", 1));
    close(c[0]);
    // Sent to a side that is gone.
    connection(c);
    close(c[1]);
    TRY(read(c[0], &byte, 1));
    TRY(write(c[0], "x", 1));
    show_events(c[0]);
    TRY(read(c[0], &byte, 1));
    TRY(write(c[0], "x", 1));
    TRY(write(c[0], "x", 1));
    TRY(send(c[0], "x", 1, MSG_NOSIGNAL));
    close(c[0]);
    // Shut at both ends, but still open.
    connection(c);
    TRY(shutdown(c[1], SHUT_RD));
    TRY(read(c[1], &byte, 1));
    TRY(write(c[0], "z", 1));
    TRY(read(c[1], &byte, 1));
    TRY(shutdown(c[1], SHUT_WR));
    show_events(c[0]);
    show_events(c[1]);
    TRY(write(c[0], "x", 1));
    show_error(c[0]);
    show_error(c[1]);
    show_events(c[1]);
    close(c[0]);
    close(c[1]);
    // Connected, then connected to nothing.
    connection(c);
    struct sockaddr nothing = {AF_UNSPEC};
    TRY(connect(c[0], &nothing, sizeof nothing));
    show_names(c[0]);
    show_events(c[0]);
    TRY(read(c[1], &byte, 1));
    TRY(connect(c[0], &nothing, sizeof nothing));
    close(c[0]);
    close(c[1]);
}

static void timeouts(void) {
    int c[2];
    char byte;
    connection(c);
    struct timeval t = {0, 20000}, bad = {0, 1000000}, got;
    socklen_t len = sizeof got;
    TRY(setsockopt(c[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
    TRY(setsockopt(c[0], SOL_SOCKET, SO_RCVTIMEO, &t, 4));
    TRY(setsockopt(c[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    TRY(read(c[0], &byte, 1));
    TRY(recv(c[0], &byte, 1, 0));
    char two[2];
    write(c[1], "1", 1);
    TRY(recv(c[0], two, 2, MSG_WAITALL));
    t.tv_sec = 3, t.tv_usec = 500000;
    TRY(setsockopt(c[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    TRY(getsockopt(c[0], SOL_SOCKET, SO_SNDTIMEO, &got, &len));
    printf("%d %d %d\n", len, (int)got.tv_sec, (int)got.tv_usec);
    t.tv_sec = 0, t.tv_usec = 20000;
    TRY(setsockopt(c[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    // Until nothing goes any more: how much does, and in how many pieces, is up to the kernel.
    static char much[1 << 20];
    long sent;
    while ((sent = send(c[0], much, sizeof much, 0)) > 0) {}
    TRY(sent);
    // Nobody accepts: a connection waits, and gives up in the end.
    int full = tcp(), waits[3];
    BIND4(full, "127.0.0.1", 9006);
    listen(full, 0);
    for (int i = 0; i < 3; i++) {
        waits[i] = tcp();
        if (i == 1) setsockopt(waits[i], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
        if (i == 2) set(waits[i], IPPROTO_TCP, TCP_USER_TIMEOUT, 200);
        TRY(CONNECT4(waits[i], "127.0.0.1", 9006));
    }
    show_events(waits[1]);
    close(full);
    for (int i = 0; i < 3; i++) close(waits[i]);
    int s = tcp();
    BIND4(s, "127.0.0.1", 0);
    listen(s, 1);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    TRY(accept(s, NULL, NULL));
    close(s);
    close(c[0]);
    close(c[1]);
}

int main(void) {
    kinds();
    addresses();
    ports();
    unconnected();
    resets();
    timeouts();
    return 0;
}
