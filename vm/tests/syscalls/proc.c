#include "report.h"
#include <dirent.h>
#include <sys/syscall.h>

static void show(const char *path) {
    char buf[4096];
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    if (n < 0) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    buf[n] = 0;
    for (long i = 0; i < n; i++)
        if (buf[i] == 0) buf[i] = '|';
    printf("%s: %s\n", path, buf);
    close(fd);
}

// Reads /proc/self/fd a few entries at a time and closes what it reads, as Python's subprocess does.
static void close_while_reading(void) {
    for (int i = 0; i < 40; i++) dup(1);
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    // Room for two entries or so.
    char buf[64];
    long got;
    while ((got = syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0)
        for (long at = 0; at < got; at += *(uint16_t *)(buf + at + 16)) {
            int fd = atoi(buf + at + 19);
            if (fd > 2 && fd != dir) close(fd);
        }
    TRY(got);
    close(dir);
    int left = 0;
    for (int fd = 3; fd < 100; fd++) left += fcntl(fd, F_GETFD) >= 0;
    TRY(left);
}

// What has been read and written, by the kernel's account.
static void transfers(long counts[4]) {
    char text[500] = {0};
    int fd = open("/proc/self/io", O_RDONLY);
    read(fd, text, sizeof text - 1);
    close(fd);
    const char *names[] = {"rchar: ", "wchar: ", "syscr: ", "syscw: "};
    for (int i = 0; i < 4; i++) counts[i] = atol(strstr(text, names[i]) + 7);
}

static void count_transfers(void) {
    long before[4], between[4], after[4];
    char buf[100];
    int ends[2], null = open("/dev/null", O_RDWR), self = open("/proc/self/exe", O_RDONLY);
    transfers(before);
    transfers(between);
    if (pipe(ends)) return;
    write(ends[1], "0123456789", 10);
    read(ends[0], buf, 100);
    write(ends[1], NULL, 4);
    write(null, buf, 100);
    read(null, buf, 100);
    pread(self, buf, 50, 10);
    read(self, NULL, 10);
    transfers(after);
    for (int i = 1; i < 4; i++) printf("%ld ", after[i] - between[i] - (i == 2));
    printf("%d\n", between[0] > before[0] && after[0] - between[0] >= 60);
    fflush(stdout);
}

static void write_login(const char *path, const char *text) {
    char buf[20] = "";
    int fd = open(path, O_RDWR);
    printf("%s: ", text);
    ok("login", write(fd, text, strlen(text)));
    pread(fd, buf, sizeof buf - 1, 0);
    printf("%s\n", buf);
    close(fd);
}

// Who has logged in, in a process of its own.
static void log_in(void) {
    if (fork() == 0) {
        const char *mine = "/proc/self/loginuid";
        struct stat st;
        TRY(stat(mine, &st));
        printf("%o\n", st.st_mode);
        write_login(mine, "4294967295");
        write_login(mine, "1000");
        char buf[20] = "";
        read(open("/proc/self/sessionid", O_RDONLY), buf, sizeof buf - 1);
        printf("session %d\n", strcmp(buf, "4294967295") != 0);
        write_login(mine, "abc");
        write_login(mine, "-1");
        if (fork() == 0) {
            TRY(write(open("/proc/self/loginuid", O_WRONLY), "7", 1));
            char parents[40];
            sprintf(parents, "/proc/%d/loginuid", getppid());
            write_login(parents, "7");
            exit(0);
        }
        wait(NULL);
        exit(0);
    }
    wait(NULL);
}

// Without 64-bit offsets, 32-bit programs see inodes of 32 bits.
static void inodes(void) {
    const char *directories[] = {"/proc/self", "/proc/self/task", "/proc/self/fd", "/proc/sys", "/proc/sys/kernel", "/proc/sysvipc"};
    for (int i = 0; i < 6; i++) {
        DIR *d = opendir(directories[i]);
        int failed = 0, other = 0;
        for (struct dirent *e; errno = 0, (e = readdir(d));) {
            struct stat st;
            if (!strcmp(e->d_name, "..")) continue;
            if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) failed++;
            else if (st.st_ino != e->d_ino) other++;
        }
        printf("%s: %d, %d can't be looked at, %d have other numbers\n", directories[i], errno, failed, other);
        closedir(d);
    }
    struct stat st;
    stat("/proc", &st);
    printf("%d\n", (int)st.st_ino);
}

