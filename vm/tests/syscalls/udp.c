// Datagrams: where they go, what comes with them, what goes wrong.
#include "loopback.h"

static int udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }

#define SEND4(s, text, ip, port) \
    ({ struct sockaddr_in a_ = in4(ip, port); sendto(s, text, strlen(text), 0, (void *)&a_, sizeof a_); })
#define SEND6(s, text, ip, port) \
    ({ struct sockaddr_in6 a_ = in6(ip, port); sendto(s, text, strlen(text), 0, (void *)&a_, sizeof a_); })

static void show_received(int s) {
    char buf[100] = "";
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    if (TRY(recvfrom(s, buf, sizeof buf, MSG_DONTWAIT, (void *)&from, &len)) >= 0) {
        printf("%s\n", buf);
        show_address("from", &from, len);
    }
}

static void basics(void) {
    int a = TRY(udp()), b = udp();
    char buf[100];
    show_events(a);
    show_names(a);
    TRY(BIND4(a, "127.0.0.1", 7000));
    TRY(BIND4(a, "127.0.0.1", 7000));
    TRY(BIND4(b, "127.0.0.1", 7000));
    TRY(BIND4(b, "0.0.0.0", 7000));
    TRY(SEND4(b, "hello", "127.0.0.1", 7000));
    show_names(b);
    show_events(a);
    show_received(a);
    show_received(a);
    // Boundaries.
    SEND4(b, "one", "127.0.0.1", 7000);
    SEND4(b, "", "127.0.0.1", 7000);
    SEND4(b, "three", "127.0.0.1", 7000);
    SEND4(b, "four", "127.0.0.1", 7000);
    TRY(({ int n; ioctl(a, FIONREAD, &n); n; }));
    TRY(recv(a, buf, 2, MSG_PEEK));
    TRY(recv(a, buf, 2, MSG_TRUNC | MSG_PEEK));
    TRY(recv(a, buf, 2, MSG_TRUNC));
    TRY(recv(a, buf, 2, 0));
    TRY(read(a, buf, 2));
    TRY(read(a, buf, 100));
    TRY(write(b, "x", 1));
    TRY(send(b, "x", 1, 0));
    TRY(SEND4(b, "x", "127.0.0.1", 0));
    TRY(SEND4(b, "x", "10.0.0.1", 7000));
    TRY(SEND4(b, "x", "127.255.255.255", 7000));
    TRY(set(b, SOL_SOCKET, SO_BROADCAST, 1));
    TRY(SEND4(b, "x", "127.255.255.255", 7001));
    TRY(SEND4(b, "x", "255.255.255.255", 7000));
    TRY(SEND4(b, "x", "224.0.0.1", 7000));
    TRY(SEND6(b, "x", "::1", 7000));
    static char big[70000];
    struct sockaddr_in to = in4("127.0.0.1", 7000);
    TRY(sendto(b, big, 65507, 0, (void *)&to, sizeof to));
    TRY(sendto(b, big, 65508, 0, (void *)&to, sizeof to));
    TRY(sendto(b, big, 70000, 0, (void *)&to, sizeof to));
    TRY(sendto(b, big, 1, 0, (void *)&to, 8));
    TRY(recv(a, big, sizeof big, 0));
    TRY(sendto(b, "x", 1, MSG_OOB, (void *)&to, sizeof to));
    TRY(recv(a, buf, 1, MSG_OOB | MSG_DONTWAIT));
    close(a);
    close(b);
}

