#include "report.h"
#include <linux/openat2.h>
#include <sys/syscall.h>

static int dir;

static void how(const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how h = {flags, mode, resolve};
    int fd = syscall(SYS_openat2, dir, path, &h, sizeof h);
    printf("%s %llx %llx: %s\n", path, (long long)flags, (long long)resolve, fd < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
    if (fd >= 0) close(fd);
}

int main(void) {
    char base[] = "/tmp/openat2-XXXXXX";
    mkdtemp(base);
    chdir(base);
    mkdir("d", 0755), mkdir("d/sub", 0755);
    close(open("d/file", O_CREAT | O_WRONLY, 0644)), close(open("outside", O_CREAT | O_WRONLY, 0644));
    symlink("file", "d/link"), symlink("../outside", "d/up"), symlink("/etc/passwd", "d/absolute");
    symlink("sub/..", "d/round"), symlink("/file", "d/rooted"), symlink("/proc/self/fd/0", "d/magic");
    dir = open("d", O_PATH | O_DIRECTORY);
    const char *paths[] = {"file", "link", "up", "absolute", "round", "rooted", "magic", "sub/../file", "../outside", "/etc/passwd",
                           "/file", "..", "sub/../../outside", "none", "/proc/self/fd/0", "sub/../sub/../link"};
    uint64_t resolves[] = {0, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT,
                           RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 7; j++) how(paths[i], O_RDONLY, 0, resolves[j]);
    how("link", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
    how("/proc/self/status", O_RDONLY, 0, RESOLVE_NO_XDEV);
    how("file", O_RDONLY, 0, RESOLVE_NO_XDEV);
    how("new", O_CREAT | O_WRONLY | O_EXCL, 0600, RESOLVE_BENEATH);
    how("../new", O_CREAT | O_WRONLY | O_EXCL, 0600, RESOLVE_BENEATH);
    how("../new2", O_CREAT | O_WRONLY | O_EXCL, 0600, RESOLVE_IN_ROOT);
    how("file", O_RDONLY, 0600, 0);
    how("new", O_CREAT | O_RDONLY, 010000, 0);
    how("file", O_RDONLY | 1ull << 30, 0, 0);
    how("file", O_RDONLY | 1ull << 40, 0, 0);
    how("file", O_RDONLY, 0, 0x100);
    how("file", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
    how("file", O_PATH | O_RDWR, 0, 0);
    how("file", O_PATH | O_CLOEXEC, 0, 0);
    struct { struct open_how how; uint64_t more; } longer = {{O_RDONLY}, 0};
    int fd = syscall(SYS_openat2, dir, "file", &longer, sizeof longer);
    ok("longer", fd);
    longer.more = 1;
    TRY(syscall(SYS_openat2, dir, "file", &longer, sizeof longer));
    TRY(syscall(SYS_openat2, dir, "file", &longer, 8));
    TRY(syscall(SYS_openat2, dir, "file", &longer, 5000));
    TRY(syscall(SYS_openat2, dir, "file", NULL, 24));
    TRY(access("d/new", F_OK));
    TRY(access("d/new2", F_OK));
    const char *all[] = {"d/new2", "d/new", "d/file", "d/link", "d/up", "d/absolute", "d/round", "d/rooted", "d/magic", "outside"};
    for (int i = 0; i < 10; i++) unlink(all[i]);
    rmdir("d/sub"), rmdir("d");
    TRY(rmdir(base));
    return 0;
}