// What a process reaches of itself, and of its parent, that has become another user: its descriptors, but not what tells
// more of it than it may ask for.
static void become_another(void) {
    fflush(stdout);
    if (fork() > 0) {
        wait(NULL);
        return;
    }
    char path[100], to[100];
    int dir = open("/tmp", O_PATH | O_DIRECTORY);
    TRY(setresuid(-1, 1000, -1));
    struct stat st;
    TRY(stat("/proc/self/fd", &st) ?: (long)st.st_uid);
    sprintf(path, "/proc/self/fd/%d", dir);
    TRY(readlink(path, to, sizeof to));
    OK(open(path, O_RDONLY | O_DIRECTORY));
    OK(open("/proc/self/fd", O_RDONLY));
    OK(open("/proc/self/fdinfo/1", O_RDONLY));
    TRY(faccessat(AT_FDCWD, "/proc/self/fd", R_OK | X_OK, AT_EACCESS));
    OK(open("/proc/self/environ", O_RDONLY));
    static const char *const theirs[] = {"fd", "fd/1", "fdinfo", "cwd", "exe", "root", "maps", "smaps", "mem", "auxv", "stat", "status", "task", "limits", "cmdline"};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        sprintf(path, "/proc/%d/%s", getppid(), theirs[i]);
        printf("%s\n", theirs[i]);
        OK(open(path, O_RDONLY));
        OK(stat(path, &st));
        OK(readlink(path, to, sizeof to));
    }
    _exit(0);
}

int main(int argc, char **argv) {
    count_transfers();
    char buf[200], path[100];
    (void)argc;
    show("/proc/self/comm");
    show("/proc/sys/kernel/ostype");
    show("/proc/self/nonexistent");
    TRY(access("/proc/diskstats", R_OK));
    TRY(readlink("/proc/self", buf, sizeof buf) == sprintf(path, "%d", getpid()));
    TRY(chdir("/tmp"));
    long n = readlink("/proc/self/cwd", buf, sizeof buf);
    printf("%.*s\n", (int)n, buf);
    n = readlink("/proc/self/exe", buf, sizeof buf);
    TRY(n > 0 && buf[0] == '/');
    int p[2];
    pipe(p);
    sprintf(path, "/proc/self/fd/%d", p[0]);
    n = readlink(path, buf, sizeof buf);
    printf("%.6s\n", buf);
    write(p[1], "through", 7);
    int again = open(path, O_RDONLY | O_NONBLOCK);
    TRY(read(again, buf, 100));
    struct stat st;
    TRY(stat(path, &st));
    printf("%o\n", st.st_mode & S_IFMT);
    int fd = open("/tmp/proc-deleted", O_CREAT | O_RDWR, 0600);
    write(fd, "still here", 10);
    unlink("/tmp/proc-deleted");
    sprintf(path, "/proc/self/fd/%d", fd);
    n = readlink(path, buf, sizeof buf);
    printf("%.*s\n", (int)n, buf);
    again = open(path, O_RDONLY);
    TRY(read(again, buf, 100));
    sprintf(path, "/proc/%d/stat", getpid());
    FILE *f = fopen(path, "r");
    int pid, ppid;
    char name[50], state;
    TRY(fscanf(f, "%d (%49[^)]) %c %d", &pid, name, &state, &ppid));
    printf("%d %s %c %d\n", pid == getpid(), name, state, ppid == getppid());
    f = fopen("/proc/self/maps", "r");
    int stack = 0, heap = 0;
    free(malloc(10));
    while (fgets(buf, sizeof buf, f)) {
        if (strstr(buf, "[stack]")) stack++;
        if (strstr(buf, "[heap]")) heap++;
    }
    printf("%d %d\n", stack, heap);
    f = fopen("/proc/self/status", "r");
    while (fgets(buf, sizeof buf, f))
        if (!strncmp(buf, "Uid:", 4) || !strncmp(buf, "Threads:", 8) || !strncmp(buf, "State:", 6)) printf("%s", buf);
    TRY(open("/dev/null", O_RDWR) >= 0);
    TRY(write(open("/dev/full", O_WRONLY), "x", 1));
    TRY(read(open("/dev/zero", O_RDONLY), buf, 10));
    TRY(read(open("/dev/urandom", O_RDONLY), buf, 10));
    TRY(read(open("/dev/null", O_RDONLY), buf, 10));
    fd = open("/dev/fd/1", O_WRONLY);
    TRY(write(fd, "by /dev/fd\n", 11));
    n = open("/proc/self/cmdline", O_RDONLY);
    n = read(n, buf, sizeof buf);
    TRY(n == (long)strlen(argv[0]) + 1);
    TRY(mkdir("/proc/x", 0755));
    TRY(access("/proc/1/stat", R_OK));
    TRY(stat("/proc/999999", &st));
    close_while_reading();
    log_in();
    inodes();
    become_another();
    return 0;
}
