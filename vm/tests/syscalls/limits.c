// Limits: what happens at each, and that nothing else suffers.
#include "rights.h"
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { PAGE = 4096, MEGABYTE = 1 << 20 };

static int limit(int resource, rlim_t soft) {
    struct rlimit l;
    getrlimit(resource, &l);
    l.rlim_cur = soft;
    return setrlimit(resource, &l);
}

// Runs a test in a process of its own; prints how it ended.
#define ALONE(test) do { \
    fflush(stdout); \
    pid_t pid_ = fork(); \
    if (pid_ == 0) { test(); fflush(stdout); _exit(0); } \
    int status_; \
    waitpid(pid_, &status_, 0); \
    printf(#test ": %s %d\n", WIFEXITED(status_) ? "exit" : "signal", WIFEXITED(status_) ? WEXITSTATUS(status_) : WTERMSIG(status_)); \
} while (0)

static void become_user(int uid) {
    setgroups(0, NULL);
    setgid(uid);
    if (setuid(uid) < 0) _exit(9);
}

// ---- processes and threads ----

static void five_hundred(void) {
    int gate[2], made = 0;
    pid_t children[500];
    pipe(gate);
    for (int i = 0; i < 500; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char byte;
            close(gate[1]);
            read(gate[0], &byte, 1);
            _exit(i & 63);
        }
        if (children[i] > 0) made++;
        else {
            // As many as there can be: whatever is said must be one of what fork says.
            if (errno != EAGAIN && errno != ENOMEM) printf("fork: %s\n", strerrorname_np(errno));
            break;
        }
    }
    close(gate[1]);
    int right = 0;
    for (int i = 0; i < made; i++) {
        int status;
        if (waitpid(children[i], &status, 0) == children[i] && WEXITSTATUS(status) == (i & 63)) right++;
    }
    printf("all came back: %d\n", right == made);
}

static pthread_barrier_t barrier;
static volatile int counted;
static void *count(void *arg) {
    (void)arg;
    __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void thousand_threads(void) {
    static pthread_t threads[1000];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_barrier_init(&barrier, NULL, 1001);
    int made = 0;
    for (int i = 0; i < 1000; i++) made += pthread_create(&threads[i], &small, count, NULL) == 0;
    printf("made: %d\n", made);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    printf("ran: %d\n", counted);
}

static void *nothing(void *arg) { return arg; }

static void few_processes(void) {
    // A user that nothing else here runs as.
    become_user(54321);
    limit(RLIMIT_NPROC, 5);
    pid_t children[10];
    int made = 0;
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();
        if (pid == 0) { pause(); _exit(0); }
        if (pid < 0) { printf("fork: %s\n", strerrorname_np(errno)); break; }
        children[made++] = pid;
    }
    printf("made: %d\n", made);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    printf("thread: %s\n", error ? strerrorname_np(error) : "ok");
    kill(children[--made], SIGKILL);
    waitpid(children[made], NULL, 0);
    error = pthread_create(&thread, NULL, nothing, NULL);
    printf("thread: %s\n", error ? strerrorname_np(error) : "ok");
    pthread_join(thread, NULL);
    for (int i = 0; i < made; i++) kill(children[i], SIGKILL), waitpid(children[i], NULL, 0);
}

static void root_is_not_bound(void) {
    limit(RLIMIT_NPROC, 1);
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    printf("fork: %d\n", pid > 0);
    waitpid(pid, NULL, 0);
}

// ---- descriptors ----

