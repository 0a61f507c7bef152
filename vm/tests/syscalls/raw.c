// Raw sockets, and those of ping: packets as they are, echoes and their answers.
#include "messages.h"
#include <grp.h>
#include <linux/icmp.h>
#include <linux/filter.h>

static uint16_t checksum(const void *p, int n) {
    const uint8_t *b = p;
    uint32_t sum = 0;
    for (int i = 0; i < n; i++) sum += i % 2 ? b[i] : b[i] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return htons(~sum);
}

// Shows all packets that have come. Of headers of IP the identification is not, and what depends on it.
static void show_all(const char *who, int s, int has_header) {
    static unsigned char buf[70000];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    int n;
    printf("%s:\n", who);
    while ((n = recvfrom(s, buf, sizeof buf, MSG_DONTWAIT, (void *)&from, &len)) >= 0) {
        show_address("  from", &from, len);
        int start = has_header ? (buf[0] & 15) * 4 : 0;
        if (has_header) {
            int good = checksum(buf, start) == 0;
            printf("  checksum %d id %d |", good, (buf[4] | buf[5]) != 0);
            buf[4] = buf[5] = buf[10] = buf[11] = 0;
        }
        // Of quoted packets neither, nor labels of flows.
        unsigned char *p = buf + start, *quoted = p + 8;
        if (n > start + 28 && (p[0] == 3 || p[0] == 1)) {
            p[2] = p[3] = 0;
            if (quoted[0] >> 4 == 4) quoted[4] = quoted[5] = quoted[10] = quoted[11] = 0;
            if (quoted[0] >> 4 == 6) quoted[1] = quoted[2] = quoted[3] = 0;
        }
        printf("  %d:", n);
        for (int i = 0; i < n && i < 80; i++) printf("%s%02x", i == start && i ? " | " : " ", buf[i]);
        printf("\n");
        len = sizeof from;
    }
}

static void send_echo(int s, int type, int code, int id, int seq, const char *text, const void *to, socklen_t len) {
    unsigned char p[200] = {type, code, 0, 0, id >> 8, id, seq >> 8, seq};
    int n = 8 + strlen(text);
    memcpy(p + 8, text, n - 8);
    uint16_t sum = checksum(p, n);
    memcpy(p + 2, &sum, 2);
    TRY(sendto(s, p, n, 0, to, len));
}

static void made(void) {
    printf("-- made\n");
    int protocols[] = {0, 1, 2, 6, 17, 58, 200, 255, 256, 262, 263, 300, -1};
    for (int i = 0; i < 13; i++) {
        printf("%d: ", protocols[i]);
        int a = socket(AF_INET, SOCK_RAW, protocols[i]);
        printf("%s ", a < 0 ? strerrorname_np(errno) : "ok");
        int b = socket(AF_INET6, SOCK_RAW, protocols[i]);
        printf("%s\n", b < 0 ? strerrorname_np(errno) : "ok");
        if (a >= 0) show_names(a), close(a);
        if (b >= 0) close(b);
    }
}

