// Groups and broadcasts on the loopback interface: who hears what.
#include "messages.h"

static int udp(int family) { return socket(family, SOCK_DGRAM, 0); }
static int shared(int family) { int s = udp(family); set(s, SOL_SOCKET, SO_REUSEADDR, 1); return s; }

static long send4(int s, const char *ip, int port) {
    struct sockaddr_in to = in4(ip, port);
    return sendto(s, "x", 1, 0, (void *)&to, sizeof to);
}
static long send6(int s, const char *ip, int port, int scope) {
    struct sockaddr_in6 to = in6(ip, port);
    to.sin6_scope_id = scope;
    return sendto(s, "x", 1, 0, (void *)&to, sizeof to);
}
static long join4(int s, int option, const char *group, const char *interface, int index) {
    struct ip_mreqn m = {.imr_ifindex = index};
    inet_pton(AF_INET, group, &m.imr_multiaddr);
    inet_pton(AF_INET, interface, &m.imr_address);
    return setsockopt(s, IPPROTO_IP, option, &m, sizeof m);
}
static long join6(int s, int option, const char *group, int index) {
    struct ipv6_mreq m = {.ipv6mr_interface = index};
    inet_pton(AF_INET6, group, &m.ipv6mr_multiaddr);
    return setsockopt(s, IPPROTO_IPV6, option, &m, sizeof m);
}
static void heard(const char *who, int s) {
    printf("%s:\n", who);
    while (show_message(s, 10, 0) >= 0) {}
}

