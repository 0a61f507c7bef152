// Refused datagrams, told in full: IP_RECVERR, IPV6_RECVERR and MSG_ERRQUEUE.
#include "loopback.h"
#include <linux/errqueue.h>

static char payload[65535], received[65535];

static void show_offender(const struct sock_extended_err *e) {
    const struct sockaddr *a = SO_EE_OFFENDER(e);
    if (a->sa_family == AF_UNSPEC) printf("  no offender\n");
    else show_address("  offender", a, a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

// Takes one error: what is returned, told, and quoted.
static void take(int s, size_t room, int flags, size_t control_room) {
    char control[512] __attribute__((aligned(8)));
    struct sockaddr_storage name;
    struct iovec v = {received, room};
    struct msghdr m = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = control_room};
    memset(received, 0, sizeof received);
    long n = TRY(recvmsg(s, &m, MSG_ERRQUEUE | flags));
    if (n < 0) return;
    printf("  flags %x control %d same %d\n", m.msg_flags, (int)m.msg_controllen, memcmp(received, payload, n) == 0);
    show_address("  name", &name, m.msg_namelen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("  told %d %d of %d\n", c->cmsg_level, c->cmsg_type, (int)(c->cmsg_len - CMSG_LEN(0)));
        int is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                       (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        const struct sock_extended_err *e = (void *)CMSG_DATA(c);
        if (is_error && c->cmsg_len >= CMSG_LEN(sizeof *e + 16)) {
            printf("  %s origin %d type %d code %d pad %d info %d data %d\n", strerrorname_np(e->ee_errno), e->ee_origin,
                   e->ee_type, e->ee_code, e->ee_pad, (int)e->ee_info, (int)e->ee_data);
            show_offender(e);
        } else if (c->cmsg_len == CMSG_LEN(sizeof(int))) {
            printf("  = %d\n", *(int *)CMSG_DATA(c));
        } else if (c->cmsg_len == CMSG_LEN(1)) {
            printf("  = %d\n", *(unsigned char *)CMSG_DATA(c));
        }
    }
}

static long send_to(int s, const void *to, socklen_t len, size_t bytes) { return sendto(s, payload, bytes, 0, to, len); }

// A port that nobody has.
static const int NOBODY = 7999;

static void unconnected(int family, int level, int option_name) {
    printf("-- unconnected %d\n", family);
    struct sockaddr_in four = in4("127.0.0.2", NOBODY);
    struct sockaddr_in6 six = in6(level == IPPROTO_IP ? "::ffff:127.0.0.2" : "::1", NOBODY);
    const void *to = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    int s = socket(family, SOCK_DGRAM, 0);
    TRY(send_to(s, to, len, 10));
    show_events(s);
    take(s, 100, 0, 512);
    TRY(set(s, level, option_name, 1));
    TRY(send_to(s, to, len, 10));
    show_events(s);
    // The pending error is told once, the queued one stays.
    TRY(send_to(s, to, len, 10));
    show_events(s);
    take(s, 100, 0, 512);
    show_events(s);
    show_error(s);
    take(s, 100, MSG_DONTWAIT, 512);
    // One that was not fetched before the next came: taking it makes the next one pending.
    for (int i = 1; i <= 3; i++) {
        TRY(send_to(s, to, len, i));
        show_error(s);
    }
    take(s, 100, 0, 512);
    show_events(s);
    TRY(recv(s, received, 10, MSG_DONTWAIT));
    TRY(recv(s, received, 10, MSG_DONTWAIT));
    take(s, 100, MSG_PEEK, 512);
    take(s, 100, 0, 512);
    show_error(s);
    // How much is quoted, and how little fits.
    int sizes[] = {0, 1, 519, 520, 521, 1183, 1184, 1185, 5000, 60000};
    for (int i = 0; i < 10; i++) {
        TRY(send_to(s, to, len, sizes[i]));
        take(s, 60000, 0, 512);
    }
    TRY(send_to(s, to, len, 10));
    take(s, 3, 0, 512);
    TRY(send_to(s, to, len, 10));
    take(s, 3, MSG_TRUNC, 512);
    TRY(send_to(s, to, len, 10));
    take(s, 0, 0, 20);
    TRY(send_to(s, to, len, 10));
    take(s, 10, 0, 0);
    // What is told of answers is told of errors.
    set(s, IPPROTO_IP, IP_RECVTTL, 1);
    set(s, IPPROTO_IP, IP_RECVTOS, 1);
    set(s, IPPROTO_IP, IP_PKTINFO, 1);
    set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set(s, SOL_SOCKET, SO_TIMESTAMP, 1);
    TRY(send_to(s, to, len, 10));
    take(s, 10, 0, 512);
    // What waits is lost when it is turned off.
    TRY(send_to(s, to, len, 10));
    show_error(s);
    show_events(s);
    TRY(set(s, level, option_name, 0));
    show_events(s);
    take(s, 10, 0, 512);
    close(s);
}

static void connected(int family, int level, int option_name) {
    printf("-- connected %d\n", family);
    int s = socket(family, SOCK_DGRAM, 0);
    if (family == AF_INET) TRY(CONNECT4(s, "127.0.0.1", NOBODY));
    else TRY(CONNECT6(s, "::1", NOBODY));
    TRY(set(s, level, option_name, 1));
    TRY(send(s, payload, 5, 0));
    TRY(write(s, payload, 5));
    TRY(recv(s, received, 5, MSG_DONTWAIT));
    show_events(s);
    take(s, 100, 0, 512);
    take(s, 100, 0, 512);
    TRY(send(s, payload, 5, 0));
    take(s, 100, 0, 512);
    show_error(s);
    TRY(set(s, SOL_SOCKET, 45, 1));
    TRY(option(s, SOL_SOCKET, 45));
    TRY(send(s, payload, 5, 0));
    show_events(s);
    show_error(s);
    show_events(s);
    // Beside what is received.
    int other = socket(family, SOCK_DGRAM, 0);
    if (family == AF_INET) BIND4(other, "127.0.0.1", NOBODY), CONNECT4(other, "127.0.0.1", port_of(s));
    else BIND6(other, "::1", NOBODY), CONNECT6(other, "::1", port_of(s));
    TRY(send(other, "hello", 5, 0));
    show_events(s);
    TRY(recv(s, received, 100, 0));
    take(s, 100, 0, 512);
    close(other);
    close(s);
}

// A queue has an end: what comes then is lost.
static void full(void) {
    printf("-- full\n");
    int s = socket(AF_INET, SOCK_DGRAM, 0), n = 0;
    set(s, SOL_SOCKET, SO_RCVBUF, 1);
    TRY(set(s, IPPROTO_IP, IP_RECVERR, 1));
    struct sockaddr_in to = in4("127.0.0.1", NOBODY);
    for (int i = 0; i < 200; i++) {
        send_to(s, &to, sizeof to, 100);
        option(s, SOL_SOCKET, SO_ERROR);
    }
    while (recv(s, received, 100, MSG_ERRQUEUE | MSG_DONTWAIT) == 100) n++;
    printf("some %d all %d\n", n > 0, n == 200);
    TRY(recv(s, received, 100, MSG_ERRQUEUE));
    close(s);
}

// What does not fit a packet is refused, and told, here.
static void too_long(void) {
    printf("-- too long\n");
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    set(s, IPPROTO_IP, IP_RECVERR, 1);
    struct sockaddr_in to = in4("127.0.0.1", NOBODY);
    TRY(send_to(s, &to, sizeof to, 65508));
    show_events(s);
    take(s, 100, 0, 512);
    show_error(s);
    close(s);
}

static void others(void) {
    printf("-- others\n");
    int pair[2];
    connection(pair);
    TRY(set(pair[0], IPPROTO_IP, IP_RECVERR, 1));
    TRY(recv(pair[0], received, 10, MSG_ERRQUEUE));
    close(pair[1]);
    TRY(send(pair[0], "x", 1, 0));
    TRY(recv(pair[0], received, 10, MSG_ERRQUEUE));
    close(pair[0]);
}

int main(void) {
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = i * 7;
    unconnected(AF_INET, IPPROTO_IP, IP_RECVERR);
    unconnected(AF_INET6, IPPROTO_IPV6, IPV6_RECVERR);
    unconnected(AF_INET6, IPPROTO_IP, IP_RECVERR);
    connected(AF_INET, IPPROTO_IP, IP_RECVERR);
    connected(AF_INET6, IPPROTO_IPV6, IPV6_RECVERR);
    full();
    too_long();
    others();
    return 0;
}
