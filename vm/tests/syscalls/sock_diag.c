// Asking for sockets by netlink (sock_diag(7)), as ss does.
#include "loopback.h"
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

static int diag;
static struct { int fd; const char *name; } known[20];
static int known_count;

static int know(const char *name, int fd) {
    known[known_count].fd = fd;
    known[known_count++].name = name;
    return fd;
}

// The socket that an answer is about, by its inode.
static const char *name_of(unsigned inode) {
    for (int i = 0; i < known_count; i++) {
        struct stat s;
        if (fstat(known[i].fd, &s) == 0 && s.st_ino == inode) return known[i].name;
    }
    return inode ? "unknown" : "none";
}

static int is_cookie_of(const char *name, const __u32 *cookie) {
    for (int i = 0; i < known_count; i++) {
        if (strcmp(known[i].name, name)) continue;
        uint64_t own;
        socklen_t len = sizeof own;
        getsockopt(known[i].fd, SOL_SOCKET, SO_COOKIE, &own, &len);
        return own == (cookie[0] | (uint64_t)cookie[1] << 32);
    }
    return -1;
}

static const char *port(__be16 port) {
    static char text[2][10];
    static int n;
    n ^= 1;
    if (ntohs(port) >= 32768) return "ephemeral";
    snprintf(text[n], 10, "%d", ntohs(port));
    return text[n];
}

static char lines[100][400];
static int line_count;

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static void describe(const struct nlmsghdr *h) {
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    char from[50], to[50], *line = lines[line_count++];
    inet_ntop(m->idiag_family, m->id.idiag_src, from, sizeof from);
    inet_ntop(m->idiag_family, m->id.idiag_dst, to, sizeof to);
    const char *name = name_of(m->idiag_inode);
    int n = snprintf(line, 400, "%d %d %s %s:%s %s:%s if %d queues %u %u uid %d timer %d retrans %d expires %d cookie %d;",
        m->idiag_family, m->idiag_state, name, from, port(m->id.idiag_sport), to, port(m->id.idiag_dport),
        m->id.idiag_if, m->idiag_rqueue, m->idiag_wqueue, m->idiag_uid, m->idiag_timer, m->idiag_retrans,
        m->idiag_expires > 0, is_cookie_of(name, m->id.idiag_cookie));
    struct rtattr *a = (void *)(m + 1);
    int len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    int types[32] = {0};
    for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type < 32) types[a->rta_type] = 1 + *(unsigned char *)RTA_DATA(a);
    // Those that are numbers, and whether others are there that were asked for.
    int shown[] = {INET_DIAG_TOS, INET_DIAG_TCLASS, INET_DIAG_SHUTDOWN, INET_DIAG_SKV6ONLY};
    for (int i = 0; i < 4; i++)
        if (types[shown[i]]) n += snprintf(line + n, 400 - n, " %d=%d", shown[i], types[shown[i]] - 1);
    int there[] = {INET_DIAG_MEMINFO, INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO};
    for (int i = 0; i < 4; i++)
        if (types[there[i]]) n += snprintf(line + n, 400 - n, " +%d", there[i]);
}

static void ask(const char *what, int family, int protocol, int states, int extensions, int flags,
                const struct inet_diag_sockid *id) {
    struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } q = {
        {sizeof q, SOCK_DIAG_BY_FAMILY, flags | NLM_F_REQUEST, 7, 0}, {family, protocol, extensions, 0, states}};
    if (id) q.r.id = *id;
    printf("-- %s\n", what);
    send(diag, &q, sizeof q, 0);
    line_count = 0;
    static char buf[65536];
    for (int more = 1; more;) {
        int n = recv(diag, buf, sizeof buf, 0);
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            more = h->nlmsg_flags & NLM_F_MULTI && h->nlmsg_type != NLMSG_DONE;
            if (h->nlmsg_seq != 7) printf("sequence\n");
            if (h->nlmsg_type == NLMSG_ERROR) printf("error %d\n", ((struct nlmsgerr *)NLMSG_DATA(h))->error);
            else if (h->nlmsg_type == NLMSG_DONE) printf("done %d\n", *(int *)NLMSG_DATA(h));
            else if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY) describe(h);
            else printf("type %d\n", h->nlmsg_type);
        }
    }
    qsort(lines, line_count, sizeof lines[0], by_text);
    for (int i = 0; i < line_count; i++) puts(lines[i]);
    fflush(stdout);
}

static struct inet_diag_sockid id4(int sport, int dport) {
    struct inet_diag_sockid id = {htons(sport), htons(dport)};
    inet_pton(AF_INET, "127.0.0.1", id.idiag_src);
    if (dport) inet_pton(AF_INET, "127.0.0.1", id.idiag_dst);
    id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return id;
}

