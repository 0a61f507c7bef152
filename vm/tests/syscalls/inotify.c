#include "report.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>

static int in;
static unsigned last_cookie;

static const char *names[] = {"ACCESS", "MODIFY", "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN", "MOVED_FROM",
                              "MOVED_TO", "CREATE", "DELETE", "DELETE_SELF", "MOVE_SELF"};

// Prints and takes what has happened since the last time.
static void show(const char *after) {
    char buf[65536];
    int left = 0;
    ioctl(in, FIONREAD, &left);
    long n = read(in, buf, sizeof buf);
    printf("%s: %d %s\n", after, left, n < 0 ? strerrorname_np(errno) : n == left ? "all" : "other");
    for (long at = 0; at < n;) {
        struct inotify_event *e = (void *)(buf + at);
        printf("  %d", e->wd);
        for (int i = 0; i < 12; i++)
            if (e->mask & 1 << i) printf(" %s", names[i]);
        if (e->mask & ~0xfff) printf(" %x", e->mask & ~0xfff);
        if (e->cookie) printf(e->cookie == last_cookie ? " same cookie" : " cookie");
        if (e->cookie) last_cookie = e->cookie;
        if (e->len) printf(" %u %s", e->len, e->name);
        printf("\n");
        at += sizeof *e + e->len;
    }
    fflush(stdout);
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    write(fd, text, strlen(text));
    close(fd);
}

