// What the side that plays screen and keyboard is told (packet mode), and what either side can ask for.
#include "terminal.h"
#include <sys/epoll.h>

static struct settings plain;

// Lets what was written come to the other side.
static void come(void) { usleep(30000); }

static void packet(const char *what) {
    state(what, master);
    for (int i = 0; i < 10 && read_once(what, master, 100) > 0; i++);
}

static void packets(void) {
    int on = 1, off = 0, is_on = -1;
    TRY(ioctl(master, TIOCGPKT, &is_on));
    printf("%d\n", is_on);
    // What happened before is not told.
    TRY(ioctl(slave, TCXONC, TCOOFF));
    TRY(ioctl(master, TIOCPKT, &on));
    TRY(ioctl(master, TIOCGPKT, &is_on));
    printf("%d\n", is_on);
    packet("nothing");
    TRY(ioctl(slave, TCXONC, TCOON));
    packet("start");
    TRY(ioctl(slave, TCXONC, TCOON));
    packet("started already");
    TRY(ioctl(slave, TCXONC, TCOOFF));
    packet("stop");
    TRY(ioctl(slave, TCXONC, TCOON));
    TRY(ioctl(slave, TCXONC, TCOOFF));
    packet("start and stop");
    TRY(ioctl(slave, TCXONC, TCOON));
    TRY(write(slave, "data", 4));
    come();
    packet("start and data");
    static int flushes[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH};
    for (int i = 0; i < 3; i++) {
        TRY(write(slave, "kept", 4));
        come();
        TRY(ioctl(slave, TCFLSH, flushes[i]));
        packet("flush");
    }
    TRY(ioctl(master, TCFLSH, TCIOFLUSH));
    packet("flush of the master");
    struct settings t = plain;
    t.iflag &= ~IXON;
    set(slave, &t);
    packet("no stop");
    set(slave, &t);
    packet("no change");
    t.iflag |= IXON;
    t.cc[VSTOP] = 'x';
    set(slave, &t);
    packet("another key");
    t.cc[VSTOP] = 19;
    set(slave, &t);
    packet("do stop");
    t.lflag |= EXTPROC;
    set(slave, &t);
    packet("edited elsewhere");
    set(slave, &t);
    packet("still");
    set(slave, &plain);
    packet("no more");
    TRY(ioctl(slave, TCSETSF, &plain));
    packet("settings with a flush");
    type("\x13");
    come();
    packet("key that stops");
    type("\x11");
    come();
    packet("key that starts");
    type("abc\x03");
    come();
    packet("interrupt");
    t = plain;
    t.lflag |= NOFLSH;
    set(slave, &t);
    type("abc\x03\n");
    come();
    packet("interrupt without a flush");
    drain("line", slave);
    set(slave, &plain);
    // A byte that says what there is, and no room for it.
    TRY(write(slave, "xy", 2));
    come();
    TRY(read_once("no room", master, 1));
    TRY(read_once("no room", master, 2));
    TRY(read_once("no room", master, 100));
    // As an event.
    int e = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLPRI | EPOLLET, {0}};
    TRY(epoll_ctl(e, EPOLL_CTL_ADD, master, &event));
    TRY(epoll_wait(e, &event, 1, 0));
    TRY(ioctl(slave, TCXONC, TCOOFF));
    TRY(epoll_wait(e, &event, 1, 1000));
    printf("%x\n", event.events);
    close(e);
    // Turned off and on it forgets; turned on twice it doesn't.
    TRY(ioctl(master, TIOCPKT, &on));
    packet("on twice");
    TRY(ioctl(slave, TCXONC, TCOON));
    TRY(ioctl(master, TIOCPKT, &off));
    packet("off");
    TRY(ioctl(master, TIOCPKT, &on));
    packet("on again");
    TRY(ioctl(slave, TIOCPKT, &on));
    TRY(ioctl(slave, TIOCGPKT, &on));
    on = 1;
    TRY(ioctl(slave, TIOCVHANGUP, 0));
    packet("hung up");
    TRY(ioctl(master, TIOCPKT, &off));
    TRY(write(slave, "x", 1));
    close(slave);
    packet("all closed");
    // The other side can write, and open.
    TRY(write(master, "later\n", 6));
    int n;
    TRY(ioctl(master, TIOCGPTN, &n));
    slave = TRY(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)) < 0 ? -1 : 4;
    come();
    // What comes while a terminal is hung up waits, if nothing else happens for more to come.
    type("more\n");
    come();
    drain("written before", slave);
    drain("echo", master);
    type("kept\n");
    come();
    close(slave);
    TRY(write(master, "later\n", 6));
    come();
    packet("all closed");
    slave = TRY(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)) < 0 ? -1 : 4;
    drain("written before", slave);
    drain("echo", master);
    set(slave, &plain);
}

