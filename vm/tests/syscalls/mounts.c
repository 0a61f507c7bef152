// Mounts: what mount(2) and umount2(2) make, move, forbid and refuse, and what /proc/self/mountinfo says of it.
#include "report.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static char work[] = "/tmp/mounts.XXXXXX";

// What is mounted in here: place, root, options and propagation, kind, source; in the order of places, since kernels differ
// in theirs. Numbers are told by the lines they stand in.
struct line { int id, parent; char place[300], rest[700]; } lines[100];
static int by_place(const void *a, const void *b) {
    const struct line *one = a, *other = b;
    int order = strcmp(one->place, other->place);
    return order ? order : one->id - other->id;
}
static void table(const char *what) {
    printf("-- %s\n", what);
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char text[1000], root[300], options[300], rest[300];
    int count = 0;
    while (fgets(text, sizeof text, file)) {
        struct line *line = &lines[count];
        if (sscanf(text, "%d %d %*s %s %s %s %299[^\n]", &line->id, &line->parent, root, line->place, options, rest) < 6) continue;
        if (strncmp(line->place, work, strlen(work)) != 0) continue;
        // Of options of the file system itself, limits differ.
        char *end = strrchr(rest, ' ');
        if (end) end[3] = 0;
        sprintf(line->rest, "%s %s %s", root, options, rest);
        count++;
    }
    fclose(file);
    qsort(lines, count, sizeof *lines, by_place);
    for (int i = 0; i < count; i++) {
        int up = -1;
        for (int j = 0; j < count; j++) if (lines[j].id == lines[i].parent) up = j;
        printf("  %d in %d: %s %s\n", i, up, lines[i].place + strlen(work), lines[i].rest);
    }
    fflush(stdout);
}

static void put(const char *path) {
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    if (fd >= 0) write(fd, "text\n", 5), close(fd);
    else printf("  %s: %s\n", path, strerrorname_np(errno));
}

static int there(const char *path) { return access(path, F_OK) == 0; }

static void binds(void) {
    mkdir("a", 0755), mkdir("a/in", 0755), mkdir("b", 0755), mkdir("c", 0755), put("a/file"), put("b/hidden");
    TRY(mount("tmpfs", "a/in", "tmpfs", 0, NULL));
    mkdir("a/in/deep", 0755), put("a/in/inner");
    TRY(mount("tmpfs", "a/in/deep", "tmpfs", MS_NOSUID, "size=1m"));
    put("a/in/deep/deepest");
    TRY(mount("a", "b", "ignored", MS_BIND, "ignored"));
    printf("%d %d %d\n", there("b/file"), there("b/in/inner"), there("b/hidden"));
    TRY(mount("a", "c", NULL, MS_BIND | MS_REC, NULL));
    printf("%d %d %d\n", there("c/file"), there("c/in/inner"), there("c/in/deep/deepest"));
    put("b/in/under");
    TRY(access("a/in/under", F_OK));
    table("bound");
    TRY(rename("b/file", "a/file2"));
    TRY(link("b/file", "a/file2"));
    TRY(rmdir("a/in"));
    TRY(rename("a/in", "a/out"));
    TRY(umount2("a/in", 0));
    TRY(umount2("c", 0));
    TRY(umount2("b", 0));
    TRY(umount2("b", 0));
    TRY(umount2("c/in/deep", 0));
    TRY(umount2("c/in", 0));
    TRY(umount2("c", 0));
    TRY(umount2("a/in/deep", 0));
    TRY(umount2("a/in", 0));
    table("nothing");
    // A part of a file system, and a file.
    mkdir("a/part", 0755), put("a/part/x"), put("place");
    TRY(mount("a/part", "b", NULL, MS_BIND, NULL));
    TRY(mount("a/file", "place", NULL, MS_BIND, NULL));
    table("parts");
    TRY(mount("a/file", "b", NULL, MS_BIND, NULL));
    TRY(mount("a", "place", NULL, MS_BIND, NULL));
    TRY(unlink("place"));
    TRY(mount("none", "b", NULL, MS_BIND, NULL));
    TRY(mount("a", "none", NULL, MS_BIND, NULL));
    TRY(mount(NULL, "b", NULL, MS_BIND, NULL));
    TRY(mount("", "b", NULL, MS_BIND, NULL));
    TRY(umount2("place", 0));
    TRY(unlink("place"));
    TRY(umount2("b", 0));
    // One on the other.
    TRY(mount("tmpfs", "b", "tmpfs", 0, NULL));
    put("b/first");
    TRY(mount("tmpfs", "b", "tmpfs", MS_NODEV, NULL));
    put("b/second");
    table("stacked");
    printf("%d %d\n", there("b/first"), there("b/second"));
    TRY(umount2("b", 0));
    printf("%d %d\n", there("b/first"), there("b/second"));
    TRY(umount2("b", 0));
    printf("%d\n", there("b/hidden"));
}

