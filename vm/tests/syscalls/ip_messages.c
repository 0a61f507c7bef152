// What comes with datagrams and goes with them: headers of IP and IPv6, their options, and what receivers are told.
#include "messages.h"

static int receiver, sender;

static void pair(int family, int port) {
    receiver = socket(family, SOCK_DGRAM, 0), sender = socket(family, SOCK_DGRAM, 0);
    if (family == AF_INET) BIND4(receiver, "0.0.0.0", port), BIND4(sender, "127.0.0.1", 0);
    else BIND6(receiver, "::", port), BIND6(sender, "::1", 0);
}

static void four(void) {
    printf("-- four\n");
    pair(AF_INET, 7300);
    struct sockaddr_in to = in4("127.0.0.2", 7300);
    int on[] = {IP_RECVTTL, IP_RECVTOS, IP_PKTINFO, IP_RECVORIGDSTADDR, IP_RECVOPTS, IP_RETOPTS, IP_CHECKSUM, IP_RECVFRAGSIZE};
    for (int i = 0; i < 8; i++) {
        TRY(set(receiver, IPPROTO_IP, on[i], 1));
        TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
        if (on[i] == IP_CHECKSUM) { set(receiver, IPPROTO_IP, IP_CHECKSUM, 0); recv(receiver, &(char){0}, 1, 0); }
        else show_message(receiver, 10, 0);
    }
    int values[] = {0, 1, 64, 255, 256, -1};
    for (int i = 0; i < 6; i++) {
        printf("- %d\n", values[i]);
        TRY(send_with(sender, &to, sizeof to, "ttl", IPPROTO_IP, IP_TTL, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "tos", IPPROTO_IP, IP_TOS, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "byte", IPPROTO_IP, IP_TOS, &values[i], 1));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "short", IPPROTO_IP, IP_TTL, &values[i], 2));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "protocol", IPPROTO_IP, 52, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "unknown", IPPROTO_IP, 40, &values[i], 4));
        TRY(send_with(sender, &to, sizeof to, "mark", SOL_SOCKET, SO_MARK, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "priority", SOL_SOCKET, SO_PRIORITY, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "other", IPPROTO_IPV6, IPV6_HOPLIMIT, &values[i], 4));
        show_message(receiver, 10, 0);
        TRY(send_with(sender, &to, sizeof to, "socket", SOL_SOCKET, 99, &values[i], 4));
        TRY(send_with(sender, &to, sizeof to, "udp", IPPROTO_UDP, 99, &values[i], 4));
    }
    int interfaces[] = {0, 1, 2, -1};
    const char *sources[] = {"0.0.0.0", "127.0.0.9", "10.1.1.1", "224.0.0.1", "255.255.255.255"};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 5; j++) {
            struct in_pktinfo info = {interfaces[i]};
            inet_pton(AF_INET, sources[j], &info.ipi_spec_dst);
            inet_pton(AF_INET, "127.0.0.55", &info.ipi_addr);
            printf("- %d %s\n", interfaces[i], sources[j]);
            TRY(send_with(sender, &to, sizeof to, "info", IPPROTO_IP, IP_PKTINFO, &info, sizeof info));
            show_message(receiver, 10, 0);
        }
    TRY(set(sender, IPPROTO_IP, IP_TTL, 3));
    TRY(set(sender, IPPROTO_IP, IP_TOS, 0xff));
    printf("tos %x\n", option(sender, IPPROTO_IP, IP_TOS));
    TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
    show_message(receiver, 10, 0);
    TRY(set(receiver, IPPROTO_IP, IP_MINTTL, 4));
    TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
    show_message(receiver, 10, 0);
}

static void show_options(const char *what, int s) {
    unsigned char v[60];
    socklen_t len = sizeof v;
    if (TRY(getsockopt(s, IPPROTO_IP, IP_OPTIONS, v, &len)) < 0) return;
    printf("%s: %d:", what, len);
    for (int i = 0; i < (int)len; i++) printf(" %02x", v[i]);
    printf("\n");
}

