// When something came: SO_TIMESTAMP and its relatives, SIOCGSTAMP.
#include "messages.h"
#include <linux/sockios.h>
#include <sys/un.h>

static const int SOFTWARE = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

static void datagrams(int family, int a, int b) {
    printf("-- datagrams of %d\n", family);
    int stamps[] = {29, 63, 35, 64, 37, 65};
    char byte;
    for (int i = 0; i < 6; i++) {
        printf("- %d\n", stamps[i]);
        TRY(set(a, SOL_SOCKET, stamps[i], i < 4 ? 1 : SOFTWARE));
        for (int j = 0; j < 6; j++) printf(" %d", option(a, SOL_SOCKET, stamps[j]));
        printf("\n");
        TRY(send(b, "x", 1, 0));
        show_message(a, 10, MSG_PEEK);
        show_message(a, 10, 0);
    }
    printf("- all off\n");
    for (int i = 0; i < 6; i++) {
        TRY(set(a, SOL_SOCKET, stamps[i], 0));
        for (int j = 0; j < 6; j++) printf(" %d", option(a, SOL_SOCKET, stamps[j]));
        printf("\n");
    }
    TRY(send(b, "x", 1, 0));
    show_message(a, 10, 0);
    printf("- flags\n");
    int flags[] = {SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_RAW_HARDWARE | SOFTWARE,
                   SOF_TIMESTAMPING_OPT_CMSG | SOFTWARE, 1 << 20, -1, SOF_TIMESTAMPING_OPT_ID, 1 << 16};
    for (int i = 0; i < 7; i++) {
        TRY(set(a, SOL_SOCKET, 37, flags[i]));
        TRY(option(a, SOL_SOCKET, 37));
        TRY(send(b, "x", 1, 0));
        show_message(a, 10, 0);
    }
    TRY(set(a, SOL_SOCKET, 37, 0));
    // The time of what was read last.
    long t[4] = {0};
    TRY(recv(a, &byte, 1, MSG_DONTWAIT));
    TRY(ioctl(a, SIOCGSTAMP, t));
    TRY(send(b, "x", 1, 0));
    TRY(recv(a, &byte, 1, MSG_DONTWAIT));
    TRY(ioctl(a, SIOCGSTAMP, t));
    printf("%d %d %d\n", t[0] > 1000000000, t[1] < 1000000, t[2] == 0);
    TRY(ioctl(a, SIOCGSTAMPNS, t));
    long long n[3] = {0};
    TRY(ioctl(a, SIOCGSTAMP_NEW, n));
    TRY(ioctl(a, SIOCGSTAMPNS_NEW, n));
    printf("%d %d %d\n", n[0] > 1000000000, n[1] < 1000000000, n[2] == 0);
    TRY(ioctl(a, SIOCGSTAMP, (void *)1));
}

// Linux stamps packets while any socket asks for it, and begins with that a while after the first one has asked.
static void begin_stamping(void) {
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    set(a, SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE);
    BIND4(a, "127.0.0.1", 7201), CONNECT4(b, "127.0.0.1", 7201);
    for (;;) {
        char byte, control[200] __attribute__((aligned(8)));
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        send(b, "x", 1, 0);
        recvmsg(a, &m, 0);
        if (m.msg_controllen > 0) return;
        sched_yield();
    }
}

int main(void) {
    begin_stamping();
    int s[2], a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    BIND4(a, "127.0.0.1", 7200), CONNECT4(b, "127.0.0.1", 7200);
    datagrams(AF_INET, a, b);
    a = socket(AF_INET6, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);
    BIND6(a, "::1", 7200), CONNECT6(b, "::1", 7200);
    datagrams(AF_INET6, a, b);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    datagrams(AF_UNIX, s[1], s[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    datagrams(AF_UNIX, s[1], s[0]);
    connection(s);
    TRY(set(s[1], SOL_SOCKET, SO_TIMESTAMPNS, 1));
    TRY(send(s[0], "x", 1, 0));
    show_message(s[1], 10, 0);
    TRY(set(s[1], SOL_SOCKET, SO_TIMESTAMPING, SOFTWARE));
    TRY(send(s[0], "x", 1, 0));
    show_message(s[1], 10, 0);
    long t[4];
    TRY(ioctl(s[1], SIOCGSTAMP, t));
    return 0;
}
