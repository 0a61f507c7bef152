// States of connections: what TCP_INFO tells, options that change on the way, ends of all kinds, addresses that stay taken.
#include "messages.h"
#include <netinet/tcp.h>
#include <linux/sockios.h>

static struct tcp_info info_of(int s) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info;
}

// What does not depend on time or memory.
static void show_info(const char *what, int s) {
    struct tcp_info i = info_of(s);
    // An end is acknowledged after a moment: FIN_WAIT1, LAST_ACK, CLOSING.
    while (i.tcpi_state == 4 || i.tcpi_state == 9 || i.tcpi_state == 11) usleep(1000), i = info_of(s);
    printf("%s: state %d ca %d retransmits %d probes %d backoff %d options %d scales %x\n", what, i.tcpi_state, i.tcpi_ca_state,
           i.tcpi_retransmits, i.tcpi_probes, i.tcpi_backoff, i.tcpi_options, i.tcpi_snd_wscale | i.tcpi_rcv_wscale << 4);
    printf("  lost %d retrans %d fackets %d pmtu %d advmss %d reordering %d total %d\n", i.tcpi_lost,
           i.tcpi_retrans, i.tcpi_fackets, i.tcpi_pmtu, i.tcpi_advmss, i.tcpi_reordering, i.tcpi_total_retrans);
}

static void show_queues(int s) {
    int in = -1, out = -1, unsent = -1;
    ioctl(s, SIOCINQ, &in), ioctl(s, SIOCOUTQ, &out), ioctl(s, SIOCOUTQNSD, &unsent);
    printf("in %d out %d unsent %d\n", in, out, unsent);
}

static void get(int s, int len) {
    char buf[100] = "";
    long n = TRY(recv(s, buf, len, MSG_DONTWAIT));
    if (n > 0) printf("  %s\n", buf);
}

static void information(void) {
    printf("-- information\n");
    int s = socket(AF_INET, SOCK_STREAM, 0), p[2];
    show_info("new", s);
    BIND4(s, "127.0.0.1", 0);
    listen(s, 7);
    show_info("listening", s);
    printf("waiting %d of %d\n", info_of(s).tcpi_unacked, info_of(s).tcpi_sacked);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CONNECT4(c, "127.0.0.1", port_of(s));
    printf("waiting %d of %d\n", info_of(s).tcpi_unacked, info_of(s).tcpi_sacked);
    show_info("connected", c);
    TRY(send(c, "0123456789", 10, 0));
    show_queues(c);
    int a = accept(s, NULL, NULL);
    show_queues(a);
    show_info("accepted", a);
    get(a, 4);
    show_queues(a);
    TRY(shutdown(c, SHUT_WR));
    show_info("shut", c), show_info("told", a);
    show_queues(a);
    TRY(shutdown(a, SHUT_WR));
    show_info("over", c), show_info("over", a);
    get(a, 20);
    get(a, 20);
    char i[500];
    socklen_t lens[] = {0, 1, 8, 104, 500};
    for (int n = 0; n < 5; n++) {
        socklen_t len = lens[n];
        TRY(getsockopt(a, IPPROTO_TCP, TCP_INFO, i, &len));
        if (lens[n] < 500) printf("%d\n", len);
    }
    close(c), close(a), close(s);
}

static void options(void) {
    printf("-- options\n");
    int p[2];
    connection(p);
    int all[] = {TCP_NODELAY, TCP_CORK, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_LINGER2,
                 TCP_SYNCNT, TCP_DEFER_ACCEPT, TCP_NOTSENT_LOWAT, TCP_MAXSEG};
    int values[] = {1, 1, 0, 500, 10, 5, 3, 30, 2, 3, 1000, 1000};
    for (int i = 0; i < 12; i++) {
        printf("%d: %d ", all[i], option(p[0], IPPROTO_TCP, all[i]));
        int r = set(p[0], IPPROTO_TCP, all[i], values[i]);
        printf("%s %d\n", r < 0 ? strerrorname_np(errno) : "ok", option(p[0], IPPROTO_TCP, all[i]));
    }
    TRY(set(p[0], SOL_SOCKET, SO_KEEPALIVE, 1));
    TRY(option(p[0], SOL_SOCKET, SO_KEEPALIVE));
    // Corked bytes come at the latest when the cork is pulled; here they come at once.
    TRY(send(p[0], "corked", 6, 0));
    TRY(set(p[0], IPPROTO_TCP, TCP_CORK, 0));
    show_queues(p[0]), show_queues(p[1]);
    get(p[1], 20);
    TRY(send(p[0], "more", 4, MSG_MORE));
    TRY(send(p[0], " of it", 6, 0));
    get(p[1], 20);
    TRY(send(p[0], "held", 4, MSG_MORE));
    TRY(set(p[0], IPPROTO_TCP, TCP_NODELAY, 1));
    get(p[1], 20);
    TRY(send(p[0], "held until the end", 18, MSG_MORE));
    TRY(shutdown(p[0], SHUT_WR));
    get(p[1], 20);
    get(p[1], 20);
    close(p[0]), close(p[1]);
    connection(p);
    TRY(set(p[0], IPPROTO_TCP, TCP_CORK, 1));
    TRY(send(p[0], "corked and closed", 17, 0));
    close(p[0]);
    get(p[1], 20);
    get(p[1], 20);
    close(p[1]);
}

