// Controlling terminals: who has one, who may read, write and change it, what is heard of its end.
#include "terminal.h"
#include <poll.h>

// Children report in order: each is waited for before the next starts, or does its part at a signal of its parent's.
static void run(const char *what, void (*part)(void)) {
    int status = -1;
    printf("-- %s\n", what);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        part();
        fflush(stdout);
        _exit(7);
    }
    waitpid(child, &status, 0);
    printf("%s ended: %x\n", what, status);
    fflush(stdout);
}

static volatile int got[65];
static void count(int signal) { got[signal]++; }
static void tell(const char *what) {
    printf("%s:", what);
    for (int i = 1; i < 65; i++) if (got[i]) printf(" %s", sigabbrev_np(i)), got[i] = 0;
    printf("\n");
    fflush(stdout);
}

static void catch_all(int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    int all[] = {SIGHUP, SIGCONT, SIGTTIN, SIGTTOU, SIGINT, SIGWINCH, SIGTSTP, SIGUSR1};
    for (int i = 0; i < 8; i++) sigaction(all[i], &action, NULL);
}

static void lead(void) {
    setsid();
    open_pair();
    ioctl(slave, TIOCSCTTY, 0);
}

static void taking(void) {
    setsid();
    open_pair();
    TRY(open("/dev/tty", O_RDWR));
    TRY(tcgetsid(slave));
    TRY(tcgetpgrp(slave));
    TRY(tcgetsid(master));
    TRY(tcgetpgrp(master));
    TRY(ioctl(slave, TIOCNOTTY));
    TRY(tcsetpgrp(slave, getpid()));
    TRY(tcsetpgrp(master, getpid()));
    pid_t early = fork();
    if (early == 0) {
        signal(SIGUSR1, count);
        pause();
        // A child from before has none.
        TRY(open("/dev/tty", O_RDWR));
        TRY(ioctl(slave, TIOCSCTTY, 0));
        TRY(tcgetpgrp(slave));
        fflush(stdout);
        _exit(0);
    }
    char name[50];
    int n;
    ioctl(master, TIOCGPTN, &n);
    sprintf(name, "/dev/pts/%d", n);
    // To write to it is not enough.
    close(open(name, O_WRONLY));
    TRY(open("/dev/tty", O_RDWR));
    close(open(name, O_RDONLY | O_NOCTTY));
    TRY(open("/dev/tty", O_RDWR));
    close(open(name, O_RDONLY));
    close(TRY(open("/dev/tty", O_RDWR)));
    TRY(tcgetpgrp(slave) == getpid());
    TRY(tcgetpgrp(master) == getpid());
    TRY(tcgetsid(master) == getpid());
    TRY(ioctl(slave, TIOCSCTTY, 0));
    usleep(20000);
    kill(early, SIGUSR1);
    waitpid(early, NULL, 0);
    TRY(ioctl(master, TIOCNOTTY));
    TRY(tcsetpgrp(slave, -1));
    TRY(tcsetpgrp(slave, 0x3fffffff));
    TRY(tcsetpgrp(slave, getppid()));
    TRY(ioctl(slave, TIOCSPGRP, NULL));
    TRY(ioctl(master, TIOCSPGRP, NULL));
    int group = getpid();
    TRY(ioctl(master, TIOCSPGRP, &group));
    // Another session may take it if it is privileged.
    fflush(stdout);
    if (fork() == 0) {
        setsid();
        TRY(ioctl(slave, TIOCSCTTY, 0));
        if (fork() == 0) {
            setsid();
            setresuid(1000, 1000, 1000);
            TRY(ioctl(slave, TIOCSCTTY, 1));
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
        TRY(ioctl(slave, TIOCSCTTY, 1));
        TRY(tcgetpgrp(slave) == getpid());
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    TRY(open("/dev/tty", O_RDWR));
    TRY(tcgetpgrp(slave));
}

static void giving_up(void) {
    lead();
    catch_all(0);
    fflush(stdout);
    int go[2];
    pipe(go);
    pid_t child = fork();
    if (child == 0) {
        char c;
        setpgid(0, 0);
        read(go[0], &c, 1);
        // The foreground hears of it; only its leader gives a session's terminal up.
        while (!got[SIGHUP] || !got[SIGCONT]) usleep(1000);
        read(go[0], &c, 1);
        tell("child");
        TRY(open("/dev/tty", O_RDWR));
        fflush(stdout);
        _exit(0);
    }
    if (fork() == 0) {
        TRY(ioctl(slave, TIOCNOTTY));
        TRY(open("/dev/tty", O_RDWR));
        TRY(ioctl(slave, TIOCNOTTY));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    tell("leader");
    TRY(tcgetpgrp(slave) == getpid());
    setpgid(child, child);
    TRY(tcsetpgrp(slave, child));
    tell("leader");
    signal(SIGTTOU, SIG_IGN);
    write(go[1], "", 1);
    TRY(ioctl(slave, TIOCNOTTY));
    write(go[1], "", 1);
    waitpid(child, NULL, 0);
    tell("leader");
    TRY(tcgetpgrp(slave));
    TRY(tcgetsid(master));
    TRY(ioctl(slave, TIOCSCTTY, 0));
}

// What a process in the background may do.
static void try_all(void) {
    static struct settings t;
    static char c;
    TRY(ioctl(slave, TCGETS, &t));
    TRY(read(slave, &c, 1));
    TRY(write(slave, "x", 1));
    TRY(ioctl(slave, TCSETS, &t));
    TRY(ioctl(slave, TCSETS, NULL));
    TRY(ioctl(master, TCSETS, &t));
    TRY(ioctl(slave, TCXONC, TCOON));
    TRY(ioctl(master, TCXONC, TCOON));
    TRY(ioctl(slave, TCXONC, 9));
    TRY(ioctl(slave, TCFLSH, TCIFLUSH));
    TRY(ioctl(slave, TCFLSH, 9));
    TRY(ioctl(slave, TCSBRK, 1));
    TRY(ioctl(slave, TIOCSETD, &t.iflag));
    TRY(tcsetpgrp(slave, getppid()));
    TRY(tcsetpgrp(slave, -1));
    struct winsize w = {1, 2, 3, 4};
    TRY(ioctl(slave, TIOCSWINSZ, &w));
    t.lflag |= TOSTOP;
    ioctl(slave, TCSETS, &t);
    TRY(write(slave, "x", 1));
    fflush(stdout);
}

static void background(int how) {
    lead();
    fflush(stdout);
    static struct settings t;
    ioctl(slave, TCGETS, &t);
    t.lflag |= TOSTOP;
    ioctl(slave, TCSETS, &t);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        if (how == 1) signal(SIGTTIN, SIG_IGN), signal(SIGTTOU, SIG_IGN);
        if (how == 2) {
            sigset_t set;
            sigfillset(&set);
            sigprocmask(SIG_BLOCK, &set, NULL);
        }
        if (how == 3) catch_all(0);
        try_all();
        tell("caught");
        _exit(0);
    }
    setpgid(child, child);
    waitpid(child, NULL, 0);
    tcflush(slave, TCIOFLUSH);
}

static void ignoring(void) { background(1); }
static void blocking(void) { background(2); }
static void catching(void) { background(3); }

// Nobody would make an orphaned group go on.
static void orphaned(void) {
    lead();
    fflush(stdout);
    int done[2];
    pipe(done);
    if (fork() == 0) {
        if (fork() == 0) {
            setpgid(0, 0);
            pid_t parent = getppid();
            while (getppid() == parent) usleep(1000);
            try_all();
            write(done[1], "", 1);
            _exit(0);
        }
        usleep(20000);
        _exit(0);
    }
    wait(NULL);
    char c;
    read(done[0], &c, 1);
}

// Stopped, and made to go on in the foreground: what was begun is done.
static void stopped(void) {
    lead();
    fflush(stdout);
    static struct settings t;
    ioctl(slave, TCGETS, &t);
    t.lflag |= TOSTOP;
    for (int part = 0; part < 5; part++) {
        ioctl(slave, TCSETS, &t);
        pid_t child = fork();
        if (child == 0) {
            char c = 0;
            signal(SIGTTOU, SIG_DFL);
            setpgid(0, 0);
            while (part == 4 && !(fcntl(slave, F_GETFL) & O_NONBLOCK)) usleep(1000);
            if (part == 0 || part == 4) TRY(read(slave, &c, 1));
            if (part == 1) TRY(write(slave, "x", 1));
            if (part == 2) TRY(ioctl(slave, TCSETSW, &t));
            if (part == 3) TRY(tcsetpgrp(slave, getpid()));
            fflush(stdout);
            _exit(c);
        }
        setpgid(child, child);
        int status;
        if (part == 4) fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
        waitpid(child, &status, WUNTRACED);
        printf("stopped: %x\n", status);
        fflush(stdout);
        type("q\n");
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, child);
        kill(child, SIGCONT);
        waitpid(child, &status, 0);
        printf("%x\n", status);
        tcsetpgrp(slave, getpid());
        if (part == 4) fcntl(slave, F_SETFL, O_RDWR);
        usleep(20000);
        ioctl(slave, TCFLSH, TCIOFLUSH);
    }
}

static int over[2];

// The other side goes: the leader is told, and the foreground when the leader ends.
static void loses_master(void) {
    lead();
    catch_all(SA_RESTART);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(master);
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, getpid());
        write(over[1], "", 1);
        char c;
        TRY(read(slave, &c, 1));
        tell("reader");
        write(over[1], "", 1);
        while (!got[SIGHUP] || !got[SIGCONT]) usleep(1000);
        write(over[1], "!", 1);
        _exit(0);
    }
    char c;
    read(over[0], &c, 1);
    usleep(50000);
    close(master);
    read(over[0], &c, 1);
    while (!got[SIGHUP] || !got[SIGCONT]) usleep(1000);
    tell("leader");
    state("slave", slave);
    TRY(open("/dev/tty", O_RDWR));
    TRY(tcgetpgrp(slave));
    TRY(read(slave, &c, 1));
    TRY(write(slave, "x", 1));
    TRY(ioctl(slave, TIOCSCTTY, 0));
}

