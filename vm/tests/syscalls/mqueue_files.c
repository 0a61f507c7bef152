// POSIX message queues as files of a file system, which may be mounted.
#include "report.h"
#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

static void show(const char *name) {
    struct stat s;
    if (stat(name, &s) < 0) { printf("%s: %s\n", name, strerrorname_np(errno)); return; }
    printf("%s: %o %d %d %d, %d bytes, %d blocks\n", name, s.st_mode, s.st_uid, s.st_gid, (int)s.st_nlink, (int)s.st_size, (int)s.st_blocks);
}

static void cat(const char *name) {
    char text[200];
    int fd = open(name, O_RDONLY);
    if (fd < 0) { printf("%s: %s\n", name, strerrorname_np(errno)); return; }
    long len = read(fd, text, 7), more = read(fd, text + 7, sizeof text - 8);
    text[len + more] = 0;
    char *pid = strstr(text, "NOTIFY_PID:");
    printf("%s%s\n", text, read(fd, text, 1) == 0 ? "end" : "?");
    close(fd);
}

static void list(void) {
    DIR *dir = opendir(".");
    struct dirent *entry;
    int all = 0;
    while ((entry = readdir(dir))) all += entry->d_name[0] != '.', printf("%s", entry->d_name[0] == 'q' && entry->d_type == DT_REG ? "queue " : "");
    printf("%d\n", all);
    closedir(dir);
}

static void as_files(void) {
    show(".");
    mqd_t q = mq_open("/q1", O_RDWR | O_CREAT, 0640, &(struct mq_attr){.mq_maxmsg = 5, .mq_msgsize = 50});
    show("q1");
    cat("q1");
    mq_send(q, "hello", 5, 3), mq_send(q, "more", 4, 1);
    cat("q1");
    show("q1");
    list();
    TRY(mkdir("d", 0755));
    TRY(symlink("a", "l"));
    TRY(link("q1", "q2"));
    TRY(rename("q1", "q2"));
    TRY(mknod("p", S_IFIFO | 0644, 0));
    TRY(mknod("n", S_IFCHR | 0644, makedev(1, 3)));
    TRY(chmod("q1", 0604));
    TRY(chown("q1", 1000, 1001));
    show("q1");
    // What open(2) gives is the queue as well.
    int fd = open("q1", O_RDWR | O_NONBLOCK);
    char text[60];
    unsigned priority;
    TRY(mq_receive(fd, text, 60, &priority));
    TRY(write(fd, "x", 1));
    TRY(lseek(fd, 0, SEEK_END));
    struct pollfd p = {fd, POLLIN | POLLOUT};
    TRY(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    TRY(mq_receive(fd, text, 60, &priority));
    TRY(mq_receive(fd, text, 60, &priority));
    close(fd);
    // And what creat(2) makes is one.
    fd = open("q3", O_RDWR | O_CREAT | O_EXCL, 0600);
    struct mq_attr a;
    TRY(mq_getattr(fd, &a));
    printf("%ld %ld %ld\n", a.mq_maxmsg, a.mq_msgsize, a.mq_curmsgs);
    TRY(mq_send(fd, "text", 4, 0));
    mqd_t same = mq_open("/q3", O_RDONLY);
    TRY(mq_getattr(same, &a));
    printf("%ld\n", a.mq_curmsgs);
    mq_close(same);
    list();
    TRY(unlink("q3"));
    TRY(mq_open("/q3", O_RDONLY));
    TRY(mq_send(fd, "still there", 11, 0));
    close(fd);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    signal(SIGUSR1, SIG_IGN);
    mq_notify(q, &event);
    fd = open("q1", O_RDONLY);
    text[read(fd, text, 59)] = 0;
    int pid = atoi(strstr(text, "PID:") + 4);
    *strstr(text, "NOTIFY_PID") = 0;
    printf("%s%d\n", text, pid == getpid());
    close(fd);
    struct statfs s;
    statfs(".", &s);
    printf("%lx %ld %ld %ld %ld\n", (long)s.f_type, (long)s.f_blocks, (long)s.f_files, (long)s.f_bsize, (long)s.f_namelen);
    mq_close(q);
}

static void by_others(void) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        setgid(2000), setuid(2000);
        TRY(mq_open("/q1", O_RDONLY));
        TRY(mq_open("/q1", O_WRONLY));
        OK(open("q1", O_RDONLY));
        TRY(open("q1", O_WRONLY));
        TRY(mq_unlink("/q1"));
        TRY(unlink("q1"));
        OK(mq_open("/q4", O_RDWR | O_CREAT, 0666, NULL));
        show("q4");
        TRY(chmod("q4", 0600));
        TRY(rmdir("."));
        exit(0);
    }
    waitpid(pid, NULL, 0);
    show("q4");
}

int main(void) {
    // Nobody else's queues, nor mounts.
    char dir[] = "/tmp/mqueue.XXXXXX", again[] = "/tmp/mqueue.XXXXXX";
    mkdtemp(dir), mkdtemp(again);
    umask(022);
    int pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0) mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL);
        mqd_t before = mq_open("/before", O_RDWR | O_CREAT, 0600, NULL);
        TRY(mount("queues", dir, "mqueue", MS_NOSUID, NULL));
        chdir(dir);
        as_files();
        by_others();
        fflush(stdout);
        TRY(mount("queues", again, "mqueue", MS_RDONLY | MS_NOEXEC, NULL));
        chdir(again);
        show("before"), show("q1");
        cat("before");
        struct statvfs s;
        statvfs(".", &s);
        printf("%lx\n", s.f_flag);
        TRY(unlink("q1"));
        TRY(creat("q5", 0600));
        chdir("/");
        TRY(umount(again));
        TRY(mq_unlink("/before"));
        chdir(dir);
        TRY(access("before", F_OK));
        TRY(access("q1", F_OK));
        mq_close(before);
        TRY(unlink("q1"));
        TRY(unlink("q4"));
        list();
        chdir("/");
        TRY(umount(dir));
        exit(0);
    }
    waitpid(pid, NULL, 0);
    rmdir(dir), rmdir(again);
    return 0;
}
