// Signals when a file can be read or written: O_ASYNC, F_SETOWN, F_SETSIG.
#include "loopback.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <termios.h>

// Two real-time signals, so that none is lost and each says what it is about; they are never handled, only asked for.
#define IO (SIGRTMIN + 1)

// Prints the signals that have come.
static void come(const char *what) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, IO);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGURG);
    siginfo_t info;
    struct timespec soon = {0, 0};
    printf("%s:", what);
    int signal;
    while ((signal = sigtimedwait(&set, &info, &soon)) > 0) {
        if (signal == SIGCHLD && info.si_code != SI_SIGIO) continue; // a child has ended
        if (info.si_code == SI_KERNEL) printf(" %d", signal);
        else printf(" %d/%d/%x/%d", signal == IO ? 0 : signal, info.si_code, (int)info.si_band, info.si_fd);
    }
    printf("\n");
    fflush(stdout);
}

static void ask(int fd, int signal) {
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_SETSIG, signal);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
}

static void forget(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_ASYNC); }

static void options(void) {
    int pair[2];
    pipe(pair);
    TRY(fcntl(pair[0], F_GETSIG));
    TRY(fcntl(pair[0], F_SETSIG, 65));
    TRY(fcntl(pair[0], F_SETSIG, -1));
    TRY(fcntl(pair[0], F_SETSIG, IO));
    TRY(fcntl(pair[0], F_GETSIG) == IO);
    TRY(fcntl(pair[0], F_SETFL, O_ASYNC));
    TRY(fcntl(pair[0], F_GETFL) & O_ASYNC);
    int on = 0;
    TRY(ioctl(pair[0], FIOASYNC, &on));
    TRY(fcntl(pair[0], F_GETFL) & O_ASYNC);
    TRY(ioctl(pair[0], FIOASYNC, NULL));
    // Files without such signals.
    int plain = open("/proc/self/exe", O_RDONLY);
    TRY(fcntl(plain, F_SETFL, O_ASYNC));
    TRY(fcntl(plain, F_GETFL) & O_ASYNC);
    on = 1;
    TRY(ioctl(plain, FIOASYNC, &on));
    close(plain), close(pair[0]), close(pair[1]);
}

static void pipes(void) {
    int pair[2];
    char bytes[5000] = {0};
    pipe2(pair, O_NONBLOCK);
    ask(pair[0], IO);
    write(pair[1], "a", 1);
    come("a byte");
    write(pair[1], "bc", 2);
    come("more");
    int twin = dup(pair[0]);
    fcntl(twin, F_SETFL, fcntl(twin, F_GETFL) | O_ASYNC);
    write(pair[1], "d", 1);
    come("asked for already");
    forget(pair[0]);
    write(pair[1], "e", 1);
    come("no more");
    close(twin);
    ask(pair[1], IO);
    read(pair[0], bytes, 2);
    come("room");
    forget(pair[1]);
    ask(pair[0], 0);
    write(pair[1], "f", 1);
    come("plain");
    ask(pair[0], SIGIO);
    write(pair[1], "f", 1);
    come("SIGIO with details");
    ask(pair[0], SIGCHLD);
    write(pair[1], "f", 1);
    come("SIGCHLD");
    ask(pair[0], IO);
    close(pair[1]);
    come("writer gone");
    close(pair[0]);
    pipe(pair);
    ask(pair[1], IO);
    close(pair[0]);
    come("reader gone");
    close(pair[1]);
}

static void local(void) {
    int pair[2];
    char bytes[4000] = {0};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    ask(pair[0], IO);
    write(pair[1], "a", 1);
    come("unix stream");
    shutdown(pair[1], SHUT_WR);
    come("unix half shut");
    shutdown(pair[1], SHUT_RD);
    come("unix shut");
    close(pair[1]);
    come("unix gone");
    close(pair[0]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    ask(pair[0], IO);
    write(pair[1], "a", 1), write(pair[1], "b", 1);
    come("unix datagrams");
    close(pair[0]), close(pair[1]);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    ask(pair[0], IO);
    while (write(pair[0], bytes, sizeof bytes) > 0);
    come("unix full");
    while (read(pair[1], bytes, sizeof bytes) > 0);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, IO);
    siginfo_t info;
    struct timespec soon = {0, 0};
    int signal = sigtimedwait(&set, &info, &soon);
    printf("unix room: %d %d\n", signal == IO, info.si_code);
    while (sigtimedwait(&set, &info, &soon) > 0);
    close(pair[0]), close(pair[1]);
}