static void files(void) {
    TRY(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    put("d/a", "one");
    show("made");
    put("d/a", "two");
    show("truncated");
    int fd = open("d/a", O_RDWR);
    char buf[100];
    read(fd, buf, 2), read(fd, buf, 2), read(fd, buf, 2);
    lseek(fd, 0, SEEK_SET);
    write(fd, "x", 1), write(fd, "y", 1);
    pwrite(fd, "z", 1, 5), pread(fd, buf, 1, 0);
    write(fd, "", 0);
    show("read and written");
    fchmod(fd, 0600);
    fchown(fd, getuid(), getgid());
    ftruncate(fd, 100);
    fallocate(fd, 0, 0, 200);
    show("attributes");
    struct timespec both[2] = {{1, 0}, {2, 0}}, first[2] = {{1, 0}, {0, UTIME_OMIT}}, second[2] = {{0, UTIME_OMIT}, {1, 0}};
    futimens(fd, both);
    show("both times");
    futimens(fd, first);
    show("first time");
    futimens(fd, second);
    show("second time");
    int other = dup(fd);
    close(fd);
    show("closed once");
    close(other);
    show("closed twice");
    truncate("d/a", 3);
    close(open("d/a", O_PATH));
    stat("d/a", &(struct stat){0});
    access("d/a", R_OK);
    show("truncated by name");
    int from = open("d/a", O_RDONLY), to = open("d/b", O_CREAT | O_WRONLY | O_EXCL, 0600);
    sendfile(to, from, NULL, 3);
    close(from), close(to);
    show("copied");
}

static void directories(void) {
    TRY(mkdir("d/sub", 0755));
    TRY(symlink("a", "d/link"));
    TRY(mknod("d/fifo", S_IFIFO | 0600, 0));
    TRY(link("d/a", "d/hard"));
    show("made");
    DIR *sub = opendir("d/sub");
    while (readdir(sub)) continue;
    closedir(sub);
    show("read");
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    close(fd);
    show("opened itself");
    chmod("d/sub", 0700);
    chmod("d", 0700);
    show("changed");
    TRY(unlink("d/link"));
    TRY(unlink("d/fifo"));
    TRY(unlink("d/hard"));
    TRY(rmdir("d/sub"));
    show("removed");
    TRY(mkdir("d/sub/sub", 0755));
    TRY(unlink("d/none"));
    show("failed");
}

static void moves(void) {
    TRY(mkdir("e", 0755));
    int e = TRY(inotify_add_watch(in, "e", IN_MOVE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF));
    int a = TRY(inotify_add_watch(in, "d/a", IN_ALL_EVENTS));
    int b = TRY(inotify_add_watch(in, "d/b", IN_ALL_EVENTS));
    TRY(rename("d/a", "d/c"));
    show("within");
    TRY(rename("d/c", "e/c"));
    show("across");
    TRY(rename("e/c", "d/b"));
    show("over another");
    put("d/x", "");
    put("e/y", "");
    show("two more");
    TRY(renameat2(AT_FDCWD, "d/x", AT_FDCWD, "e/y", RENAME_EXCHANGE));
    show("exchanged");
    TRY(rename("d/y", "d/y"));
    show("onto itself");
    TRY(rename("e", "d/e"));
    show("directory");
    TRY(rename("d/e", "e"));
    show("directory back");
    TRY(inotify_rm_watch(in, b));
    TRY(inotify_rm_watch(in, a));
    show("unwatched");
    TRY(inotify_rm_watch(in, a));
    TRY(unlink("e/y"));
    TRY(rmdir("e"));
    show("directory gone");
    TRY(inotify_rm_watch(in, e));
}

static void ends(void) {
    put("f", "text");
    int f = TRY(inotify_add_watch(in, "f", IN_ALL_EVENTS));
    TRY(link("f", "g"));
    TRY(unlink("f"));
    show("one name");
    TRY(inotify_add_watch(in, "g", IN_ALL_EVENTS) == f);
    int fd = open("g", O_RDWR);
    TRY(unlink("g"));
    show("no name");
    write(fd, "x", 1);
    show("written");
    close(fd);
    show("closed");
    TRY(inotify_rm_watch(in, f));
    put("h", "");
    TRY(inotify_add_watch(in, "h", IN_OPEN | IN_ONESHOT));
    put("h", "");
    show("once");
    put("h", "");
    show("not twice");
    int h = TRY(inotify_add_watch(in, "h", IN_OPEN));
    TRY(inotify_add_watch(in, "h", IN_CLOSE_WRITE | IN_MASK_ADD) == h);
    put("h", "");
    show("both");
    TRY(inotify_add_watch(in, "h", IN_CLOSE_WRITE) == h);
    put("h", "");
    show("second only");
    TRY(inotify_add_watch(in, "h", IN_CLOSE_WRITE | IN_MASK_CREATE));
    TRY(rename("h", "i"));
    put("i", "");
    show("renamed");
    TRY(unlink("i"));
    show("gone");
    mkdir("k", 0755);
    int k = TRY(inotify_add_watch(in, "k", IN_ALL_EVENTS | IN_EXCL_UNLINK));
    fd = open("k/f", O_CREAT | O_RDWR, 0600);
    write(fd, "x", 1);
    show("linked");
    unlink("k/f");
    write(fd, "x", 1);
    close(fd);
    show("unlinked");
    TRY(inotify_rm_watch(in, k));
    show("unwatched");
    rmdir("k");
}

static void errors(void) {
    TRY(inotify_init1(1));
    TRY(inotify_add_watch(in, "d", 0));
    TRY(inotify_add_watch(in, "d", IN_ONLYDIR));
    TRY(inotify_add_watch(in, "none", IN_OPEN));
    TRY(inotify_add_watch(in, (char *)8, IN_OPEN));
    TRY(inotify_add_watch(in, "d/b", IN_OPEN | IN_ONLYDIR));
    TRY(inotify_add_watch(in, "d", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
    TRY(inotify_add_watch(99, "d", IN_OPEN));
    TRY(inotify_add_watch(0, "d", IN_OPEN));
    TRY(inotify_add_watch(99, "d", 0));
    TRY(inotify_rm_watch(in, 1000));
    TRY(inotify_rm_watch(0, 1));
    TRY(inotify_rm_watch(99, 1));
    TRY(symlink("none", "dangling"));
    TRY(inotify_add_watch(in, "dangling", IN_OPEN));
    TRY(inotify_add_watch(in, "dangling", IN_ATTRIB | IN_DONT_FOLLOW) > 0);
    unlink("dangling");
    show("dangling");
    TRY(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    char c[20];
    TRY(read(in, c, 20));
    put("d/long-name-that-takes-more", "");
    TRY(read(in, c, 20));
    show("short buffer");
    TRY(write(in, "x", 1));
    TRY(lseek(in, 0, SEEK_SET));
    chmod(".", 0755);
    chmod("d", 0755);
    close(open("secret", O_CREAT | O_WRONLY, 0600));
    int p = fork();
    if (p == 0) {
        setuid(1000);
        TRY(inotify_add_watch(in, "secret", IN_OPEN));
        TRY(inotify_add_watch(in, "d", IN_ALL_EVENTS));
        _exit(0);
    }
    waitpid(p, NULL, 0);
    unlink("secret");
}

static void waiting(void) {
    int e = epoll_create1(0);
    epoll_ctl(e, EPOLL_CTL_ADD, in, &(struct epoll_event){.events = EPOLLIN | EPOLLET});
    struct epoll_event event;
    struct pollfd p = {in, POLLIN | POLLOUT};
    TRY(poll(&p, 1, 0));
    TRY(epoll_wait(e, &event, 1, 0));
    int go[2];
    pipe(go);
    int child = fork();
    if (child == 0) {
        char c;
        read(go[0], &c, 1);
        put("d/from-child", "x");
        _exit(0);
    }
    write(go[1], "x", 1);
    TRY(poll(&p, 1, 10000));
    printf("%x\n", p.revents);
    TRY(epoll_wait(e, &event, 1, 10000));
    waitpid(child, NULL, 0);
    show("from a child");
    TRY(poll(&p, 1, 0));
    // A reader that waits.
    fcntl(in, F_SETFL, 0);
    child = fork();
    if (child == 0) {
        char c;
        read(go[0], &c, 1);
        unlink("d/from-child");
        _exit(0);
    }
    write(go[1], "x", 1);
    char buf[4096];
    struct inotify_event *got = (void *)buf;
    TRY(read(in, buf, sizeof buf));
    printf("%x %s\n", got->mask, got->name);
    waitpid(child, NULL, 0);
    fcntl(in, F_SETFL, O_NONBLOCK);
}

static void overflow(void) {
    int other = in;
    in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    TRY(inotify_add_watch(in, "d", IN_CREATE | IN_DELETE));
    for (int i = 0; i < 8200; i++) {
        close(open("d/o", O_CREAT | O_WRONLY, 0600));
        unlink("d/o");
    }
    static char buf[65536];
    long n = 0, total = 0;
    for (long got; (got = read(in, buf, sizeof buf)) > 0; total += got) n = got;
    printf("%ld\n", total);
    struct inotify_event *last = (void *)(buf + n - 16);
    printf("%d %x %u\n", last->wd, last->mask, last->len);
    show("nothing left");
    close(open("d/o", O_CREAT | O_WRONLY, 0600));
    show("one more");
    close(in);
    in = other;
    unlink("d/o");
    while (read(in, buf, sizeof buf) > 0) continue;
}

int main(void) {
    char dir[] = "/tmp/inotify-XXXXXX";
    mkdtemp(dir);
    chdir(dir);
    mkdir("d", 0755);
    in = TRY(inotify_init1(IN_NONBLOCK));
    show("nothing");
    files();
    directories();
    moves();
    ends();
    errors();
    waiting();
    overflow();
    char link[100];
    sprintf(link, "/proc/self/fd/%d", in);
    char to[100] = {0};
    readlink(link, to, sizeof to);
    puts(to);
    close(in);
    TRY(unlink("d/x"));
    TRY(unlink("d/b"));
    unlink("d/long-name-that-takes-more");
    TRY(rmdir("d"));
    TRY(rmdir(dir));
    return 0;
}