static void moves(void) {
    mkdir("m", 0755), mkdir("n", 0755), put("mfile");
    TRY(mount("tmpfs", "m", "tmpfs", 0, NULL));
    mkdir("m/in", 0755), put("m/file");
    TRY(mount("other", "m/in", "tmpfs", 0, NULL));
    put("m/in/file");
    int fd = open("m/in/file", O_RDONLY);
    TRY(mount("m", "n", NULL, MS_MOVE, NULL));
    printf("%d %d %d\n", there("m/file"), there("n/file"), there("n/in/file"));
    char path[200], link[100];
    sprintf(link, "/proc/self/fd/%d", fd);
    path[readlink(link, path, sizeof path - 1)] = 0;
    printf("%.10s\n", path + strlen(work));
    close(fd);
    table("moved");
    TRY(mount("n", "n/in", NULL, MS_MOVE, NULL));
    TRY(mount("n/file", "m", NULL, MS_MOVE, NULL));
    TRY(mount("m", "n", NULL, MS_MOVE, NULL));
    TRY(mount("n", "mfile", NULL, MS_MOVE, NULL));
    TRY(mount("n", "none", NULL, MS_MOVE, NULL));
    TRY(mount("n/in", "m", NULL, MS_MOVE, NULL));
    table("moved out");
    TRY(umount("m"));
    TRY(umount("n"));
}