static void connected(void) {
    int a = udp(), b = udp(), c = udp();
    char buf[100];
    BIND4(a, "127.0.0.1", 7002);
    BIND4(b, "127.0.0.1", 7003);
    BIND4(c, "127.0.0.1", 7004);
    TRY(CONNECT4(b, "127.0.0.1", 7002));
    show_names(b);
    TRY(send(b, "to a", 4, 0));
    show_received(a);
    TRY(SEND4(b, "to c", "127.0.0.1", 7004));
    show_received(c);
    // Only what comes from the other side is for it.
    SEND4(c, "from c", "127.0.0.1", 7003);
    SEND4(a, "from a", "127.0.0.1", 7003);
    show_received(b);
    show_received(b);
    // Nobody there any more.
    close(a);
    TRY(send(b, "x", 1, 0));
    show_events(b);
    TRY(send(b, "x", 1, 0));
    TRY(send(b, "x", 1, 0));
    TRY(recv(b, buf, 1, MSG_DONTWAIT));
    TRY(recv(b, buf, 1, MSG_DONTWAIT));
    TRY(send(b, "x", 1, 0));
    show_error(b);
    show_error(b);
    TRY(SEND4(c, "x", "127.0.0.1", 7002));
    show_error(c);
    struct sockaddr nothing = {AF_UNSPEC};
    TRY(connect(b, &nothing, sizeof nothing));
    show_names(b);
    TRY(send(b, "x", 1, 0));
    SEND4(c, "again", "127.0.0.1", 7003);
    show_received(b);
    TRY(CONNECT4(b, "10.0.0.1", 7002));
    TRY(CONNECT4(b, "127.0.0.1", 7002));
    TRY(CONNECT4(b, "127.0.0.1", 7004));
    show_names(b);
    close(b);
    close(c);
    a = udp();
    TRY(CONNECT4(a, "127.0.0.1", 7005));
    show_names(a);
    close(a);
}

static void halves(void) {
    int a = udp(), b = udp();
    char byte;
    TRY(shutdown(a, SHUT_RD));
    show_events(a);
    TRY(recv(a, &byte, 1, 0));
    BIND4(b, "127.0.0.1", 7006);
    CONNECT4(a, "127.0.0.1", 7006);
    TRY(shutdown(a, SHUT_WR));
    show_events(a);
    TRY(send(a, "x", 1, MSG_NOSIGNAL));
    close(a);
    close(b);
}

static void six(void) {
    int a = socket(AF_INET6, SOCK_DGRAM, 0), b = udp(), c = socket(AF_INET6, SOCK_DGRAM, 0);
    TRY(BIND6(a, "::", 7007));
    TRY(SEND6(c, "six", "::1", 7007));
    show_received(a);
    TRY(SEND4(b, "four", "127.0.0.1", 7007));
    show_received(a);
    TRY(SEND6(c, "mapped", "::ffff:127.0.0.1", 7007));
    show_received(a);
    TRY(SEND4(c, "inet", "127.0.0.1", 7007));
    show_received(a);
    TRY(SEND6(c, "x", "2001:db8::1", 7007));
    TRY(BIND4(b, "127.0.0.1", 7007));
    show_names(c);
    close(a);
    close(b);
    close(c);
}

static void show_message(int s) {
    char buf[10], control[200];
    struct sockaddr_storage from;
    struct iovec v = {buf, 4};
    struct msghdr m = {&from, sizeof from, &v, 1, control, sizeof control, 0};
    if (TRY(recvmsg(s, &m, MSG_DONTWAIT)) < 0) return;
    printf("%d %d %x\n", m.msg_namelen, (int)m.msg_controllen, m.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("control %d %d %d", (int)c->cmsg_len, c->cmsg_level, c->cmsg_type);
        if (c->cmsg_level != SOL_SOCKET)
            for (int i = 0; i < (int)(c->cmsg_len - CMSG_LEN(0)); i++) printf(" %02x", CMSG_DATA(c)[i]);
        printf("\n");
    }
}