static int listener(const char *name, int family, const char *ip, int at, int v6only, int backlog) {
    int s = know(name, socket(family, SOCK_STREAM, 0));
    set(s, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family == AF_INET6) set(s, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
    if (family == AF_INET) BIND4(s, ip, at);
    else BIND6(s, ip, at);
    if (backlog >= 0) listen(s, backlog);
    return s;
}

int main(void) {
    diag = TRY(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const int ALL = 0xfff, LISTENING = 1 << 10;
    ask("nothing", AF_INET, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, NULL);
    int four = listener("four", AF_INET, "127.0.0.1", 5001, 0, 3);
    listener("any four", AF_INET, "0.0.0.0", 5002, 0, 100);
    listener("six only", AF_INET6, "::", 5003, 1, 7);
    int both = listener("both", AF_INET6, "::", 5004, 0, 7);
    listener("six", AF_INET6, "::1", 5005, 0, 7);
    listener("bound", AF_INET, "127.0.0.1", 5006, 0, -1);
    know("unbound", socket(AF_INET, SOCK_STREAM, 0));
    int client = know("client", socket(AF_INET, SOCK_STREAM, 0));
    BIND4(client, "127.0.0.1", 5007);
    set(client, IPPROTO_IP, IP_TOS, 0x10);
    CONNECT4(client, "127.0.0.1", 5001);
    ask("one waits", AF_INET, IPPROTO_TCP, LISTENING, 0, NLM_F_DUMP, NULL);
    int server = know("server", accept(four, NULL, NULL));
    write(client, "hello", 5);
    int mapped = know("mapped", socket(AF_INET, SOCK_STREAM, 0));
    BIND4(mapped, "127.0.0.1", 5008);
    CONNECT4(mapped, "127.0.0.1", 5004);
    know("mapped server", accept(both, NULL, NULL));
    ask("tcp, IPv4", AF_INET, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, NULL);
    ask("tcp, IPv6", AF_INET6, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, NULL);
    ask("tcp, all families", AF_UNSPEC, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, NULL);
    ask("listening", AF_INET6, IPPROTO_TCP, LISTENING, 0, NLM_F_DUMP, NULL);
    ask("none of these states", AF_INET, IPPROTO_TCP, 1 << 2, 0, NLM_F_DUMP, NULL);
    ask("more of it", AF_INET, IPPROTO_TCP, LISTENING | 1 << 1, 0xff, NLM_F_DUMP, NULL);
    ask("more of it, IPv6", AF_INET6, IPPROTO_TCP, LISTENING | 1 << 1, 0xff, NLM_F_DUMP, NULL);
    struct inet_diag_sockid id = id4(5001, 0);
    ask("from a port", AF_INET, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, &id);
    id = id4(5007, 5001);
    ask("one", AF_INET, IPPROTO_TCP, ALL, 0, 0, &id);
    id = id4(5001, 5007);
    ask("the other", AF_INET, IPPROTO_TCP, ALL, 0, 0, &id);
    id = id4(5001, 0);
    ask("a listener", AF_INET, IPPROTO_TCP, ALL, 0, 0, &id);
    id.idiag_cookie[0] = 12345;
    ask("another's cookie", AF_INET, IPPROTO_TCP, ALL, 0, 0, &id);
    id = id4(5999, 0);
    ask("nobody", AF_INET, IPPROTO_TCP, ALL, 0, 0, &id);
    int datagrams = know("datagrams", socket(AF_INET, SOCK_DGRAM, 0));
    BIND4(datagrams, "127.0.0.1", 5010);
    int connected = know("connected datagrams", socket(AF_INET, SOCK_DGRAM, 0));
    BIND4(connected, "127.0.0.1", 5011);
    CONNECT4(connected, "127.0.0.1", 5010);
    int six = know("datagrams by IPv6", socket(AF_INET6, SOCK_DGRAM, 0));
    BIND6(six, "::", 5012);
    ask("udp, IPv4", AF_INET, IPPROTO_UDP, ALL, 0, NLM_F_DUMP, NULL);
    ask("udp, IPv6", AF_INET6, IPPROTO_UDP, ALL, 0, NLM_F_DUMP, NULL);
    close(client);
    char buf[10];
    while (read(server, buf, 10) > 0) {}
    close(server);
    ask("gone", AF_INET, IPPROTO_TCP, ALL & ~LISTENING, 0, NLM_F_DUMP, NULL);
    ask("no such family", 77, IPPROTO_TCP, ALL, 0, NLM_F_DUMP, NULL);
    return 0;
}
