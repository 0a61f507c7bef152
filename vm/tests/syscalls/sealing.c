// Files in memory: seals, room taken and given back, whiteouts, extended attributes; writing behind the end; mappings
// that move and stay.
#include "report.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
enum { PAGE = 4096 };

static int memory(const char *name, unsigned flags, long size) {
    int fd = memfd_create(name, flags);
    ftruncate(fd, size);
    return fd;
}

static void seals(void) {
    int plain = memory("plain", 0, PAGE), fd = memory("sealed", MFD_ALLOW_SEALING, 2 * PAGE);
    TRY(fcntl(plain, F_GET_SEALS));
    TRY(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
    TRY(fcntl(fd, F_GET_SEALS));
    TRY(fcntl(fd, F_ADD_SEALS, 0x4000));
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    TRY(ftruncate(fd, 3 * PAGE));
    TRY(ftruncate(fd, PAGE + 100));
    char page[2 * PAGE] = {0};
    TRY(pwrite(fd, page, 2 * PAGE, 0));
    TRY(pwrite(fd, page, 200, PAGE));
    TRY(pwrite(fd, page, 100, PAGE));
    TRY(pwrite(fd, page, 1, PAGE + 100));
    TRY(fallocate(fd, 0, 0, 2 * PAGE));
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE));
    TRY(fallocate(fd, 0, 0, PAGE));
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    TRY(ftruncate(fd, 10));
    TRY(ftruncate(fd, PAGE + 100));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    shared[5] = 'x';
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    TRY(write(fd, "a", 1));
    shared[6] = 'y';
    char two[3] = {0};
    TRY(pread(fd, two, 2, 5));
    printf("written: %s\n", two);
    munmap(shared, PAGE);
    TRY(pread(fd, two, 2, 5));
    printf("written: %s\n", two);
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    TRY(pwrite(fd, "a", 1, 0));
    OK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    char *looked = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    printf("%c\n", looked[5]);
    TRY(mprotect(looked, PAGE, PROT_READ | PROT_WRITE));
    char *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    own[5] = 'z';
    printf("%c\n", looked[5]);
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    TRY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    TRY(fcntl(fd, F_GET_SEALS));
    char path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    int again = TRY(open(path, O_RDONLY)) < 0 ? -1 : open(path, O_RDONLY);
    TRY(fcntl(again, F_GET_SEALS));
    TRY(fcntl(again, F_ADD_SEALS, F_SEAL_GROW));
    TRY(fcntl(STDIN_FILENO, F_GET_SEALS));
    int pipes[2];
    pipe(pipes);
    TRY(fcntl(pipes[0], F_GET_SEALS));
    TRY(memfd_create("x", 0x8000));
}

static void blocks(int fd) {
    struct stat s;
    fstat(fd, &s);
    printf("size %ld, blocks %ld\n", (long)s.st_size, (long)s.st_blocks);
}

static void room(void) {
    int fd = open("/dev/shm/room", O_RDWR | O_CREAT | O_TRUNC, 0600);
    TRY(fallocate(fd, 0, 100, 3 * PAGE));
    blocks(fd);
    TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 * PAGE));
    blocks(fd);
    char bytes[5 * PAGE];
    memset(bytes, 'b', sizeof bytes);
    TRY(pwrite(fd, bytes, sizeof bytes, 0));
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 2 * PAGE));
    blocks(fd);
    pread(fd, bytes, sizeof bytes, 0);
    printf("%d %d %d %d\n", bytes[99], bytes[100], bytes[99 + 2 * PAGE], bytes[100 + 2 * PAGE]);
    char *map = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map[4 * PAGE] = 'm';
    TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, 100 * PAGE));
    printf("%d %d\n", map[4 * PAGE], map[4 * PAGE + 1]);
    int modes[] = {FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_UNSHARE_RANGE, 0x1000};
    for (int i = 0; i < 7; i++) TRY(fallocate(fd, modes[i], 0, PAGE));
    TRY(fallocate(fd, 0, -1, 1));
    TRY(fallocate(fd, 0, 0, 0));
    TRY(fallocate(fd, 0, 0, -1));
    TRY(fallocate(fd, 99, 0, -1));
    TRY(syscall(SYS_fallocate, 99, 0, 0, 0, 1, 0));
    int readable = open("/dev/shm/room", O_RDONLY), directory = open("/dev/shm", O_RDONLY), pipes[2];
    pipe(pipes);
    TRY(fallocate(readable, 0, 0, 1));
    TRY(fallocate(directory, 0, 0, 1));
    TRY(fallocate(pipes[1], 0, 0, 1));
    struct rlimit limit = {10 * PAGE, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    TRY(fallocate(fd, 0, 0, 11 * PAGE));
    TRY(ftruncate(fd, 11 * PAGE));
    TRY(truncate("/dev/shm/room", 11 * PAGE));
    TRY(fallocate(fd, 0, 0, 10 * PAGE));
    blocks(fd);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    unlink("/dev/shm/room");
}

