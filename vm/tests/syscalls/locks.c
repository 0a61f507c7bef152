// Locks of files, and what /proc/locks says of them.
#include "report.h"
#include <sys/file.h>

static int fd;
static ino_t ino;

static int by_text(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// Lines about our file, without what differs from run to run, in an order of their own.
static void list(const char *what) {
    char line[200], flavour[20], how[20], kind[20], start[30], end[30], *lines[20];
    int number, pid, major, minor, count = 0;
    unsigned long inode;
    FILE *locks = fopen("/proc/locks", "r");
    printf("%s\n", what);
    while (locks && fgets(line, sizeof line, locks) && count < 20) {
        int fields = sscanf(line, "%d: %19s %19s %19s %d %x:%x:%lu %29s %29s", &number, flavour, how, kind, &pid,
                            &major, &minor, &inode, start, end);
        if (fields != 10 || inode != ino) continue;
        char *rest = strchr(line, ':') + 1;
        const char *whose = pid == getpid() ? "own" : pid < 0 ? "nobody" : "?";
        *strstr(rest, kind) = 0;
        asprintf(&lines[count++], "%s%s %s %s %s", rest, kind, whose, start, end);
    }
    if (locks) fclose(locks);
    qsort(lines, count, sizeof *lines, by_text);
    for (int i = 0; i < count; i++) printf("  %s\n", lines[i]);
    fflush(stdout);
}

static long lock(int file, int command, int type, long start, long len) {
    struct flock lock = {type, SEEK_SET, start, len, 0};
    long result = fcntl(file, command, &lock);
    if (command == F_GETLK || command == F_OFD_GETLK) {
        const char *parents = lock.l_pid == getppid() ? "parent's" : "?";
        const char *whose = lock.l_pid == 0 ? "0" : lock.l_pid == -1 ? "-1" : parents;
        printf("  %d %d %ld %ld %s\n", lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len, whose);
    }
    return result;
}

static void others_view(void) {
    if (fork() == 0) {
        TRY(lock(fd, F_GETLK, F_WRLCK, 0, 0));
        TRY(lock(fd, F_GETLK, F_RDLCK, 0, 0));
        TRY(lock(fd, F_GETLK, F_WRLCK, 25, 1));
        TRY(lock(fd, F_SETLK, F_RDLCK, 0, 0));
        _exit(0);
    }
    wait(NULL);
}

static void of_a_process(void) {
    TRY(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    TRY(lock(fd, F_SETLK, F_WRLCK, 20, 10));
    list("two that touch");
    others_view();
    TRY(lock(fd, F_SETLK, F_RDLCK, 15, 10));
    list("weaker in the middle");
    others_view();
    TRY(lock(fd, F_SETLK, F_UNLCK, 18, 4));
    list("a hole in the middle");
    TRY(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    list("all");
    TRY(lock(fd, F_SETLK, F_UNLCK, 5, 0));
    list("the beginning");
    TRY(lock(fd, F_SETLK, F_RDLCK, 100, -10));
    TRY(lock(fd, F_SETLK, F_RDLCK, 5, -10));
    list("backwards");
    close(dup(fd));
    list("closed a copy");
}

static void of_a_description(void) {
    int other = open("/tmp/locks-file", O_RDWR);
    TRY(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 5));
    TRY(lock(fd, F_SETLK, F_RDLCK, 0, 5));
    TRY(lock(other, F_OFD_SETLK, F_RDLCK, 4, 5));
    TRY(lock(other, F_OFD_GETLK, F_RDLCK, 4, 5));
    TRY(lock(other, F_OFD_SETLK, F_RDLCK, 5, 5));
    list("of descriptions");
    TRY(flock(fd, LOCK_SH));
    TRY(flock(other, LOCK_SH));
    list("and whole");
    TRY(flock(other, LOCK_EX | LOCK_NB));
    list("a failed change");
    TRY(flock(fd, LOCK_UN));
    TRY(flock(other, LOCK_EX | LOCK_NB));
    close(dup(other));
    list("after a change");
    close(other);
    TRY(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
    list("none");
}

// Two wait for each other: the second is told.
static void deadlock(void) {
    int ready[2], go[2];
    pipe(ready), pipe(go);
    TRY(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t child = fork();
    if (child == 0) {
        lock(fd, F_SETLK, F_WRLCK, 1, 1);
        write(ready[1], "", 1);
        lock(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(0);
    }
    read(ready[0], (char[1]){0}, 1);
    // Until it waits.
    char path[40], state = 0;
    sprintf(path, "/proc/%d/stat", child);
    while (state != 'S') {
        FILE *stat = fopen(path, "r");
        fscanf(stat, "%*d %*s %c", &state);
        fclose(stat);
    }
    TRY(lock(fd, F_SETLKW, F_WRLCK, 1, 1));
    TRY(lock(fd, F_SETLK, F_UNLCK, 0, 1));
    wait(NULL);
    TRY(lock(fd, F_SETLKW, F_WRLCK, 1, 1));
}

int main(void) {
    fd = open("/tmp/locks-file", O_RDWR | O_CREAT, 0600);
    struct stat st;
    fstat(fd, &st);
    ino = st.st_ino;
    of_a_process();
    of_a_description();
    deadlock();
    unlink("/tmp/locks-file");
    return 0;
}
