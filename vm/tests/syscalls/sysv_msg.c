#include "report.h"
#include <sys/ipc.h>
#include <sys/msg.h>

struct message {
    long type;
    char text[9000];
};

static int id, parent;

static void state(void) {
    struct msqid_ds ds;
    if (msgctl(id, IPC_STAT, &ds) < 0) {
        printf("  %s\n", strerrorname_np(errno));
        return;
    }
    printf("  %ld messages, %ld of %ld bytes, mode %o, last %d %d, times %d%d%d\n", (long)ds.msg_qnum,
           (long)ds.__msg_cbytes, (long)ds.msg_qbytes, ds.msg_perm.mode, ds.msg_lspid == parent, ds.msg_lrpid == parent,
           ds.msg_stime > 0, ds.msg_rtime > 0, ds.msg_ctime > 0);
    fflush(stdout);
}

static int send(long type, const char *text, int flags) {
    struct message m = {type};
    strcpy(m.text, text);
    return msgsnd(id, &m, strlen(text), flags);
}

static void receive(long type, int size, int flags) {
    struct message m = {0};
    int n = msgrcv(id, &m, size, type, flags);
    if (n < 0) printf("%ld: %s\n", type, strerrorname_np(errno));
    else printf("%ld: %d, type %ld, %s\n", type, n, m.type, m.text);
    fflush(stdout);
}

static int child(void (*what)(void)) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        what();
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

static void receives(void) { receive(0, 100, 0); }
static void receives_seven(void) { receive(7, 100, 0); }
static void sends_much(void) {
    struct message m = {1};
    TRY(msgsnd(id, &m, 8192, 0));
    TRY(msgsnd(id, &m, 8192, 0));
}
static void on_signal(int signal) { (void)signal; }
static void interrupted(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    receive(0, 100, 0);
}
static void other_user(void) {
    setgid(1000), setuid(1000);
    TRY(send(1, "no", IPC_NOWAIT));
    receive(0, 100, IPC_NOWAIT);
    state();
    TRY(msgctl(id, IPC_RMID, NULL));
}

static void types(void) {
    send(3, "three", 0), send(1, "one", 0), send(2, "two", 0), send(1, "uno", 0), send(5, "", 0);
    state();
    receive(2, 100, 0);
    receive(-2, 100, 0);
    receive(-2, 100, 0);
    receive(-2, 100, IPC_NOWAIT);
    receive(3, 100, MSG_EXCEPT);
    receive(0, 3, 0);
    receive(0, 3, MSG_NOERROR);
    receive(0, 3, IPC_NOWAIT);
    state();
    TRY(send(0, "none", 0));
    TRY(send(-1, "none", 0));
    TRY(msgsnd(id, &(struct message){1}, 8193, 0));
    TRY(msgsnd(id, &(struct message){1}, -1, 0));
    TRY(msgsnd(id, NULL, 1, 0));
    TRY(msgsnd(-1, &(struct message){1}, 1, 0));
    TRY(msgrcv(id, &(struct message){1}, -1, 0, 0));
    TRY(msgrcv(-1, &(struct message){1}, 1, 0, 0));
    send(1, "kept", 0);
    TRY(msgrcv(id, NULL, 100, 0, IPC_NOWAIT));
    TRY(msgrcv(id, &(struct message){1}, 100, 0, IPC_NOWAIT | MSG_EXCEPT | 040000));
    while (msgrcv(id, &(struct message){1}, 100, 0, IPC_NOWAIT) >= 0) continue;
}

static void waiting(void) {
    int pid = child(receives);
    usleep(10000);
    int sent = send(4, "for the child", 0);
    waitpid(pid, NULL, 0);
    printf("%d\n", sent);
    state();
    pid = child(receives_seven);
    usleep(10000);
    sent = send(6, "not for the child", 0) + send(7, "for the child again", 0);
    waitpid(pid, NULL, 0);
    printf("%d\n", sent);
    state();
    receive(0, 100, 0);
    struct message m = {1};
    TRY(msgsnd(id, &m, 8192, IPC_NOWAIT));
    TRY(msgsnd(id, &m, 8000, IPC_NOWAIT));
    TRY(msgsnd(id, &m, 193, IPC_NOWAIT));
    TRY(msgsnd(id, &m, 192, IPC_NOWAIT));
    pid = child(sends_much);
    usleep(10000);
    long lengths[5];
    for (int i = 0; i < 5; i++) lengths[i] = msgrcv(id, &m, 9000, 0, 0);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 5; i++) printf("%ld\n", lengths[i]);
    state();
    waitpid(child(interrupted), NULL, 0);
    waitpid(child(other_user), NULL, 0);
}

static void control(void) {
    struct msqid_ds ds;
    msgctl(id, IPC_STAT, &ds);
    ds.msg_qbytes = 10;
    ds.msg_perm.mode = 0604;
    TRY(msgctl(id, IPC_SET, &ds));
    state();
    TRY(send(1, "0123456789x", IPC_NOWAIT));
    TRY(send(1, "0123456789", IPC_NOWAIT));
    TRY(send(1, "", IPC_NOWAIT));
    receive(0, 20, 0);
    TRY(msgctl(id, 99, &ds));
    TRY(msgctl(id, IPC_STAT, NULL));
    int key = 0x5eed0000 + parent;
    TRY(msgget(key, 0600));
    int made = msgget(key, IPC_CREAT | 0600);
    ok("made", made);
    TRY(msgget(key, 0) == made);
    TRY(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
    msgctl(made, IPC_RMID, NULL);
    struct msginfo info;
    TRY(msgctl(0, IPC_INFO, (void *)&info) >= 0);
    printf("%d %d %d %d %d %d %d %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz,
           info.msgtql, info.msgseg);
    int pid = child(receives_seven);
    usleep(10000);
    int removed = msgctl(id, IPC_RMID, NULL);
    waitpid(pid, NULL, 0);
    printf("%d\n", removed);
    TRY(msgctl(id, IPC_RMID, NULL));
    state();
}

int main(void) {
    parent = getpid();
    id = msgget(IPC_PRIVATE, 0600);
    ok("msgget", id);
    state();
    types();
    waiting();
    control();
    return 0;
}