static void options(void) {
    printf("-- options\n");
    pair(AF_INET, 7301);
    struct sockaddr_in to = in4("127.0.0.1", 7301);
    set(receiver, IPPROTO_IP, IP_RECVOPTS, 1);
    struct { const char *name; unsigned char bytes[44]; int len; } all[] = {
        {"nothing", {1, 1, 1, 1}, 4}, {"padded", {1, 1}, 2}, {"end", {0, 7, 7, 7}, 4}, {"record", {7, 11, 4}, 11},
        {"record at 8", {7, 11, 8, 1, 2, 3, 4}, 11}, {"full record", {7, 7, 8, 1, 2, 3, 4}, 7}, {"bad pointer", {7, 11, 3}, 11},
        {"short", {7, 2}, 2}, {"long", {7, 20, 4}, 11}, {"stamp", {68, 12, 5, 0}, 12}, {"stamp with address", {68, 12, 5, 1}, 12},
        {"stamp of ours", {68, 12, 5, 3, 127, 0, 0, 1}, 12}, {"alert", {148, 4, 0, 0}, 4}, {"unknown", {0x99, 4, 1, 2}, 4},
        {"too long", {1}, 44}, {"longest", {1, 1, 1, 1}, 40}, {"strict", {137, 7, 4, 127, 0, 0, 1}, 7},
        {"loose", {131, 7, 4, 127, 0, 0, 1}, 7}, {"stream", {136, 4, 1, 2}, 4}, {"security", {130, 11, 1, 2}, 11}};
    for (int i = 0; i < sizeof all / sizeof *all; i++) {
        printf("- %s\n", all[i].name);
        TRY(setsockopt(sender, IPPROTO_IP, IP_OPTIONS, all[i].bytes, all[i].len));
        show_options("options", sender);
        if (strstr(all[i].name, "stamp")) continue;
        TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
        show_message(receiver, 10, 0);
    }
    TRY(setsockopt(sender, IPPROTO_IP, IP_OPTIONS, NULL, 0));
    show_options("none", sender);
    unsigned char record[12] = {7, 11, 4};
    TRY(send_with(sender, &to, sizeof to, "with", IPPROTO_IP, IP_RETOPTS, record, 12));
    show_message(receiver, 10, 0);
    TRY(set(receiver, IPPROTO_IP, IP_RECVOPTS, 0));
    TRY(set(receiver, IPPROTO_IP, IP_RETOPTS, 1));
    TRY(send_with(sender, &to, sizeof to, "with", IPPROTO_IP, IP_RETOPTS, record, 12));
    show_message(receiver, 10, 0);
    TRY(setsockopt(receiver, IPPROTO_IP, IP_OPTIONS, record, 1000));
    unsigned char longer[20] = {1, 7, 19, 4};
    TRY(send_with(sender, &to, sizeof to, "longer", IPPROTO_IP, IP_RETOPTS, longer, 20));
    show_message(receiver, 10, 0);
    // An answer goes on with the route.
    int ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    set(ping, IPPROTO_IP, IP_RECVOPTS, 1);
    set(ping, IPPROTO_IP, IP_RETOPTS, 1);
    TRY(setsockopt(ping, IPPROTO_IP, IP_OPTIONS, longer, 20));
    to = in4("127.0.0.3", 0);
    TRY(sendto(ping, "\x08\0\0\0\0\0\0\0", 8, 0, (void *)&to, sizeof to));
    static char buf[100], control[200] __attribute__((aligned(8)));
    struct iovec v = {buf, 100};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TRY(recvmsg(ping, &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) show_control(c);
}

static void six(void) {
    printf("-- six\n");
    pair(AF_INET6, 7302);
    struct sockaddr_in6 to = in6("::1", 7302);
    struct sockaddr_in mapped = in4("127.0.0.2", 7302);
    int on[] = {IPV6_RECVPKTINFO, IPV6_2292PKTINFO, IPV6_RECVHOPLIMIT, IPV6_2292HOPLIMIT, IPV6_RECVTCLASS,
                IPV6_RECVORIGDSTADDR, IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVRTHDR, IPV6_RECVPATHMTU, 77};
    for (int i = 0; i < 11; i++) {
        TRY(set(receiver, IPPROTO_IPV6, on[i], 1));
        TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
        show_message(receiver, 10, 0);
    }
    close(sender);
    sender = socket(AF_INET6, SOCK_DGRAM, 0);
    TRY(sendto(sender, "x", 1, 0, (void *)&mapped, sizeof mapped));
    show_message(receiver, 10, 0);
    TRY(set(receiver, IPPROTO_IP, IP_RECVTTL, 1));
    TRY(set(receiver, IPPROTO_IP, IP_PKTINFO, 1));
    TRY(sendto(sender, "x", 1, 0, (void *)&mapped, sizeof mapped));
    show_message(receiver, 10, 0);
    int values[] = {-2, -1, 0, 1, 255, 256};
    int types[] = {IPV6_HOPLIMIT, IPV6_2292HOPLIMIT, IPV6_TCLASS, IPV6_DONTFRAG, 99};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 5; j++) {
            printf("- %d of %d\n", values[i], types[j]);
            TRY(send_with(sender, &to, sizeof to, "x", IPPROTO_IPV6, types[j], &values[i], 4));
            show_message(receiver, 10, 0);
        }
    int one = 1;
    TRY(send_with(sender, &to, sizeof to, "x", IPPROTO_IPV6, IPV6_HOPLIMIT, &one, 2));
    TRY(send_with(sender, &to, sizeof to, "x", IPPROTO_IP, IP_TTL, &one, 4));
    const char *sources[] = {"::", "::1", "::ffff:127.0.0.1", "2001:db8::1", "ff02::1"};
    for (int interface = 0; interface < 3; interface++)
        for (int j = 0; j < 5; j++) {
            struct in6_pktinfo info = {.ipi6_ifindex = interface};
            inet_pton(AF_INET6, sources[j], &info.ipi6_addr);
            printf("- %d %s\n", interface, sources[j]);
            TRY(send_with(sender, &to, sizeof to, "info", IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info));
            show_message(receiver, 10, 0);
        }
    TRY(set(sender, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5));
    TRY(set(sender, IPPROTO_IPV6, IPV6_TCLASS, 0xa5));
    TRY(sendto(sender, "x", 1, 0, (void *)&to, sizeof to));
    show_message(receiver, 10, 0);
}

int main(void) {
    four();
    options();
    six();
    return 0;
}
