// What guest programs about control messages need.
#include "loopback.h"
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

// Whether a control message has times, which differ from run to run.
static int is_time(const struct cmsghdr *c) {
    int stamps[] = {29, 35, 37, 63, 64, 65};
    for (int i = 0; i < 6; i++)
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == stamps[i]) return 1;
    return 0;
}

static void show_control(const struct cmsghdr *c) {
    int len = c->cmsg_len - CMSG_LEN(0);
    printf("  control %d %d of %d:", c->cmsg_level, c->cmsg_type, len);
    const unsigned char *body = CMSG_DATA(c);
    for (int i = 0; i < len; i++) {
        // Of times, which words are there.
        if (!is_time(c)) printf(" %02x", body[i]);
        else if (i % sizeof(long) == 0) printf(" %s", *(long *)(body + i) ? "t" : "0");
    }
    printf("\n");
}

// Receives a message, with `room` for its bytes, and shows all of it.
static long show_message(int s, size_t room, int flags) {
    static char buf[70000], control[2000] __attribute__((aligned(8)));
    struct sockaddr_storage from;
    struct iovec v = {buf, room};
    struct msghdr m = {&from, sizeof from, &v, 1, control, sizeof control, 0};
    long n = recvmsg(s, &m, MSG_DONTWAIT | flags);
    if (n < 0) { printf("  message: %s\n", strerrorname_np(errno)); return n; }
    printf("  message of %ld \"%.*s\" flags %x\n", n, (int)(n > 20 ? 20 : n), buf, m.msg_flags);
    if (m.msg_namelen && from.ss_family != AF_UNIX) show_address("  from", &from, m.msg_namelen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) show_control(c);
    return n;
}

// Sends to an address, with one control message.
static long send_with(int s, const void *to, socklen_t to_len, const char *text, int level, int type, const void *body, size_t len) {
    char control[300] __attribute__((aligned(8))) = {0};
    struct iovec v = {(char *)text, strlen(text)};
    struct msghdr m = {(void *)to, to_len, &v, 1, control, CMSG_SPACE(len), 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), body, len);
    return sendmsg(s, &m, 0);
}
