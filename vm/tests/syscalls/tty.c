#include "report.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static char buf[200];

// Prints bytes so that control characters show.
static void show(const char *what, int fd) {
    long n = read(fd, buf, sizeof buf);
    // Linux hands bytes from one side to the other in the background: what was written at once may come in parts.
    struct pollfd more = {fd, POLLIN, 0};
    while (n > 0 && n < (long)sizeof buf && poll(&more, 1, 100) == 1 && more.revents == POLLIN) {
        long part = read(fd, buf + n, sizeof buf - n);
        if (part <= 0) break;
        n += part;
    }
    printf("%s: ", what);
    if (n < 0) printf("%s", strerrorname_np(errno));
    for (long i = 0; i < n; i++) {
        if (buf[i] >= 32 && buf[i] < 127) putchar(buf[i]);
        else printf("<%02x>", (unsigned char)buf[i]);
    }
    printf("\n");
    fflush(stdout);
}

static void type(int fd, const char *text) { write(fd, text, strlen(text)); }

int main(void) {
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    TRY(grantpt(m));
    TRY(unlockpt(m));
    int s = open(ptsname(m), O_RDWR | O_NOCTTY);
    TRY(isatty(s));
    TRY(isatty(m));
    struct termios t;
    TRY(tcgetattr(s, &t));
    printf("%x %x %x %x\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    for (int i = 0; i < 17; i++) printf("%d ", t.c_cc[i]);
    printf("\n");
    t.c_iflag |= IUTF8;
    TRY(tcsetattr(s, TCSANOW, &t));
    type(m, "hello\r");
    show("echo", m);
    show("line", s);
    type(m, "ab\x7f""c\303\251\x7f""d e f\x17g\n");
    show("echo", m);
    show("line", s);
    type(m, "wrong\x15right\n");
    show("echo", m);
    show("line", s);
    type(m, "lit\x16\x03 tab\t\x7f.\n");
    show("echo", m);
    show("line", s);
    type(m, "eof\x04");
    show("echo", m);
    show("line", s);
    type(m, "\x04");
    show("eof", s);
    write(s, "a\tb\nc\r\n", 7);
    show("output", m);
    t.c_lflag &= ~(ICANON | ECHO);
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    TRY(tcsetattr(s, TCSANOW, &t));
    type(m, "xyz");
    show("raw", s);
    int n;
    type(m, "q");
    struct pollfd p = {s, POLLIN, 0};
    TRY(poll(&p, 1, 1000));
    TRY(ioctl(s, FIONREAD, &n));
    printf("%d\n", n);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 1;
    TRY(tcsetattr(s, TCSANOW, &t));
    show("time", s);
    show("time", s);
    t.c_cc[VMIN] = 1;
    TRY(tcsetattr(s, TCSANOW, &t));
    type(m, "k");
    show("min and time", s);
    struct winsize w = {30, 100, 0, 0};
    TRY(ioctl(m, TIOCSWINSZ, &w));
    memset(&w, 0, sizeof w);
    TRY(ioctl(s, TIOCGWINSZ, &w));
    printf("%d %d\n", w.ws_row, w.ws_col);
    TRY(tcgetpgrp(s));
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        TRY(ioctl(s, TIOCSCTTY, 0));
        TRY(tcgetpgrp(s) == getpid());
        TRY(tcgetsid(s) == getpid());
        TRY(open("/dev/tty", O_RDWR) >= 0);
        t.c_lflag |= ICANON | ECHO | ISIG;
        tcsetattr(s, TCSANOW, &t);
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            read(s, buf, 1);
            _exit(1);
        }
        setpgid(child, child);
        int status;
        TRY(waitpid(child, &status, WUNTRACED) == child);
        printf("%x\n", status);
        TRY(tcsetpgrp(s, child));
        kill(child, SIGCONT);
        usleep(20000);
        type(m, "\x03");
        TRY(waitpid(child, &status, 0) == child);
        printf("%x\n", status);
        signal(SIGTTOU, SIG_IGN);
        TRY(tcsetpgrp(s, getpid()));
        type(m, "\x1c");
        pause();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("%x\n", status & 0x7f);
    show("echo", m);
    close(m);
    show("hung up", s);
    TRY(write(s, "x", 1));
    TRY(tcgetattr(0, &t));
    return 0;
}