static void internet(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    BIND4(listener, "127.0.0.1", 0);
    listen(listener, 5);
    ask(listener, IO);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ask(client, IO);
    CONNECT4(client, "127.0.0.1", port_of(listener));
    come("connected");
    int server = accept(listener, NULL, NULL);
    forget(listener);
    write(server, "abc", 3);
    usleep(20000);
    come("bytes");
    send(server, "u", 1, MSG_OOB);
    usleep(20000);
    come("urgent");
    forget(client);
    char bytes[10];
    read(client, bytes, 10);
    ask(client, IO);
    shutdown(server, SHUT_WR);
    usleep(20000);
    come("half closed");
    close(client), close(server);
    int pair[2];
    connection(pair);
    ask(pair[0], IO);
    struct linger now = {1, 0};
    setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(pair[1]);
    usleep(20000);
    come("reset");
    close(pair[0]);
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    BIND4(one, "127.0.0.1", 0);
    CONNECT4(other, "127.0.0.1", port_of(one));
    ask(one, IO);
    ask(other, IO);
    send(other, "a", 1, 0);
    usleep(20000);
    come("datagram");
    close(one);
    send(other, "b", 1, 0);
    usleep(20000);
    come("refused");
    close(other), close(listener);
}

static void terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master), unlockpt(master);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    fcntl(slave, F_SETFL, fcntl(slave, F_GETFL) | O_ASYNC);
    printf("owner of a terminal: %d\n", fcntl(slave, F_GETOWN) == getpid());
    fcntl(slave, F_SETSIG, IO);
    write(master, "abc", 3);
    usleep(20000);
    come("no line");
    write(master, "d\n", 2);
    usleep(20000);
    come("a line");
    struct termios t;
    tcgetattr(slave, &t);
    cfmakeraw(&t);
    tcsetattr(slave, TCSANOW, &t);
    write(master, "x", 1);
    usleep(20000);
    come("raw");
    close(slave), close(master);
}

static void watched(void) {
    char path[] = "/tmp/sigio-XXXXXX";
    mkdtemp(path);
    int watch = inotify_init();
    inotify_add_watch(watch, path, IN_CREATE);
    ask(watch, IO);
    char name[64];
    sprintf(name, "%s/a", path);
    close(open(name, O_CREAT | O_WRONLY, 0600));
    come("watched");
    unlink(name), rmdir(path), close(watch);
}

// Whom they go to: a thread, a group, and nobody that whoever asked may not signal.
static void others(void) {
    int pair[2], ready[2];
    pipe(pair), pipe(ready);
    struct { int type, pid; } owner = {F_OWNER_TID, gettid()};
    fcntl(pair[0], F_SETOWN_EX, &owner);
    fcntl(pair[0], F_SETSIG, IO);
    fcntl(pair[0], F_SETFL, O_ASYNC);
    write(pair[1], "a", 1);
    come("thread");
    if (getpgrp() != getpid()) setpgid(0, 0);
    pid_t child = fork();
    if (child == 0) {
        write(ready[1], "r", 1);
        sigset_t set;
        sigemptyset(&set), sigaddset(&set, IO);
        siginfo_t info;
        struct timespec while_ = {5, 0};
        _exit(sigtimedwait(&set, &info, &while_) == IO ? 7 : 8);
    }
    char c;
    read(ready[0], &c, 1);
    fcntl(pair[0], F_SETOWN, -getpgrp());
    write(pair[1], "b", 1);
    come("group");
    int status;
    waitpid(child, &status, 0);
    printf("child: %d\n", WEXITSTATUS(status));
    come("of the child");
    if (fork() == 0) {
        // Whoever asks now is nobody, and may not signal root.
        int own[2];
        pipe(own);
        if (setresuid(65534, 65534, 65534)) printf("still root\n");
        fcntl(own[0], F_SETOWN, getppid());
        fcntl(own[0], F_SETSIG, IO);
        fcntl(own[0], F_SETFL, O_ASYNC);
        write(own[1], "c", 1);
        _exit(0);
    }
    wait(&status);
    come("from nobody");
}

static void through_signalfd(void) {
    int pair[2];
    pipe(pair);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, IO);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    ask(pair[0], IO);
    write(pair[1], "a", 1);
    struct signalfd_siginfo info;
    TRY(read(fd, &info, sizeof info));
    printf("%d %d %x %d\n", info.ssi_signo == IO, info.ssi_code, info.ssi_band, info.ssi_fd == pair[0]);
}

int main(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    options();
    pipes();
    local();
    internet();
    terminal();
    watched();
    others();
    through_signalfd();
}