static void descriptors(void) {
    limit(RLIMIT_NOFILE, 10);
    int last = -1, fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
    printf("open: %s after %d\n", strerrorname_np(errno), last);
    int pair[2] = {-1, -1};
    TRY(pipe(pair));
    TRY(dup(0));
    TRY(dup2(0, 10));
    TRY(dup2(0, 9));
    TRY(fcntl(0, F_DUPFD, 10));
    TRY(fcntl(0, F_DUPFD, 9));
    TRY(socket(AF_UNIX, SOCK_STREAM, 0));
    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    TRY(memfd_create("x", 0));
    TRY(syscall(SYS_eventfd2, 0, 0));
    TRY(syscall(SYS_epoll_create1, 0));
    TRY(syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0));
    uint64_t no_signals = 0;
    TRY(syscall(SYS_signalfd4, -1, &no_signals, 8, 0));
    TRY(syscall(SYS_inotify_init1, 0));
    TRY(syscall(SYS_pidfd_open, getpid(), 0));
    TRY(open("/dev/ptmx", O_RDWR));
    TRY(open("/", O_PATH));
    TRY(open("/tmp/limits-not-made", O_CREAT | O_EXCL | O_WRONLY, 0600));
    TRY(access("/tmp/limits-not-made", F_OK));
    close(9);
    TRY(pipe(pair));
    TRY(open("/dev/null", O_RDONLY));
    // What is open stays open beyond a limit that is lowered.
    limit(RLIMIT_NOFILE, 3);
    TRY(fcntl(9, F_GETFD));
    TRY(dup(0));
    struct rlimit l = {5, 4};
    TRY(setrlimit(RLIMIT_NOFILE, &l));
    TRY(getrlimit(99, &l));
}

// A connection that can't be accepted for want of a descriptor waits on.
static void accepted_later(void) {
    struct sockaddr_un a = {AF_UNIX, "\0edgebox-limits"};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (void *)&a, sizeof a);
    listen(listener, 5);
    TRY(connect(client, (void *)&a, sizeof a));
    limit(RLIMIT_NOFILE, client + 1);
    TRY(accept(listener, NULL, NULL));
    TRY(write(client, "x", 1));
    TRY(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    close(0);
    TRY(accept(listener, NULL, NULL));
    char byte;
    TRY(read(0, &byte, 1));
    TRY(accept(listener, NULL, NULL));
}

// Descriptors that travel.
static void descriptors_on_their_way(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    TRY(pass(pair[0], &pair[1], 1));
    limit(RLIMIT_NOFILE, pair[1] + 1);
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TRY(recvmsg(pair[1], &message, 0));
    printf("%zd %d\n", message.msg_controllen, message.msg_flags);
}

// ---- memory ----

static void *map(size_t len, int prot, int flags) { return mmap(NULL, len, prot, MAP_ANONYMOUS | flags, -1, 0); }
#define MAP(len, prot, flags) OK(map(len, prot, flags) == MAP_FAILED ? -1 : 0)

static long mapped(void) {
    long pages;
    FILE *f = fopen("/proc/self/statm", "r");
    fscanf(f, "%ld", &pages);
    fclose(f);
    return pages * PAGE;
}

