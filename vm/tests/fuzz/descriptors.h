// What children have open, one of each kind: descriptors 3 and up.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

// Names that calls are given; the first few are there.
static const char *const PATHS[] = {
    "/fuzz/file", "/fuzz/other", "/fuzz/dir", "/fuzz/dir/x", "/fuzz/link", "/fuzz/fifo", "/fuzz/loop",
    "/fuzz/socket", "/fuzz/new", "/fuzz/dir/new", "/dev/shm/new", "/tmp/new", "new", ".", "..", "", "/", "/fuzz",
    "/proc/self/exe", "/proc/self/mem", "/proc/self/maps", "/proc/self/fd/3", "/proc/self/fd", "/proc/self/cwd",
    "/proc/self/status", "/proc/self/task", "/proc/net/tcp", "/proc/sys/kernel/hostname", "/dev/null", "/dev/zero",
    "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/full", "/dev/random", "/sys", "user.name", "security.name", "tmpfs", "proc",
};
enum { PATH_COUNT = sizeof PATHS / sizeof *PATHS };

static void make_files(void) {
    mkdir("/fuzz", 0777);
    chmod("/fuzz", 0777);
    mkdir("/fuzz/dir", 0777);
    chmod("/fuzz/dir", 0777);
    for (int i = 0; i < 2; i++) {
        int file = open(PATHS[i], O_RDWR | O_CREAT, 0666);
        char bytes[20000];
        memset(bytes, 'a' + i, sizeof bytes);
        if (write(file, bytes, sizeof bytes) < 0) perror("write");
        fchmod(file, 0666);
        close(file);
    }
    symlink("file", "/fuzz/link");
    symlink("loop", "/fuzz/loop");
    mkfifo("/fuzz/fifo", 0666);
}

static void open_sockets(void) {
    int pair[2];
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += type == SOCK_DGRAM ? 3 : 1)
        socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(listener, (void *)&any, sizeof any);
    listen(listener, 4);
    getsockname(listener, (void *)&any, &len);
    connect(client, (void *)&any, sizeof any);
    accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    socket(AF_INET6, SOCK_DGRAM, 0);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    connect(udp, (void *)&any, sizeof any);
    socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socket(AF_NETLINK, SOCK_RAW, 0);
}

static void open_descriptors(void) {
    close_range(0, ~0u, 0);
    for (int i = 0; i < 3; i++) open("/dev/null", O_RDWR);
    int pair[2];
    open("/fuzz/file", O_RDWR);
    open("/fuzz/other", O_RDWR | O_APPEND | O_NONBLOCK);
    open("/fuzz/dir", O_RDONLY | O_DIRECTORY);
    open("/fuzz/file", O_PATH);
    open("/fuzz/fifo", O_RDWR | O_NONBLOCK);
    pipe2(pair, O_NONBLOCK);
    pipe2(pair, 0);
    open("/dev/zero", O_RDWR);
    open("/proc/self/mem", O_RDWR);
    open("/proc/self/maps", O_RDONLY);
    memfd_create("memory", MFD_ALLOW_SEALING);
    eventfd(1, EFD_NONBLOCK);
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    signalfd(-1, &some, SFD_NONBLOCK);
    int watch = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(watch, "/fuzz", IN_ALL_EVENTS);
    int epoll = epoll_create1(0);
    for (int i = 3; i < epoll; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | (i & 1 ? EPOLLET : 0), .data.fd = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, i, &event);
    }
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    grantpt(terminal);
    unlockpt(terminal);
    open(ptsname(terminal), O_RDWR | O_NOCTTY | O_NONBLOCK);
    syscall(SYS_pidfd_open, getpid(), 0);
    open_sockets();
}
