// A pseudo-terminal, and what is needed to look at both of its sides.
#include "report.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

static int master, slave;

// The kernel's struct termios, as the C library's is another.
struct settings {
    unsigned iflag, oflag, cflag, lflag;
    unsigned char line, cc[19];
};

static void open_pair(void) {
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    int lock = 0;
    ioctl(master, TIOCSPTLCK, &lock);
    char name[50];
    ioctl(master, TIOCGPTN, &lock);
    snprintf(name, sizeof name, "/dev/pts/%d", lock);
    slave = open(name, O_RDWR | O_NOCTTY);
}

static void show_bytes(const char *bytes, long len) {
    for (long i = 0; i < len; i++) {
        if (bytes[i] > 32 && bytes[i] < 127 && bytes[i] != '<') putchar(bytes[i]);
        else printf("<%02x>", (unsigned char)bytes[i]);
    }
}

// One read, without waiting.
static long read_once(const char *what, int fd, long len) {
    static char bytes[16384];
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    long n = read(fd, bytes, len);
    int error = errno;
    fcntl(fd, F_SETFL, flags);
    printf("%s: %ld ", what, n);
    if (n < 0) printf("%s", strerrorname_np(error));
    if (n > 200) {
        unsigned sum = 0;
        for (long i = 0; i < n; i++) sum = sum * 31 + (unsigned char)bytes[i];
        printf("%x", sum);
    } else show_bytes(bytes, n);
    printf("\n");
    errno = error;
    return n;
}

// All there is. A read that finds nothing has waited until all that was written before has come.
static void drain(const char *what, int fd) {
    for (int i = 0; i < 100 && read_once(what, fd, 16384) > 0;) i++;
}

// What poll says, and how many bytes can be read.
static void state(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLPRI | POLLOUT, 0};
    int n = -1, found = poll(&p, 1, 0);
    ioctl(fd, FIONREAD, &n);
    printf("%s: %d %x %d\n", what, found, p.revents, n);
}

static void type(const char *bytes) { write(master, bytes, strlen(bytes)); }

static void set(int fd, struct settings *settings) { ioctl(fd, TCSETS, settings); }
