// What guest programs about the Internet need: a network of their own, with nothing but the loopback interface, as the
// machine has it. On Linux that takes a namespace; the machine has no other network to begin with.
#include "report.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

__attribute__((constructor)) static void only_loopback(void) {
    unshare(CLONE_NEWNET);
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    ioctl(s, SIOCSIFFLAGS, &lo);
    close(s);
    // Anybody may have sockets of ping, as systemd and Docker have it; in Linux's new network nobody may.
    int f = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
    if (f < 0) return;
    write(f, "0 2147483647", 12);
    close(f);
}

static struct sockaddr_in in4(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static struct sockaddr_in6 in6(const char *ip, int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}

#define BIND4(s, ip, port) ({ struct sockaddr_in a_ = in4(ip, port); bind(s, (void *)&a_, sizeof a_); })
#define BIND6(s, ip, port) ({ struct sockaddr_in6 a_ = in6(ip, port); bind(s, (void *)&a_, sizeof a_); })
#define CONNECT4(s, ip, port) ({ struct sockaddr_in a_ = in4(ip, port); connect(s, (void *)&a_, sizeof a_); })
#define CONNECT6(s, ip, port) ({ struct sockaddr_in6 a_ = in6(ip, port); connect(s, (void *)&a_, sizeof a_); })

// Prints an address; of ports only whether the kernel chose them.
static void show_address(const char *what, const void *address, socklen_t len) {
    char text[100] = "";
    const struct sockaddr_in *four = address;
    const struct sockaddr_in6 *six = address;
    if (len == 0) { printf("%s: none\n", what); return; }
    int is_six = four->sin_family == AF_INET6;
    inet_ntop(four->sin_family, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr, text, sizeof text);
    int port = ntohs(four->sin_port);
    printf("%s: %d %d %s ", what, len, four->sin_family, text);
    if (port >= 32768 && port <= 60999) printf("ephemeral\n");
    else printf("%d\n", port);
}

static void show_names(int s) {
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (TRY(getsockname(s, (void *)&a, &len)) == 0) show_address("local", &a, len);
    len = sizeof a;
    if (TRY(getpeername(s, (void *)&a, &len)) == 0) show_address("remote", &a, len);
}

static void show_events(int s) {
    struct pollfd f = {s, 0xffff & ~POLLNVAL, 0};
    int n = poll(&f, 1, 0);
    printf("poll: %d %x\n", n, f.revents);
}

static int option(int s, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    if (getsockopt(s, level, name, &value, &len) < 0) return -1;
    return value;
}

static int set(int s, int level, int name, int value) { return setsockopt(s, level, name, &value, sizeof value); }

static void show_error(int s) { printf("error: %s\n", strerrorname_np(option(s, SOL_SOCKET, SO_ERROR)) ?: "none"); }

// The port a socket has, to connect to; it is not printed.
static int port_of(int s) {
    struct sockaddr_in6 a;
    socklen_t len = sizeof a;
    getsockname(s, (void *)&a, &len);
    return ntohs(a.sin6_port);
}

// A connection: the side that connected, and the one that was accepted.
static void connection(int pair[2]) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    BIND4(listener, "127.0.0.1", 0);
    listen(listener, 1);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CONNECT4(pair[0], "127.0.0.1", port_of(listener));
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}
