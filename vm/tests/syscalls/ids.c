#include "report.h"
#include <grp.h>

static void show(void) {
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    gid_t gr, ge, gs;
    getresgid(&gr, &ge, &gs);
    printf("%d %d %d / %d %d %d\n", r, e, s, gr, ge, gs);
    fflush(stdout);
}

int main(void) {
    gid_t groups[10] = {5, 6};
    int fd = open("/tmp/ids-secret", O_CREAT | O_RDWR, 0600);
    TRY(fchown(fd, 0, 6));
    TRY(fchmod(fd, 0640));
    TRY(setgroups(2, groups));
    TRY(getgroups(10, groups));
    TRY(getgroups(1, groups));
    TRY(setresgid(100, 100, 100));
    TRY(setresuid(-1, 1000, -1));
    show();
    TRY(open("/tmp/ids-secret", O_RDONLY) >= 0);
    TRY(open("/tmp/ids-secret", O_RDWR));
    TRY(chmod("/tmp/ids-secret", 0777));
    TRY(setgroups(0, NULL));
    TRY(seteuid(0));
    show();
    TRY(setreuid(1000, 1001));
    show();
    TRY(setuid(1000));
    show();
    TRY(setuid(1001));
    TRY(setuid(0));
    TRY(setresuid(1001, 1001, 1001));
    TRY(setresuid(1000, -1, -1));
    show();
    TRY(chroot("/"));
    TRY(sethostname("x", 1));
    TRY(nice(-5));
    TRY(unlink("/tmp/ids-secret"));
    TRY(mkdir("/ids-dir", 0755));
    return 0;
}
