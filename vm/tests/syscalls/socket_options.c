// Options: what they are at first, what they take, what they become.
#include "loopback.h"
#include <sys/un.h>

static void show(int s, const char *name, int level, int option) {
    unsigned char value[64] = {0};
    socklen_t len = sizeof value;
    if (getsockopt(s, level, option, value, &len) < 0) {
        printf("%s: %s\n", name, strerrorname_np(errno));
        return;
    }
    printf("%s: %d", name, len);
    for (int i = 0; i < (int)len && i < 16; i++) printf(" %02x", value[i]);
    printf("\n");
}
#define SHOW(s, level, option) show(s, #option, level, option)

#define CHANGE(s, level, option, value) do { \
    TRY(set(s, level, option, value)); \
    SHOW(s, level, option); \
} while (0)

static void common(int s) {
    SHOW(s, SOL_SOCKET, SO_TYPE);
    SHOW(s, SOL_SOCKET, SO_DOMAIN);
    SHOW(s, SOL_SOCKET, SO_PROTOCOL);
    SHOW(s, SOL_SOCKET, SO_ERROR);
    SHOW(s, SOL_SOCKET, SO_ACCEPTCONN);
    SHOW(s, SOL_SOCKET, SO_SNDLOWAT);
    SHOW(s, SOL_SOCKET, SO_RCVLOWAT);
    SHOW(s, SOL_SOCKET, SO_LINGER);
    SHOW(s, SOL_SOCKET, SO_RCVTIMEO);
    SHOW(s, SOL_SOCKET, SO_PEERCRED);
    SHOW(s, SOL_SOCKET, SO_BINDTODEVICE);
    SHOW(s, SOL_SOCKET, 9999);
    TRY(set(s, SOL_SOCKET, 9999, 1));
    TRY(set(s, SOL_SOCKET, SO_TYPE, 1));
    TRY(set(s, SOL_SOCKET, SO_ERROR, 1));
    char one = 1;
    TRY(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 1));
    TRY(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, NULL, 4));
    CHANGE(s, SOL_SOCKET, SO_REUSEADDR, 5);
    CHANGE(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    CHANGE(s, SOL_SOCKET, SO_KEEPALIVE, 0);
    CHANGE(s, SOL_SOCKET, SO_BROADCAST, 1);
    CHANGE(s, SOL_SOCKET, SO_OOBINLINE, 1);
    CHANGE(s, SOL_SOCKET, SO_PRIORITY, 3);
    CHANGE(s, SOL_SOCKET, SO_RCVBUF, 10000);
    CHANGE(s, SOL_SOCKET, SO_RCVBUF, 1);
    CHANGE(s, SOL_SOCKET, SO_SNDBUF, 10000);
    CHANGE(s, SOL_SOCKET, SO_SNDBUF, 1);
    CHANGE(s, SOL_SOCKET, SO_RCVLOWAT, 10);
    TRY(set(s, SOL_SOCKET, SO_RCVLOWAT, 0));
    SHOW(s, SOL_SOCKET, SO_RCVLOWAT);
    TRY(set(s, SOL_SOCKET, SO_LINGER, 1));
    struct linger l = {1, 5};
    TRY(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    SHOW(s, SOL_SOCKET, SO_LINGER);
    TRY(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW(s, SOL_SOCKET, SO_BINDTODEVICE);
    TRY(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "eth7", 5));
    TRY(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    int value;
    socklen_t len = 2;
    TRY(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &len));
    printf("%d\n", len);
    len = -1;
    TRY(getsockopt(s, SOL_SOCKET, SO_TYPE, &value, &len));
    SHOW(s, 12345, 1);
}

static void inet(int s) {
    SHOW(s, SOL_SOCKET, SO_RCVBUF);
    SHOW(s, SOL_SOCKET, SO_SNDBUF);
    SHOW(s, IPPROTO_IP, IP_TTL);
    CHANGE(s, IPPROTO_IP, IP_TOS, 0x10);
    CHANGE(s, IPPROTO_IP, IP_TTL, 5);
    CHANGE(s, IPPROTO_IP, IP_TTL, 0);
    CHANGE(s, IPPROTO_IP, IP_TTL, 256);
    CHANGE(s, IPPROTO_IP, IP_TTL, -1);
    char ttl = 3;
    TRY(setsockopt(s, IPPROTO_IP, IP_TTL, &ttl, 1));
    CHANGE(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    CHANGE(s, IPPROTO_IP, IP_MTU_DISCOVER, 9);
    CHANGE(s, IPPROTO_IP, IP_RECVERR, 1);
    CHANGE(s, IPPROTO_IP, IP_PKTINFO, 1);
    CHANGE(s, IPPROTO_IP, IP_FREEBIND, 1);
    CHANGE(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    CHANGE(s, IPPROTO_IP, IP_MINTTL, 3);
    SHOW(s, IPPROTO_IP, IP_MTU);
    SHOW(s, IPPROTO_IP, IP_OPTIONS);
    SHOW(s, IPPROTO_IP, 999);
    TRY(set(s, IPPROTO_IP, 999, 1));
}

static void multicast(int s) {
    CHANGE(s, IPPROTO_IP, IP_MULTICAST_TTL, 4);
    CHANGE(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    SHOW(s, IPPROTO_IP, IP_MULTICAST_IF);
    struct ip_mreq group = {0};
    inet_pton(AF_INET, "224.1.1.1", &group.imr_multiaddr);
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    inet_pton(AF_INET, "127.0.0.1", &group.imr_interface);
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    TRY(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    TRY(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    inet_pton(AF_INET, "10.1.1.1", &group.imr_multiaddr);
    TRY(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
}

static void inet6(int s) {
    CHANGE(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CHANGE(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
    CHANGE(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    CHANGE(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 300);
    CHANGE(s, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    CHANGE(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    CHANGE(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    CHANGE(s, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2);
    CHANGE(s, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    SHOW(s, IPPROTO_IPV6, IPV6_MTU);
    SHOW(s, IPPROTO_IPV6, 999);
}

static void tcp(int s) {
    SHOW(s, IPPROTO_TCP, TCP_MAXSEG);
    SHOW(s, IPPROTO_TCP, TCP_KEEPIDLE);
    CHANGE(s, IPPROTO_TCP, TCP_NODELAY, 7);
    CHANGE(s, IPPROTO_TCP, TCP_CORK, 1);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPIDLE, 40000);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPCNT, 128);
    CHANGE(s, IPPROTO_TCP, TCP_KEEPCNT, 3);
    CHANGE(s, IPPROTO_TCP, TCP_SYNCNT, 2);
    CHANGE(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    CHANGE(s, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
    CHANGE(s, IPPROTO_TCP, TCP_LINGER2, 10);
    SHOW(s, IPPROTO_TCP, 999);
    TRY(set(s, IPPROTO_TCP, 999, 1));
    char one = 1;
    TRY(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 1));
    TRY(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
    struct tcp_info info;
    socklen_t len = sizeof info;
    TRY(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len));
    printf("state %d\n", info.tcpi_state);
}

int main(void) {
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0);
    int d = socket(AF_INET6, SOCK_DGRAM, 0);
    inet(b);
    multicast(b);
    inet6(c);
    inet6(d);
    SHOW(c, IPPROTO_IP, IP_TTL);
    SHOW(a, IPPROTO_IPV6, IPV6_V6ONLY);
    SHOW(b, IPPROTO_TCP, TCP_NODELAY);
    tcp(a);
    int all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) common(all[i]);
    // What a connection has from its listener.
    set(a, SOL_SOCKET, SO_KEEPALIVE, 1);
    BIND4(a, "127.0.0.1", 6000);
    listen(a, 1);
    SHOW(a, SOL_SOCKET, SO_ACCEPTCONN);
    close(b);
    b = socket(AF_INET, SOCK_STREAM, 0);
    CONNECT4(b, "127.0.0.1", 6000);
    int server = accept(a, NULL, NULL);
    SHOW(server, SOL_SOCKET, SO_KEEPALIVE);
    SHOW(server, SOL_SOCKET, SO_ACCEPTCONN);
    SHOW(server, IPPROTO_TCP, TCP_NODELAY);
    SHOW(server, IPPROTO_IP, IP_MTU);
    TRY(set(1, SOL_SOCKET, SO_KEEPALIVE, 1));
    struct tcp_info info;
    socklen_t len = sizeof info;
    TRY(getsockopt(b, IPPROTO_TCP, TCP_INFO, &info, &len));
    printf("state %d\n", info.tcpi_state);
    TRY(getsockopt(a, IPPROTO_TCP, TCP_INFO, &info, &len));
    printf("state %d\n", info.tcpi_state);
    return 0;
}
