// Reads that wait for bytes and for time, and buffers that are full.
#include "terminal.h"
#include <sys/time.h>
#include <time.h>

static struct settings plain, raw;

static void come(void) { usleep(30000); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

// A read in a child, while bytes are typed at times (in tenths of a second). Says what it gets, and whether it took at
// least so long as it must have.
static void timed(int min, int time, long len, const char *typed[], double least) {
    struct settings t = raw;
    t.cc[VMIN] = min, t.cc[VTIME] = time;
    set(slave, &t);
    printf("min %d time %d len %ld: ", min, time, len);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; typed[i]; i++) {
            type(typed[i]);
            usleep(60000);
        }
        _exit(0);
    }
    char bytes[200];
    double start = now();
    long n = read(slave, bytes, len);
    double took = now() - start;
    printf("%ld ", n);
    show_bytes(bytes, n);
    printf("%s\n", took < least - 0.001 ? " too early" : "");
    waitpid(child, NULL, 0);
    drain("left", slave);
}

static void waits(void) {
    const char *none[] = {NULL}, *one[] = {"a", NULL}, *three[] = {"a", "b", "c", NULL}, *many[] = {"abcdefgh", NULL};
    timed(0, 0, 10, none, 0);
    timed(0, 2, 10, none, 0.2);
    timed(0, 20, 10, one, 0);
    timed(1, 0, 10, one, 0);
    timed(3, 0, 10, three, 0.12);
    timed(3, 0, 2, three, 0.06);
    timed(3, 0, 10, many, 0);
    timed(3, 5, 10, one, 0.5);
    timed(3, 5, 10, three, 0.12);
    timed(5, 5, 10, three, 0.62);
    timed(5, 2, 10, many, 0);
    timed(1, 1, 10, three, 0);
}

static void caught(int signal) {}

// What does not wait, and what is interrupted.
static void partial(void) {
    struct settings t = raw;
    struct sigaction action = {.sa_handler = caught};
    sigaction(SIGALRM, &action, NULL);
    for (int have = 0; have < 4; have++) {
        for (int time = 0; time < 2; time++) {
            t.cc[VMIN] = 3, t.cc[VTIME] = time;
            set(slave, &t);
            write(master, "abc", have);
            come();
            state("min 3", slave);
            read_once("min 3", slave, 10);
            write(master, "abc", have);
            t.cc[VTIME] = 0;
            set(slave, &t);
            struct itimerval timer = {{0, 0}, {0, 30000}};
            if (have < 3) setitimer(ITIMER_REAL, &timer, NULL);
            char bytes[10];
            TRY(read(slave, bytes, 10));
        }
    }
    t.cc[VMIN] = 0, t.cc[VTIME] = 5;
    set(slave, &t);
    read_once("time only", slave, 10);
    t.cc[VTIME] = 0;
    set(slave, &t);
    read_once("neither", slave, 10);
    // More than one piece.
    char bytes[300];
    memset(bytes, 'x', sizeof bytes);
    int mins[] = {1, 63, 64, 65, 80, 100, 255};
    for (int i = 0; i < 7; i++) {
        t.cc[VMIN] = mins[i];
        set(slave, &t);
        write(master, bytes, 130);
        come();
        state("pieces", slave);
        read_once("pieces", slave, 10);
        read_once("pieces", slave, 100);
        read_once("pieces", slave, 100);
        drain("pieces", slave);
    }
    // Not canonical and back: what is there is a line.
    write(master, "abc\ndef", 7);
    come();
    set(slave, &plain);
    state("a line", slave);
    read_once("a line", slave, 3);
    drain("a line", slave);
    write(master, "abc\ndef", 7);
    come();
    set(slave, &raw);
    state("bytes", slave);
    drain("bytes", slave);
    drain("echo", master);
}

// Ends of lines and of files where the buffer ends.
static void ends(void) {
    set(slave, &plain);
    static const char *lines[] = {"hello\x04", "hello\n", "\x04", "hello\x04\x04", "\x04hello\n", NULL};
    for (int i = 0; lines[i]; i++) {
        type(lines[i]);
        come();
        state(lines[i], slave);
        read_once("five", slave, 5);
        drain("rest", slave);
        read_once("nothing", slave, 0);
        drain("echo", master);
    }
    char line[130];
    memset(line, 'y', sizeof line);
    for (int len = 63; len < 66; len++) {
        line[len] = 4;
        write(master, line, len + 1);
        come();
        read_once("piece", slave, 200);
        write(master, line, len + 1);
        come();
        read_once("piece", slave, 64);
        drain("rest", slave);
        line[len] = 'y';
        drain("echo", master);
    }
}