static void forbidden(void) {
    mkdir("f", 0755);
    TRY(mount("tmpfs", "f", "tmpfs", 0, NULL));
    int fd = open("f/file", O_CREAT | O_RDWR, 0755);
    write(fd, "#!/bin/none\n", 12);
    TRY(mknod("f/null", S_IFCHR | 0666, makedev(1, 3)));
    TRY(mount(NULL, "f", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    close(fd);
    TRY(mount(NULL, "f", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    table("read-only");
    put("f/new");
    TRY(open("f/file", O_RDWR));
    TRY(unlink("f/file"));
    TRY(mkdir("f/dir", 0755));
    TRY(chmod("f/file", 0700));
    TRY(rename("f/file", "f/file2"));
    TRY(access("f/file", W_OK));
    TRY(truncate("f/file", 0));
    TRY(utimensat(AT_FDCWD, "f/file", NULL, 0));
    OK(fd = open("f/null", O_RDWR));
    close(fd);
    struct statvfs status;
    statvfs("f", &status);
    printf("%lx\n", status.f_flag);
    TRY(mount(NULL, "f", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    statvfs("f", &status);
    printf("%lx\n", status.f_flag);
    table("without");
    put("f/new");
    TRY(open("f/null", O_RDWR));
    TRY(access("f/null", R_OK));
    TRY(execl("f/file", "file", NULL));
    TRY(access("f/file", X_OK));
    fd = open("f/file", O_RDONLY);
    OK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    TRY(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    munmap(page, 4096);
    close(fd);
    // A bound one has flags of its own.
    mkdir("g", 0755);
    TRY(mount("f", "g", NULL, MS_BIND | MS_RDONLY, NULL));
    put("g/not-yet");
    TRY(mount(NULL, "g", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    put("g/forbidden"), put("f/allowed");
    table("bound read-only");
    TRY(mount(NULL, "g", NULL, MS_REMOUNT, NULL));
    table("bound, written");
    TRY(mount(NULL, "f", NULL, MS_REMOUNT | MS_RDONLY | MS_NOEXEC, NULL));
    table("the file system read-only");
    put("g/forbidden-too");
    TRY(mount(NULL, "f", NULL, MS_REMOUNT | MS_NODEV, NULL));
    table("as before");
    TRY(umount("g"));
    mkdir("f/dir", 0755);
    TRY(mount(NULL, "f/dir", NULL, MS_REMOUNT, NULL));
    TRY(mount(NULL, "f/dir", NULL, MS_REMOUNT | MS_BIND, NULL));
    TRY(umount("f"));
    TRY(mount("tmpfs", "f", "tmpfs", MS_NOATIME | MS_NODIRATIME, NULL));
    table("no access times");
    TRY(umount("f"));
    TRY(mount("tmpfs", "f", "tmpfs", MS_STRICTATIME, NULL));
    table("all access times");
    TRY(umount("f"));
}

static void used(void) {
    mkdir("u", 0755);
    TRY(mount("tmpfs", "u", "tmpfs", 0, NULL));
    int fd = open("u/file", O_CREAT | O_RDWR, 0644);
    TRY(umount("u"));
    TRY(umount2("u", MNT_DETACH));
    printf("%d\n", there("u/file"));
    TRY(write(fd, "still", 5));
    struct stat status;
    TRY(fstat(fd, &status));
    char path[100], link[100];
    sprintf(link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    printf("%.*s\n", (int)len, path);
    close(fd);
    TRY(mount("tmpfs", "u", "tmpfs", 0, NULL));
    TRY(chdir("u"));
    TRY(umount("."));
    TRY(umount2(".", MNT_DETACH));
    char *cwd = getcwd(path, sizeof path);
    printf("%s\n", cwd ? cwd : strerrorname_np(errno));
    TRY(mkdir("still", 0755));
    TRY(chdir(".."));
    TRY(chdir(work));
    // Once marked, a mount that nobody uses meanwhile is gone the next time.
    TRY(mount("tmpfs", "u", "tmpfs", 0, NULL));
    TRY(umount2("u", MNT_EXPIRE | MNT_FORCE));
    TRY(umount2("u", MNT_EXPIRE | MNT_DETACH));
    TRY(umount2("u", MNT_EXPIRE));
    put("u/file");
    TRY(umount2("u", MNT_EXPIRE));
    TRY(umount2("u", MNT_EXPIRE));
    TRY(umount2("u", MNT_EXPIRE));
    // Through links, or not.
    TRY(mount("tmpfs", "u", "tmpfs", 0, NULL));
    symlink("u", "ulink");
    TRY(umount2("ulink", UMOUNT_NOFOLLOW));
    TRY(umount2("ulink", 0x100));
    TRY(umount2("ulink", MNT_FORCE));
    TRY(umount2("none", 0));
    TRY(umount2("a", 0));
    TRY(umount2("a/file", 0));
    TRY(umount2("", 0));
    TRY(umount2(NULL, 0));
    // Inside it is another.
    TRY(mount("tmpfs", "u", "tmpfs", 0, NULL));
    mkdir("u/in", 0755);
    TRY(mount("tmpfs", "u/in", "tmpfs", 0, NULL));
    TRY(umount("u"));
    TRY(umount2("u", MNT_DETACH));
    table("all gone");
    // A process that runs from it.
    int program = open("/proc/self/exe", O_RDONLY), pair[2];
    TRY(mount("tmpfs", "u", "tmpfs", 0, "size=40m"));
    int copy = open("u/program", O_CREAT | O_WRONLY, 0755);
    char bytes[65536];
    while ((len = read(program, bytes, sizeof bytes)) > 0) write(copy, bytes, len);
    close(copy), close(program);
    pipe2(pair, O_CLOEXEC);
    int pid = fork();
    if (pid == 0) { execl("u/program", "program", "wait", NULL); _exit(1); }
    close(pair[1]);
    read(pair[0], path, 1);
    TRY(umount("u"));
    kill(pid, SIGKILL), waitpid(pid, NULL, 0);
    close(pair[0]);
    TRY(umount("u"));
}

static void refused(void) {
    TRY(mount("x", "a", "none-such", 0, NULL));
    TRY(mount("x", "a", NULL, 0, NULL));
    TRY(mount("x", "none", "tmpfs", 0, NULL));
    TRY(mount("x", "a/file", "tmpfs", 0, NULL));
    TRY(mount("x", "a", "tmpfs", 0, "mode=99"));
    TRY(mount("x", "a", "tmpfs", 0, "size=lots"));
    TRY(mount("x", "a", "tmpfs", 0, "unheard=of"));
    TRY(mount("/none", "a", "ext2", 0, NULL));
    TRY(mount(NULL, "a", "tmpfs", 0, NULL));
    table("without a source");
    TRY(umount("a"));
    TRY(mount("x y", "a", "tmpfs", 0xc0ed0000 | MS_NODEV, "mode=0700,uid=5,gid=6,size=1m,nr_inodes=100"));
    table("a source with a blank");
    struct stat status;
    stat("a", &status);
    printf("%o %d %d\n", status.st_mode, status.st_uid, status.st_gid);
    struct statfs figures;
    statfs("a", &figures);
    printf("%lx %ld %ld %ld %ld\n", (long)figures.f_type, (long)figures.f_blocks, (long)figures.f_bfree,
           (long)figures.f_files, (long)figures.f_ffree);
    TRY(mount(NULL, "a", NULL, MS_REMOUNT, "size=2m"));
    statfs("a", &figures);
    printf("%ld\n", (long)figures.f_blocks);
    TRY(umount("a"));
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        setgid(1000), setuid(1000);
        TRY(mount("x", "a", "tmpfs", 0, NULL));
        TRY(mount("x", "none", "tmpfs", 0, NULL));
        TRY(mount(NULL, "/", NULL, MS_REMOUNT, NULL));
        TRY(umount("a"));
        TRY(umount("none"));
        TRY(umount2("a", 0x100));
        TRY(chroot("a"));
        TRY(syscall(SYS_pivot_root, "a", "a"));
        exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void propagation(void) {
    mkdir("p", 0755);
    TRY(mount("tmpfs", "p", "tmpfs", 0, NULL));
    TRY(mount(NULL, "p", NULL, MS_PRIVATE, NULL));
    TRY(mount(NULL, "p", NULL, MS_PRIVATE | MS_REC, NULL));
    TRY(mount(NULL, "p", NULL, MS_PRIVATE | MS_SHARED, NULL));
    TRY(mount(NULL, "p", NULL, MS_PRIVATE | MS_NODEV, NULL));
    TRY(mount(NULL, "p", NULL, MS_SLAVE, NULL));
    TRY(mount(NULL, "none", NULL, MS_PRIVATE, NULL));
    table("private");
    mkdir("q", 0755);
    TRY(mount(NULL, "p", NULL, MS_UNBINDABLE, NULL));
    TRY(mount("p", "q", NULL, MS_BIND, NULL));
    table("unbindable");
    TRY(mount(NULL, "p", NULL, MS_PRIVATE, NULL));
    TRY(mount("p", "q", NULL, MS_BIND, NULL));
    TRY(umount("q"));
    TRY(umount("p"));
}

static void roots(void) {
    char path[300];
    mkdir("r", 0755);
    TRY(mount("tmpfs", "r", "tmpfs", 0, NULL));
    mkdir("r/old", 0755), mkdir("r/sub", 0755), mkdir("r/mnt", 0755), put("r/top"), put("r/sub/file"), symlink("/top", "r/sub/up");
    mkdir("r/proc", 0755);
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        TRY(chroot("r"));
        // Where it stands is outside.
        printf("%d\n", there("r/top"));
        long len = syscall(SYS_getcwd, path, sizeof path);
        printf("%.13s\n", len > 0 ? path : strerrorname_np(errno));
        TRY(chdir("/sub"));
        printf("%d %d %d\n", there("../../top"), there("up"), there(work));
        TRY(chdir("../.."));
        printf("%s\n", getcwd(path, sizeof path));
        TRY(mount("proc", "/proc", "proc", 0, NULL));
        TRY(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
        FILE *file = fopen("/proc/self/mountinfo", "r");
        char root[300], place[300], options[100];
        while (fscanf(file, "%*d %*d %*s %s %s %s %*[^\n]", root, place, options) == 3)
            printf("  %s %s %s\n", root, place, options);
        fclose(file);
        file = fopen("/proc/self/mounts", "r");
        while (fscanf(file, "%s %s %s %*[^\n]", root, place, options) == 3) printf("  %s %s %s\n", root, place, options);
        fclose(file);
        TRY(umount("/mnt"));
        TRY(umount("/proc"));
        TRY(chroot("top"));
        TRY(chroot("none"));
        exit(0);
    }
    waitpid(pid, NULL, 0);
    TRY(syscall(SYS_pivot_root, "none", "none"));
    TRY(syscall(SYS_pivot_root, "a", "a"));
    TRY(syscall(SYS_pivot_root, "r", "a"));
    TRY(syscall(SYS_pivot_root, "r/sub", "r/sub"));
    TRY(syscall(SYS_pivot_root, "r", "r/top"));
    TRY(syscall(SYS_pivot_root, "/", "/"));
    TRY(umount("r"));
    TRY(mount("new", "r", "tmpfs", 0, NULL));
    mkdir("r/old", 0755), mkdir("r/tmp", 0755), mkdir("r/proc", 0755), put("r/top");
    TRY(mount("proc", "r/proc", "proc", 0, NULL));
    TRY(chdir("/"));
    char new_root[100], put_old[100];
    sprintf(new_root, "%s/r", work), sprintf(put_old, "%s/r/old", work);
    fflush(stdout);
    int ready[2];
    pipe(ready);
    pid = fork();
    if (pid == 0) {
        // Who stands elsewhere, or has a root of its own, stays there.
        chdir(new_root), chroot(work);
        close(ready[0]), close(ready[1]);
        for (;;) pause();
    }
    close(ready[1]);
    read(ready[0], path, 1);
    TRY(syscall(SYS_pivot_root, new_root, put_old));
    printf("%d %d %s\n", there("/top"), there("/old/tmp"), getcwd(path, sizeof path));
    sprintf(path, "/proc/%d/root", pid);
    char link[300];
    ssize_t size = readlink(path, link, sizeof link);
    link[size < 0 ? 0 : size] = 0;
    printf("%.15s %d\n", link, strcmp(link + 4, work) == 0);
    kill(pid, SIGKILL), waitpid(pid, NULL, 0);
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char root[300], place[300], options[100];
    while (fscanf(file, "%*d %*d %*s %s %s %s %*[^\n]", root, place, options) == 3)
        if (strncmp(place, "/old", 4)) printf("  %s %s %s\n", root, place, options);
    fclose(file);
    TRY(umount("/old"));
    TRY(umount2("/old", MNT_DETACH));
    printf("%d\n", there("/old/tmp"));
    TRY(rmdir("/old"));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "wait") == 0) for (;;) pause();
    umask(022);
    mkdtemp(work);
    // What is mounted here goes with the child, and the directory after it.
    int child = fork();
    if (child > 0) {
        waitpid(child, NULL, 0);
        rmdir(work);
        return 0;
    }
    // Linux's own mounts go on as they are; where there is but one set of them, the program is alone with it.
    if (unshare(CLONE_NEWNS) == 0) mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL);
    chdir(work);
    // On a file system that is the same everywhere.
    TRY(mount("base", work, "tmpfs", 0, NULL));
    chdir(work);
    binds();
    moves();
    forbidden();
    used();
    refused();
    propagation();
    roots();
    return 0;
}