static void address_space(void) {
    limit(RLIMIT_AS, mapped() + 4 * MEGABYTE);
    MAP(8 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    MAP(8 * MEGABYTE, PROT_NONE, MAP_PRIVATE);
    char *p = map(MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    printf("mapped: %d\n", p != MAP_FAILED);
    OK(mremap(p, MEGABYTE, 8 * MEGABYTE, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    OK(sbrk(8 * MEGABYTE) == (void *)-1 ? -1 : 0);
    printf("malloc: %d\n", malloc(16 * MEGABYTE) != NULL);
    OK(mmap(p, MEGABYTE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void data(void) {
    limit(RLIMIT_DATA, 64 * MEGABYTE);
    MAP(128 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    MAP(128 * MEGABYTE, PROT_READ, MAP_PRIVATE);
    MAP(128 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *p = map(MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    printf("mapped: %d\n", p != MAP_FAILED);
    OK(sbrk(128 * MEGABYTE) == (void *)-1 ? -1 : 0);
    char *readable = map(128 * MEGABYTE, PROT_READ, MAP_PRIVATE);
    TRY(mprotect(readable, 128 * MEGABYTE, PROT_READ | PROT_WRITE));
    TRY(mprotect(readable, MEGABYTE, PROT_READ | PROT_WRITE));
}

static int __attribute__((noinline, optimize("O0"))) dig(int depth) {
    volatile char room[PAGE];
    room[0] = depth;
    return depth == 0 ? room[0] : dig(depth - 1) + room[0];
}
static void deep(void) { printf("%d\n", dig(1000) != 0); }
static void too_deep(void) { dig(100000); }
static void small_stack(void) {
    // Counts from the next program on, and for what the stack grows by at once.
    limit(RLIMIT_STACK, 256 * 1024);
    dig(1000);
}

static void too_much(void) {
    MAP((size_t)-PAGE, PROT_READ, MAP_PRIVATE);
    MAP((size_t)1 << (8 * sizeof(size_t) - 2), PROT_READ, MAP_PRIVATE);
    MAP(0, PROT_READ, MAP_PRIVATE);
}

static void many_maps(void) {
    // Each of another kind than its neighbours.
    char *area = map((size_t)70000 * 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    int made = 0;
    while (made < 70000 && mprotect(area + (size_t)made * 2 * PAGE, PAGE, PROT_READ) == 0) made++;
    // How many there may be is for whoever runs a computer to say (vm.max_map_count).
    printf("many: %d, and then the right error: %d\n", made > 30000, made == 70000 || errno == ENOMEM);
}

// ---- names, arguments, pipes ----

static void paths(void) {
    char long_path[5000];
    memset(long_path, 'a', sizeof long_path);
    long_path[4999] = 0;
    TRY(open(long_path, O_RDONLY));
    long_path[300] = 0;
    TRY(open(long_path, O_RDONLY));
    long_path[255] = 0;
    TRY(open(long_path, O_RDONLY));
    for (int i = 0; i < 4094; i += 2) memcpy(long_path + i, "./", 2);
    long_path[4094] = '.';
    long_path[4095] = 0;
    TRY(access(long_path, F_OK));
    long_path[4095] = '/';
    long_path[4096] = 0;
    TRY(access(long_path, F_OK));
    char dir[] = "/tmp/limits.XXXXXX", name[20], target[20];
    mkdtemp(dir);
    chdir(dir);
    close(creat("l0", 0600));
    for (int i = 1; i <= 41; i++) {
        sprintf(name, "l%d", i);
        sprintf(target, "l%d", i - 1);
        symlink(target, name);
    }
    TRY(access("l40", F_OK));
    TRY(access("l41", F_OK));
    symlink("self", "self");
    TRY(access("self", F_OK));
    int depth = 0;
    while (depth < 3000 && mkdir("d", 0700) == 0 && chdir("d") == 0) depth++;
    printf("deep: %d\n", depth);
    char cwd[PATH_MAX];
    printf("getcwd: %s\n", syscall(SYS_getcwd, cwd, sizeof cwd) < 0 ? strerrorname_np(errno) : "ok");
    while (depth-- > 0) chdir(".."), rmdir("d");
    for (int i = 0; i <= 41; i++) sprintf(name, "l%d", i), unlink(name);
    unlink("self");
    chdir("/tmp");
    TRY(rmdir(dir));
}

static void arguments(void) {
    // The longest string there may be, and one byte more.
    size_t longest = 32 * PAGE;
    char *big = malloc(longest + 1);
    memset(big, 'x', longest);
    big[longest - 1] = 0;
    char *argv[] = {"/none", big, NULL}, *none[] = {NULL};
    execve("/proc/self/exe-none", argv, none);
    printf("execve: %s\n", strerrorname_np(errno));
    big[longest - 1] = 'x';
    big[longest] = 0;
    execve("/proc/self/exe", argv, none);
    printf("execve: %s\n", strerrorname_np(errno));
    int many = 400000;
    char **list = malloc((many + 1) * sizeof *list);
    for (int i = 0; i < many; i++) list[i] = "0123456789";
    list[many] = NULL;
    execve("/proc/self/exe", list, none);
    printf("execve: %s\n", strerrorname_np(errno));
    limit(RLIMIT_STACK, 512 * 1024);
    list[20000] = NULL;
    execve("/proc/self/exe", list, none);
    printf("execve: %s\n", strerrorname_np(errno));
}

static void pipes(void) {
    int pair[2];
    pipe2(pair, O_NONBLOCK);
    char page[PAGE] = {0};
    long total = 0, n;
    while ((n = write(pair[1], page, PAGE)) > 0) total += n;
    printf("%ld %s\n", total, strerrorname_np(errno));
    TRY(write(pair[1], page, 1));
    TRY(fcntl(pair[1], F_SETPIPE_SZ, 1));
    TRY(fcntl(pair[1], F_SETPIPE_SZ, 0));
    TRY(fcntl(pair[1], F_SETPIPE_SZ, 1 << 20));
    become_user(1000);
    TRY(fcntl(pair[1], F_SETPIPE_SZ, (1 << 20) + 1));
}

static void signals_wait(void) {
    become_user(54322);
    limit(RLIMIT_SIGPENDING, 3);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &some, NULL);
    union sigval value = {0};
    int sent = 0;
    while (sent < 10 && sigqueue(getpid(), SIGRTMIN, value) == 0) sent++;
    printf("%d %s\n", sent, strerrorname_np(errno));
    TRY(kill(getpid(), SIGRTMIN));
}

static void files_have_a_size(void) {
    signal(SIGXFSZ, SIG_DFL);
    limit(RLIMIT_FSIZE, 1000);
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0) fd = memfd_create("x", 0);
    char bytes[1500] = {0};
    TRY(write(fd, bytes, 1500));
    fflush(stdout);
    write(fd, bytes, 1);
}

static void time_is_up(void) {
    struct rlimit l = {1, 3};
    setrlimit(RLIMIT_CPU, &l);
    for (;;) getppid();
}

// ---- others go on ----

static void endless(void) {
    pid_t spin = fork();
    if (spin == 0) for (;;) {}
    pid_t fork_spin = fork();
    if (fork_spin == 0) for (;;) { pid_t p = fork(); if (p == 0) _exit(0); waitpid(p, NULL, 0); }
    int there[2], back[2];
    pipe(there);
    pipe(back);
    pid_t echo = fork();
    if (echo == 0) {
        char c;
        while (read(there[0], &c, 1) == 1) write(back[1], &c, 1);
    }
    char c = 'a';
    for (int i = 0; i < 50; i++) { write(there[1], &c, 1); read(back[0], &c, 1); }
    printf("50 times there and back\n");
    kill(spin, SIGKILL);
    kill(fork_spin, SIGKILL);
    kill(echo, SIGKILL);
}

static void bomb(void) {
    become_user(54323);
    limit(RLIMIT_NPROC, 100);
    for (int i = 0; i < 8; i++) fork();
    usleep(20000);
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc > 1 && argv[1][0] == '0') { printf("ran with %d arguments\n", argc); return 0; }
    ALONE(five_hundred);
    ALONE(thousand_threads);
    ALONE(few_processes);
    ALONE(root_is_not_bound);
    ALONE(descriptors);
    ALONE(descriptors_on_their_way);
    ALONE(address_space);
    ALONE(data);
    ALONE(deep);
    ALONE(too_deep);
    ALONE(small_stack);
    ALONE(too_much);
    ALONE(many_maps);
    ALONE(paths);
    ALONE(arguments);
    ALONE(pipes);
    ALONE(signals_wait);
    ALONE(files_have_a_size);
    ALONE(time_is_up);
    ALONE(endless);
    ALONE(bomb);
    usleep(100000);
    return 0;
}