static void whiteouts(void) {
    mkdir("/dev/shm/white", 0700);
    chdir("/dev/shm/white");
    close(creat("a", 0600));
    close(creat("c", 0600));
    TRY(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT));
    struct stat s;
    TRY(stat("a", &s));
    printf("%o %d\n", s.st_mode, (int)s.st_rdev);
    TRY(stat("b", &s));
    printf("%o\n", s.st_mode);
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_WHITEOUT | RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_WHITEOUT | RENAME_EXCHANGE));
    TRY(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_WHITEOUT));
    TRY(renameat2(AT_FDCWD, "none", AT_FDCWD, "c", RENAME_WHITEOUT));
    TRY(unlink("a"));
    TRY(unlink("b"));
    TRY(unlink("c"));
    chdir("/tmp");
    TRY(rmdir("/dev/shm/white"));
}

static void attributes(void) {
    int fd = open("/dev/shm/attributes", O_RDWR | O_CREAT, 0644);
    char value[100];
    TRY(fsetxattr(fd, "trusted.a", "one", 3, 0));
    TRY(fsetxattr(fd, "security.a", "two", 3, XATTR_REPLACE));
    TRY(fsetxattr(fd, "security.a", "two", 3, XATTR_CREATE));
    TRY(fsetxattr(fd, "security.a", "two", 3, XATTR_CREATE));
    TRY(fsetxattr(fd, "none.a", "two", 3, 0));
    TRY(fsetxattr(fd, "trusted.", "two", 3, 0));
    TRY(fsetxattr(fd, "", "two", 3, 0));
    TRY(fgetxattr(fd, "trusted.a", value, 2));
    TRY(fgetxattr(fd, "trusted.a", value, 0));
    TRY(fgetxattr(fd, "trusted.b", value, 10));
    TRY(flistxattr(fd, value, 100));
    TRY(flistxattr(fd, value, 3));
    if (setegid(1000) == 0 && seteuid(1000) == 0) {
        TRY(fgetxattr(fd, "trusted.a", value, 100));
        TRY(fsetxattr(fd, "security.b", "x", 1, 0));
        TRY(flistxattr(fd, value, 100));
        seteuid(0);
        setegid(0);
    }
    TRY(fremovexattr(fd, "trusted.a"));
    TRY(fremovexattr(fd, "trusted.a"));
    unlink("/dev/shm/attributes");
}

#define AT(fd) printf("at %ld\n", (long)lseek(fd, 0, SEEK_CUR))
static void behind(void) {
    char path[] = "/tmp/behind.XXXXXX", bytes[20] = {0};
    int fd = mkstemp(path);
    struct iovec two = {"zz", 2}, room = {bytes, 4};
    write(fd, "0123456789", 10);
    lseek(fd, 3, SEEK_SET);
    TRY(pwritev2(fd, &two, 1, 0, RWF_APPEND));
    AT(fd);
    TRY(pwritev2(fd, &two, 1, -1, RWF_APPEND));
    AT(fd);
    TRY(pwritev2(fd, &two, 1, 1, RWF_SYNC | RWF_DSYNC));
    AT(fd);
    TRY(pwritev2(fd, &two, 1, 1, 0x10000));
    TRY(preadv2(fd, &room, 1, 1, 0x10000));
    TRY(preadv2(fd, &room, 1, 0, RWF_HIPRI));
    TRY(preadv2(fd, &room, 1, -2, 0));
    TRY(pwritev2(fd, &two, 1, -2, RWF_APPEND));
    TRY(pread(fd, bytes, 20, 0));
    printf("%s\n", bytes);
    int pipes[2];
    pipe(pipes);
    TRY(pwritev2(pipes[1], &two, 1, -1, 0));
    TRY(pwritev2(pipes[1], &two, 1, 0, 0));
    unlink(path);
}

// The C library passes no address without MREMAP_FIXED.
static char *move(void *old, size_t old_len, size_t new_len, int flags, void *new) {
    return (char *)syscall(SYS_mremap, old, old_len, new_len, flags, new);
}

static void moved(void) {
    int prot = PROT_READ | PROT_WRITE;
    char *old = mmap(NULL, 4 * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(old, "first");
    strcpy(old + PAGE, "second");
    char *new = move(old, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    printf("elsewhere: %d; %s %s; '%s' '%s'\n", new != old && new != MAP_FAILED, new, new + PAGE, old, old + PAGE);
    old[0] = 'x';
    printf("%s\n", new);
    OK(move(old, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) == MAP_FAILED ? -1 : 0);
    OK(move(old, PAGE, PAGE, MREMAP_DONTUNMAP, NULL) == MAP_FAILED ? -1 : 0);
    OK(move(old, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, old + PAGE + 8) == MAP_FAILED ? -1 : 0);
    char *there = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *given = move(new, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, there);
    printf("there: %d %s '%s'\n", given == there, given + PAGE, new + PAGE);
    OK(move(given, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, given) == MAP_FAILED ? -1 : 0);
    int fd = memory("shared", 0, PAGE);
    char *shared = mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
    strcpy(shared, "both");
    char *second = move(shared, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    printf("%s %s\n", shared, second);
}

int main(void) {
    seals();
    room();
    whiteouts();
    attributes();
    behind();
    moved();
    return 0;
}