static void lingering(void) {
    printf("-- lingering\n");
    struct linger zero = {1, 0}, one = {1, 1};
    int p[2];
    connection(p);
    TRY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &zero, sizeof zero));
    TRY(send(p[0], "lost", 4, 0));
    close(p[0]);
    show_events(p[1]);
    show_info("reset", p[1]);
    get(p[1], 10);
    get(p[1], 10);
    TRY(send(p[1], "x", 1, MSG_NOSIGNAL));
    TRY(send(p[1], "x", 1, MSG_NOSIGNAL));
    show_names(p[1]);
    close(p[1]);
    connection(p);
    TRY(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &one, sizeof one));
    TRY(send(p[0], "sent", 4, 0));
    close(p[0]);
    get(p[1], 10), get(p[1], 10);
    close(p[1]);
    // Unread bytes reset, too; after the other side's end as well.
    connection(p);
    TRY(send(p[0], "unread", 6, 0));
    TRY(shutdown(p[0], SHUT_WR));
    close(p[1]);
    show_events(p[0]);
    show_error(p[0]);
    close(p[0]);
    // A reset while something waits to be read.
    connection(p);
    TRY(send(p[0], "unread", 6, 0));
    TRY(send(p[1], "answer", 6, 0));
    close(p[1]);
    show_events(p[0]);
    get(p[0], 10);
    get(p[0], 10);
    get(p[0], 10);
    close(p[0]);
    // Reset by connecting to nowhere.
    connection(p);
    struct sockaddr nothing = {AF_UNSPEC};
    TRY(connect(p[0], &nothing, sizeof nothing));
    printf("state %d\n", info_of(p[0]).tcpi_state);
    show_events(p[1]);
    get(p[1], 10);
    show_events(p[0]);
    show_error(p[0]);
    close(p[0]), close(p[1]);
}

static int try_bind(const char *ip, int port, int reuse) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (reuse) set(s, SOL_SOCKET, SO_REUSEADDR, 1);
    int r = BIND4(s, ip, port);
    if (r == 0) r = listen(s, 1);
    if (r == 0) { close(s); return 0; }
    int e = errno;
    close(s);
    errno = e;
    return -1;
}

static void both(void) {
    printf("-- both\n");
    int p[2];
    connection(p);
    // Both close, one after the other; both shut down.
    TRY(shutdown(p[0], SHUT_WR)), TRY(shutdown(p[1], SHUT_WR));
    show_info("first", p[0]), show_info("second", p[1]);
    show_events(p[0]), show_events(p[1]);
    TRY(send(p[0], "x", 1, MSG_NOSIGNAL));
    get(p[0], 10), get(p[1], 10);
    TRY(shutdown(p[0], SHUT_WR)), TRY(shutdown(p[1], SHUT_RD)), TRY(shutdown(p[1], SHUT_RDWR));
    show_names(p[0]);
    close(p[0]), close(p[1]);
    // Half closed: the other half goes on.
    connection(p);
    TRY(shutdown(p[0], SHUT_WR));
    get(p[1], 10);
    TRY(send(p[1], "still", 5, 0));
    get(p[0], 10);
    TRY(shutdown(p[0], SHUT_RD));
    show_events(p[0]);
    TRY(send(p[1], "anyway", 6, 0));
    get(p[0], 10), get(p[0], 10);
    show_events(p[1]);
    close(p[0]);
    TRY(send(p[1], "gone", 4, MSG_NOSIGNAL));
    TRY(send(p[1], "gone", 4, MSG_NOSIGNAL));
    close(p[1]);
    // To itself.
    int s = socket(AF_INET, SOCK_STREAM, 0);
    TRY(BIND4(s, "127.0.0.1", 7800));
    TRY(CONNECT4(s, "127.0.0.1", 7800));
    show_names(s);
    show_info("itself", s);
    TRY(send(s, "to itself", 9, 0));
    get(s, 20);
    TRY(shutdown(s, SHUT_WR));
    get(s, 20);
    show_events(s);
    show_info("itself", s);
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    TRY(BIND4(s, "127.0.0.1", 7801));
    TRY(CONNECT4(s, "127.0.0.1", 7801));
    TRY(send(s, "unread", 6, 0));
    TRY(set(s, SOL_SOCKET, SO_OOBINLINE, 0));
    TRY(send(s, "!", 1, MSG_OOB));
    get(s, 20);
    close(s);
    TRY(try_bind("127.0.0.1", 7801, 0));
}

static void taken(void) {
    printf("-- taken\n");
    // Of a connection that has ended, the side that ended it first keeps its address for a while.
    for (int first = 0; first < 2; first++)
        for (int reuse = 0; reuse < 2; reuse++) {
            int port = 7810 + first * 2 + reuse, l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
            if (reuse) set(l, SOL_SOCKET, SO_REUSEADDR, 1);
            TRY(BIND4(l, "127.0.0.1", port));
            listen(l, 1);
            CONNECT4(c, "127.0.0.1", port);
            int a = accept(l, NULL, NULL);
            printf("with a listener: %d %d\n", try_bind("127.0.0.1", port, 0), try_bind("127.0.0.1", port, 1));
            close(l);
            printf("with a connection: %d %d\n", try_bind("127.0.0.1", port, 0), try_bind("127.0.0.1", port, 1));
            if (first) close(a), close(c);
            else close(c), close(a);
            printf("after it: %d %d\n", try_bind("127.0.0.1", port, 0), try_bind("127.0.0.1", port, 1));
            printf("elsewhere: %d %d\n", try_bind("127.0.0.2", port, 0), try_bind("0.0.0.0", port, 0));
        }
    // After a reset nothing stays.
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    struct linger zero = {1, 0};
    BIND4(l, "127.0.0.1", 7820), listen(l, 1), CONNECT4(c, "127.0.0.1", 7820);
    int a = accept(l, NULL, NULL);
    setsockopt(a, SOL_SOCKET, SO_LINGER, &zero, sizeof zero);
    close(a), close(l), close(c);
    TRY(try_bind("127.0.0.1", 7820, 0));
}

int main(void) {
    information();
    options();
    lingering();
    both();
    taken();
    return 0;
}