static void hangs_up(void) {
    lead();
    catch_all(0);
    struct settings t;
    ioctl(slave, TCGETS, &t);
    t.lflag = 0;
    set(slave, &t);
    TRY(syscall(SYS_vhangup));
    tell("leader");
    state("slave", slave);
    state("master", master);
    TRY(syscall(SYS_vhangup));
    tell("leader");
    close(slave);
    TRY(read(master, &t, 1));
    int n;
    char name[50];
    ioctl(master, TIOCGPTN, &n);
    sprintf(name, "/dev/pts/%d", n);
    slave = open(name, O_RDWR);
    TRY(tcgetpgrp(slave) == getpid());
    ioctl(slave, TCGETS, &t);
    printf("%x\n", t.lflag);
    type("x\n");
    usleep(20000);
    drain("again", slave);
    drain("again", master);
}

// A leader that ends hangs up the foreground.
static void leader_ends(void) {
    int pipes[2];
    pipe(pipes);
    open_pair();
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        if (fork() == 0) {
            catch_all(0);
            write(pipes[1], "", 1);
            while (!got[SIGHUP]) usleep(1000);
            usleep(20000);
            tell("member");
            TRY(open("/dev/tty", O_RDWR));
            TRY(tcgetpgrp(slave));
            TRY(write(slave, "x", 1));
            write(pipes[1], "", 1);
            _exit(0);
        }
        char c;
        read(pipes[0], &c, 1);
        _exit(0);
    }
    waitpid(leader, NULL, 0);
    char c;
    read(pipes[0], &c, 1);
    TRY(tcgetsid(master));
    usleep(20000);
    drain("shown", master);
}

static void resized(void) {
    lead();
    catch_all(0);
    struct winsize w = {30, 100, 1, 2};
    TRY(ioctl(master, TIOCSWINSZ, &w));
    tell("resized");
    TRY(ioctl(slave, TIOCSWINSZ, &w));
    tell("the same");
    w.ws_row = 31;
    TRY(ioctl(slave, TIOCSWINSZ, &w));
    tell("resized");
    TRY(ioctl(master, TIOCGWINSZ, &w));
    printf("%d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
}

int main(void) {
    run("taking", taking);
    run("giving up", giving_up);
    run("ignoring", ignoring);
    run("blocking", blocking);
    run("catching", catching);
    run("orphaned", orphaned);
    run("stopped", stopped);
    pipe(over);
    run("loses master", loses_master);
    char c;
    read(over[0], &c, 1);
    printf("foreground: %c\n", c);
    run("hangs up", hangs_up);
    run("leader ends", leader_ends);
    run("resized", resized);
    return 0;
}
