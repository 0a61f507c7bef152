// Connections: making them, what they carry, how they end.
#include "loopback.h"
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void basics(void) {
    int listener = TRY(socket(AF_INET, SOCK_STREAM, 0));
    show_events(listener);
    show_names(listener);
    TRY(BIND4(listener, "127.0.0.1", 8080));
    show_names(listener);
    TRY(listen(listener, 5));
    show_events(listener);
    int client = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    show_events(client);
    TRY(CONNECT4(client, "127.0.0.1", 8080));
    show_events(listener);
    show_events(client);
    show_names(client);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    int server = TRY(accept(listener, (void *)&from, &len));
    show_address("accepted", &from, len);
    printf("same port: %d\n", ntohs(from.sin_port) == port_of(client));
    show_names(server);
    show_events(listener);
    char buf[100];
    TRY(send(client, "hello", 5, 0));
    TRY(write(client, "world", 5));
    show_events(server);
    TRY(({ int n; ioctl(server, FIONREAD, &n); n; }));
    TRY(({ int n; ioctl(client, 0x5411, &n); n; }));
    TRY(recv(server, buf, 3, MSG_PEEK));
    TRY(recv(server, buf, 7, MSG_WAITALL));
    TRY(recv(server, buf, 2, MSG_TRUNC));
    TRY(read(server, buf, 100));
    TRY(recv(server, buf, 100, MSG_DONTWAIT));
    TRY(read(server, buf, 0));
    TRY(recv(server, buf, 0, MSG_DONTWAIT));
    struct iovec v[2] = {{"sca", 3}, {"tter", 4}};
    TRY(writev(server, v, 2));
    struct iovec w[2] = {{buf, 2}, {buf + 50, 50}};
    TRY(readv(client, w, 2));
    printf("%.2s %.5s\n", buf, buf + 50);
    len = sizeof from;
    TRY(send(server, "x", 1, 0));
    TRY(recvfrom(client, buf, 100, 0, (void *)&from, &len));
    printf("from: %d\n", len);
    // Halves.
    TRY(shutdown(client, SHUT_WR));
    show_events(client);
    show_events(server);
    TRY(read(server, buf, 1));
    TRY(send(client, "x", 1, MSG_NOSIGNAL));
    TRY(write(server, "late", 4));
    TRY(read(client, buf, 100));
    TRY(close(server));
    show_events(client);
    TRY(read(client, buf, 100));
    TRY(send(client, "x", 1, MSG_NOSIGNAL));
    show_names(client);
    TRY(shutdown(client, SHUT_RDWR));
    close(client);
    close(listener);
}