static void echoes(void) {
    printf("-- echoes\n");
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), t = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    struct sockaddr_in to = in4("127.0.0.1", 99);
    send_echo(s, ICMP_ECHO, 0, 77, 1, "hello", &to, sizeof to);
    show_events(s);
    show_all("s", s, 1), show_all("t", t, 1);
    // What is not wanted.
    uint32_t mask = ~(1u << ICMP_ECHOREPLY), got = 0;
    socklen_t len = sizeof got;
    TRY(setsockopt(s, 255, 1, &mask, sizeof mask));
    TRY(getsockopt(s, 255, 1, &got, &len));
    printf("%x %d\n", got, len);
    to = in4("127.0.0.9", 0);
    TRY(set(s, IPPROTO_IP, IP_TTL, 9));
    TRY(set(s, IPPROTO_IP, IP_TOS, 0x20));
    send_echo(s, ICMP_ECHO, 0, 77, 2, "again", &to, sizeof to);
    show_all("s", s, 1);
    show_all("t", t, 1);
    TRY(BIND4(t, "127.0.0.5", 5));
    show_names(t);
    TRY(CONNECT4(s, "127.0.0.5", 3));
    show_names(s);
    send_echo(s, ICMP_ECHO, 0, 77, 3, "bound", NULL, 0);
    show_all("s", s, 1), show_all("t", t, 1);
    send_echo(s, ICMP_ECHO, 0, 77, 4, "", &to, sizeof to);
    send_echo(s, ICMP_TIMESTAMP, 0, 77, 4, "123456789012", NULL, 0);
    show_all("s", s, 1);
    TRY(sendto(s, "short", 5, 0, NULL, 0));
    TRY(sendto(s, "damaged packet", 14, 0, NULL, 0));
    show_all("s", s, 1);
    to = in4("10.0.0.1", 0);
    send_echo(t, ICMP_ECHO, 0, 77, 5, "nowhere", &to, sizeof to);
    TRY(send(t, "x", 1, 0));
    TRY(shutdown(t, SHUT_RD));
    struct sock_filter head = BPF_STMT(BPF_RET | BPF_K, 24);
    struct sock_fprog p = {1, &head};
    TRY(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p));
    send_echo(s, ICMP_ECHO, 0, 77, 6, "filtered", NULL, 0);
    show_all("s", s, 1);
    close(s), close(t);
}

static void other_protocols(void) {
    printf("-- other protocols\n");
    int s = socket(AF_INET, SOCK_RAW, 200), t = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), u = socket(AF_INET, SOCK_RAW, 17);
    int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = in4("127.0.0.1", 0), port = in4("127.0.0.1", 7700), nobody = in4("127.0.0.1", 7701);
    TRY(set(s, IPPROTO_IP, IP_RECVTTL, 1));
    TRY(sendto(s, "two hundred", 11, 0, (void *)&to, sizeof to));
    show_message(s, 100, MSG_PEEK | MSG_TRUNC);
    show_all("s", s, 1), show_all("icmp", icmp, 1);
    // With a header of its own.
    unsigned char packet[31] = {0x45, 0, 0, 0, 0, 0, 0, 0, 5, 200, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1};
    memcpy(packet + 20, "whole", 5);
    TRY(option(t, IPPROTO_IP, IP_HDRINCL));
    TRY(sendto(t, packet, 25, 0, (void *)&to, sizeof to));
    show_all("s", s, 1);
    TRY(sendto(t, packet, 19, 0, (void *)&to, sizeof to));
    packet[0] = 0x4f;
    TRY(sendto(t, packet, 25, 0, (void *)&to, sizeof to));
    TRY(set(s, IPPROTO_IP, IP_HDRINCL, 1));
    TRY(option(udp, IPPROTO_IP, IP_HDRINCL));
    TRY(set(udp, IPPROTO_IP, IP_HDRINCL, 1));
    BIND4(udp, "127.0.0.1", 7700);
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    BIND4(other, "127.0.0.1", 7702);
    TRY(sendto(other, "datagram", 8, 0, (void *)&port, sizeof port));
    show_all("u", u, 1);
    show_message(udp, 100, 0);
    unsigned char made[12] = {30, 22, 30, 20, 0, 12, 0, 0, 'm', 'a', 'd', 'e'};
    TRY(sendto(u, made, 12, 0, (void *)&to, sizeof to));
    show_message(udp, 100, 0);
    show_all("u", u, 1);
    made[7] = 1;
    TRY(sendto(u, made, 12, 0, (void *)&to, sizeof to));
    show_message(udp, 100, 0);
    show_all("u", u, 1);
    // Nobody has that port.
    TRY(sendto(other, "refused", 7, 0, (void *)&nobody, sizeof nobody));
    show_all("u", u, 1);
    show_all("icmp", icmp, 1);
    close(s), close(t), close(u), close(icmp), close(udp), close(other);
}

