// All options by number, on each level: which there are, what they are at first, what they take.
#include "loopback.h"

// Options that say how this kernel is configured, or that differ between its versions (15, 16, 34); filters (26, 27, 50
// to 52), time stamps of devices (37), sending without copies (60), memory, cookies, ...
static const int SOCKET_SKIPPED[] = {15, 16, 34, 37, 60, 26, 27, 31, 42, 47, 48, 49, 50, 51, 52, 53, 55, 56, 57, 59, 61, 65, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, -1};
// IP's own options, source filters and multicast routing, security labels, iptables.
static const int IP_SKIPPED[] = {4, 16, 17, 18, 22, 25, 26, 32, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 52, 64, 65, 66, 67, 68, 69, 80, -1};
static const int IPV6_SKIPPED[] = {1, 6, 17, 18, 20, 21, 22, 27, 28, 31, 32, 34, 35, 42, 43, 44, 45, 46, 47, 48, 50, 54, 55, 57, 59, 61, 64, 65, 68, 69, 72, 80, -1};
// Congestion control, upper protocols, signatures, repair, windows that depend on memory.
static const int TCP_SKIPPED[] = {10, 11, 13, 14, 15, 17, 19, 20, 21, 22, 24, 26, 28, 29, 31, 32, 33, 35, 38, 39, 40, 41, 42, 43, 44, 45, 46, -1};
// Datagrams cut and joined by devices.
static const int UDP_SKIPPED[] = {10, 11, 100, 103, 104, -1};

static int is_skipped(const int *skipped, int option) {
    for (; *skipped >= 0; skipped++)
        if (*skipped == option) return 1;
    return 0;
}

static char line[400];
static int n;

static void add(const char *text) { n += snprintf(line + n, sizeof line - n, " %s", text); }
static const char *outcome(int r) { return r < 0 ? strerrorname_np(errno) : "ok"; }

static void show(int s, int level, int option) {
    unsigned char v[64] = {0};
    socklen_t len = sizeof v;
    if (getsockopt(s, level, option, v, &len) < 0) { add(strerrorname_np(errno)); return; }
    n += snprintf(line + n, sizeof line - n, " %d:", len);
    for (int i = 0; i < (int)len && i < 12; i++) n += snprintf(line + n, sizeof line - n, "%02x", v[i]);
}

// Whether there is no such option. A socket of its own shows what others do not change.
static int is_unknown(int s, int level, int option) {
    char value[64];
    int one = 1;
    socklen_t len = sizeof value;
    int is_read = getsockopt(s, level, option, value, &len) == 0 || (errno != ENOPROTOOPT && errno != EOPNOTSUPP);
    int is_set = setsockopt(s, level, option, &one, sizeof one) == 0 || (errno != ENOPROTOOPT && errno != EOPNOTSUPP);
    return !is_read && !is_set;
}

static void try(const char *what, int family, int kind, int level, int option) {
    int s = socket(family, kind, 0), values[] = {1, 0, 3, 1000000, -1};
    char byte = 1, unknown[2][40];
    n = snprintf(line, sizeof line, "%s %d %d", what, level, option);
    show(s, level, option);
    add("|");
    for (int i = 0; i < 5; i++) {
        add(outcome(setsockopt(s, level, option, &values[i], sizeof(int))));
        if (i == 0) show(s, level, option);
    }
    add(outcome(setsockopt(s, level, option, &byte, 1)));
    add(outcome(setsockopt(s, level, option, NULL, 0)));
    close(s);
    puts(line);
}

int main(void) {
    struct { const char *name; int family, kind; } sockets[] = {
        {"tcp", AF_INET, SOCK_STREAM}, {"tcp6", AF_INET6, SOCK_STREAM}, {"udp", AF_INET, SOCK_DGRAM},
        {"udp6", AF_INET6, SOCK_DGRAM}, {"unix", AF_UNIX, SOCK_STREAM}, {"unix datagram", AF_UNIX, SOCK_DGRAM}};
    struct { int level, last; const int *skipped; } levels[] = {
        {SOL_SOCKET, 80, SOCKET_SKIPPED}, {IPPROTO_IP, 80, IP_SKIPPED}, {IPPROTO_IPV6, 80, IPV6_SKIPPED},
        {IPPROTO_TCP, 46, TCP_SKIPPED}, {IPPROTO_UDP, 110, UDP_SKIPPED}};
    for (int l = 0; l < 5; l++)
        for (int i = 0; i < 6; i++) {
            int s = socket(sockets[i].family, sockets[i].kind, 0);
            for (int option = 0; option <= levels[l].last; option++)
                if (!is_skipped(levels[l].skipped, option) && !is_unknown(s, levels[l].level, option))
                    try(sockets[i].name, sockets[i].family, sockets[i].kind, levels[l].level, option);
            close(s);
        }
    return 0;
}