static void groups(void) {
    printf("-- groups\n");
    int a = shared(AF_INET), b = shared(AF_INET), c = shared(AF_INET), d = shared(AF_INET), s = udp(AF_INET);
    TRY(BIND4(a, "0.0.0.0", 7400));
    TRY(BIND4(b, "239.1.2.3", 7400));
    TRY(BIND4(c, "0.0.0.0", 7400));
    TRY(BIND4(d, "127.0.0.1", 7400));
    set(a, IPPROTO_IP, IP_PKTINFO, 1);
    TRY(send4(s, "239.1.2.3", 7400));
    TRY(join4(a, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0", 0));
    TRY(join4(a, IP_ADD_MEMBERSHIP, "239.1.2.3", "127.0.0.1", 0));
    TRY(join4(a, IP_ADD_MEMBERSHIP, "239.1.2.3", "127.0.0.1", 0));
    TRY(join4(b, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0", 1));
    TRY(join4(b, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0", 2));
    TRY(join4(b, IP_ADD_MEMBERSHIP, "239.1.2.3", "10.0.0.1", 0));
    TRY(send4(s, "239.1.2.3", 7400));
    struct in_addr lo = {htonl(INADDR_LOOPBACK)}, none = {0}, other = {htonl(0x0a000001)};
    TRY(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &other, sizeof other));
    TRY(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    TRY(option(s, IPPROTO_IP, IP_MULTICAST_IF));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b), heard("c", c), heard("d", d);
    // All that is heard, or what was asked for.
    TRY(set(c, IPPROTO_IP, IP_MULTICAST_ALL, 0));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b), heard("c", c);
    TRY(set(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b), heard("c", c);
    TRY(set(s, IPPROTO_IP, IP_MULTICAST_TTL, 0));
    TRY(set(a, IPPROTO_IP, IP_RECVTTL, 1));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b);
    TRY(set(s, IPPROTO_IP, IP_MULTICAST_TTL, 9));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b);
    // A group that nobody is in, and one that everybody is in.
    TRY(send4(s, "239.1.2.4", 7400));
    TRY(send4(s, "224.0.0.1", 7400));
    heard("a", a), heard("b", b), heard("c", c);
    TRY(join4(a, IP_DROP_MEMBERSHIP, "239.1.2.3", "127.0.0.1", 0));
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("b", b), heard("c", c);
    close(b);
    TRY(send4(s, "239.1.2.3", 7400));
    heard("a", a), heard("c", c);
    // Connected to a group.
    TRY(CONNECT4(s, "239.1.2.3", 7400));
    show_names(s);
    TRY(send(s, "x", 1, 0));
    TRY(join4(a, IP_ADD_MEMBERSHIP, "239.1.2.3", "0.0.0.0", 1));
    TRY(send(s, "x", 1, 0));
    heard("a", a), heard("c", c);
    struct ip_mreqn by_index = {.imr_ifindex = 1};
    int t = udp(AF_INET);
    TRY(setsockopt(t, IPPROTO_IP, IP_MULTICAST_IF, &by_index, sizeof by_index));
    TRY(option(t, IPPROTO_IP, IP_MULTICAST_IF));
    TRY(send4(t, "239.1.2.3", 7400));
    heard("a", a);
    TRY(setsockopt(t, IPPROTO_IP, IP_MULTICAST_IF, &none, sizeof none));
    TRY(send4(t, "239.1.2.3", 7400));
    struct in_pktinfo info = {.ipi_ifindex = 1};
    struct sockaddr_in to = in4("239.1.2.3", 7400);
    TRY(send_with(t, &to, sizeof to, "info", IPPROTO_IP, IP_PKTINFO, &info, sizeof info));
    heard("a", a);
    TRY(BIND4(t, "127.0.0.5", 0));
    TRY(setsockopt(t, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    TRY(send4(t, "239.1.2.3", 7400));
    heard("a", a);
    close(a), close(c), close(d), close(s), close(t);
}

static void by_source(void) {
    printf("-- by source\n");
    int a = shared(AF_INET), s = udp(AF_INET);
    BIND4(a, "0.0.0.0", 7401), BIND4(s, "127.0.0.1", 0);
    struct in_addr lo = {htonl(INADDR_LOOPBACK)};
    setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo);
    struct ip_mreq_source m = {.imr_interface = lo, .imr_sourceaddr = lo};
    inet_pton(AF_INET, "232.1.1.1", &m.imr_multiaddr);
    TRY(setsockopt(a, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &m, sizeof m));
    TRY(send4(s, "232.1.1.1", 7401));
    heard("a", a);
    TRY(setsockopt(a, IPPROTO_IP, IP_BLOCK_SOURCE, &m, sizeof m));
    TRY(setsockopt(a, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &m, sizeof m));
    TRY(send4(s, "232.1.1.1", 7401));
    heard("a", a);
    TRY(join4(a, IP_ADD_MEMBERSHIP, "232.1.1.1", "127.0.0.1", 0));
    TRY(setsockopt(a, IPPROTO_IP, IP_BLOCK_SOURCE, &m, sizeof m));
    TRY(setsockopt(a, IPPROTO_IP, IP_BLOCK_SOURCE, &m, sizeof m));
    TRY(send4(s, "232.1.1.1", 7401));
    heard("a", a);
    TRY(setsockopt(a, IPPROTO_IP, IP_UNBLOCK_SOURCE, &m, sizeof m));
    TRY(setsockopt(a, IPPROTO_IP, IP_UNBLOCK_SOURCE, &m, sizeof m));
    TRY(send4(s, "232.1.1.1", 7401));
    heard("a", a);
    struct group_req g = {.gr_interface = 1};
    *(struct sockaddr_in *)&g.gr_group = in4("239.9.9.9", 0);
    TRY(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g));
    TRY(send4(s, "239.9.9.9", 7401));
    heard("a", a);
    TRY(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof g));
    TRY(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof g));
    TRY(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, 8));
    close(a), close(s);
}

