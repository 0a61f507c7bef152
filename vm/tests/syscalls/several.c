// Several messages in one call: how long it waits, what it tells of the time, what becomes of errors.
#include "messages.h"

static int a, b;
static char buf[8][10];
static struct mmsghdr m[8];

static void show(const char *what, long n) {
    report(what, n);
    for (int i = 0; i < n; i++) printf("  %d %.*s\n", m[i].msg_len, (int)m[i].msg_len, buf[i]);
}

static void prepare(void) {
    static struct iovec v[8];
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){buf[i], 10};
        m[i] = (struct mmsghdr){{.msg_iov = &v[i], .msg_iovlen = 1}, 77};
    }
}

static void fill(int n) {
    for (int i = 0; i < n; i++) send(b, "123456789" + i, 9 - i, 0);
}

// Sends a message after a while, from a process of its own.
static void later(int n) {
    if (fork() == 0) {
        usleep(20000);
        fill(n);
        _exit(0);
    }
}

#define RECEIVE(n, flags, timeout) (prepare(), show("recvmmsg(" #n ", " #flags ", " #timeout ")", recvmmsg(a, m, n, flags, timeout)))

int main(void) {
    a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    BIND4(a, "127.0.0.1", 7900), CONNECT4(b, "127.0.0.1", 7900);
    struct timespec none = {0, 0}, long_one = {100, 0}, bad = {0, 1000000000}, negative = {-1, 0};
    // A time that is over ends it after the next message, not before.
    fill(3);
    RECEIVE(3, 0, &none);
    printf("left %d %d\n", (int)none.tv_sec, none.tv_nsec != 0);
    RECEIVE(8, MSG_DONTWAIT, &long_one);
    printf("left %d %d\n", (int)long_one.tv_sec, long_one.tv_nsec > 0);
    RECEIVE(8, MSG_DONTWAIT, &long_one);
    none = (struct timespec){0, 0};
    later(1);
    RECEIVE(2, 0, &none);
    wait(NULL);
    long_one = (struct timespec){100, 0};
    later(2);
    RECEIVE(2, 0, &long_one);
    wait(NULL);
    printf("left %d\n", long_one.tv_sec >= 90);
    RECEIVE(2, MSG_DONTWAIT, &bad);
    RECEIVE(2, MSG_DONTWAIT, &negative);
    fill(2);
    RECEIVE(0, MSG_DONTWAIT, NULL);
    RECEIVE(2, MSG_DONTWAIT, (void *)1);
    RECEIVE(2, MSG_DONTWAIT, NULL);
    // The time for each wait.
    struct timeval each = {0, 10000};
    TRY(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &each, sizeof each));
    RECEIVE(2, 0, NULL);
    fill(1);
    RECEIVE(2, 0, NULL);
    fill(2);
    RECEIVE(3, MSG_WAITFORONE, NULL);
    // An error after a message is told by the next call.
    fill(2);
    prepare();
    m[1].msg_hdr.msg_iov = (void *)8;
    show("bad", recvmmsg(a, m, 2, MSG_DONTWAIT, NULL));
    show_error(a);
    RECEIVE(2, MSG_DONTWAIT, NULL);
    RECEIVE(2, MSG_DONTWAIT, NULL);
    fill(2);
    RECEIVE(8, MSG_DONTWAIT | MSG_PEEK, NULL);
    RECEIVE(8, MSG_DONTWAIT, NULL);
    // Sending stops at what can't be sent.
    prepare();
    for (int i = 0; i < 4; i++) m[i].msg_hdr.msg_iov->iov_base = "abcdefghij";
    m[2].msg_hdr.msg_iov = (void *)8;
    report("sendmmsg", sendmmsg(b, m, 4, 0));
    printf("%d %d %d\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    RECEIVE(8, MSG_DONTWAIT, NULL);
    prepare();
    m[0].msg_hdr.msg_iov = (void *)8;
    report("sendmmsg", sendmmsg(b, m, 4, 0));
    report("sendmmsg", sendmmsg(b, m, 0, 0));
    return 0;
}
