// Many datagrams in one call: UDP_SEGMENT, UDP_GRO. Sending without copies, which is never done here.
#include "messages.h"
#include <netinet/udp.h>
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static char payload[66000], buf[66000];

static void take_all(int s) {
    int n, count = 0, last = -1, same = 0;
    while ((n = recv(s, buf, sizeof buf, MSG_DONTWAIT)) >= 0) {
        if (n == last) same++;
        else {
            if (count) printf("  %d of %d\n", same, last);
            last = n, same = 1;
        }
        count++;
    }
    if (count) printf("  %d of %d\n", same, last);
    printf("  %d in all\n", count);
}

static void cut(int family, int joins) {
    printf("-- cut %d %d\n", family, joins);
    int a = socket(family, SOCK_DGRAM, 0), b = socket(family, SOCK_DGRAM, 0);
    struct sockaddr_in four = in4("127.0.0.1", 7500);
    struct sockaddr_in6 six = in6("::1", 7500);
    const void *to = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    bind(a, to, len);
    set(a, SOL_SOCKET, SO_RCVBUF, 212992);
    if (joins) TRY(set(a, IPPROTO_UDP, UDP_GRO, 1));
    TRY(option(a, IPPROTO_UDP, UDP_GRO));
    TRY(option(b, IPPROTO_UDP, UDP_SEGMENT));
    int values[] = {1000, 65535, 65536, -1, 0, 1};
    for (int i = 0; i < 6; i++) {
        TRY(set(b, IPPROTO_UDP, UDP_SEGMENT, values[i]));
        printf("segment %d\n", option(b, IPPROTO_UDP, UDP_SEGMENT));
    }
    int sizes[] = {1000, 1000, 1000, 1000, 1000, 1000, 100, 100, 1, 1, 65507, 65535, 0};
    int lens[] = {0, 1, 999, 1000, 1001, 3500, 12800, 12801, 128, 129, 65507, 1000, 5000};
    for (int i = 0; i < 13; i++) {
        printf("- %d by %d\n", lens[i], sizes[i]);
        set(b, IPPROTO_UDP, UDP_SEGMENT, sizes[i]);
        TRY(sendto(b, payload, lens[i], 0, to, len));
        show_message(a, 66000, MSG_PEEK);
        take_all(a);
    }
    set(b, IPPROTO_UDP, UDP_SEGMENT, 0);
    payload[6] = 0;
    uint16_t size = 2;
    TRY(send_with(b, to, len, "hello", IPPROTO_UDP, UDP_SEGMENT, &size, 2));
    show_message(a, 3, 0);
    take_all(a);
    int wrong = 2;
    TRY(send_with(b, to, len, "hello", IPPROTO_UDP, UDP_SEGMENT, &wrong, 4));
    // Put together, then cut.
    TRY(set(b, IPPROTO_UDP, UDP_SEGMENT, 4));
    TRY(sendto(b, "one", 3, MSG_MORE, to, len));
    TRY(sendto(b, "two", 3, MSG_MORE, to, len));
    TRY(sendto(b, "three", 5, 0, to, len));
    show_message(a, 20, 0);
    take_all(a);
    // Each for itself.
    struct iovec v[2] = {{"abcdef", 6}, {"ghi", 3}};
    struct mmsghdr m[2] = {{{(void *)to, len, v, 1}}, {{(void *)to, len, v + 1, 1}}};
    TRY(sendmmsg(b, m, 2, 0));
    printf("  %d %d\n", m[0].msg_len, m[1].msg_len);
    take_all(a);
    close(a), close(b);
}

// Notes of buffers that may be used again: they were copied.
static void notes(int s) {
    char control[200] __attribute__((aligned(8)));
    for (;;) {
        struct sockaddr_storage from;
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_control = control, .msg_controllen = sizeof control};
        long n = recvmsg(s, &m, MSG_ERRQUEUE);
        if (n < 0) { printf("  note: %s\n", strerrorname_np(errno)); return; }
        printf("  note %ld flags %x name %d\n", n, m.msg_flags, m.msg_namelen);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            const struct sock_extended_err *e = (void *)CMSG_DATA(c);
            printf("  %d %d of %d: errno %d origin %d type %d code %d from %u to %u\n", c->cmsg_level, c->cmsg_type,
                   (int)(c->cmsg_len - CMSG_LEN(0)), e->ee_errno, e->ee_origin, e->ee_type, e->ee_code, e->ee_info, e->ee_data);
        }
    }
}

static void without_copies(int family, int kind) {
    printf("-- without copies %d %d\n", family, kind);
    int s[2];
    if (family == AF_UNIX) socketpair(family, kind, 0, s);
    else if (kind == SOCK_STREAM) connection(s);
    else {
        s[0] = socket(family, kind, 0), s[1] = socket(family, kind, 0);
        if (family == AF_INET) BIND4(s[1], "127.0.0.1", 7501), CONNECT4(s[0], "127.0.0.1", 7501);
        else BIND6(s[1], "::1", 7501), CONNECT6(s[0], "::1", 7501);
    }
    int values[] = {0, 2, -1, 1};
    TRY(send(s[0], payload, 10, MSG_ZEROCOPY));
    for (int i = 0; i < 4; i++) TRY(set(s[0], SOL_SOCKET, SO_ZEROCOPY, values[i]));
    printf("%d\n", option(s[0], SOL_SOCKET, SO_ZEROCOPY));
    if (family == AF_UNIX) { close(s[0]), close(s[1]); return; }
    TRY(send(s[0], payload, 10, MSG_ZEROCOPY));
    TRY(recv(s[1], buf, 10, 0));
    TRY(recv(s[1], buf, 10, 0));
    show_events(s[0]);
    show_error(s[0]);
    notes(s[0]);
    show_events(s[0]);
    TRY(send(s[0], payload, 10, MSG_ZEROCOPY));
    TRY(recv(s[1], buf, 10, 0));
    TRY(send(s[0], payload, 10, 0));
    TRY(recv(s[1], buf, 10, 0));
    TRY(send(s[0], payload, 10, MSG_ZEROCOPY));
    TRY(recv(s[1], buf, 10, 0));
    TRY(send(s[0], payload, 0, MSG_ZEROCOPY));
    notes(s[0]);
    close(s[0]), close(s[1]);
}

int main(void) {
    cut(AF_INET, 0);
    cut(AF_INET, 1);
    cut(AF_INET6, 0);
    cut(AF_INET6, 1);
    without_copies(AF_INET, SOCK_DGRAM);
    without_copies(AF_INET6, SOCK_DGRAM);
    without_copies(AF_INET, SOCK_STREAM);
    without_copies(AF_UNIX, SOCK_STREAM);
    without_copies(AF_UNIX, SOCK_DGRAM);
    return 0;
}
