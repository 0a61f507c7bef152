// Every ioctl number of terminals, on both sides of a pseudo-terminal and on /dev/tty, with pointers good and bad.
#include "terminal.h"
#include <sys/mman.h>

// Left out: those that hang up or give away the terminal that the rest is asked on, and one that opens it, which are in
// tty_session.c and tty_control.c; and one that would take the output of the host's own console.
static int is_left_out(unsigned request) {
    return request == TIOCVHANGUP || request == TIOCCONS || request == TIOCNOTTY || request == TIOCGPTPEER;
}

static unsigned char *room;
static int terminal;

static void restore(void);

static void ask(const char *what, int fd, unsigned request, const char *how, unsigned long arg) {
    long result = syscall(SYS_ioctl, fd, request, arg);
    // Nobody knows most of them, and that is said once.
    if (result < 0 && errno == ENOTTY && strcmp(how, "good")) return;
    printf("%s %x %s: ", what, request, how);
    if (result < 0) printf("%s", strerrorname_np(errno));
    else printf("%ld", result);
    if (!strcmp(how, "good") && result == 0) {
        // Numbers of processes and terminals differ from run to run.
        int is_number = request == TIOCGPGRP || request == TIOCSPGRP || request == TIOCGSID ||
             request == TIOCGPTN || request == TIOCGDEV;
        int last = 60;
        while (last > 0 && room[last - 1] == 0xa5) last--;
        if (is_number) printf(" a number");
        else for (int i = 0; i < last; i++) printf(" %02x", room[i]);
    }
    printf("\n");
    // What they have sent can be dropped once it has come.
    if (result >= 0 && (request == TCXONC || request == TIOCSTI)) usleep(20000);
    if (result >= 0) restore();
}

// Restores what a request may have changed.
static void restore(void) {
    static struct settings settings = {ICRNL | IXON, OPOST | ONLCR, B38400 | CS8 | CREAD, 0x8a3b, 0,
        {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0}};
    static struct settings unlocked;
    static struct winsize window;
    int off = 0, fds[] = {master, slave};
    ioctl(slave, 0x5457, &unlocked);
    for (int i = 0; i < 2; i++) {
        ioctl(fds[i], TCXONC, TCOON);
        ioctl(fds[i], TIOCNXCL, 0);
        ioctl(fds[i], FIONBIO, &off);
        ioctl(fds[i], FIOASYNC, &off);
    }
    ioctl(terminal, FIONBIO, &off);
    ioctl(terminal, FIOASYNC, &off);
    ioctl(master, TIOCPKT, &off);
    ioctl(slave, TIOCSWINSZ, &window);
    set(slave, &settings);
    ioctl(slave, TCFLSH, TCIOFLUSH);
    ioctl(master, TCFLSH, TCIOFLUSH);
}

static void request(unsigned request) {
    if (is_left_out(request)) return;
    struct { const char *name; int fd; } files[] = {{"master", master}, {"slave", slave}, {"tty", terminal}};
    for (int i = 0; i < 3; i++) {
        memset(room, 0xa5, 4096);
        memset(room, 0, 4);
        if (request == TIOCSPGRP) *(int *)room = getpgrp();
        ask(files[i].name, files[i].fd, request, "good", (unsigned long)room);
        ask(files[i].name, files[i].fd, request, "null", 0);
        restore();
        // Its last bytes can be had, and no more.
        ask(files[i].name, files[i].fd, request, "end", (unsigned long)room + 4096 - 2);
        if (request == TIOCSIG) continue;
        ask(files[i].name, files[i].fd, request, "bad", (unsigned long)-4096);
    }
}

int main(void) {
    if (fork()) {
        int status;
        wait(&status);
        printf("%x\n", status);
        return 0;
    }
    setsid();
    for (int i = 1; i < 32; i++) signal(i, SIG_IGN);
    open_pair();
    ioctl(slave, TIOCSCTTY, 0);
    terminal = open("/dev/tty", O_RDWR);
    room = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room + 4096, 4096);
    restore();
    for (unsigned number = 0; number < 0x100; number++) request(0x5400 | number);
    // Of those with a direction and a size, the sizes that there are.
    unsigned directions[] = {0x40000000, 0x80000000, 0xc0000000}, sizes[] = {0, 4, 8, 44, 72};
    for (int d = 0; d < 3; d++)
        for (int s = 0; s < 5; s++)
            for (unsigned number = 0; number < 0x100; number++) {
                unsigned encoded = directions[d] | sizes[s] << 16 | 0x5400 | number;
                // Nobody knows most of them, and that need not be said.
                if (syscall(SYS_ioctl, slave, encoded, -4096L) < 0 && errno == ENOTTY &&
                    syscall(SYS_ioctl, master, encoded, -4096L) < 0 && errno == ENOTTY) continue;
                restore();
                request(encoded);
            }
    return 0;
}
