// Settings, typing, output and requests at random, from a seed on: `tty_random SEED ROUNDS`. What either side reads is the
// same on Linux and here. Before anything is typed, all that was there is read: Linux hands bytes from side to side in the
// background, and a read that finds nothing has waited for that.
#include "terminal.h"

static unsigned long long seed, seed_of_round;

static unsigned choose(unsigned count) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % count;
}

static volatile int signals[65];
static void count(int signal) { signals[signal]++; }

static const char *alphabet = "abz_.,09 \t\t\n\r\b\177";

static unsigned char any_byte(void) {
    static const unsigned char keys[] = {3, 28, 127, 21, 4, 17, 19, 26, 18, 15, 23, 22, 0, 0xff, '\\', '/'};
    switch (choose(8)) {
    case 0: return keys[choose(sizeof keys)];
    case 1: return choose(256);
    case 2: return 0x80 + choose(0x80);
    case 3: return 'A' + choose(60);
    default: return alphabet[choose(strlen(alphabet))];
    }
}

// A few bits of some that are usual, of all that mean anything.
static unsigned any_flags(unsigned usual, unsigned all) {
    unsigned flags = choose(3) ? usual : 0;
    for (int i = 0; i < 32; i++)
        if (all >> i & 1 && choose(6) == 0) flags ^= 1u << i;
    return flags;
}

static struct settings settings;

static void any_settings(void) {
    static const unsigned char keys[19] = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0};
    settings.iflag = any_flags(ICRNL | IXON, 0x7fff);
    settings.oflag = any_flags(OPOST | ONLCR, 0x183f) | (choose(4) == 0 ? XTABS : 0);
    settings.lflag = any_flags(0x8a3b, 0x8fff & ~TOSTOP) & ~TOSTOP;
    if (choose(12) == 0) settings.lflag |= EXTPROC;
    // Without ECHOCTL, VLNEXT after ECHOPRT has Linux show what is left in its buffer from long ago. So no round has both.
    settings.lflag = seed_of_round & 1 ? settings.lflag | ECHOCTL : settings.lflag & ~ECHOPRT;
    settings.cflag = B38400 | CS8 | CREAD;
    for (int i = 0; i < 19; i++) settings.cc[i] = choose(12) ? keys[i] : any_byte();
    settings.cc[VMIN] = choose(4) ? 1 : choose(80);
    settings.cc[VTIME] = 0;
    static const int requests[] = {TCSETS, TCSETS, TCSETS, TCSETSW, TCSETSF};
    int request = choose(5);
    printf("set %x %x %x %d: %d\n", settings.iflag, settings.oflag, settings.lflag, settings.cc[VMIN],
        ioctl(slave, requests[request], &settings));
}

static void tell_signals(void) {
    int told[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};
    for (int i = 0; i < 4; i++) {
        if (signals[told[i]]) printf("signal %d\n", told[i]);
        signals[told[i]] = 0;
    }
}

// Whether a read that finds nothing says so. One with VMIN 0 returns nothing.
static long look(const char *what, int fd, long len) {
    long n = read_once(what, fd, len);
    tell_signals();
    return n;
}

static int is_packet;

// Reads the other side until it has nothing. What was written may come in parts; news in packet mode come before it.
static void read_master(void) {
    static char all[65536];
    long len = 0, n, size = choose(3) ? 16384 : 2 + choose(100);
    int flags = fcntl(master, F_GETFL);
    fcntl(master, F_SETFL, flags | O_NONBLOCK);
    while ((n = read(master, all + len, size)) > 0) {
        int is_news = is_packet && all[len];
        if (is_news) printf("news %x\n", all[len]);
        else if (is_packet) memmove(all + len, all + len + 1, n - 1);
        len += is_news ? 0 : n - is_packet;
    }
    fcntl(master, F_SETFL, flags);
    printf("master: ");
    show_bytes(all, len);
    printf(" %s\n", strerrorname_np(errno));
}

