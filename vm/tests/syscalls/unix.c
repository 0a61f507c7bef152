#include "rights.h"
#include <poll.h>
#include <stddef.h>

static int receive(int s) {
    char byte, control[100];
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(s, &m, 0) != 1) return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    printf("%c %d %x\n", byte, (int)m.msg_controllen, m.msg_flags);
    return fd;
}

static void show_events(int s) {
    struct pollfd f = {s, 0xffff & ~POLLNVAL, 0};
    poll(&f, 1, 0);
    printf("events %x\n", f.revents);
}

// Sides that go away, and calls out of turn.
static void errors(void) {
    int s[2];
    char b[10];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    TRY(send(s[1], "x", 1, 0));
    close(s[0]);
    show_events(s[1]);
    TRY(recv(s[1], b, 9, 0));
    TRY(recv(s[1], b, 9, 0));
    TRY(send(s[1], "x", 1, MSG_NOSIGNAL));
    TRY(({ struct sockaddr_un a; socklen_t len = sizeof a; getpeername(s[1], (void *)&a, &len); }));
    close(s[1]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    close(s[0]);
    show_events(s[1]);
    TRY(send(s[1], "x", 1, MSG_NOSIGNAL));
    TRY(send(s[1], "x", 1, MSG_NOSIGNAL));
    close(s[1]);
    int u = socket(AF_UNIX, SOCK_STREAM, 0);
    show_events(u);
    TRY(send(u, "x", 1, MSG_NOSIGNAL));
    TRY(recv(u, b, 1, 0));
    close(u);
    u = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY(shutdown(u, SHUT_WR));
    TRY(send(u, "x", 1, MSG_NOSIGNAL));
    show_events(u);
    close(u);
    u = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    TRY(recv(u, b, 1, 0));
    TRY(send(u, "x", 1, MSG_NOSIGNAL));
    close(u);
    TRY(socket(AF_UNIX, SOCK_STREAM, 5));
    TRY(socket(AF_UNIX, SOCK_STREAM, AF_UNIX));
    TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    TRY(recv(s[0], b, 1, MSG_WAITALL));
}

// Who sent it, and for how long to wait.
static void told(void) {
    int s[2], on = 1;
    char b[10], control[100];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    TRY(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    send(s[0], "x", 1, 0);
    struct iovec v = {b, 10};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TRY(recvmsg(s[1], &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred *who = (void *)CMSG_DATA(c);
    printf("%d %d %d\n", c->cmsg_type, (int)c->cmsg_len, who->pid == getpid() && who->uid == getuid());
    struct timeval t = {0, 10000};
    TRY(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    TRY(recv(s[1], b, 1, 0));
    TRY(read(s[1], b, 1));
}

int main(void) {
    int s[2], p[2];
    char buf[100];
    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    TRY(send(s[0], "hello", 5, 0));
    TRY(send(s[0], "world", 5, 0));
    TRY(recv(s[1], buf, 3, MSG_PEEK));
    TRY(recv(s[1], buf, 100, 0));
    TRY(recv(s[1], buf, 100, MSG_DONTWAIT));
    pipe(p);
    TRY(pass(s[0], &p[1], 1));
    int fd = receive(s[1]);
    TRY(write(fd, "via", 3));
    TRY(read(p[0], buf, 10));
    TRY(shutdown(s[0], SHUT_WR));
    TRY(recv(s[1], buf, 10, 0));
    TRY(send(s[1], "back", 4, 0));
    TRY(recv(s[0], buf, 10, 0));
    TRY(send(s[0], "x", 1, MSG_NOSIGNAL));
    struct pollfd f = {s[1], POLLIN | POLLOUT, 0};
    TRY(poll(&f, 1, 0));
    printf("%x\n", f.revents);
    close(s[0]);
    TRY(poll(&f, 1, 0));
    printf("%x\n", f.revents);
    TRY(send(s[1], "x", 1, MSG_NOSIGNAL));
    TRY(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    TRY(send(s[0], "one", 3, 0));
    TRY(send(s[0], "", 0, 0));
    TRY(send(s[0], "three", 5, 0));
    TRY(recv(s[1], buf, 2, MSG_TRUNC));
    TRY(recv(s[1], buf, 10, 0));
    TRY(recv(s[1], buf, 10, 0));
    TRY(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    TRY(write(s[0], "packet", 6));
    TRY(write(s[0], "two", 3));
    TRY(read(s[1], buf, 3));
    TRY(read(s[1], buf, 100));
    close(s[0]);
    TRY(read(s[1], buf, 100));
    struct sockaddr_un a = {AF_UNIX, "/tmp/unix-socket"};
    unlink(a.sun_path);
    int server = TRY(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), client = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY(connect(client, (void *)&a, sizeof a));
    TRY(listen(server, 5));
    TRY(bind(server, (void *)&a, sizeof a));
    TRY(bind(client, (void *)&a, sizeof a));
    TRY(connect(client, (void *)&a, sizeof a));
    TRY(listen(server, 5));
    TRY(connect(client, (void *)&a, sizeof a));
    TRY(connect(client, (void *)&a, sizeof a));
    int got = TRY(accept4(server, NULL, NULL, SOCK_NONBLOCK));
    TRY(read(got, buf, 1));
    struct ucred who;
    socklen_t len = sizeof who;
    TRY(getsockopt(got, SOL_SOCKET, SO_PEERCRED, &who, &len));
    printf("%d %d\n", who.pid == getpid(), len);
    TRY(write(client, "to server", 9));
    TRY(read(got, buf, 100));
    struct sockaddr_un name;
    len = sizeof name;
    TRY(getsockname(server, (void *)&name, &len));
    printf("%d %s\n", len, name.sun_path);
    len = sizeof name;
    TRY(getpeername(client, (void *)&name, &len));
    printf("%d %s\n", len, name.sun_path);
    fcntl(server, F_SETFL, O_NONBLOCK);
    TRY(accept(server, NULL, NULL));
    struct stat st;
    TRY(stat(a.sun_path, &st));
    printf("%o\n", st.st_mode & S_IFMT);
    TRY(open(a.sun_path, O_RDWR));
    close(server);
    int late = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY(connect(late, (void *)&a, sizeof a));
    unlink(a.sun_path);
    TRY(connect(late, (void *)&a, sizeof a));
    struct sockaddr_un abstract = {AF_UNIX, "\0guest-abstract"};
    socklen_t abstract_len = offsetof(struct sockaddr_un, sun_path) + 15;
    int d = socket(AF_UNIX, SOCK_DGRAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY(bind(d, (void *)&abstract, abstract_len));
    TRY(bind(e, (void *)&abstract, abstract_len));
    TRY(sendto(e, "dgram", 5, 0, (void *)&abstract, abstract_len));
    TRY(recv(d, buf, 100, 0));
    TRY(send(e, "x", 1, 0));
    TRY(getsockopt(1, SOL_SOCKET, SO_TYPE, &who, &len));
    TRY(socket(AF_UNIX, 77, 0));
    errors();
    told();
    return 0;
}
