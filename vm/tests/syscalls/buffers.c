// How much sockets take before they must wait (SO_SNDBUF, SO_RCVBUF), and when they take more.
#include "loopback.h"
#include <sys/un.h>

static char big[1 << 20];

static void pair_of(int kind, int pair[2], int bytes) {
    socketpair(AF_UNIX, kind | SOCK_NONBLOCK, 0, pair);
    if (bytes) set(pair[0], SOL_SOCKET, SO_SNDBUF, bytes);
}

static int is_writable(int s) {
    struct pollfd f = {s, POLLOUT, 0};
    return poll(&f, 1, 0) == 1 && f.revents & POLLOUT;
}

// Fills a socket by writes of a length, and reads until there is room again.
static void fill(int kind, int bytes, int len) {
    int pair[2], unsent = -1, writes = 0, reads = 0;
    pair_of(kind, pair, bytes);
    long n, total = 0;
    while ((n = write(pair[0], big, len)) > 0) total += n, writes++;
    printf("kind %d buffer %d by %d: %ld in %d, %s", kind, option(pair[0], SOL_SOCKET, SO_SNDBUF), len, total, writes,
           n < 0 ? strerrorname_np(errno) : "nothing");
    ioctl(pair[0], 0x5411, &unsent);
    printf(", unsent %d", unsent);
    while (!is_writable(pair[0]) && (n = read(pair[1], big, len)) > 0) reads++;
    ioctl(pair[0], 0x5411, &unsent);
    printf(", room after %d, unsent %d\n", reads, unsent);
    close(pair[0]);
    close(pair[1]);
}

static void unix_pairs(void) {
    int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}, sizes[] = {0, 1, 5000, 50000};
    int lengths[] = {1, 100, 191, 192, 193, 1000, 3700, 3776, 3777, 4096, 4097, 8000, 10000, 16064, 16065, 20000, 32768};
    for (int k = 0; k < 3; k++)
        for (int s = 0; s < 4; s++)
            for (int l = 0; l < 17; l++) fill(kinds[k], sizes[s], lengths[l]);
    for (int s = 1; s < 3; s++) {
        int pair[2];
        pair_of(SOCK_DGRAM, pair, sizes[s]);
        int most = option(pair[0], SOL_SOCKET, SO_SNDBUF) - 32;
        TRY(send(pair[0], big, most, 0) == most);
        TRY(send(pair[0], big, most + 1, 0));
        close(pair[0]);
        close(pair[1]);
    }
    // Nothing, and parts of what was sent.
    int pair[2];
    pair_of(SOCK_STREAM, pair, 5000);
    TRY(write(pair[0], big, 0));
    TRY(({ int n; ioctl(pair[0], 0x5411, &n); n; }));
    TRY(write(pair[0], big, 100));
    TRY(read(pair[1], big, 99));
    TRY(({ int n; ioctl(pair[0], 0x5411, &n); n; }));
    TRY(read(pair[1], big, 99));
    TRY(({ int n; ioctl(pair[0], 0x5411, &n); n; }));
    close(pair[0]);
    close(pair[1]);
}

static struct sockaddr_un named(const char *name) {
    struct sockaddr_un a = {AF_UNIX};
    strcpy(a.sun_path + 1, name);
    return a;
}

// Messages to one who does not answer.
static void unix_datagrams(void) {
    FILE *f = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
    int most = 0;
    fscanf(f, "%d", &most);
    fclose(f);
    struct sockaddr_un a = named("edgebox-buffers");
    int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), from = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    bind(to, (void *)&a, sizeof a);
    int n = 0;
    while (sendto(from, "x", 1, 0, (void *)&a, sizeof a) == 1) n++;
    printf("%s after %d\n", strerrorname_np(errno), n - most);
    printf("writable %d\n", is_writable(from));
    connect(from, (void *)&a, sizeof a);
    printf("writable %d\n", is_writable(from));
    TRY(read(to, big, 10));
    printf("writable %d\n", is_writable(from));
    TRY(write(from, "x", 1));
    TRY(write(from, "x", 1));
    // What was sent counts until it is read, though its reader is gone.
    TRY(({ int n; ioctl(from, 0x5411, &n); n / 768 - most; }));
    close(to);
    TRY(({ int n; ioctl(from, 0x5411, &n); n; }));
    close(from);
}

// A writer that waits goes on when enough was read; and when nobody reads any more.
static void waiting(void) {
    int pair[2];
    pair_of(SOCK_STREAM, pair, 5000);
    fcntl(pair[0], F_SETFL, 0);
    fcntl(pair[1], F_SETFL, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[1]);
        signal(SIGPIPE, SIG_IGN);
        TRY(write(pair[0], big, 100000));
        long n = write(pair[0], big, 500000);
        printf("cut %d, then %s\n", n > 0 && n < 500000, write(pair[0], big, 1) < 0 ? strerrorname_np(errno) : "ok");
        exit(0);
    }
    close(pair[0]);
    long total = 0, n;
    while (total < 200000 && (n = read(pair[1], big, 3000)) > 0) total += n;
    printf("read %d\n", total >= 200000);
    fflush(stdout);
    close(pair[1]);
    waitpid(pid, NULL, 0);
}

// TCP's buffers grow and shrink on Linux: what can be relied on.
static long tcp_takes(int send_bytes, int receive_bytes) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    if (receive_bytes) set(listener, SOL_SOCKET, SO_RCVBUF, receive_bytes);
    BIND4(listener, "127.0.0.1", 0);
    listen(listener, 1);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (send_bytes) set(pair[0], SOL_SOCKET, SO_SNDBUF, send_bytes);
    CONNECT4(pair[0], "127.0.0.1", port_of(listener));
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
    long total = 0, got = 0, n;
    // What is on its way is not there yet.
    for (int quiet = 0; quiet < 20; usleep(1000)) {
        n = send(pair[0], big, sizeof big, MSG_DONTWAIT);
        if (n > 0) total += n;
        quiet = n > 0 ? 0 : quiet + 1;
    }
    printf("%s, writable %d", strerrorname_np(errno), is_writable(pair[0]));
    shutdown(pair[0], SHUT_WR);
    while ((n = read(pair[1], big, sizeof big)) > 0) got += n;
    printf(", all there %d\n", got == total);
    close(pair[0]);
    close(pair[1]);
    return total;
}

static void tcp(void) {
    long small = tcp_takes(5000, 5000), larger = tcp_takes(100000, 100000), usual = tcp_takes(0, 0);
    printf("small %d larger %d usual %d\n", small > 1000 && small < 100000, larger > small, usual > 50000);
}

int main(void) {
    unix_pairs();
    unix_datagrams();
    waiting();
    tcp();
    return 0;
}