// Reads the terminal until it has nothing, and then the other side.
static void settle(void) {
    int empty = 0;
    while (empty < 2) {
        long n = look("slave", slave, choose(3) ? 16384 : 1 + choose(100));
        // An end of file looks like nothing to be read; two are none.
        empty = n > 0 ? 0 : n < 0 ? 2 : empty + !(settings.lflag & ICANON);
    }
    read_master();
    state("slave", slave);
    state("master", master);
}

static int is_key(unsigned char byte) { return memchr(settings.cc, byte, 19) != NULL; }

// Bytes to be typed. A key that signals drops echo, and if there was so much of it that some is on its way, Linux may or
// may not come in time: so before such a key there are no others, which might show much.
static int any_typing(char *bytes) {
    int len = 1 + choose(choose(4) ? 20 : 200), drops = settings.lflag & ISIG && !(settings.lflag & NOFLSH);
    if (drops && len > 40) len = 40;
    // Nor one that lets go of much that was held.
    if (drops && settings.iflag & IXANY) len = 1;
    for (int i = 0; i < len; i++)
        do bytes[i] = any_byte();
        while (drops && i < len - 1 && (is_key(bytes[i]) || is_key(bytes[i] & 0x7f)));
    return len;
}

static void step(void) {
    char bytes[256];
    int len = any_typing(bytes), n = 0;
    static int queues[] = {TCIFLUSH, TCOFLUSH, TCIOFLUSH}, flows[] = {TCOOFF, TCOON, TCOON, TCIOFF, TCION};
    switch (choose(16)) {
    case 0: case 1: any_settings(); break;
    case 2: case 3: case 4: {
        int flags = fcntl(slave, F_GETFL);
        fcntl(slave, F_SETFL, flags | O_NONBLOCK);
        printf("output ");
        show_bytes(bytes, len);
        printf(" %ld\n", (long)write(slave, bytes, len));
        fcntl(slave, F_SETFL, flags);
        break;
    }
    case 5: is_packet = choose(2), ioctl(master, TIOCPKT, &is_packet); break;
    case 6: n = choose(5), printf("flow %d\n", ioctl(slave, TCXONC, flows[n])); break;
    // What has not come yet can be dropped: let it come.
    case 7: settle(), n = choose(3), printf("flush %d\n", ioctl(slave, TCFLSH, queues[n])); break;
    case 8: n = choose(3), printf("flush master %d\n", ioctl(master, TCFLSH, queues[n])); break;
    case 9: settle(), printf("fake %d\n", ioctl(slave, TIOCSTI, bytes)); break;
    default:
        settle();
        printf("type ");
        show_bytes(bytes, len);
        printf(" %ld\n", (long)write(master, bytes, len));
        // Wait until it has come, and until it has been dealt with.
        struct pollfd p = {slave, POLLIN, 0};
        poll(&p, 1, 0);
        ioctl(slave, FIONREAD, &n);
        tell_signals();
        if (choose(3) == 0) any_settings();
        if (choose(3) == 0) look("part", slave, 1 + choose(10));
    }
    if (choose(2)) settle();
}

int main(int argc, char **argv) {
    int rounds = argc > 2 ? atoi(argv[2]) : 1;
    if (fork()) {
        int status;
        wait(&status);
        printf("%x\n", status);
        return 0;
    }
    setsid();
    for (int i = 1; i < 32; i++) signal(i, count);
    for (int round = 0; round < rounds; round++) {
        seed = seed_of_round = (argc > 1 ? atoll(argv[1]) : 1) + round;
        printf("seed %llu\n", seed);
        choose(2);
        open_pair();
        ioctl(slave, TIOCSCTTY, 0);
        is_packet = 0;
        ioctl(slave, TCGETS, &settings);
        for (int i = 0; i < 60; i++) step();
        settle();
        ioctl(slave, TIOCNOTTY, 0);
        close(slave), close(master);
        memset((void *)signals, 0, sizeof signals);
    }
    return 0;
}
