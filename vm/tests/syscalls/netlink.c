// Asking for interfaces, addresses and routes: by netlink, by ioctl, by the C library, from /proc/net.
#include "loopback.h"
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netdb.h>
#include <linux/sockios.h>

static int route;

static void show_attributes(void *from, int len, unsigned wanted) {
    for (struct rtattr *a = from; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type > 31 || !(wanted >> a->rta_type & 1)) continue;
        printf("  %d:", a->rta_type);
        for (int i = 0; i < (int)RTA_PAYLOAD(a); i++) printf(" %02x", ((unsigned char *)RTA_DATA(a))[i]);
        printf("\n");
    }
}

// Asks, and prints the answers; of attributes those that are the same everywhere.
static void ask(const char *what, int type, int flags, const void *body, int body_len) {
    static int sequence;
    struct { struct nlmsghdr h; char body[100]; } request = {{NLMSG_LENGTH(body_len), type, flags | NLM_F_REQUEST, ++sequence, 0}};
    memcpy(request.body, body, body_len);
    printf("%s: %d\n", what, (int)send(route, &request, request.h.nlmsg_len, 0) == (int)request.h.nlmsg_len);
    static char buf[32768];
    for (int more = 1; more;) {
        struct sockaddr_nl from;
        socklen_t len = sizeof from;
        int n = recvfrom(route, buf, sizeof buf, 0, (void *)&from, &len);
        if (len != sizeof from || from.nl_pid != 0) printf("from %d\n", from.nl_pid);
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            more = h->nlmsg_flags & NLM_F_MULTI && h->nlmsg_type != NLMSG_DONE;
            printf("type %d flags %x sequence %d", h->nlmsg_type, h->nlmsg_flags, h->nlmsg_seq == sequence);
            if (h->nlmsg_type == NLMSG_ERROR) {
                printf(" error %d\n", ((struct nlmsgerr *)NLMSG_DATA(h))->error);
            } else if (h->nlmsg_type == RTM_NEWLINK) {
                struct ifinfomsg *i = NLMSG_DATA(h);
                printf(" %d %d %d %x\n", i->ifi_family, i->ifi_type, i->ifi_index, i->ifi_flags);
                show_attributes(IFLA_RTA(i), IFLA_PAYLOAD(h), 1 << IFLA_IFNAME | 1 << IFLA_MTU | 1 << IFLA_ADDRESS
                    | 1 << IFLA_BROADCAST | 1 << IFLA_TXQLEN | 1 << IFLA_OPERSTATE | 1 << IFLA_QDISC);
            } else if (h->nlmsg_type == RTM_NEWADDR) {
                struct ifaddrmsg *i = NLMSG_DATA(h);
                printf(" %d %d %x %d %d\n", i->ifa_family, i->ifa_prefixlen, i->ifa_flags, i->ifa_scope, i->ifa_index);
                show_attributes(IFA_RTA(i), IFA_PAYLOAD(h), 1 << IFA_ADDRESS | 1 << IFA_LOCAL | 1 << IFA_LABEL | 1 << IFA_FLAGS);
            } else if (h->nlmsg_type == RTM_NEWROUTE) {
                struct rtmsg *r = NLMSG_DATA(h);
                printf(" %d %d %d %d %d %d\n", r->rtm_family, r->rtm_dst_len, r->rtm_table, r->rtm_protocol, r->rtm_scope, r->rtm_type);
                show_attributes(RTM_RTA(r), RTM_PAYLOAD(h), 1 << RTA_DST | 1 << RTA_OIF | 1 << RTA_PREFSRC | 1 << RTA_TABLE);
            } else printf("\n");
        }
    }
}