static void six(void) {
    printf("-- six\n");
    int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), u = socket(AF_INET6, SOCK_RAW, 17), d = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 to = in6("::1", 0), nobody = in6("::1", 7703);
    TRY(BIND6(d, "::1", 7704));
    send_echo(s, 128, 0, 88, 1, "hello", &to, sizeof to);
    show_all("s", s, 0);
    uint32_t mask[8];
    memset(mask, 0xff, sizeof mask);
    mask[129 / 32] &= ~(1u << 129 % 32);
    TRY(setsockopt(s, IPPROTO_ICMPV6, 1, mask, sizeof mask));
    TRY(set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
    send_echo(s, 128, 0, 88, 2, "again", &to, sizeof to);
    show_message(s, 100, 0);
    TRY(set(s, IPPROTO_IPV6, IPV6_CHECKSUM, 4));
    TRY(option(s, IPPROTO_IPV6, IPV6_CHECKSUM));
    TRY(option(u, IPPROTO_IPV6, IPV6_CHECKSUM));
    memset(mask, 0, sizeof mask);
    TRY(setsockopt(s, IPPROTO_ICMPV6, 1, mask, sizeof mask));
    TRY(sendto(d, "refused", 7, 0, (void *)&nobody, sizeof nobody));
    show_all("s", s, 0);
    show_all("u", u, 0);
    TRY(set(u, IPPROTO_IPV6, IPV6_CHECKSUM, 6));
    TRY(set(u, IPPROTO_IPV6, IPV6_CHECKSUM, 3));
    unsigned char made[12] = {30, 22, 30, 24, 0, 12, 0, 0, 'm', 'a', 'd', 'e'};
    TRY(sendto(u, made, 12, 0, (void *)&to, sizeof to));
    show_message(d, 100, 0);
    show_all("u", u, 0);
    close(s), close(u), close(d);
}

static void pings(int family) {
    printf("-- pings of %d\n", family);
    int icmp = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, echo = family == AF_INET ? 8 : 128;
    int s = TRY(socket(family, SOCK_DGRAM, icmp)), t = socket(family, SOCK_DGRAM, icmp), raw = socket(family, SOCK_RAW, icmp);
    struct sockaddr_in four = in4("127.0.0.1", 55);
    struct sockaddr_in6 six = in6("::1", 55);
    const void *to = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    struct sockaddr_in four_own = in4("127.0.0.1", 1234);
    struct sockaddr_in6 six_own = in6("::1", 1234);
    const void *own = family == AF_INET ? (void *)&four_own : (void *)&six_own;
    TRY(bind(s, own, len));
    TRY(bind(s, own, len));
    TRY(bind(t, own, len));
    show_names(s);
    set(s, IPPROTO_IP, IP_RECVTTL, 1);
    set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    show_events(s);
    send_echo(s, echo, 0, 77, 1, "hello", to, len);
    show_events(s);
    show_message(s, 100, MSG_PEEK);
    show_all("s", s, 0);
    show_all("raw", raw, family == AF_INET);
    send_echo(s, 0, 0, 77, 1, "no echo", to, len);
    send_echo(s, echo, 1, 77, 1, "code", to, len);
    TRY(sendto(s, "short", 5, 0, to, len));
    TRY(send(s, "no address", 10, 0));
    TRY(connect(s, to, len));
    show_names(s);
    send_echo(s, echo, 0, 1, 2, "connected", NULL, 0);
    show_all("s", s, 0);
    send_echo(t, echo, 0, 1, 2, "anybody", to, len);
    char buf[100] = "";
    TRY(recv(t, buf, 100, MSG_DONTWAIT));
    printf("%d %s\n", buf[4] || buf[5], buf + 8);
    TRY(sendto(s, "x", 1, 0, to, 8));
    TRY(listen(s, 1));
    close(s), close(t), close(raw);
}

int main(void) {
    made();
    echoes();
    other_protocols();
    six();
    pings(AF_INET);
    pings(AF_INET6);
    setgroups(0, NULL);
    if (setgid(1000) == 0 && setuid(1000) == 0) {
        TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
        TRY(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
        pings(AF_INET);
    }
    return 0;
}
