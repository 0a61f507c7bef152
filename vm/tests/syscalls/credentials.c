// Who a unix socket's other side is: SCM_CREDENTIALS, SO_PEERCRED, SO_PEERGROUPS.
#include "report.h"
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

static pid_t self, helper;
static int pair[2];

// Process ids differ from run to run.
static const char *name_of(pid_t pid) { return pid == self ? "self" : pid == getpid() ? "child" : pid == helper ? "helper" : pid ? "other" : "none"; }

static void take(void) {
    char buf[10], control[200] __attribute__((aligned(8)));
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (TRY(recvmsg(pair[1], &m, MSG_DONTWAIT)) < 0) return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct ucred *u = (void *)CMSG_DATA(c);
        if (c->cmsg_type == SCM_CREDENTIALS) printf("  %s %d %d\n", name_of(u->pid), u->uid, u->gid);
    }
}

static void give(pid_t pid, uid_t uid, gid_t gid, size_t len) {
    char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8))) = {0};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(len), SOL_SOCKET, SCM_CREDENTIALS};
    struct ucred u = {pid, uid, gid};
    memcpy(CMSG_DATA(c), &u, sizeof u);
    printf("as %s %d %d\n", name_of(pid), uid, gid);
    if (TRY(sendmsg(pair[0], &m, 0)) > 0) take();
}

static void plain(void) {
    TRY(write(pair[0], "x", 1));
    take();
}

static void all(void) {
    plain();
    give(getpid(), geteuid(), getegid(), sizeof(struct ucred));
    give(getpid(), getuid(), getgid(), sizeof(struct ucred));
    give(getpid(), 5, getgid(), sizeof(struct ucred));
    give(getpid(), getuid(), 6, sizeof(struct ucred));
    give(getpid(), 2002, getgid(), sizeof(struct ucred));
    give(getpid(), getuid(), 3002, sizeof(struct ucred));
    give(helper, getuid(), getgid(), sizeof(struct ucred));
    give(getpid(), -1, getgid(), sizeof(struct ucred));
    give(getpid(), getuid(), -1, sizeof(struct ucred));
    give(0x7ffffff0, getuid(), getgid(), sizeof(struct ucred));
    give(getpid(), getuid(), getgid(), 8);
}

static void peers(void) {
    struct ucred u;
    socklen_t len = sizeof u;
    getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &u, &len);
    printf("peer %s %d %d\n", name_of(u.pid), u.uid, u.gid);
    gid_t groups[10] = {0};
    for (int room = 0; room <= 16; room += 4) {
        len = room;
        TRY(getsockopt(pair[0], SOL_SOCKET, SO_PEERGROUPS, groups, &len));
        printf("  %d: %d %d %d\n", len, groups[0], groups[1], groups[2]);
    }
}

int main(void) {
    int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}, on = 1;
    self = getpid();
    helper = fork();
    if (helper == 0) {
        pause();
        _exit(0);
    }
    gid_t groups[] = {11, 12, 13};
    setgroups(3, groups);
    for (int i = 0; i < 3; i++) {
        printf("-- kind %d\n", kinds[i]);
        socketpair(AF_UNIX, kinds[i], 0, pair);
        plain();
        setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        peers();
        all();
        fflush(stdout);
        if (fork() == 0) {
            printf("-- another\n");
            setresgid(3000, 3001, 3002);
            setresuid(2000, 2001, 2002);
            all();
            close(pair[0]);
            close(pair[1]);
            socketpair(AF_UNIX, kinds[i], 0, pair);
            peers();
            exit(0);
        }
        wait(NULL);
        close(pair[0]);
        close(pair[1]);
    }
    kill(helper, SIGKILL);
    wait(NULL);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = sizeof groups;
    TRY(getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &len));
    return 0;
}