static void netlink(void) {
    TRY(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
    TRY(socket(AF_NETLINK, SOCK_RAW, 31));
    route = TRY(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct sockaddr_nl a = {AF_NETLINK}, got;
    socklen_t len = sizeof got;
    TRY(getsockname(route, (void *)&got, &len));
    printf("%d %d %d\n", len, got.nl_family, got.nl_pid);
    TRY(bind(route, (void *)&a, 4));
    TRY(bind(route, (void *)&a, sizeof a));
    TRY(getsockname(route, (void *)&got, &len));
    printf("own: %d\n", got.nl_pid == getpid());
    show_events(route);
    struct ifinfomsg link = {0};
    ask("links", RTM_GETLINK, NLM_F_DUMP, &link, sizeof link);
    link.ifi_index = 1;
    ask("lo", RTM_GETLINK, 0, &link, sizeof link);
    link.ifi_index = 7;
    ask("another", RTM_GETLINK, 0, &link, sizeof link);
    link.ifi_index = 0;
    ask("none", RTM_GETLINK, 0, &link, sizeof link);
    struct { struct ifinfomsg i; struct rtattr a; char name[8]; } named = {{0}, {RTA_LENGTH(3), IFLA_IFNAME}, "lo"};
    ask("by name", RTM_GETLINK, NLM_F_ACK, &named, sizeof named);
    struct ifaddrmsg address = {0};
    ask("addresses", RTM_GETADDR, NLM_F_DUMP, &address, sizeof address);
    address.ifa_family = AF_INET;
    ask("of IPv4", RTM_GETADDR, NLM_F_DUMP, &address, sizeof address);
    address.ifa_family = AF_INET6;
    ask("of IPv6", RTM_GETADDR, NLM_F_DUMP, &address, sizeof address);
    struct rtmsg to = {.rtm_family = AF_INET};
    ask("routes", RTM_GETROUTE, NLM_F_DUMP, &to, sizeof to);
    struct { struct rtmsg r; struct rtattr a; unsigned char ip[4]; } one = {{AF_INET, 32}, {RTA_LENGTH(4), RTA_DST}, {127, 0, 0, 1}};
    ask("here", RTM_GETROUTE, 0, &one, sizeof one);
    one.ip[0] = 10;
    ask("elsewhere", RTM_GETROUTE, 0, &one, sizeof one);
    struct ndmsg neighbour = {0};
    ask("neighbours", RTM_GETNEIGH, NLM_F_DUMP, &neighbour, sizeof neighbour);
    ask("what", 77, 0, &link, sizeof link);
    ask("what else", 200, NLM_F_ACK, &link, sizeof link);
    TRY(({ char byte; recv(route, &byte, 1, MSG_DONTWAIT); }));
    // Events are accepted, and none come.
    int events = TRY(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
    a.nl_groups = 1;
    TRY(bind(events, (void *)&a, sizeof a));
    TRY(({ char byte; recv(events, &byte, 1, MSG_DONTWAIT); }));
    close(events);
    if (fork() == 0) {
        setuid(1000);
        link.ifi_index = 1;
        ask("change", RTM_NEWLINK, NLM_F_ACK, &link, sizeof link);
        _exit(0);
    }
    wait(NULL);
    close(route);
}

static void ioctls(void) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = {.ifr_name = "lo"}, all[4];
    TRY(ioctl(s, SIOCGIFFLAGS, &r));
    printf("%x\n", r.ifr_flags);
    TRY(ioctl(s, SIOCGIFINDEX, &r));
    printf("%d\n", r.ifr_ifindex);
    TRY(ioctl(s, SIOCGIFMTU, &r));
    printf("%d\n", r.ifr_mtu);
    TRY(ioctl(s, SIOCGIFADDR, &r));
    show_address("address", &r.ifr_addr, sizeof r.ifr_addr);
    TRY(ioctl(s, SIOCGIFNETMASK, &r));
    show_address("mask", &r.ifr_addr, sizeof r.ifr_addr);
    TRY(ioctl(s, SIOCGIFHWADDR, &r));
    printf("%d\n", r.ifr_hwaddr.sa_family);
    TRY(ioctl(s, SIOCGIFTXQLEN, &r));
    r.ifr_ifindex = 1;
    memset(r.ifr_name, 0, sizeof r.ifr_name);
    TRY(ioctl(s, SIOCGIFNAME, &r));
    printf("%s\n", r.ifr_name);
    r.ifr_ifindex = 9;
    TRY(ioctl(s, SIOCGIFNAME, &r));
    strcpy(r.ifr_name, "eth7");
    TRY(ioctl(s, SIOCGIFFLAGS, &r));
    struct ifconf c = {.ifc_len = sizeof all, .ifc_req = all};
    TRY(ioctl(s, SIOCGIFCONF, &c));
    printf("%d %s\n", c.ifc_len / (int)sizeof *all, all[0].ifr_name);
    show_address("address", &all[0].ifr_addr, sizeof all[0].ifr_addr);
    c = (struct ifconf){.ifc_len = 0};
    TRY(ioctl(s, SIOCGIFCONF, &c));
    printf("%d\n", c.ifc_len / (int)sizeof *all);
    TRY(ioctl(s, 0x1234, &c));
    close(s);
    printf("%d\n", if_nametoindex("lo"));
}

static void library(void) {
    struct ifaddrs *all;
    TRY(getifaddrs(&all));
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : -1;
        printf("%s %x %d\n", i->ifa_name, i->ifa_flags, family);
        if (family == AF_INET || family == AF_INET6) {
            show_address("address", i->ifa_addr, sizeof(struct sockaddr_in));
            show_address("mask", i->ifa_netmask, sizeof(struct sockaddr_in));
        }
    }
    freeifaddrs(all);
}

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static void proc(void) {
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    BIND4(a, "127.0.0.1", 5000);
    listen(a, 3);
    BIND6(b, "::1", 5001);
    CONNECT4(c, "127.0.0.1", 5000);
    write(c, "hello", 5);
    const char *files[] = {"tcp", "udp6"};
    for (int i = 0; i < 2; i++) {
        char path[50], line[300], lines[10][200] = {0};
        int count = 0;
        snprintf(path, sizeof path, "/proc/self/net/%s", files[i]);
        FILE *f = fopen(path, "r");
        while (fgets(line, sizeof line, f)) {
            char local[50], remote[50];
            unsigned number, state, sent, received;
            if (sscanf(line, " %u: %40s %40s %x %x:%x", &number, local, remote, &state, &sent, &received) < 6) {
                printf("%d %s\n", (int)strlen(line), strstr(line, "st ") ? "header" : "?");
                continue;
            }
            if (strstr(remote, ":1388") == NULL) remote[strlen(remote) - 4] = 0;
            if (strstr(local, ":138") == NULL) local[strlen(local) - 4] = 0;
            // Lines of IPv6 are as long as their numbers.
            int len = i == 0 ? strlen(line) : 0;
            sprintf(lines[count++], "%d %s %s %02x %x\n", len, local, remote, state, received);
        }
        // The order is that of a hash.
        qsort(lines, count, sizeof *lines, compare);
        for (int j = 0; j < count; j++) printf("%s", lines[j]);
        fclose(f);
    }
}

int main(void) {
    netlink();
    ioctls();
    library();
    proc();
    return 0;
}