static void six(void) {
    printf("-- six\n");
    int a = shared(AF_INET6), b = shared(AF_INET6), s = udp(AF_INET6);
    TRY(BIND6(a, "::", 7402));
    TRY(BIND6(b, "::", 7402));
    set(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    TRY(send6(s, "ff02::1234", 7402, 0));
    TRY(join6(a, IPV6_ADD_MEMBERSHIP, "ff02::1234", 0));
    TRY(join6(a, IPV6_ADD_MEMBERSHIP, "ff02::1234", 1));
    TRY(join6(a, IPV6_ADD_MEMBERSHIP, "ff02::1234", 1));
    TRY(join6(a, IPV6_ADD_MEMBERSHIP, "ff02::1234", 2));
    TRY(join6(a, IPV6_ADD_MEMBERSHIP, "::1", 1));
    TRY(send6(s, "ff02::1234", 7402, 0));
    TRY(send6(s, "ff02::1234", 7402, 1));
    heard("a", a), heard("b", b);
    TRY(send6(s, "ff02::1234", 7402, 2));
    TRY(set(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 2));
    TRY(set(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1));
    TRY(send6(s, "ff02::1234", 7402, 0));
    heard("a", a), heard("b", b);
    TRY(set(b, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0));
    TRY(set(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 7));
    TRY(set(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0));
    TRY(send6(s, "ff02::1234", 7402, 0));
    TRY(send6(s, "ff02::1", 7402, 0));
    TRY(send6(s, "ff05::9", 7402, 0));
    heard("a", a), heard("b", b);
    TRY(join6(a, IPV6_DROP_MEMBERSHIP, "ff02::1234", 1));
    TRY(join6(a, IPV6_DROP_MEMBERSHIP, "ff02::1234", 1));
    TRY(send6(s, "ff02::1234", 7402, 0));
    heard("a", a), heard("b", b);
    close(a), close(b), close(s);
}

static void broadcasts(void) {
    printf("-- broadcasts\n");
    int a = shared(AF_INET), b = shared(AF_INET), c = shared(AF_INET), s = udp(AF_INET);
    TRY(BIND4(a, "0.0.0.0", 7403));
    TRY(BIND4(b, "127.255.255.255", 7403));
    TRY(BIND4(c, "127.0.0.1", 7403));
    set(a, IPPROTO_IP, IP_PKTINFO, 1);
    TRY(send4(s, "127.255.255.255", 7403));
    TRY(CONNECT4(s, "127.255.255.255", 7403));
    TRY(set(s, SOL_SOCKET, SO_BROADCAST, 1));
    TRY(send4(s, "127.255.255.255", 7403));
    heard("a", a), heard("b", b), heard("c", c);
    TRY(send4(s, "255.255.255.255", 7403));
    TRY(send4(s, "127.0.0.0", 7403));
    heard("a", a), heard("b", b), heard("c", c);
    TRY(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    TRY(send4(s, "255.255.255.255", 7403));
    heard("a", a), heard("b", b), heard("c", c);
    close(a), close(b), close(c), close(s);
}

// Of several that share a port, each sender has one.
static void distribution(void) {
    printf("-- distribution\n");
    int all[4], n = 0, most = 0;
    for (int i = 0; i < 4; i++) {
        all[i] = udp(AF_INET);
        set(all[i], SOL_SOCKET, SO_REUSEPORT, 1);
        TRY(BIND4(all[i], "127.0.0.1", 7404));
    }
    for (int i = 0; i < 64; i++) {
        int s = udp(AF_INET), which = -1, count = 0;
        for (int j = 0; j < 3; j++) send4(s, "127.0.0.1", 7404);
        for (int j = 0; j < 4; j++)
            while (recv(all[j], &(char){0}, 1, MSG_DONTWAIT) == 1) which = j, count++;
        n |= 1 << which;
        most += count == 3;
        close(s);
    }
    printf("%x %d\n", n, most);
    // A listener among them that is connected is no receiver for others.
    int s = udp(AF_INET), without = udp(AF_INET), reuse = shared(AF_INET);
    TRY(BIND4(without, "127.0.0.1", 7404));
    TRY(BIND4(reuse, "127.0.0.1", 7404));
    for (int i = 0; i < 4; i++) close(all[i]);
    close(s), close(without), close(reuse);
}

int main(void) {
    groups();
    by_source();
    six();
    broadcasts();
    distribution();
    return 0;
}
