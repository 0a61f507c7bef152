// What terminals answer to requests beyond those that every program makes.
#include "report.h"
#include <sys/ioctl.h>
#include <asm/ioctls.h>
#include <linux/tty.h>
#include <termios.h>

// As in <asm/termbits.h>, which does not go with <termios.h>.
struct termio_struct {
    unsigned short iflag, oflag, cflag, lflag;
    unsigned char line, cc[8];
};

static int ends[2];

static void on_both(const char *what, unsigned long request, void *argument) {
    for (int i = 0; i < 2; i++) {
        printf("%s: ", i ? "terminal" : "master");
        report(what, ioctl(ends[i], request, argument));
    }
}
#define BOTH(request, argument) on_both(#request, request, (void *)(argument))

static void show(const char *what, const struct termio_struct *t) {
    printf("%s: %x %x %x %x %x;", what, t->iflag, t->oflag, t->cflag, t->lflag, t->line);
    for (int i = 0; i < 8; i++) printf(" %x", t->cc[i]);
    printf("\n");
}

// The settings of System V, which have no room for all of them.
static void old_settings(void) {
    struct termio_struct t;
    struct termios now;
    memset(&t, 0xa5, sizeof t);
    BOTH(TCGETA, &t);
    show("settings", &t);
    t.lflag &= ~ECHO;
    t.cc[VINTR] = 7;
    BOTH(TCSETA, &t);
    BOTH(TCSETAW, &t);
    BOTH(TCSETAF, &t);
    tcgetattr(ends[1], &now);
    printf("%x %x %x %x\n", now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag);
    for (int i = 0; i < 17; i++) printf("%d ", now.c_cc[i]);
    printf("\n");
    BOTH(TCGETA, 8);
    BOTH(TCSETA, 8);
}

// Settings that may not be changed.
static void locked_settings(void) {
    struct termios now, locks;
    memset(&locks, 0xa5, sizeof locks);
    BOTH(TIOCGLCKTRMIOS, &locks);
    printf("%x %x %x %x %x\n", locks.c_iflag, locks.c_oflag, locks.c_cflag, locks.c_lflag, locks.c_line);
    locks.c_lflag = ECHO;
    locks.c_cc[VINTR] = 1;
    BOTH(TIOCSLCKTRMIOS, &locks);
    tcgetattr(ends[1], &now);
    now.c_lflag = 0;
    now.c_cc[VINTR] = now.c_cc[VQUIT] = 9;
    TRY(tcsetattr(ends[1], TCSANOW, &now));
    tcgetattr(ends[1], &now);
    printf("%x %d %d\n", now.c_lflag, now.c_cc[VINTR], now.c_cc[VQUIT]);
    memset(&locks, 0, sizeof locks);
    BOTH(TIOCSLCKTRMIOS, &locks);
    BOTH(TIOCGLCKTRMIOS, 8);
}

static void exclusive(const char *name) {
    int state = 99;
    BOTH(TIOCGEXCL, &state);
    printf("%d\n", state);
    TRY(ioctl(ends[1], TIOCEXCL));
    BOTH(TIOCGEXCL, &state);
    printf("%d\n", state);
    int again = open(name, O_RDWR | O_NOCTTY);
    ok("root opens it", again);
    close(again);
    if (fork() == 0) {
        chmod(name, 0666);
        setuid(65534);
        TRY(open(name, O_RDWR | O_NOCTTY));
        _exit(0);
    }
    wait(NULL);
    TRY(ioctl(ends[1], TIOCNXCL));
}

int main(void) {
    signal(SIGTTOU, SIG_IGN);
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(ends[0]);
    unlockpt(ends[0]);
    char name[40];
    strcpy(name, ptsname(ends[0]));
    ends[1] = open(name, O_RDWR | O_NOCTTY);
    old_settings();
    locked_settings();
    exclusive(name);
    int value = 99;
    char bytes[100] = {0};
    BOTH(TIOCGPKT, &value);
    printf("%d\n", value);
    BOTH(TIOCGPTLCK, &value);
    printf("%d\n", value);
    BOTH(TIOCGETD, &value);
    printf("%d\n", value);
    value = 0;
    BOTH(TIOCSETD, &value);
    value = 77;
    BOTH(TIOCSETD, &value);
    BOTH(TIOCGSOFTCAR, &value);
    printf("%d\n", value);
    value = 1;
    BOTH(TIOCSSOFTCAR, &value);
    BOTH(TIOCGSOFTCAR, &value);
    printf("%d\n", value);
    BOTH(TIOCMGET, &value);
    BOTH(TIOCMSET, &value);
    BOTH(TIOCMBIS, &value);
    BOTH(TIOCGICOUNT, bytes);
    BOTH(TIOCSBRK, 0);
    BOTH(TIOCCBRK, 0);
    BOTH(TCSBRK, 0);
    BOTH(TCSBRKP, 0);
    BOTH(TIOCGSERIAL, bytes);
    BOTH(TIOCSERGETLSR, &value);
    BOTH(TIOCLINUX, bytes);
    BOTH(TIOCGRS485, bytes);
    BOTH(TIOCGPTN, &value);
    BOTH(TIOCOUTQ, &value);
    printf("%d\n", value);
    BOTH(TIOCINQ, &value);
    printf("%d\n", value);
    BOTH(TIOCGPGRP, &value);
    BOTH(TIOCGSID, &value);
    BOTH(TIOCNOTTY, 0);
    TRY(ioctl(ends[1], TIOCSIG, SIGWINCH));
    TRY(ioctl(ends[0], TIOCSIG, SIGWINCH));
    TRY(ioctl(ends[0], TIOCSIG, 1000));
    TRY(ioctl(ends[0], TIOCSIG, SIGINT));
    close(ends[0]);
    TRY(read(ends[1], bytes, 1));
    TRY(write(ends[1], bytes, 1));
    TRY(ioctl(ends[1], TIOCGETD, &value));
    return 0;
}