static void told(void) {
    int a = udp(), b = udp();
    BIND4(a, "0.0.0.0", 7008);
    TRY(set(a, IPPROTO_IP, IP_PKTINFO, 1));
    SEND4(b, "x", "127.0.0.3", 7008);
    show_message(a);
    TRY(set(a, IPPROTO_IP, IP_RECVTTL, 1));
    TRY(set(a, IPPROTO_IP, IP_RECVTOS, 1));
    TRY(set(b, IPPROTO_IP, IP_TTL, 7));
    TRY(set(b, IPPROTO_IP, IP_TOS, 0x10));
    SEND4(b, "truncated", "127.0.0.1", 7008);
    show_message(a);
    TRY(set(a, SOL_SOCKET, SO_TIMESTAMP, 1));
    SEND4(b, "x", "127.0.0.1", 7008);
    show_message(a);
    TRY(set(a, IPPROTO_IP, IP_RECVORIGDSTADDR, 1));
    SEND4(b, "x", "127.0.0.5", 7008);
    show_message(a);
    // The sender chooses its address.
    char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
    struct sockaddr_in to = in4("127.0.0.1", 7008), ours = in4("127.0.0.77", 0);
    struct iovec v = {"from 77", 7};
    struct msghdr m = {&to, sizeof to, &v, 1, control, sizeof control, 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    ((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst = ours.sin_addr;
    TRY(sendmsg(b, &m, 0));
    show_received(a);
    ours = in4("10.0.0.1", 0);
    ((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst = ours.sin_addr;
    TRY(sendmsg(b, &m, 0));
    close(a);
    a = socket(AF_INET6, SOCK_DGRAM, 0);
    BIND6(a, "::", 7008);
    TRY(set(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
    TRY(set(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
    TRY(set(a, IPPROTO_IPV6, IPV6_RECVTCLASS, 1));
    int d = socket(AF_INET6, SOCK_DGRAM, 0);
    TRY(set(d, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9));
    TRY(set(d, IPPROTO_IPV6, IPV6_TCLASS, 0x20));
    SEND6(d, "x", "::1", 7008);
    show_message(a);
    TRY(set(a, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1));
    SEND6(d, "x", "::1", 7008);
    show_message(a);
    SEND4(b, "x", "127.0.0.5", 7008);
    show_message(a);
    close(a);
    close(b);
    close(d);
}

static void several(void) {
    int a = udp(), b = udp();
    BIND4(a, "127.0.0.1", 7009);
    CONNECT4(b, "127.0.0.1", 7009);
    struct iovec out[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    struct mmsghdr m[3] = {0};
    for (int i = 0; i < 3; i++) m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
    TRY(sendmmsg(b, m, 3, 0));
    printf("%d %d %d\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    char buf[4][10];
    struct iovec in[4];
    struct mmsghdr n[4] = {0};
    for (int i = 0; i < 4; i++) {
        in[i] = (struct iovec){buf[i], 10};
        n[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    TRY(recvmmsg(a, n, 4, MSG_DONTWAIT, NULL));
    printf("%d %d %d\n", n[0].msg_len, n[1].msg_len, n[2].msg_len);
    TRY(recvmmsg(a, n, 4, MSG_DONTWAIT, NULL));
    sendmmsg(b, m, 2, 0);
    TRY(recvmmsg(a, n, 4, MSG_WAITFORONE, NULL));
    sendmmsg(b, m, 3, 0);
    TRY(recvmmsg(a, n, 3, 0, NULL));
    struct timespec bad = {0, 1000000000};
    TRY(recvmmsg(a, n, 3, 0, &bad));
    close(a);
    close(b);
}

static void shared(void) {
    int a = udp(), b = udp(), c = udp();
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(BIND4(a, "127.0.0.1", 7010));
    TRY(BIND4(b, "127.0.0.1", 7010));
    SEND4(c, "whose", "127.0.0.1", 7010);
    char buf[10];
    TRY(recv(a, buf, 10, MSG_DONTWAIT));
    TRY(recv(b, buf, 10, MSG_DONTWAIT));
    close(b);
    b = udp();
    // The more particular one.
    close(a);
    a = udp();
    TRY(BIND4(a, "0.0.0.0", 7011));
    set(a, SOL_SOCKET, SO_REUSEADDR, 1);
    set(b, SOL_SOCKET, SO_REUSEADDR, 1);
    TRY(BIND4(b, "127.0.0.1", 7011));
    SEND4(c, "x", "127.0.0.1", 7011);
    TRY(recv(a, buf, 10, MSG_DONTWAIT));
    TRY(recv(b, buf, 10, MSG_DONTWAIT));
    SEND4(c, "x", "127.0.0.2", 7011);
    TRY(recv(a, buf, 10, MSG_DONTWAIT));
    TRY(recv(b, buf, 10, MSG_DONTWAIT));
    // More than a buffer holds is lost.
    set(b, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int i = 0; i < 100; i++) SEND4(c, "flood", "127.0.0.1", 7011);
    int n = 0;
    while (recv(b, buf, 10, MSG_DONTWAIT) > 0) n++;
    printf("some: %d\n", n > 3 && n < 40);
    close(a);
    close(b);
    close(c);
}

// Datagrams that are put together by several calls.
static void corked(void) {
    int a = udp(), b = udp();
    BIND4(a, "127.0.0.1", 7050);
    struct sockaddr_in to = in4("127.0.0.1", 7050), other = in4("127.0.0.1", 7051);
    TRY(sendto(b, "one", 3, MSG_MORE, (void *)&to, sizeof to));
    show_received(a);
    TRY(sendto(b, "two", 3, MSG_MORE, (void *)&other, sizeof other));
    TRY(sendto(b, "three", 5, 0, NULL, 0));
    show_received(a);
    show_received(a);
    TRY(CONNECT4(b, "127.0.0.1", 7050));
    TRY(set(b, IPPROTO_UDP, 1, 1));
    TRY(write(b, "four", 4));
    TRY(write(b, "five", 4));
    show_received(a);
    TRY(set(b, IPPROTO_UDP, 1, 0));
    show_received(a);
    TRY(write(b, "six", 3));
    show_received(a);
    static char big[40000];
    TRY(send(b, big, sizeof big, MSG_MORE));
    TRY(send(b, big, sizeof big, 0));
    TRY(send(b, "seven", 5, 0));
    show_received(a);
    TRY(set(b, IPPROTO_UDP, 1, 1));
    TRY(write(b, "lost", 4));
    close(b);
    show_received(a);
    close(a);
}

// How many datagrams were lost for want of room.
static void lost(void) {
    int a = udp(), b = udp(), n = 0;
    BIND4(a, "127.0.0.1", 7060);
    set(a, SOL_SOCKET, SO_RCVBUF, 1);
    TRY(set(a, SOL_SOCKET, SO_RXQ_OVFL, 1));
    for (int i = 0; i < 100; i++) SEND4(b, "many", "127.0.0.1", 7060);
    char buf[10], control[100] __attribute__((aligned(8)));
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TRY(recvmsg(a, &m, MSG_DONTWAIT));
    printf("told %d\n", (int)m.msg_controllen);
    for (n = 1; recv(a, buf, sizeof buf, MSG_DONTWAIT) > 0; n++) {}
    TRY(SEND4(b, "one", "127.0.0.1", 7060));
    m.msg_controllen = sizeof control;
    TRY(recvmsg(a, &m, MSG_DONTWAIT));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    printf("lost %d of %d: %d\n", c != NULL, n < 100, c && *(unsigned *)CMSG_DATA(c) == 100u - n);
    uint32_t info[9];
    socklen_t len = sizeof info;
    TRY(getsockopt(a, SOL_SOCKET, SO_MEMINFO, info, &len));
    printf("%d %d\n", len, info[8] == 100u - n);
    close(a);
    close(b);
}

int main(void) {
    basics();
    connected();
    halves();
    six();
    told();
    several();
    shared();
    corked();
    lost();
    return 0;
}