// A child that is not privileged.
static void as_user(void (*what)(const char *), const char *name) {
    fflush(stdout);
    if (fork() == 0) {
        setresgid(1000, 1000, 1000);
        setresuid(1000, 1000, 1000);
        what(name);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

static void opens(const char *name) {
    OK(open(name, O_RDWR | O_NOCTTY));
    OK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
    TRY(ioctl(slave, TIOCEXCL, 0));
    TRY(ioctl(slave, TIOCVHANGUP, 0));
    TRY(ioctl(slave, TIOCCONS, 0));
    TRY(ioctl(master, TIOCCONS, 0));
    TRY(ioctl(slave, TIOCSTI, "x"));
    TRY(ioctl(slave, TIOCSTI, NULL));
    static struct settings none;
    TRY(ioctl(slave, 0x5457, &none));
    TRY(syscall(SYS_vhangup));
}

static void exclusive(void) {
    char name[50];
    int n, is = -1;
    ioctl(master, TIOCGPTN, &n);
    sprintf(name, "/dev/pts/%d", n);
    TRY(chmod(name, 0666));
    as_user(opens, name);
    TRY(ioctl(slave, TIOCEXCL, 0));
    TRY(ioctl(slave, TIOCGEXCL, &is));
    printf("%d\n", is);
    TRY(ioctl(master, TIOCGEXCL, &is));
    printf("%d\n", is);
    OK(open(name, O_RDWR | O_NOCTTY));
    as_user(opens, name);
    TRY(ioctl(slave, TIOCNXCL, 0));
    as_user(opens, name);
    TRY(ioctl(slave, TIOCNXCL, 0));
    TRY(ioctl(master, TIOCEXCL, 0));
    TRY(ioctl(master, TIOCGEXCL, &is));
    printf("%d\n", is);
    as_user(opens, name);
    TRY(ioctl(slave, TIOCNXCL, 0));
    // Locked once more: who can't open it spoils it.
    int on = 1, off = 0;
    TRY(ioctl(master, TIOCSPTLCK, &on));
    TRY(ioctl(master, TIOCGPTLCK, &is));
    printf("%d\n", is);
    TRY(write(slave, "x", 1));
    TRY(open(name, O_RDWR | O_NOCTTY));
    TRY(write(slave, "x", 1));
    TRY(read(slave, name, 1));
    state("spoilt", slave);
    TRY(ioctl(master, TIOCSPTLCK, &off));
    n = open(name, O_RDWR | O_NOCTTY);
    TRY(write(slave, "x", 1));
    close(n);
    come();
    drain("shown", master);
    ioctl(slave, TCFLSH, TCIOFLUSH);
}

static void flow(void) {
    // The master's own output held.
    TRY(ioctl(master, TCXONC, TCOOFF));
    state("held", master);
    fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
    TRY(write(master, "x", 1));
    TRY(ioctl(master, TCXONC, TCOON));
    TRY(write(master, "x\n", 2));
    fcntl(master, F_SETFL, O_RDWR);
    come();
    drain("line", slave);
    drain("echo", master);
    // Either side stops the other.
    TRY(ioctl(slave, TCXONC, TCIOFF));
    come();
    drain("stop", master);
    TRY(ioctl(slave, TCXONC, TCION));
    come();
    drain("start", master);
    TRY(ioctl(master, TCXONC, TCIOFF));
    come();
    state("stopped", slave);
    fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
    TRY(write(slave, "x", 1));
    type("typed");
    come();
    drain("no echo yet", master);
    TRY(ioctl(slave, TCXONC, TCION));
    come();
    drain("past what is held", master);
    TRY(ioctl(master, TCXONC, TCION));
    come();
    drain("echo", master);
    state("goes on", slave);
    // What a program holds, no key makes go on.
    TRY(ioctl(slave, TCXONC, TCOOFF));
    type("\x11");
    come();
    state("held", slave);
    TRY(ioctl(slave, TCXONC, TCIOFF));
    come();
    drain("nothing", master);
    TRY(ioctl(slave, TCXONC, TCOON));
    TRY(write(slave, "x", 1));
    fcntl(slave, F_SETFL, O_RDWR);
    come();
    drain("shown", master);
    TRY(ioctl(slave, TCXONC, 4));
    TRY(ioctl(slave, TCFLSH, 3));
    TRY(ioctl(master, TCXONC, -1));
    int n = 7;
    TRY(ioctl(slave, TIOCOUTQ, &n));
    printf("%d\n", n);
    type("fgh\n\x04gh");
    come();
    TRY(ioctl(slave, FIONREAD, &n));
    printf("%d\n", n);
    TRY(ioctl(master, FIONREAD, &n));
    printf("%d\n", n);
    TRY(ioctl(master, TCFLSH, TCIFLUSH));
    TRY(ioctl(slave, TCFLSH, TCIFLUSH));
    drain("flushed", master);
    drain("flushed", slave);
    type("12");
    come();
    for (const char *c = "3\x7f""4\n"; *c; c++) TRY(ioctl(slave, TIOCSTI, c));
    come();
    TRY(ioctl(master, TIOCSTI, "m"));
    come();
    drain("faked", slave);
    drain("faked", master);
}

static void signalled(void) {
    int status, ready[2];
    pipe(ready);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        close(ready[0]), close(ready[1]);
        pause();
        _exit(1);
    }
    close(ready[1]);
    read(ready[0], &status, 1);
    close(ready[0]);
    TRY(ioctl(master, TIOCSIG, SIGTERM));
    TRY(ioctl(master, TIOCSIG, 0));
    TRY(ioctl(slave, TIOCSIG, SIGINT));
    TRY(ioctl(master, TIOCSIG, SIGQUIT));
    TRY(waitpid(child, &status, 0) == child);
    printf("%x\n", status & 0x7f);
    TRY(ioctl(master, TIOCSIG, SIGINT));
}

static void speeds(void) {
    struct { struct settings t; unsigned in, out; } t;
    static unsigned flags[] = {B9600, B115200, 0x1000, 0x100d, 0x1001 << 16 | B1200, 0x1000 << 16 | B50, 0, 0x100f << 16 | 0x1008};
    for (int i = 0; i < 8; i++) {
        t.t = plain;
        t.t.cflag = flags[i] | CSTOPB | PARENB | CS5;
        t.in = 1234, t.out = 5678;
        TRY(ioctl(slave, 0x402c542b, &t));
        TRY(ioctl(slave, 0x802c542a, &t));
        printf("%x %u %u\n", t.t.cflag, t.in, t.out);
        TRY(ioctl(slave, TCSETS, &t));
        TRY(ioctl(master, 0x802c542a, &t));
        printf("%x %u %u\n", t.t.cflag, t.in, t.out);
    }
    // Settings in words that are shorter leave the upper halves alone.
    t.t = plain;
    t.t.lflag |= EXTPROC, t.t.line = 9;
    set(slave, &t.t);
    unsigned short old[9] = {1, 2, 3, 4, 0x0605, 0x0807, 0x0a09, 0x0c0b, 0x0d};
    TRY(ioctl(slave, TCSETA, old));
    TRY(ioctl(slave, TCGETS, &t));
    printf("%x %x %x %x %d ", t.t.iflag, t.t.oflag, t.t.cflag, t.t.lflag, t.t.line);
    show_bytes(t.t.cc, 19);
    printf("\n");
    // What is locked stays.
    struct settings locked = {IXON, 0, 0, ECHO, 1, {[VINTR] = 1}};
    set(slave, &plain);
    TRY(ioctl(slave, 0x5457, &locked));
    memset(&t.t, 0, sizeof t.t);
    t.t.line = 3;
    TRY(ioctl(slave, TCSETS, &t.t));
    TRY(ioctl(master, TCGETS, &t.t));
    printf("%x %x %x %x %d ", t.t.iflag, t.t.oflag, t.t.cflag, t.t.lflag, t.t.line);
    show_bytes(t.t.cc, 19);
    printf("\n");
    memset(&locked, 0, sizeof locked);
    TRY(ioctl(master, 0x5457, &locked));
    int on = 1;
    TRY(ioctl(slave, TIOCSSOFTCAR, &on));
    TRY(ioctl(master, TIOCGSOFTCAR, &on));
    printf("%d\n", on);
    set(slave, &plain);
}

int main(void) {
    open_pair();
    ioctl(slave, TCGETS, &plain);
    struct settings of_master;
    ioctl(master, TCGETS, &of_master);
    printf("%d\n", memcmp(&plain, &of_master, sizeof plain));
    packets();
    exclusive();
    flow();
    signalled();
    speeds();
    // The other side hung up by itself.
    TRY(ioctl(master, TIOCVHANGUP, 0));
    state("dead", master);
    TRY(write(master, "x", 1));
    drain("dead", master);
    TRY(ioctl(master, TIOCSPGRP, NULL));
    TRY(ioctl(master, TIOCGPKT, NULL));
    TRY(write(slave, "x", 1));
    state("alive", slave);
    close(master);
    state("gone", slave);
    drain("gone", slave);
    TRY(write(slave, "x", 1));
    TRY(ioctl(slave, TIOCSPGRP, NULL));
    TRY(ioctl(slave, TCGETS, NULL));
    return 0;
}