static char much[70000];

// Writes without waiting until there is no room.
static long fill(int fd) {
    long all = 0, n;
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    for (int i = 0; i < 100; i++) {
        while ((n = write(fd, much + all % 50000, 1000)) > 0) all += n;
        if (all > 40000) break;
        usleep(1000);
    }
    printf("%s\n", n < 0 ? strerrorname_np(errno) : "no end");
    fcntl(fd, F_SETFL, O_RDWR);
    return all;
}

static void full(void) {
    for (int i = 0; i < sizeof much; i++) much[i] = 'a' + i % 23;
    // A line that is too long: its end is still taken.
    struct settings t = plain;
    t.lflag &= ~ECHO;
    set(slave, &t);
    write(master, much, 3000);
    write(master, much + 3000, 3000);
    come();
    state("line", slave);
    type("\x7f\x7f""end");
    come();
    type("\n");
    come();
    state("line", slave);
    drain("line", slave);
    state("master", master);
    // And with a line in front of it, it waits.
    type("short\n");
    write(master, much, 5000);
    type("\n");
    come();
    state("lines", slave);
    read_once("short", slave, 16384);
    come();
    drain("long", slave);
    // Bytes that are not lines wait for room.
    set(slave, &raw);
    long all = fill(master);
    come();
    state("full", slave);
    state("full", master);
    printf("%d\n", all >= 4095 + 4096 && all < 40000);
    long got = 0, n;
    fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
    unsigned wrong = 0;
    static char bytes[5000];
    while ((n = read(slave, bytes, sizeof bytes)) > 0)
        for (long i = 0; i < n; i++, got++) wrong += bytes[i] != much[got % 1000 + got / 1000 * 1000 % 50000];
    printf("%d %u\n", got == all, wrong);
    fcntl(slave, F_SETFL, O_RDWR);
    state("empty", master);
    // A key that holds output acts though it is behind all that.
    t = raw;
    t.iflag |= IXON;
    set(slave, &t);
    write(master, much, 5000);
    come();
    state("behind", slave);
    type("\x13");
    come();
    state("behind", slave);
    type("\x11");
    come();
    state("behind", slave);
    drain("behind", slave);
    // The other way round.
    all = fill(slave);
    come();
    state("full", slave);
    state("full", master);
    printf("%d\n", all >= 4095 + 4096 && all < 40000);
    ioctl(slave, TCFLSH, TCOFLUSH);
    state("flushed", slave);
    read_once("what the other side kept", master, 16384);
    state("empty", master);
    // One who waits for room goes on.
    fflush(stdout);
    if (fork() == 0) {
        printf("written: %ld\n", (long)write(slave, much, 60000));
        fflush(stdout);
        _exit(0);
    }
    for (got = 0; got < 60000 && (n = read(master, bytes, sizeof bytes)) > 0; got += n)
        for (long i = 0; i < n; i++) wrong += bytes[i] != much[got + i];
    wait(NULL);
    printf("%ld %u\n", got, wrong);
    fflush(stdout);
    if (fork() == 0) {
        printf("written: %ld\n", (long)write(master, much, 60000));
        fflush(stdout);
        _exit(0);
    }
    for (got = 0; got < 60000 && (n = read(slave, bytes, sizeof bytes)) > 0; got += n)
        for (long i = 0; i < n; i++) wrong += bytes[i] != much[got + i];
    wait(NULL);
    printf("%ld %u\n", got, wrong);
    // Echo that finds no room.
    t = plain;
    t.lflag |= ECHO;
    set(slave, &t);
    ioctl(slave, TCXONC, TCOOFF);
    for (int i = 0; i < 50; i++) {
        write(master, much, 100);
        type("\n");
        come();
        while (read(slave, bytes, sizeof bytes) == sizeof bytes);
    }
    ioctl(slave, TCXONC, TCOON);
    write(slave, "!", 1);
    come();
    drain("echo", master);
}

int main(void) {
    open_pair();
    ioctl(slave, TCGETS, &plain);
    raw = plain;
    raw.iflag = raw.lflag = 0, raw.oflag = 0;
    waits();
    partial();
    ends();
    full();
    return 0;
}