static void six(void) {
    int listener = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET6, SOCK_STREAM, 0);
    show_names(listener);
    TRY(BIND6(listener, "::", 8081));
    TRY(listen(listener, 5));
    TRY(CONNECT6(client, "::1", 8081));
    show_names(client);
    int server = TRY(accept(listener, NULL, NULL));
    show_names(server);
    close(client);
    close(server);
    // IPv4 to both.
    client = socket(AF_INET, SOCK_STREAM, 0);
    TRY(CONNECT4(client, "127.0.0.1", 8081));
    struct sockaddr_in6 from;
    socklen_t len = sizeof from;
    server = TRY(accept(listener, (void *)&from, &len));
    show_address("accepted", &from, len);
    show_names(server);
    close(client);
    close(server);
    client = socket(AF_INET6, SOCK_STREAM, 0);
    TRY(CONNECT6(client, "::ffff:127.0.0.1", 8081));
    show_names(client);
    close(client);
    close(accept(listener, NULL, NULL));
    // "Any" is oneself.
    client = socket(AF_INET6, SOCK_STREAM, 0);
    TRY(CONNECT6(client, "::", 8081));
    show_names(client);
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    TRY(CONNECT4(client, "0.0.0.0", 8081));
    show_names(client);
    close(client);
    close(listener);
    // IPv6 alone.
    listener = socket(AF_INET6, SOCK_STREAM, 0);
    TRY(set(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    TRY(BIND6(listener, "::", 8082));
    TRY(set(listener, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    listen(listener, 1);
    client = socket(AF_INET, SOCK_STREAM, 0);
    TRY(CONNECT4(client, "127.0.0.1", 8082));
    int other = socket(AF_INET, SOCK_STREAM, 0);
    TRY(BIND4(other, "0.0.0.0", 8082));
    close(other);
    close(client);
    client = socket(AF_INET6, SOCK_STREAM, 0);
    set(client, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    TRY(CONNECT6(client, "::ffff:127.0.0.1", 8081));
    close(client);
    close(listener);
}

static void nonblocking(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    BIND4(listener, "127.0.0.1", 8083);
    listen(listener, 1);
    TRY(accept(listener, NULL, NULL));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    TRY(CONNECT4(client, "127.0.0.1", 8083));
    show_events(client);
    show_error(client);
    TRY(CONNECT4(client, "127.0.0.1", 8083));
    TRY(CONNECT4(client, "127.0.0.1", 8083));
    char buf[10];
    TRY(read(client, buf, 10));
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("%x %x\n", fcntl(server, F_GETFL), fcntl(server, F_GETFD));
    close(server);
    close(client);
    // Nobody there.
    client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    TRY(CONNECT4(client, "127.0.0.1", 8084));
    show_events(client);
    show_error(client);
    show_events(client);
    TRY(CONNECT4(client, "127.0.0.1", 8084));
    TRY(CONNECT4(client, "127.0.0.1", 8084));
    TRY(CONNECT4(client, "127.0.0.1", 8084));
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    TRY(CONNECT4(client, "127.0.0.1", 8084));
    show_error(client);
    TRY(CONNECT4(client, "127.0.0.1", 8083));
    show_events(client);
    close(client);
    close(listener);
}

static void backlog(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), clients[3];
    BIND4(listener, "127.0.0.1", 8085);
    listen(listener, 0);
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        TRY(CONNECT4(clients[i], "127.0.0.1", 8085));
        show_events(clients[i]);
    }
    TRY(CONNECT4(clients[1], "127.0.0.1", 8085));
    show_names(clients[1]);
    // A listener that goes away resets those who wait.
    char byte;
    close(listener);
    show_events(clients[0]);
    TRY(read(clients[0], &byte, 1));
    TRY(read(clients[0], &byte, 1));
    for (int i = 0; i < 3; i++) close(clients[i]);
}

static void edges(void) {
    int c[2], e = epoll_create1(0);
    connection(c);
    struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got;
    epoll_ctl(e, EPOLL_CTL_ADD, c[1], &want);
    TRY(epoll_wait(e, &got, 1, 0));
    printf("%x\n", got.events);
    TRY(epoll_wait(e, &got, 1, 0));
    write(c[0], "abc", 3);
    TRY(epoll_wait(e, &got, 1, 0));
    printf("%x\n", got.events);
    TRY(epoll_wait(e, &got, 1, 0));
    char buf[10];
    TRY(read(c[1], buf, 1));
    TRY(epoll_wait(e, &got, 1, 0));
    write(c[0], "d", 1);
    TRY(epoll_wait(e, &got, 1, 0));
    printf("%x\n", got.events);
    TRY(read(c[1], buf, 10));
    shutdown(c[0], SHUT_WR);
    TRY(epoll_wait(e, &got, 1, 0));
    printf("%x\n", got.events);
    close(c[0]);
    TRY(write(c[1], "x", 1));
    TRY(epoll_wait(e, &got, 1, 0));
    printf("%x\n", got.events);
    close(c[1]);
    close(e);
}

// Far more than buffers hold, from one process to another.
static void bulk(void) {
    int c[2];
    connection(c);
    if (fork() == 0) {
        close(c[1]);
        static unsigned char piece[70000];
        for (int i = 0; i < 40; i++) {
            for (int j = 0; j < (int)sizeof piece; j++) piece[j] = i * 7 + j;
            if (write(c[0], piece, sizeof piece) != sizeof piece) _exit(1);
        }
        _exit(0);
    }
    close(c[0]);
    static unsigned char all[70000];
    int status;
    long sum = 0, rounds = 0;
    for (ssize_t n; (n = recv(c[1], all, sizeof all, MSG_WAITALL)) > 0; rounds += n == sizeof all)
        for (ssize_t i = 0; i < n; i++) sum = (sum * 31 + all[i]) & 0xffffff;
    wait(&status);
    printf("bulk: %ld %ld %d\n", rounds, sum, status);
    close(c[1]);
    // A file, and through a pipe.
    connection(c);
    int file = open("/tmp/tcp-file", O_RDWR | O_CREAT | O_TRUNC, 0600), p[2];
    write(file, "contents of a file", 18);
    lseek(file, 0, SEEK_SET);
    TRY(sendfile(c[0], file, NULL, 8));
    char buf[100];
    TRY(recv(c[1], buf, 100, 0));
    pipe(p);
    write(p[1], "piped", 5);
    TRY(splice(p[0], NULL, c[0], NULL, 5, 0));
    TRY(splice(c[1], NULL, p[1], NULL, 100, 0));
    TRY(read(p[0], buf, 100));
    unlink("/tmp/tcp-file");
    close(file);
    close(c[0]);
    close(c[1]);
}

// The urgent byte.
static void urgent(void) {
    int c[2], mark;
    char buf[10];
    connection(c);
    TRY(recv(c[1], buf, 1, MSG_OOB));
    TRY(send(c[0], "abX", 3, MSG_OOB));
    TRY(send(c[0], "cd", 2, 0));
    show_events(c[1]);
    TRY(({ int n; ioctl(c[1], FIONREAD, &n); n; }));
    TRY(({ ioctl(c[1], SIOCATMARK, &mark); mark; }));
    TRY(recv(c[1], buf, 10, 0));
    TRY(({ ioctl(c[1], SIOCATMARK, &mark); mark; }));
    TRY(recv(c[1], buf, 1, MSG_OOB));
    printf("%c\n", buf[0]);
    TRY(recv(c[1], buf, 1, MSG_OOB));
    TRY(recv(c[1], buf, 10, 0));
    printf("%.2s\n", buf);
    TRY(set(c[1], SOL_SOCKET, SO_OOBINLINE, 1));
    send(c[0], "eY", 2, MSG_OOB);
    TRY(recv(c[1], buf, 10, 0));
    TRY(({ ioctl(c[1], SIOCATMARK, &mark); mark; }));
    TRY(recv(c[1], buf, 10, 0));
    printf("%c\n", buf[0]);
    close(c[0]);
    close(c[1]);
}

int main(void) {
    basics();
    six();
    nonblocking();
    backlog();
    edges();
    bulk();
    urgent();
    return 0;
}
